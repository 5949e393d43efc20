"""`manage.py unsubscribes`: exit codes, counts that add up, a last line that says what to do next, nothing clear."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import OperationalError

from portal import exit_codes
from tests.tokens.cast import ANA, BORIS, an_enterprise
from tests.tokens.opt_out_files.cast import csv_of
from tokens.models import ConsentEvent, Enterprise, OptOutFile
from tokens.opt_out_files import taking

pytestmark = pytest.mark.django_db
MAPPED = ["--map=person=Email", "--map=asked=OptOutDate", "--map=evidence=Reason"]
ROW = (ANA, "2024-11-18T09:30:00Z", "told the shop")


@pytest.fixture
def acme(db: None) -> Enterprise:
    return an_enterprise()


def run(*arguments: Any, name: str = "unsubscribes") -> tuple[int, str, str]:
    """(exit code, stdout, stderr)"""
    out, err = io.StringIO(), io.StringIO()
    try:
        call_command(name, *map(str, arguments), stdout=out, stderr=err)
    except SystemExit as end:
        return int(end.code or 0), out.getvalue(), err.getvalue()
    except CommandError as error:
        return error.returncode, out.getvalue(), err.getvalue() + str(error)
    raise AssertionError("a command ends with a code")


def a_file(folder: Path, *rows: tuple[str, ...]) -> Path:
    file = folder / "crm.csv"
    file.write_bytes(csv_of(*rows))
    return file


@pytest.mark.parametrize("name", ["unsubscribes", "opt_outs"])
def test_a_file_is_imported_and_again_with_the_recipe(acme: Enterprise, tmp_path: Path, name: str) -> None:
    file = a_file(tmp_path, ROW, ROW)
    code, out, err = run("import", file, *MAPPED, "--save-recipe=crm", name=name)
    assert code == exit_codes.DONE
    assert "2 of 2 lines: 1 new, 1 known, 0 skipped, 0 refused" in out
    assert err.splitlines()[-1].startswith("Done. Next:")
    code, out, _ = run("import", file, "--json", name=name)
    said = json.loads(out)
    assert code == exit_codes.DONE
    assert (said["lines"], said["new"], said["known"], said["state"]) == (2, 0, 2, "finished")


def test_refused_lines_are_listed_masked_with_what_mends_them(acme: Enterprise, tmp_path: Path) -> None:
    file = a_file(tmp_path, ROW, (BORIS, "soon", ""))
    code, out, err = run("import", file, *MAPPED)
    assert code == exit_codes.FINISHED_WITH_REJECTS
    assert "1 new, 0 known, 0 skipped, 1 refused" in out
    last = err.splitlines()[-1]
    file_id = last.split()[-1]
    assert last == f"Done with rejects. Next: manage.py unsubscribes rejects {file_id}"
    code, out, _ = run("rejects", file_id)
    assert code == exit_codes.FINISHED_WITH_REJECTS
    assert "3,OptOutDate,date_unreadable," in out
    assert "boris@post" not in out + err


def test_without_columns_nothing_is_taken_over_and_they_can_be_said_later(
    acme: Enterprise, tmp_path: Path
) -> None:
    file = a_file(tmp_path, ROW)
    code, _, err = run("import", file)
    assert code == exit_codes.FIX_THE_DATA
    assert "'OptOutDate'" in err
    assert not ConsentEvent.objects.exists()
    assert run("import", file, "--map=person=Mail", "--map=asked=OptOutDate")[0] == exit_codes.FIX_THE_DATA
    assert run("import", file, *MAPPED)[0] == exit_codes.DONE
    assert OptOutFile.objects.count() == 1


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["import", "/nowhere.csv", *MAPPED], exit_codes.USAGE),
        (["status", "00000000-0000-0000-0000-000000000000"], exit_codes.USAGE),
        (["import", __file__, "--map=person"], exit_codes.FIX_THE_DATA),
    ],
)
def test_what_is_wrong_has_its_code(acme: Enterprise, arguments: list[str], code: int) -> None:
    assert run(*arguments)[0] == code


def test_an_interrupted_import_is_resumed(
    acme: Enterprise, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupts(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(taking, "record_opt_outs", interrupts)
        code, _, err = run("import", a_file(tmp_path, ROW), *MAPPED)
    assert (code, err.splitlines()[-1].split()[-2:]) == (exit_codes.INTERRUPTED, ["resume", "ID"])
    file = OptOutFile.objects.get()
    file.chunks.update(lease_until=None)
    code, out, _ = run("resume", file.pk, "--json")
    assert (code, json.loads(out)["new"]) == (exit_codes.DONE, 1)
    assert run("status", file.pk)[0] == exit_codes.DONE


def test_while_the_database_is_away_trying_again_is_safe(
    acme: Enterprise, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: Any, **__: Any) -> None:
        raise OperationalError("the server closed the connection")

    monkeypatch.setattr("tokens.opt_out_files.files.load", away)
    assert run("import", a_file(tmp_path, ROW), *MAPPED)[0] == exit_codes.RETRY_IS_SAFE


def test_rejects_are_no_formulas_and_two_columns_of_people_are_refused(
    acme: Enterprise, tmp_path: Path
) -> None:
    file = tmp_path / "crm.csv"
    file.write_bytes(csv_of(("=x@a b.example", ROW[1]), header=("=1+1", "Asked")))
    code, _, err = run("import", file, "--map=person==1+1", "--map=person=Asked", "--map=asked=Asked")
    assert (code, "can't both hold that" in err) == (exit_codes.FIX_THE_DATA, True)
    run("import", file, "--map=person==1+1", "--map=asked=Asked")
    code, out, _ = run("rejects", OptOutFile.objects.get().pk)
    [row] = list(csv.reader(out.splitlines()))[1:]
    assert code == exit_codes.FINISHED_WITH_REJECTS
    assert [row[1], row[3][:2]] == ["'=1+1", "'="]
