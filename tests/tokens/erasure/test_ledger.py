"""The erasure ledger only grows, survives a crash in the middle of a line, and holds what was committed."""

from pathlib import Path

import pytest

from tokens.erasure.ledger import FileLedger, LedgerDamaged, LedgerError


@pytest.fixture
def ledger(tmp_path: Path) -> FileLedger:
    return FileLedger(tmp_path / "apart" / "ledger.jsonl")


def test_records_come_back_in_their_order_and_the_file_is_nobody_else_s(ledger: FileLedger) -> None:
    assert list(ledger.read()) == []
    ledger.append([{"id": "1"}])
    ledger.append([{"id": "2"}, {"id": "3"}])
    assert [one["id"] for one in ledger.read()] == ["1", "2", "3"]
    assert [one["id"] for one in ledger.newest(size=25)] == ["3"]
    assert ledger.path.stat().st_mode & 0o077 == 0


def test_a_line_that_a_crash_cut_short_is_closed_and_told_and_loses_no_other(ledger: FileLedger) -> None:
    ledger.append([{"id": "1"}])
    with ledger.path.open("a") as file:
        file.write('{"id": "2", "v"')
    assert [one["id"] for one in ledger.read()] == ["1"]  # it was never confirmed
    ledger.append([{"id": "2"}])
    assert [one["id"] for one in ledger.read()] == ["1", "2"]
    assert (ledger.cut_lines(), [one["id"] for one in ledger.newest()]) == ([2], ["1", "2"])


def test_wherever_an_append_is_cut_short_the_next_one_mends_it(ledger: FileLedger) -> None:
    ledger.append([{"id": "1"}])
    before = ledger.path.read_bytes()
    with ledger.path.open("ab") as file:
        file.write(b'{"id": "2"')
    ledger.append([{"id": "2"}])
    whole = ledger.path.read_bytes()
    for cut in range(
        len(before), len(whole)
    ):  # in the record, in the mark that closes it, in the record after it
        ledger.path.write_bytes(whole[:cut])
        ledger.append([{"id": "2"}])
        assert {one["id"] for one in ledger.read()} == {"1", "2"}, cut


def test_what_nobody_cut_short_is_damage_and_the_rest_is_read(ledger: FileLedger) -> None:
    ledger.append([{"id": "1"}])
    with ledger.path.open("a") as file:
        file.write('{"id": "2", "v"\n')
    ledger.append([{"id": "3"}])
    read = []
    with pytest.raises(LedgerDamaged, match="1 lines"):
        read.extend(one["id"] for one in ledger.read())
    assert (read, ledger.cut_lines()) == (["1", "3"], [])


def test_one_that_can_not_be_written_says_where(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(LedgerError, match="can't be written"):
        FileLedger(tmp_path / "file" / "ledger.jsonl").append([{"id": "1"}])
