"""`manage.py doctor` and `check --deploy` notice what is wrong, above all a role that could change evidence."""

import datetime
import json
import uuid
from io import StringIO
from typing import Any

import psycopg
import pytest
from django.core import checks
from django.core.management import call_command
from django.db import connections
from django.utils import timezone

from audit import evidence_rights
from audit.evidence_rights import EVIDENCE
from portal import database_roles, doctor, erasure_ledger, sealing
from portal.checks import app_cannot_change_evidence
from tests.audit.seals import cast
from tests.conftest import OwnDatabase
from tests.tokens.cast import IVAN, an_enterprise
from tokens.connections.verbs import create_connection
from tokens.consent.opt_outs import record_opt_out
from tokens.crypto.certificates import LIFETIME
from tokens.formats.kinds import Kind
from tokens.models import Connection, LedgerLine
from tokens.models.connections import GrantKind


def examined() -> dict[str, list[dict[str, str]]]:
    out = StringIO()
    try:
        call_command("doctor", "--json", stdout=out)
        code = 0
    except SystemExit as ended:
        code = int(ended.code or 0)
    found: dict[str, list[dict[str, str]]] = {}
    for finding in json.loads(out.getvalue())["findings"]:
        found.setdefault(finding["check"], []).append(finding)
    assert code == (6 if any(one["level"] == "mend" for ones in found.values() for one in ones) else 0)
    return found


def troubles(check: str = "rights of the app on evidence") -> list[str]:
    return [finding["says"] for finding in examined()[check] if finding["level"] != "ok"]


@pytest.fixture
def installation(own_database: OwnDatabase) -> OwnDatabase:
    """As `make run` makes it, with something sealed."""
    cast.entries(3)
    sealing.seal()
    return own_database


def test_opt_outs_that_the_ledger_does_not_have_and_a_database_that_is_older_than_it_are_told(
    installation: OwnDatabase,
) -> None:
    acme = an_enterprise()
    opt_out = record_opt_out(
        acme, kind=Kind.EMAIL, raw_value="ana@mail.example", source="officer", source_id="1",
        occurred_at=timezone.now(), actor=IVAN,
    )  # fmt: skip
    assert troubles("erasure ledger") == []  # maintenance has seconds to copy it
    long_ago = timezone.now() - datetime.timedelta(minutes=5)
    LedgerLine.objects.using("owner").update(made_at=long_ago)
    assert "1 opt-outs or erasures since" in troubles("erasure ledger")[0]
    erasure_ledger.copy()
    assert troubles("erasure ledger") == []
    erasure_ledger.ledger().append([{"kind": "opt-out", "id": str(uuid.uuid4()), "eid": acme.eid}])
    assert "knows 1 opt-outs or erasures that this database does not" in troubles("erasure ledger")[0]
    [record, _] = erasure_ledger.ledger().read()
    assert (record["id"], "ana@" in str(record)) == (str(opt_out.pk), False)


def test_a_sound_installation_has_nothing_to_mend(installation: OwnDatabase) -> None:
    found = examined()
    # Databases of tests forget what they confirmed when the machine stops; see below.
    troubled = {name for name, ones in found.items() if {one["level"] for one in ones} != {"ok"}}
    assert troubled == {"durable commits"}
    assert set(found) == set(doctor.CHECKS)
    out = StringIO()
    call_command("doctor", stdout=out)
    assert "ok    rights of the app on evidence\n" in out.getvalue()
    assert app_cannot_change_evidence(None) == []


def test_the_tables_of_evidence_are_all_there(own_database: OwnDatabase) -> None:
    """A table that was renamed would pass every question about it."""
    named = {*EVIDENCE, *database_roles.EVIDENCE}
    assert cast.asked("SELECT count(*) FROM pg_class WHERE relname = ANY(%s)", list(named)) == [(len(named),)]


@pytest.mark.parametrize(
    ("grant", "says"),
    [
        ("GRANT UPDATE ON audit_payloadentry TO portal_app", "has UPDATE on audit_payloadentry"),
        ("GRANT UPDATE (status) ON audit_payloadentry TO portal_app", "has UPDATE on audit_payloadentry"),
        ("GRANT DELETE ON audit_auditevent TO PUBLIC", "has DELETE on audit_auditevent"),
        ("GRANT TRUNCATE ON tokens_consentevent TO portal_app", "has TRUNCATE on tokens_consentevent"),
        ('GRANT UPDATE ("case") ON audit_legalhold TO portal_app', "has UPDATE of audit_legalhold.case"),
        ("GRANT DELETE ON portal_breakglass TO portal_app", "has DELETE on portal_breakglass"),
        ("GRANT UPDATE ON portal_breakglass TO PUBLIC", "has UPDATE of portal_breakglass.actor_name"),
        ("GRANT UPDATE (clear) ON tokens_accesspack TO portal_app", "has UPDATE on tokens_accesspack"),
        (
            "GRANT UPDATE (requested_by_id) ON tokens_export TO portal_app",
            "UPDATE of tokens_export.requested_by_id",
        ),
        ("GRANT DELETE ON tokens_exportslice TO portal_app", "has DELETE on tokens_exportslice"),
        (
            "GRANT UPDATE (digest) ON audit_approvalrequest TO portal_app",
            "UPDATE of audit_approvalrequest.digest",
        ),
        ("ALTER TABLE audit_legalhold DISABLE TRIGGER is_released", "trigger is_released of audit_legalhold"),
        ("DROP TRIGGER is_opened ON portal_revealgrant", "trigger is_opened of portal_revealgrant"),
        ("DROP TRIGGER is_closed ON audit_approvalrequest", "trigger is_closed of audit_approvalrequest"),
        ("GRANT INSERT ON audit_sealedleaf TO portal_app", "has INSERT on audit_sealedleaf"),
        ("GRANT SELECT ON audit_sealqueueentry TO portal_app", "has SELECT on audit_sealqueueentry"),
        ("ALTER TABLE audit_checkpoint DISABLE TRIGGER USER", "trigger of audit_checkpoint is missing"),
        (
            "DROP TRIGGER pgtrigger_append_only_6cdbc ON audit_payloadentry",
            "trigger of audit_payloadentry_20",
        ),
    ],
)
def test_a_right_too_many_is_named(installation: OwnDatabase, grant: str, says: str) -> None:
    with connections["owner"].cursor() as cursor:
        cursor.execute(grant)
    assert any(says in trouble for trouble in troubles())
    assert {message.level for message in app_cannot_change_evidence(None)} == {checks.ERROR}


def test_a_partition_opened_by_itself_is_named(installation: OwnDatabase) -> None:
    [(partition,), *_] = cast.asked(
        "SELECT relname FROM pg_class WHERE relname LIKE 'audit_payloadentry_2%%' AND relkind = 'r'"
    )
    with connections["owner"].cursor() as cursor:
        cursor.execute(f"GRANT DELETE ON {partition} TO portal_app")
    assert troubles() == [f"the app's role portal_app has DELETE on {partition}"]


@pytest.mark.parametrize(
    ("grant", "revoke", "says"),
    [
        ("GRANT portal_owner TO {}", "", "can become portal_owner, which owns tables of evidence"),
        ("ALTER ROLE {} SUPERUSER", "", "is a superuser"),
        ("ALTER ROLE {} BYPASSRLS", "", "bypasses row security"),
        ("ALTER ROLE {} CREATEROLE", "", "may make and change roles"),
        ("ALTER ROLE {} REPLICATION", "", "may replicate"),
        ("GRANT pg_write_all_data TO {}", "", "writes every table"),
        ("GRANT pg_execute_server_program TO {}", "", "runs programs or writes files"),
        (
            "GRANT SET ON PARAMETER session_replication_role TO {}",
            "REVOKE SET ON PARAMETER session_replication_role FROM {}",
            "may set session_replication_role",
        ),
        (
            "ALTER ROLE {} SET session_replication_role = replica",
            "",
            "begin with session_replication_role = replica",
        ),
    ],
)
def test_a_power_too_many_is_named(
    installation: OwnDatabase, monkeypatch: pytest.MonkeyPatch, grant: str, revoke: str, says: str
) -> None:
    """With a role of its own, since roles belong to the whole cluster, which other tests use too."""
    role = f"r_{installation.name}"
    with psycopg.connect(installation.urls.admin, autocommit=True) as admin:
        admin.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'x'")
        try:
            admin.execute(grant.format(role))
            connections["default"].close()
            monkeypatch.setitem(connections.settings["default"], "USER", role)
            monkeypatch.setitem(connections.settings["default"], "PASSWORD", "x")
            monkeypatch.setitem(connections["default"].settings_dict, "USER", role)
            monkeypatch.setitem(connections["default"].settings_dict, "PASSWORD", "x")
            held = evidence_rights.weaknesses(
                database_roles.forbidden(), database_roles.changeable(), database_roles.TRIGGERS
            )
            found = [weakness.says for weakness in held]
        finally:
            connections["default"].close()
            if revoke:
                admin.execute(revoke.format(role))
            admin.execute(f"DROP ROLE {role}")
    assert any(says in trouble for trouble in found), found


def test_commits_that_a_power_cut_would_undo_are_named(installation: OwnDatabase, settings: Any) -> None:
    def named() -> set[tuple[str, str]]:
        found = examined()["durable commits"]
        return {(one["says"].split(" ")[0], one["level"]) for one in found if one["level"] != "ok"}

    assert {"fsync", "synchronous_commit"} <= {name for name, _ in named()}
    with connections["default"].cursor() as cursor:
        cursor.execute("SET synchronous_commit = on")
    assert "synchronous_commit" not in {name for name, _ in named()}
    assert ("fsync", "look") in named()
    settings.PRODUCTION = True
    assert ("fsync", "mend") in named()


def test_what_sealing_lacks_is_named(installation: OwnDatabase, settings: Any) -> None:
    sealing.key_path().chmod(0o640)
    [said] = troubles("signing key")
    assert "has mode 640: others can read it" in said
    sealing.head().path.unlink()
    assert "The head outside the database is gone" in troubles("head of the log")[0]
    settings.AUDIT_SIGNING_KEY_PATH = "/nowhere"
    assert "There is no signing key at /nowhere" in troubles("signing key")[0]


def test_a_check_that_breaks_is_a_finding_and_the_others_go_on(
    installation: OwnDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> list[doctor.Trouble]:
        raise RuntimeError("out of order")

    monkeypatch.setitem(doctor.CHECKS, "broken", broken)
    found = examined()
    assert found["broken"][0]["says"] == "the check failed: RuntimeError: out of order"
    assert found["seals"][0]["level"] == "ok"


def test_a_database_that_is_away_is_no_error_of_the_settings(own_database: OwnDatabase) -> None:
    connections["default"].close()
    connections["default"].settings_dict["NAME"] = "nowhere"
    [message] = app_cannot_change_evidence(None)
    assert message.level == checks.INFO


@pytest.mark.django_db
def test_a_connection_that_stopped_working_is_found_before_it_is_needed(time_machine: Any) -> None:
    made = create_connection(
        an_enterprise(),
        name="Main package",
        subdomain="mc" + "x" * 26,
        client_id="c",
        grant_kind=GrantKind.JWT,
        subject="portal@example.com",
        actor=IVAN,
    )
    assert doctor.connections_to_marketing_cloud() == []  # not in use, so it may be half set up
    Connection.objects.update(
        in_use_since=made.made_at, test=[{"step": "Token", "state": "failed", "said": "x"}]
    )
    [failed] = doctor.connections_to_marketing_cloud()
    assert (failed.level, failed.says) == ("mend", "the last test of the connection Main package failed")
    Connection.objects.update(test=[{"step": "Token", "state": "passed", "said": "x"}])
    assert doctor.connections_to_marketing_cloud() == []
    time_machine.move_to(timezone.now() + LIFETIME - datetime.timedelta(days=29))
    [ends] = doctor.connections_to_marketing_cloud()
    assert (ends.level, "the certificate of the connection Main package ends on" in ends.says) == (
        "look",
        True,
    )
