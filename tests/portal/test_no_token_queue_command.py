"""`manage.py no_token_queue`: files and folders, exit codes, and nothing clear on the terminal."""

import io
import json
import os
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from portal import exit_codes
from tests.tokens.cast import OLGA, an_enterprise
from tests.tokens.no_token_queue import cast
from tests.tokens.no_token_queue.cast import ANA, POLITE, STOP, csv_of
from tokens.models import Enterprise, QueueExtract, QueueMessage
from tokens.no_token_queue import recipes

pytestmark = pytest.mark.django_db
MAPPED = [
    f"--map={pair}"
    for pair in ("number=MobileNumber", "text=MessageText", "code=ShortCode", "received=ReceivedDate")
]


@pytest.fixture
def acme(db: None) -> Enterprise:
    return an_enterprise()


@pytest.fixture
def queue(tmp_path: Path) -> Path:
    file = tmp_path / "queue.csv"
    file.write_bytes(csv_of(STOP, POLITE))
    return file


def run(*arguments: Any) -> tuple[int, str, str]:
    """(exit code, stdout, stderr)"""
    out, err = io.StringIO(), io.StringIO()
    try:
        call_command("no_token_queue", *map(str, arguments), stdout=out, stderr=err)
    except SystemExit as end:
        return int(end.code or 0), out.getvalue(), err.getvalue()
    except CommandError as error:
        return error.returncode, out.getvalue(), err.getvalue() + str(error)
    raise AssertionError("a command ends with a code")


def test_a_file_is_taken_over_and_the_columns_are_remembered(acme: Enterprise, queue: Path) -> None:
    code, out, _ = run("import", queue, *MAPPED, "--save-recipe=daily", "--json")
    assert code == exit_codes.DONE
    said = json.loads(out)
    assert (said["lines"], said["new"], said["blocked"], said["repeated"]) == (2, 2, 1, False)
    queue.write_bytes(csv_of(STOP))
    code, out, _ = run("import", queue, "--json", "--extracted-at=2024-11-21T06:00:00Z")
    assert (code, json.loads(out)["known"]) == (exit_codes.DONE, 1)


def test_the_same_file_again_says_so_and_changes_nothing(acme: Enterprise, queue: Path) -> None:
    run("import", queue, *MAPPED)
    code, out, _ = run("import", queue, *MAPPED)
    assert code == exit_codes.DONE
    assert "nothing was changed" in out
    assert QueueExtract.objects.count() == 1


def test_a_folder_gives_its_extracts_oldest_first_and_files_are_removed_once_they_are_in(
    acme: Enterprise, tmp_path: Path
) -> None:
    recipes.save(acme, "daily", cast.READING, actor=OLGA)
    for name, age in (("b.csv", 300), ("a.tsv", 200), ("notes.md", 100)):
        (tmp_path / name).write_bytes(csv_of(STOP, delimiter="\t" if name == "a.tsv" else ","))
        now = (tmp_path / name).stat().st_mtime
        os.utime(tmp_path / name, (now - age, now - age))
    code, out, _ = run("import", tmp_path, "--remove", "--json")
    assert code == exit_codes.DONE
    assert [json.loads(line)["file"] for line in out.splitlines()] == ["b.csv", "a.tsv"]
    assert [one.name for one in tmp_path.iterdir()] == ["notes.md"]


def test_bad_lines_are_told_by_line_and_column_without_the_value(acme: Enterprise, queue: Path) -> None:
    queue.write_bytes(
        csv_of(STOP, (ANA, "46356", "stop", "1/1/2099"), ("Jane", "46356", "stop", "11/20/2024"))
    )
    code, out, err = run("import", queue, *MAPPED)
    assert code == exit_codes.FINISHED_WITH_REJECTS
    assert "line 3, column 'ReceivedDate': The date is in the future" in err
    assert "line 4, column 'MobileNumber'" in err
    assert not [clear for clear in (ANA, "Jane", "2099") if clear in out + err]


@pytest.mark.parametrize(
    ("content", "arguments", "code", "said"),
    [
        (csv_of(STOP), [], exit_codes.FIX_THE_DATA, "No saved recipe fits"),
        (csv_of(STOP), ["--map=number=Phone", "--map=id=ShortCode"], exit_codes.FIX_THE_DATA, "no column of that name"),
        (csv_of(STOP), ["--map=number"], exit_codes.FIX_THE_DATA, "WHAT=COLUMN"),
        (csv_of(STOP), ["--recipe=weekly"], exit_codes.FIX_THE_DATA, "weekly"),
        (b"", MAPPED, exit_codes.FIX_THE_DATA, "empty"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_file_is_told_and_nothing_is_taken_over(
    acme: Enterprise, queue: Path, content: bytes, arguments: list[str], code: int, said: str
) -> None:
    queue.write_bytes(content)
    found, out, err = run("import", queue, *arguments)
    assert (found, said in err) == (code, True)
    assert ANA not in out + err
    assert not QueueMessage.objects.exists()


def test_a_file_that_is_not_there_is_a_mistake_of_usage(acme: Enterprise, tmp_path: Path) -> None:
    assert run("import", tmp_path / "none.csv", *MAPPED)[0] == exit_codes.USAGE


def test_reconciling_ends_with_0_or_with_names_that_are_masked(acme: Enterprise, queue: Path) -> None:
    assert run("reconcile")[0] == exit_codes.DONE
    run("import", queue, *MAPPED)
    code, out, _ = run("reconcile", "--json")
    said = json.loads(out)
    assert (code, said["unexplained"]) == (exit_codes.RECONCILIATION_MISMATCH, 2)
    assert {one["masked"] for one in said["named"]} == {"4477•••••23", "4477•••••56"}
    assert ANA not in out
