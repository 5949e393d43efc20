"""Reading files: dialects, record boundaries, and files that are refused."""

import csv
import io
import os
import random
import subprocess
import sys
from collections.abc import Iterator

import pytest

from portal.embedded.state import CHECKOUT
from tokens.bulk import errors
from tokens.bulk.dialects import Dialect
from tokens.bulk.sources import Source

HEADER = "Key,Email,Note\n"


def source(data: str | bytes, block: int = 1 << 20, **options: str) -> Source:
    data = data.encode() if isinstance(data, str) else data
    return Source((data[i : i + block] for i in range(0, len(data), block)), **options)


def all_slices(data: str | bytes, rows_each: int = 3, block: int = 1 << 20) -> list[str]:
    return [piece.text for piece in source(data, block).slices(rows_each)]


def test_slices_are_the_file_cut_on_record_boundaries() -> None:
    text = 'a,b\n1,"x\ny"\n2,"say ""hi""\r\n, you"\n3,z\n4,w'
    found = source(text)
    pieces = list(found.slices(2))
    assert found.header == ["a", "b"]
    assert found.header_text + "".join(piece.text for piece in pieces) == text
    assert [(piece.first_line, piece.lines, piece.rows) for piece in pieces] == [(2, 4, 2), (6, 2, 2)]


@pytest.mark.parametrize("block", [1, 2, 3, 7, 64, 1 << 20])
def test_blocks_may_end_anywhere_even_inside_a_character_or_line_end(block: int) -> None:
    text = '\ufeffKey;Näme\r\n1;"ä\r\nö"\r\n2;😀\r\n3;ß\r\n'
    found = source(text, block)
    assert found.dialect.bom
    assert found.header == ["Key", "Näme"]
    assert "".join(piece.text for piece in found.slices(1)) == '1;"ä\r\nö"\r\n2;😀\r\n3;ß\r\n'


@pytest.mark.parametrize("seed", range(20))
def test_slices_hold_the_records_that_csv_sees_in_the_whole_file(seed: int) -> None:
    dice = random.Random(seed)
    alphabet = ["a", '"', ",", "\n", "\r\n", "\r", " ", "ü", "'", ";"]
    rows = [["".join(dice.choices(alphabet, k=dice.randrange(6))) for _ in range(3)] for _ in range(60)]
    dialect = Dialect(",", dice.choice(["\n", "\r\n", "\r"]), quote_all=dice.random() < 0.3, bom=False)
    text = dialect.text([["k", "l", "m"], *rows])
    assert list(csv.reader(io.StringIO(text, newline="")))[1:] == rows
    found = source(text, block=dice.choice([1, 5, 1000]), delimiter=",")
    pieces = list(found.slices(7))
    assert [row for piece in pieces for row in found.dialect.rows(piece.text)] == rows
    assert [piece.rows for piece in pieces] == [7] * 8 + [4]


@pytest.mark.parametrize(
    ("text", "delimiter"),
    [
        ("a,b,c\n1,2,3\n", ","),
        ("a;b;c\n1,5;2,5;3,5\n", ";"),
        ("a\tb\n1, and 2\t3\n", "\t"),
        ("a|b\n1|2\n", "|"),
        ('a,b\n"x;y;z",1\n"x;y;z",2\n', ","),
        ("only\nx\ny\n", ","),
        ("name,with;b\nx;1\ny;2\n", ";"),
    ],
)
def test_the_delimiter_is_the_one_that_cuts_all_rows_alike(text: str, delimiter: str) -> None:
    assert source(text).dialect.delimiter == delimiter


def test_the_delimiter_can_be_named() -> None:
    assert source("a;b,c\n1;2,3\n", delimiter=";").header == ["a", "b,c"]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_line_ends_are_kept(end: str) -> None:
    found = source(f"a,b{end}1,2{end}")
    assert found.dialect.line_end == end
    assert [piece.text for piece in found.slices(5)] == [f"1,2{end}"]


def test_a_file_whose_fields_are_all_quoted_is_written_so_again() -> None:
    assert source('"a","b"\n"1","2, 3"\n').dialect.quote_all is False  # can't tell, so the shorter form
    assert source('"a","b"\n"1","2"\n').dialect.quote_all is True
    assert source('"a","b"\n1,2\n').dialect.quote_all is False


def test_blank_lines_are_no_rows() -> None:
    pieces = list(source("a,b\n\n1,2\n\n3,4\n\n\n").slices(10))
    assert [(piece.rows, piece.first_line) for piece in pieces] == [(2, 2)]


def test_the_digest_is_of_all_bytes() -> None:
    one, other = source("a,b\n1,2\n"), source("a,b\n1,3\n")
    for found in (one, other):
        list(found.slices(1))
    assert one.sha256() != other.sha256()


REFUSED = [
    ("", errors.EmptyFile, ""),
    ("\ufeff", errors.EmptyFile, ""),
    ("\n\n", errors.NoHeader, "blank"),
    ("ana@mail.example,13175550101\nbo@mail.example,13175550102\n", errors.NoHeader, ""),
    ("a,b,a\n1,2,3\n", errors.DuplicateColumn, "'a'"),
    ('{"v": "13175550101"},b,{"v": "13175550101"}\n1,2,3\n', errors.DuplicateColumn, "column 1, column 3"),
    ("a,b\n1,2\n3\n", errors.RaggedRow, "line 3: 1 fields"),
    ('a,b\n1,"2\n2"\n3,4,5\n', errors.RaggedRow, "line 4: 3 fields"),
    ("a,b\n1,\0\n", errors.NulCharacter, "line 2"),
    ('a,b\n1,"x"y\n', errors.BadQuoting, "line 2"),
    ('a,b\n1,2\n3,"never closed\n', errors.BadQuoting, "line 3"),
    ("a,b\n1," + "x" * 200_000 + "\n", errors.FieldTooLong, "line 2"),
    ('a,b\n1,"' + "x\n" * 200_000, errors.FieldTooLong, "line 2"),
    ("a,b\n1,2\n3,\xe9\n".encode("latin-1"), errors.NotUtf8, "line 3"),
    ("a,b\n1,2\n".encode("utf-16"), errors.NotText, "UTF-16"),
    (b"\x1f\x8b\x08\x00rest", errors.NotText, "gzip"),
    (b"PK\x03\x04rest", errors.NotText, "ZIP"),
    (b"a,b\n1,\xc3", errors.NotUtf8, "line 2"),
]


@pytest.mark.parametrize(("data", "error", "words"), REFUSED)
@pytest.mark.parametrize("block", [5, 1 << 20])
def test_a_bad_file_is_refused_with_its_place(
    data: str | bytes, error: type[errors.BadFile], words: str, block: int
) -> None:
    with pytest.raises(error) as caught:
        list(source(data, block).slices(100))
    assert words in str(caught.value)


def test_refusals_quote_no_cell() -> None:
    for data, error, _ in REFUSED:
        with pytest.raises(error) as caught:
            list(source(data).slices(100))
        assert "mail.example" not in str(caught.value)
        assert caught.value.__context__ is None or caught.value.__suppress_context__


def test_a_file_without_line_ends_is_refused_before_it_fills_the_memory() -> None:
    read = 0

    def endless() -> Iterator[bytes]:
        nonlocal read
        yield b"a,b\n"
        while True:
            read += 1 << 16
            yield b"x" * (1 << 16)

    with pytest.raises(errors.RecordTooLong, match="line 2"):
        list(Source(endless()).slices(100))
    assert read < 4 << 20


def test_a_record_of_endless_quoted_lines_is_refused_before_it_fills_the_memory() -> None:
    read = 0

    def endless() -> Iterator[bytes]:
        nonlocal read
        yield b"a,b\n"
        while True:
            read += 6 * 10_000
            yield b'"x\n",' * 10_000

    with pytest.raises(errors.RecordTooLong, match="line 2"):
        list(Source(endless()).slices(100))
    assert read < 16 << 20


def test_slices_end_early_when_rows_are_long() -> None:
    text = HEADER + "".join(f"{n},{'x' * 50_000},\n" for n in range(400))
    pieces = list(source(text).slices(1_000))
    assert len(pieces) > 1
    assert max(len(piece.text) for piece in pieces) < 5 << 20


STREAM_80_MB = """
import resource, sys
from tokens.bulk.sources import Source

def blocks():
    yield b"Key,Email,Note\\n"
    line = b"key-%07d,somebody.with.a.name%07d@mail.example,a note of the usual length\\n"
    for n in range(80):
        yield b"".join(line % (n * 13_000 + i, i) for i in range(13_000))

before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
source = Source(blocks())
rows = sum(piece.rows for piece in source.slices(2_500))
assert source.bytes > 80_000_000, source.bytes
print(rows, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def test_a_large_file_takes_no_more_memory_than_a_small_one() -> None:
    done = subprocess.run(
        [sys.executable, "-c", f"import django; django.setup()\n{STREAM_80_MB}"],
        cwd=CHECKOUT,
        env=os.environ | {"DJANGO_SETTINGS_MODULE": "portal.settings"},
        capture_output=True,
        text=True,
        check=True,
    )
    rows, kilobytes = map(int, done.stdout.split())
    assert rows == 1_040_000
    assert kilobytes < 30_000
