"""`manage.py bulk`, as people and scripts use it."""

import csv
import io
import json
import stat
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from audit.approvals.requests import approve
from audit.models import ApprovalRequest
from audit.trail import Actor
from portal import bulk_following, exit_codes
from portal.roles import Role
from tests.portal.desk import cast
from tests.tokens.bulk.scene import make_enterprise
from tests.tokens.cast import an_enterprise
from tokens.bulk import worker
from tokens.models import BulkJob, Enterprise, Mapping

TEXT = "Key,Email,Mobile,First\nk1,ana@mail.example,13175550101,Ana\nk2,no address,13175550102,=Bo\n"
MAPPED = ["--map", "email=Email", "--map", "mobile=Mobile", "--map", "subscriber_key=Key"]

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def enterprise() -> Enterprise:
    return make_enterprise()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "list.csv"
    path.write_text(TEXT)
    return path


@pytest.fixture(autouse=True)
def worked_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks are worked in this process, since the tests' transaction is seen by no other."""
    monkeypatch.setattr(
        bulk_following.Helpers, "start", lambda helpers: worker.work_until_done(helpers.job_id)
    )


def bulk(*arguments: Any) -> tuple[int, str, str]:
    """(exit code, stdout, stderr)."""
    out, err = io.StringIO(), io.StringIO()
    try:
        call_command("bulk", *map(str, arguments), stdout=out, stderr=err)
    except CommandError as error:
        return error.returncode, out.getvalue(), f"{err.getvalue()}{error}"
    except SystemExit as ended:
        return int(ended.code or 0), out.getvalue(), err.getvalue()
    return 0, out.getvalue(), err.getvalue()


def planned(file: Path, *more: str) -> str:
    code, out, _ = bulk("plan", file, *MAPPED, *more, "--json")
    assert code == 0
    return str(json.loads(out)["job"])


def test_from_a_file_to_a_file_of_tokens(file: Path, tmp_path: Path) -> None:
    job = planned(file, "--attribute", "FirstName=First")
    out = tmp_path / "tokens.csv"
    code, stdout, stderr = bulk("run", job, "--out", out, "--inline")
    assert code == exit_codes.FINISHED_WITH_REJECTS
    assert stdout == ""
    assert stderr.strip().splitlines()[-1] == f"Wrote {out}. Next: manage.py bulk reconcile {job}"
    assert "1 cells were rejected" in stderr
    first, second = csv.DictReader(io.StringIO(out.read_text()))
    assert first["Email"].endswith("@tok.example.net")
    assert (second["Email"], second["First"]) == ("", "")
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    code, stdout, stderr = bulk("reconcile", job)
    assert code == 0
    assert "unexplained 0" in stdout
    assert "deleted" in stderr


def test_a_file_without_rejects_ends_with_0(file: Path) -> None:
    file.write_text(TEXT.replace("no address", "bo@mail.example"))
    assert bulk("run", planned(file), "--inline")[0] == exit_codes.DONE


def test_plan_says_what_it_found_and_what_comes_next(file: Path) -> None:
    code, out, err = bulk("plan", file, *MAPPED, "--attribute", "FirstName=First", "--region", "de")
    job = BulkJob.objects.get()
    assert code == 0
    assert f"job      {job.pk}" in out
    assert "2 rows" in out
    assert "comma, UTF-8" in out
    assert "numbers of DE" in out
    assert err.strip() == f"Planned. Next: manage.py bulk run {job.pk} --out FILE"


def test_json_is_one_object_a_line_and_alone_on_stdout(file: Path) -> None:
    job = planned(file)
    code, out, err = bulk("run", job, "--inline", "--json")
    assert code == exit_codes.FINISHED_WITH_REJECTS
    facts = json.loads(out)
    assert (facts["job"], facts["state"], facts["counts"]["minted"], facts["counts"]["rejected"]) == (
        job, "finished", 3, 1,
    )  # fmt: skip
    assert "Finished 2 rows" in err
    assert json.loads(bulk("status", job, "--json")[1])["percent"] == 100
    assert json.loads(bulk("status", "--json")[1])["job"] == job
    assert json.loads(bulk("reconcile", job, "--json")[1])["unexplained"] == 0


def test_rejects_are_a_file_for_people_in_which_no_cell_is_a_formula(file: Path, tmp_path: Path) -> None:
    file.write_text("-Email,Key\nno address,k1\n")
    _, out, _ = bulk("plan", file, "--map", "email=-Email", "--json")
    job = json.loads(out)["job"]
    bulk("run", job, "--inline")
    target = tmp_path / "rejects.csv"
    assert bulk("rejects", job, "--out", target)[0] == 0
    (reject,) = csv.DictReader(io.StringIO(target.read_text()))
    assert (reject["line"], reject["column"], reject["code"]) == ("2", "'-Email", "email_syntax")
    assert reject["masked_value"] == "n•••"
    assert reject["hint"]
    (line,) = bulk("rejects", job, "--json")[1].splitlines()
    assert json.loads(line)["column"] == "-Email"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "empty"),
        ("Key,Email,Mobile,First\n", "empty"),
        ("Key,Email,Email,First\nk,a,b,c\n", "names a column twice"),
        ("Key,Mail,Mobile,First\nk,a,b,c\n", "no column of that name"),
        (TEXT + "k3\n", "line 4"),
        ("ana@mail.example,ana@mail.example,3,4\n", "looks like data"),
    ],
)
def test_a_bad_file_is_exit_code_6_and_one_line_that_quotes_no_cell(
    file: Path, text: str, words: str
) -> None:
    file.write_text(text)
    code, out, err = bulk("plan", file, *MAPPED)
    assert (code, out) == (exit_codes.FIX_THE_DATA, "")
    assert words in err
    assert "mail.example" not in err
    assert not BulkJob.objects.exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ["--map", "mail=Email"],
        ["--map", "email=Email", "--map", "mobile=Email"],
        ["--map", "email=Email", "--region", "XX"],
        ["--map", "email=Email", "--enterprise", "999"],
        ["--map", "subscriber_key=Key"],
    ],
)
def test_a_wrong_request_is_exit_code_2(file: Path, arguments: list[str]) -> None:
    assert bulk("plan", file, *arguments)[0] == exit_codes.USAGE


def test_a_file_that_is_not_there_is_exit_code_2(tmp_path: Path) -> None:
    code, _, err = bulk("plan", tmp_path / "none.csv", *MAPPED)
    assert (code, "No such file" in err) == (exit_codes.USAGE, True)


def test_an_existing_file_is_replaced_only_on_demand(file: Path, tmp_path: Path) -> None:
    job = planned(file)
    code, _, err = bulk("run", job, "--out", file, "--inline")
    assert (code, "--overwrite" in err) == (exit_codes.USAGE, True)
    assert file.read_text() == TEXT
    assert BulkJob.objects.get().state == "planned"
    bulk("run", job, "--out", file, "--overwrite", "--inline")
    assert "@tok.example.net" in file.read_text()


def test_an_unknown_job_is_exit_code_2() -> None:
    assert bulk("status", "01990000-0000-7000-8000-000000000000")[0] == exit_codes.USAGE


def test_pause_and_resume(file: Path) -> None:
    job = planned(file)
    code, _, err = bulk("pause", job)
    assert (code, "planned" in err) == (exit_codes.RETRY_IS_SAFE, True)
    BulkJob.objects.update(state="running")
    assert bulk("pause", job)[2].strip() == f"The job is paused. Next: manage.py bulk resume {job}"
    assert bulk("resume", job)[0] == 0
    assert BulkJob.objects.get().state == "running"


def test_run_goes_on_with_a_paused_job_and_hands_out_a_finished_one_again(file: Path, tmp_path: Path) -> None:
    job = planned(file)
    BulkJob.objects.update(state="paused")
    assert bulk("run", job, "--inline")[0] == exit_codes.FINISHED_WITH_REJECTS
    assert bulk("run", job, "--out", tmp_path / "out.csv")[0] == exit_codes.FINISHED_WITH_REJECTS
    assert (tmp_path / "out.csv").exists()


def test_a_job_that_fails_is_exit_code_5_with_the_code_of_the_reason(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = planned(file)

    def fail(helpers: bulk_following.Helpers) -> None:
        BulkJob.objects.update(state="failed", failure="NoFreeToken")

    monkeypatch.setattr(bulk_following.Helpers, "start", fail)
    code, _, err = bulk("run", job, "--inline")
    assert code == exit_codes.RETRY_IS_SAFE
    assert f"The job is failed (NoFreeToken). Next: manage.py bulk resume {job}" in err


def test_a_mismatch_is_exit_code_8(file: Path, tmp_path: Path) -> None:
    job = planned(file)
    bulk("run", job, "--inline", "--out", tmp_path / "out.csv")
    chunk = BulkJob.objects.get().chunk_set.get()
    chunk.counts["email.minted"] += 1
    chunk.save()
    code, out, _ = bulk("reconcile", job)
    assert code == exit_codes.RECONCILIATION_MISMATCH
    assert "unexplained -1" in out


def test_rows_that_are_gone_are_said_to_be(file: Path, tmp_path: Path) -> None:
    job = planned(file)
    bulk("run", job, "--inline", "--out", tmp_path / "out.csv")
    bulk("reconcile", job)
    code, _, err = bulk("run", job, "--out", tmp_path / "again.csv")
    assert (code, "deleted" in err) == (exit_codes.FIX_THE_DATA, True)
    assert bulk("reconcile", job)[0] == 0


def test_ctrl_c_leaves_the_job_and_says_how_to_go_on(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job = planned(file)
    monkeypatch.setattr(bulk_following, "progress", _interrupted)
    monkeypatch.setattr(connection, "close", lambda: None)
    code, _, err = bulk("run", job)
    assert code == exit_codes.INTERRUPTED
    assert err.strip().endswith(f"the job goes on in Celery's workers. Next: manage.py bulk run {job}")
    assert not Mapping.objects.exists()


def _interrupted(job: BulkJob) -> None:
    raise KeyboardInterrupt


# -- where the enterprise is no sandbox ---------------------------------------------------------------------
def test_a_job_of_a_live_enterprise_waits_for_a_second_person_with_exit_code_7(file: Path) -> None:
    live = an_enterprise("Live")
    job = planned(file, "--enterprise", live.eid)
    code, out, err = bulk("run", job, "--json", "--reason", "the spring list")
    asked = ApprovalRequest.objects.get()
    assert (code, json.loads(out)["approval"]) == (exit_codes.APPROVAL_NEEDED, str(asked.pk))
    assert f"/admin/approvals/{asked.pk}/" in err
    assert (asked.reason, asked.target_id, asked.affected) == ("the spring list", job, 2)
    assert BulkJob.objects.get(pk=job).state == "planned"
    assert bulk("run", job)[0] == exit_codes.APPROVAL_NEEDED
    assert ApprovalRequest.objects.count() == 1
    officer = cast.somebody(Role.COMPLIANCE_OFFICER, enterprise=live)
    approve(asked.pk, actor=Actor(f"user:{officer.pk}", "olivia"))
    assert bulk("run", job, "--inline")[0] == exit_codes.FINISHED_WITH_REJECTS


def test_a_job_without_a_reason_asks_nobody(file: Path) -> None:
    job = planned(file, "--enterprise", an_enterprise("Live").eid)
    assert bulk("run", job, "--reason", "")[0] == exit_codes.USAGE
    assert not ApprovalRequest.objects.exists()
