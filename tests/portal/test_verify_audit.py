"""`manage.py verify_audit`, `make_signing_key`, `declare_restore`: what they print, write and refuse."""

import json
import subprocess
import sys
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from audit.approvals import requests
from audit.models import ApprovalRequest, AuditEvent, Checkpoint, SealedLeaf
from audit.seals import verify_evidence
from audit.seals.errors import SealingStopped
from audit.trail import Actor
from audit.vocabulary import Action
from portal import restore_declarations, sealing
from portal.roles import Role
from tests.audit.seals import cast
from tests.conftest import OwnDatabase
from tests.portal.desk.cast import somebody


@pytest.fixture
def log(own_database: OwnDatabase) -> list[Any]:
    """Nine entries under three checkpoints; their ids."""
    written = []
    for _ in range(3):
        written += cast.entries(3)
        sealing.seal()
    return written


def run(*arguments: str) -> tuple[int, str]:
    """Exit code and stdout."""
    out = StringIO()
    try:
        call_command("verify_audit", *arguments, stdout=out)
    except SystemExit as ended:
        return int(ended.code or 0), out.getvalue()
    return 0, out.getvalue()


def refused(command: str, *arguments: str) -> tuple[int, str]:
    with pytest.raises(CommandError) as error:
        call_command(command, *arguments, stdout=StringIO(), stderr=StringIO())
    return error.value.returncode, str(error.value)


def test_a_whole_log_is_verified(log: list[Any]) -> None:
    code, said = run()
    assert code == 0
    assert "9 leaves, 9 of them under a valid signature" in said
    assert "9 rows agree with their leaves" in said
    assert said.endswith("Everything is as it was sealed.\n")


def test_an_edit_is_named_with_exit_code_8(log: list[Any]) -> None:
    cast.as_superuser("UPDATE audit_payloadentry SET status = 500 WHERE id = %s", values=[log[3]])
    code, said = run("--json")
    [finding] = json.loads(said)["findings"]
    assert (code, finding["id"], finding["index"], finding["fields"]) == (8, str(log[3]), 3, ["status"])
    code, said = run()
    assert f"payload {log[3]} (#3) is not what was written: status." in said
    assert "MISMATCH" in said
    # Headers alone do not tell, and are not said to.
    code, said = run("--structure")
    assert (code, "9 headers" in said) == (0, True)


def test_a_head_that_is_gone_is_a_mismatch_unless_a_checkpoint_was_kept(
    log: list[Any], tmp_path: Path
) -> None:
    note = tmp_path / "kept"
    note.write_text(Checkpoint.objects.get(number=2).note)
    sealing.head().path.unlink()
    code, said = run("--json")
    [finding] = json.loads(said)["findings"]
    assert (code, finding["what"]) == (8, "head")
    assert run("--checkpoint", str(note))[0] == 0
    assert run("--entry", str(log[4]))[0] == 0, "an entry is proven by its path"


def test_what_came_after_a_checkpoint_is_verified_alone(log: list[Any], tmp_path: Path) -> None:
    cast.as_superuser("UPDATE audit_payloadentry SET status = 500 WHERE id = %s", values=[log[1]])
    assert run()[0] == 8
    code, said = run("--from-checkpoint", "0", "--json")
    assert (code, json.loads(said)["rows"]) == (0, 6)
    note = tmp_path / "kept"
    note.write_text(Checkpoint.objects.get(number=1).note)
    code, said = run("--from-checkpoint", str(note), "--checkpoint", str(note), "--json")
    assert (code, json.loads(said)["rows"]) == (0, 3)
    cast.as_superuser("UPDATE audit_sealedleaf SET nodes = 'x' || nodes WHERE index = 3")
    assert refused("verify_audit", "--from-checkpoint", "1") == (
        6,
        "What stands before leaf #6 does not lead to the root of its checkpoint.",
    )
    assert refused("verify_audit", "--from-checkpoint", "77") == (
        6,
        "There is no checkpoint 77 in the database.",
    )


def test_one_entry_is_verified_by_its_proof(log: list[Any]) -> None:
    code, said = run("--entry", str(log[4]), "--json")
    assert (code, json.loads(said)["rows"]) == (0, 1)
    cast.as_superuser("UPDATE audit_payloadentry SET at = now() WHERE id = %s", values=[log[4]])
    code, said = run("--entry", str(log[4]))
    assert (code, "is not what was written: at." in said) == (8, True)
    waiting = cast.an_entry()
    code, said = refused("verify_audit", "--entry", str(waiting))
    assert (code, "it waits for its seal" in said) == (6, True)


@pytest.mark.parametrize("name", ["bundle.jsonl", "bundle.jsonl.gz"])
def test_the_bundle_is_what_the_offline_verifier_reads(log: list[Any], tmp_path: Path, name: str) -> None:
    bundle, vkey = tmp_path / name, str(sealing.signing_key().verifier)
    assert run("--export", str(bundle))[0] == 0
    assert bundle.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == [name]
    offline = [sys.executable, "-I", "-S", verify_evidence.__file__, str(bundle), "--vkey", vkey]
    told = subprocess.run(offline, capture_output=True, text=True, check=False, cwd=tmp_path, env={})
    assert (told.returncode, told.stdout) == (0, run()[1])
    assert run("--entry", str(log[2]), "--export", str(bundle))[0] == 0
    told = subprocess.run(offline, capture_output=True, text=True, check=False, cwd=tmp_path, env={})
    assert told.returncode == 0


def test_what_cannot_be_verified_is_refused(log: list[Any], tmp_path: Path, settings: Any) -> None:
    assert refused("verify_audit", "--vkey", "x")[0] == 6
    assert refused("verify_audit", "--checkpoint", str(tmp_path / "nowhere"))[0] == 6
    code, said = refused("verify_audit", "--entry", str(log[0]), "--from-checkpoint", "1")
    assert (code, said) == (2, "Give --entry or --from-checkpoint, not both.")
    settings.AUDIT_SIGNING_KEY_PATH = str(tmp_path / "nowhere")
    code, said = refused("verify_audit")
    assert (code, "There is no signing key at" in said) == (6, True)


def restore_an_older_database() -> None:
    cast.as_superuser(
        "DELETE FROM audit_checkpoint WHERE number = 2",
        "DELETE FROM audit_payloadentry WHERE id IN (SELECT entry_id FROM audit_sealedleaf WHERE index > 5)",
        "DELETE FROM audit_auditevent WHERE id IN (SELECT entry_id FROM audit_sealedleaf WHERE index > 5)",
        "DELETE FROM audit_sealedleaf WHERE index > 5",
    )


def test_an_older_database_is_noticed_and_declared_by_command(log: list[Any]) -> None:
    assert refused("declare_restore", "--reason", "no need")[0] == 6
    restore_an_older_database()
    with pytest.raises(SealingStopped):
        sealing.seal()
    code, said = run()
    assert (code, "Leaves #6 to #8:" in said) == (8, True)
    code, said = refused("declare_restore", "--reason", "disk lost, case 12")
    [asked] = ApprovalRequest.objects.all()
    assert (code, f"/admin/approvals/{asked.pk}/" in said) == (7, True)
    assert asked.difference[0][1].startswith("number 2,")
    with pytest.raises(SealingStopped):
        sealing.seal()
    officer = somebody(Role.COMPLIANCE_OFFICER)
    requests.approve(asked.pk, actor=Actor(f"user:{officer.pk}", officer.username))
    assert refused("declare_restore", "--reason", "another reason")[0] == 7
    out = StringIO()
    call_command("declare_restore", "--reason", "disk lost, case 12", "--json", stdout=out)
    event = AuditEvent.objects.get(pk=json.loads(out.getvalue())["event"])
    assert event.action == Action.RESTORE_DECLARED
    assert SealedLeaf.objects.get(index=6).entry_id == event.pk
    approval = AuditEvent.objects.get(action=Action.APPROVAL_APPROVED)
    assert event.details["approval"] == str(approval.pk)
    assert SealedLeaf.objects.get(index=7).entry_id == approval.pk
    sealing.seal()
    assert run()[0] == 0


@pytest.mark.parametrize(
    "forgery",
    [
        "DELETE FROM audit_auditevent WHERE action = 'approval.approved'",
        "DELETE FROM audit_sealqueueentry WHERE id = (SELECT max(id) FROM audit_sealqueueentry)",
        "UPDATE audit_auditevent SET actor_name = 'omar' WHERE action = 'approval.approved'",
        "UPDATE audit_auditevent SET actor_id = 'user:99' WHERE action = 'approval.approved'",
        "UPDATE audit_auditevent SET target_id = 'x' WHERE action = 'approval.approved'",
    ],
)
def test_a_row_that_says_approved_without_its_event_declares_nothing(log: list[Any], forgery: str) -> None:
    restore_an_older_database()
    refused("declare_restore", "--reason", "disk lost")
    [asked] = ApprovalRequest.objects.all()
    officer = somebody(Role.COMPLIANCE_OFFICER)
    requests.approve(asked.pk, actor=Actor(f"user:{officer.pk}", officer.username))
    cast.as_superuser(forgery)
    assert refused("declare_restore", "--reason", "disk lost")[0] == 7, "it asks anew"
    assert not AuditEvent.objects.filter(action=Action.RESTORE_DECLARED).exists()
    assert AuditEvent.objects.get(action=Action.ALARM_TAMPERING).target_id == str(asked.pk)


def test_if_the_row_were_enough_a_forged_one_would_declare(
    log: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The known-bad twin of the test above."""
    restore_an_older_database()
    refused("declare_restore", "--reason", "disk lost")
    cast.as_superuser(
        "UPDATE audit_approvalrequest SET state = 'approved', decided_by_id = 'x', decided_by_name = 'x'"
    )
    assert refused("declare_restore", "--reason", "disk lost")[0] == 7
    monkeypatch.setattr(restore_declarations, "event_of", lambda asked: AuditEvent.objects.latest("pk").pk)
    call_command("declare_restore", "--reason", "disk lost", stdout=StringIO())
    assert AuditEvent.objects.filter(action=Action.RESTORE_DECLARED).exists()


def test_a_signing_key_is_made_once_and_shown(
    own_database: OwnDatabase, tmp_path: Path, settings: Any
) -> None:
    settings.AUDIT_SIGNING_KEY_PATH = str(tmp_path / "keys" / "key")
    assert refused("make_signing_key") == (2, "Give --origin, the name of the log, or --show.")
    assert refused("make_signing_key", "--show")[0] == 6
    out = StringIO()
    call_command(
        "make_signing_key", "--origin", "tokens.example/audit", "--json", stdout=out, stderr=StringIO()
    )
    made = json.loads(out.getvalue())
    assert made["origin"] == "tokens.example/audit"
    assert "PRIVATE" not in out.getvalue()
    assert "already" in refused("make_signing_key", "--origin", "other.example")[1]
    out = StringIO()
    call_command("make_signing_key", "--show", stdout=out)
    assert out.getvalue().strip() == made["vkey"]


@pytest.mark.parametrize("text", [None, "nonsense"])
def test_a_maintenance_process_of_production_does_not_start_without_its_key(
    tmp_path: Path, settings: Any, text: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    settings.PRODUCTION = True
    settings.AUDIT_SIGNING_KEY_PATH = str(tmp_path / "key")
    if text:
        (tmp_path / "key").write_text(text)
    with pytest.raises(SystemExit) as ended:
        call_command("maintain", once=True)
    said = capsys.readouterr().err
    assert (ended.value.code, len(said.splitlines())) == (2, 1)
    assert "AUDIT_SIGNING_KEY_PATH" in said


def test_a_trial_whose_key_is_lost_makes_no_other(log: list[Any]) -> None:
    sealing.key_path().unlink()
    sealing.sequencer.cache_clear()
    with pytest.raises(SystemExit):
        sealing.check_signing_key()
    assert not sealing.key_path().exists()
