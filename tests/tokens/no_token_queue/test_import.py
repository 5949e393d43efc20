"""Extracts come in whole or in pieces, twice or shuffled: nothing is lost, nothing is done twice."""

import dataclasses
import datetime
import itertools
from collections.abc import Callable
from typing import Any

import pytest
import time_machine
from django.db import connection
from hypothesis import given, settings
from hypothesis import strategies as st

from audit.models import AuditEvent
from portal.simulator.messaging import EXTRACT
from tests.tokens.cast import OLGA, an_enterprise
from tests.tokens.no_token_queue import cast
from tests.tokens.no_token_queue.cast import (
    ANA,
    BEN,
    CLO,
    ORDER,
    POLITE,
    STOP,
    YESTERDAY,
    csv_of,
    imported,
    xlsx_of,
)
from tokens.consent.opt_outs import Recorded, record_opt_outs
from tokens.crypto.keyring import keyring
from tokens.formats.kinds import Kind
from tokens.models import ConsentEvent, Enterprise, QueueBadLine, QueueExtract, QueueMessage, Suppression
from tokens.no_token_queue import digests, erasing, errors, extracts, recipes, rules
from tokens.no_token_queue.reading import read
from tokens.no_token_queue.recipes import Reading

pytestmark = pytest.mark.django_db
HOUR = datetime.timedelta(hours=1)


@pytest.fixture
def acme(db: None) -> Enterprise:
    return an_enterprise()


def is_blocked(enterprise: Enterprise, number: str) -> bool:
    index = keyring(enterprise.pk).blind_index(Kind.MOBILE, number)
    return Suppression.objects.filter(enterprise=enterprise, kind=Kind.MOBILE, blind_index=index).exists()


# -- what a good extract does -----------------------------------------------------------------------------------
def test_a_keyword_blocks_at_once_and_free_text_waits_for_a_person(acme: Enterprise) -> None:
    extract = imported(acme, csv_of(STOP, POLITE, ORDER))
    assert (extract.lines, extract.new, extract.blocked, extract.bad) == (3, 3, 1, 0)
    assert [is_blocked(acme, number) for number in (ANA, BEN, CLO)] == [True, False, False]
    found = QueueMessage.objects.order_by("line").values_list("intent", "state")
    assert list(found) == [("keyword", "blocked"), ("likely", "waiting"), ("unclear", "waiting")]


def test_the_opt_out_counts_from_when_the_person_wrote(acme: Enterprise) -> None:
    imported(acme, csv_of(STOP))
    event = ConsentEvent.objects.get()
    assert event.source == ConsentEvent.Source.NO_TOKEN_QUEUE
    assert event.occurred_at == datetime.datetime(2024, 11, 20, 14, 5, tzinfo=datetime.UTC)
    assert event.evidence is not None
    assert '"STOP" to 46356' in event.evidence.open()
    assert QueueMessage.objects.get().consent_event == event.pk


@pytest.mark.parametrize(
    "content",
    [
        csv_of(STOP, POLITE),
        csv_of(STOP, POLITE, delimiter="\t"),
        csv_of(STOP, POLITE, delimiter=";"),
        b"\xef\xbb\xbf" + csv_of(STOP, POLITE),
        csv_of(STOP, POLITE).decode().encode("utf-16"),
        xlsx_of(STOP, POLITE),
        xlsx_of((float(ANA), 46356, "STOP", datetime.datetime(2024, 11, 20, 14, 5)), POLITE),  # noqa: DTZ001 - as cells are
    ],
    ids=["csv", "tsv", "semicolons", "bom", "utf-16", "xlsx", "xlsx of numbers and dates"],
)
def test_however_it_is_written_the_extract_says_the_same(acme: Enterprise, content: bytes) -> None:
    imported(acme, content)
    numbers, lines, blocked = cast.state_of(acme)
    assert [number for number, *_ in numbers] == [ANA, BEN]
    assert not lines
    assert len(blocked) == 1


def test_the_bytes_of_the_file_go_when_its_lines_are_taken_over(acme: Enterprise) -> None:
    extract = extracts.load(acme, [csv_of(STOP)], name="q.csv", extracted_at=YESTERDAY, actor=OLGA)
    assert extract.content is not None
    assert ANA.encode() not in bytes(extract.content)
    assert extracts.take_over(extract, cast.READING, actor=OLGA).content is None


def test_nothing_of_it_lies_in_the_clear(acme: Enterprise) -> None:
    imported(acme, csv_of(STOP, POLITE, (CLO, "46356", "STOP", "yesterday, said Jane")))
    with connection.cursor() as cursor:
        tables = ("queueextract", "queuemessage", "queuebadline", "consentevent")
        for table in (*(f"tokens_{name}" for name in tables), "audit_auditevent"):
            cursor.execute(f"SELECT string_agg(t::text, ' ') FROM {table} t")
            text = cursor.fetchone()[0].lower()
            for clear in (ANA, BEN, CLO, "jane", ANA[-9:]):
                assert clear not in text, table
                assert clear.encode().hex() not in text, table


# -- again and again --------------------------------------------------------------------------------------------
def test_the_same_file_again_changes_nothing(acme: Enterprise) -> None:
    first = imported(acme, csv_of(STOP, POLITE))
    before = cast.state_of(acme), AuditEvent.objects.count()
    assert imported(acme, csv_of(STOP, POLITE)) == first
    assert (cast.state_of(acme), AuditEvent.objects.count()) == before


def test_a_later_extract_with_the_same_rows_is_fresher_and_changes_nothing_else(acme: Enterprise) -> None:
    imported(acme, csv_of(STOP, POLITE))
    before = cast.state_of(acme)
    later = imported(acme, csv_of(POLITE, STOP), at=YESTERDAY + HOUR)
    assert (later.new, later.known, later.blocked) == (0, 2, 0)
    assert cast.state_of(acme) == before
    assert ConsentEvent.objects.count() == 1


def test_a_second_stop_of_the_same_person_is_another_message(acme: Enterprise) -> None:
    imported(acme, csv_of(STOP, (*STOP[:3], "11/20/2024 4:00:00 PM")))
    assert QueueMessage.objects.count() == ConsentEvent.objects.count() == 2


LINES = [
    STOP,
    POLITE,
    ORDER,
    (CLO, "46356", "stopall", "11/20/2024 2:08:00 PM"),
    ("not a number", "46356", "STOP", "11/20/2024 2:09:00 PM"),
    (BEN, "46356", "Stop", "12/31/2099 2:09:00 PM"),
    (BEN, "46356", "two\r\nlines, one quit", "11/20/2024 2:10:00 PM"),
]


@settings(max_examples=5)
@given(st.lists(st.lists(st.sampled_from(LINES), max_size=6), min_size=1, max_size=4), st.randoms())
def test_any_order_and_repetition_of_lines_and_files_gives_the_same_state(
    files: list[list[Any]], dice: Any
) -> None:
    one, other = an_enterprise(), an_enterprise()
    for number, lines in enumerate(files):
        imported(one, csv_of(*lines), at=YESTERDAY + number * HOUR)
    shuffled = [list(lines) for lines in [*files, dice.choice(files)]]
    dice.shuffle(shuffled)
    for number, lines in enumerate(shuffled):
        dice.shuffle(lines)
        imported(other, csv_of(*lines), at=YESTERDAY + number * HOUR)
    assert cast.state_of(one)[:2] == cast.state_of(other)[:2]
    assert len(cast.state_of(one)[2]) == len(cast.state_of(other)[2])
    said = {line for lines in files for line in lines}
    assert QueueMessage.objects.filter(enterprise=one).count() == len(said - {LINES[4]})


def test_rows_that_were_known_by_their_place_would_be_noticed(
    acme: Enterprise, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The known-bad twin of the test above."""
    marked = itertools.count()
    real = digests.mark
    monkeypatch.setattr(digests, "mark", lambda ring, *parts: real(ring, *parts, str(next(marked))))
    imported(acme, csv_of(STOP, POLITE))
    imported(acme, csv_of(POLITE, STOP))
    assert QueueMessage.objects.count() == 4


def test_an_interrupted_import_goes_on_where_it_was(
    acme: Enterprise, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [(f"4477009{number:05}", "46356", "STOP", "11/20/2024 2:05:00 PM") for number in range(5)]
    monkeypatch.setattr(extracts, "_BATCH", 2)
    extract = extracts.load(acme, [csv_of(*rows)], name="q.csv", extracted_at=YESTERDAY, actor=OLGA)
    calls = 0

    def failing(*args: Any, **facts: Any) -> list[Recorded]:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise ConnectionError
        return record_opt_outs(*args, **facts)

    with monkeypatch.context() as patch:
        patch.setattr("tokens.no_token_queue.taking.record_opt_outs", failing)
        with pytest.raises(ConnectionError):
            extracts.take_over(extract, cast.READING, actor=OLGA)
    assert QueueMessage.objects.count() == ConsentEvent.objects.count() == 2
    done = extracts.take_over(extract, cast.READING, actor=OLGA)
    assert (done.new, done.known) == (3, 2)
    assert QueueMessage.objects.count() == ConsentEvent.objects.count() == 5


# -- bad lines --------------------------------------------------------------------------------------------------
BAD: list[tuple[bytes, str, str]] = [
    (csv_of(("", "1", "STOP", "11/20/2024")), "MobileNumber", "number_missing"),
    (csv_of(("4.47701E+11", "1", "STOP", "11/20/2024")), "MobileNumber", "number_rounded"),
    (csv_of(("hello", "1", "STOP", "11/20/2024")), "MobileNumber", "phone_letters"),
    (csv_of((ANA, "1", "STOP", "")), "ReceivedDate", "date_missing"),
    (csv_of((ANA, "1", "STOP", "13/13/2024")), "ReceivedDate", "date_unreadable"),
    (csv_of((ANA, "1", "STOP", "1/1/2099")), "ReceivedDate", "date_in_future"),
    (csv_of() + f"{ANA},1,STOP\r\n".encode(), "", "fields"),
    (csv_of() + f'{ANA},1,"ST"OP,11/20/2024\r\n'.encode(), "", "quoting"),
    (csv_of() + f'{ANA},1,"STOP,11/20/2024\r\n'.encode(), "", "quoting"),
    (csv_of() + f"{ANA},1,caf".encode() + b"\xe9,11/20/2024\r\n", "MessageText", "not_text"),
    (csv_of() + f"{ANA},1,a\0b,11/20/2024\r\n".encode(), "MessageText", "nul"),
]


@pytest.mark.parametrize(("content", "column", "fault"), BAD, ids=[fault for *_, fault in BAD])
def test_a_bad_line_is_kept_sealed_with_line_column_and_reason_and_its_neighbours_count(
    acme: Enterprise, content: bytes, column: str, fault: str
) -> None:
    extract = imported(acme, content + csv_of(POLITE).partition(b"\r\n")[2])
    bad = QueueBadLine.objects.get()
    assert (bad.line, bad.column, bad.fault, bad.state) == (2, column, fault, "waiting")
    assert bad.content is not None
    assert "1" in bad.content.open()
    assert extract.bad == 1
    assert BEN in [one.number.open() for one in QueueMessage.objects.all() if one.number]


@pytest.mark.parametrize("date", ["", "soon", "1/1/2099", "1/1/0001 12:00:00 AM", "01/01/1900", "12/31/1999"])
def test_a_stop_with_a_date_that_cannot_be_read_blocks_all_the_same(acme: Enterprise, date: str) -> None:
    imported(acme, csv_of((ANA, "46356", "STOP", date)))
    assert is_blocked(acme, ANA)
    assert ConsentEvent.objects.get().occurred_at == YESTERDAY, "when the extract was written"
    assert QueueBadLine.objects.get().message == QueueMessage.objects.get()


def test_what_is_no_text_is_kept_byte_for_byte(acme: Enterprise) -> None:
    imported(acme, csv_of() + f"{ANA},1,caf".encode() + b"\xe9,11/20/2024\r\n")
    assert "caf\\xe9" in QueueBadLine.objects.get().content.open()


def test_said_to_be_windows_1252_the_same_line_is_good(acme: Enterprise) -> None:
    content = csv_of() + f"{ANA},1,caf".encode() + b"\xe9,11/20/2024\r\n"
    imported(acme, content, reading=dataclasses.replace(cast.READING, encoding="windows-1252"))
    assert QueueMessage.objects.get().text.open() == "café"


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b"", errors.EmptyExtract),
        (b"\r\n\r\n", errors.EmptyExtract),
        (f"{ANA},STOP\r\n".encode(), errors.BadHeader),
        (b"Number,Number\r\n", errors.BadHeader),
        (b"\x1f\x8b packed", errors.NotAnExtract),
        (b"PK\x03\x04 no workbook", errors.NotAnExtract),
        (b"\xff\xfea\x00b\x00\x00\xd8c", errors.WrongEncoding),
    ],
)
def test_a_file_that_is_no_extract_is_refused_whole_and_leaves_nothing(
    acme: Enterprise, content: bytes, error: type[Exception]
) -> None:
    with pytest.raises(error) as caught:
        imported(acme, content)
    assert ANA not in str(caught.value)
    assert not QueueExtract.objects.exists()


def test_an_extract_from_the_future_is_refused_since_it_would_hide_that_the_picture_is_stale(
    acme: Enterprise,
) -> None:
    with pytest.raises(errors.BadExtract, match="future"):
        imported(acme, csv_of(STOP), at=datetime.datetime(2099, 1, 1, tzinfo=datetime.UTC))


# -- columns ----------------------------------------------------------------------------------------------------
def test_columns_are_proposed_from_names_and_content_with_masked_samples(acme: Enterprise) -> None:
    proposal, columns = recipes.propose(read(csv_of(STOP, POLITE)), acme)
    assert proposal.columns == cast.READING.columns
    assert proposal.order == "mdy"
    shown = " ".join(sample for column in columns for sample in column.samples)
    assert not {ANA, "Jane", "jane"} & set(shown.split())
    assert "4477•••••23" in shown


def test_a_column_of_numbers_is_found_whatever_its_name(acme: Enterprise) -> None:
    proposal, _ = recipes.propose(
        read(b"A;B;Queued\r\n+491512345678;stop;22.11.2026\r\n+491512345679;x;23.11.2026\r\n"), acme
    )
    assert proposal.columns["number"] == "A"
    assert proposal.order == "dmy"


WRONG: list[tuple[Callable[[Reading], Reading], str]] = [
    (lambda one: dataclasses.replace(one, columns=one.columns | {"text": "Body"}), "'Body'"),
    (lambda one: dataclasses.replace(one, columns={"text": "MessageText"}), "number"),
    (lambda one: dataclasses.replace(one, columns={"number": "MobileNumber"}), "date or an id"),
    (lambda one: dataclasses.replace(one, columns=one.columns | {"text": "MobileNumber"}), "two things"),
    (lambda one: dataclasses.replace(one, zone="Mars/Olympus"), "time zone"),
    (lambda one: dataclasses.replace(one, region="XX"), "country"),
]


@pytest.mark.parametrize(("change", "said"), WRONG)
def test_wrong_columns_are_told_and_nothing_is_taken_over(
    acme: Enterprise, change: Callable[[Reading], Reading], said: str
) -> None:
    with pytest.raises(errors.BadRecipe, match=said):
        imported(acme, csv_of(STOP), reading=change(cast.READING))
    assert not QueueMessage.objects.exists()
    assert QueueExtract.objects.get().content is not None, "kept until its columns are said"


def test_a_saved_recipe_fits_the_next_extract_and_of_two_the_one_that_says_more(acme: Enterprise) -> None:
    less = dataclasses.replace(cast.READING, columns={"number": "MobileNumber", "received": "ReceivedDate"})
    recipes.save(acme, "short", less, actor=OLGA)
    recipes.save(acme, "daily", cast.READING, actor=OLGA)
    extract = extracts.load(acme, [csv_of(STOP)], name="q.csv", extracted_at=YESTERDAY, actor=OLGA)
    assert extracts.recipe_for(extract) == cast.READING
    other = extracts.load(acme, [b"Phone,Text\r\n"], name="q.csv", extracted_at=YESTERDAY, actor=OLGA)
    with pytest.raises(errors.NoRecipeFits, match="'Phone'"):
        extracts.recipe_for(other)


@pytest.mark.parametrize(
    ("order", "zone", "written", "hour"),
    [
        ("mdy", "UTC", "11/20/2024 2:05:00 PM", 14),
        ("mdy", "Etc/GMT+6", "11/20/2024 2:05:00 AM", 8),
        ("dmy", "Europe/Berlin", "20.11.2024 14:05", 13),
        ("iso", "UTC", "2024-11-20T14:05:00+05:00", 9),
    ],
)
def test_dates_are_read_in_the_order_and_zone_of_the_recipe(
    acme: Enterprise, order: str, zone: str, written: str, hour: int
) -> None:
    how = dataclasses.replace(cast.READING, order=order, zone=zone)
    imported(acme, csv_of((ANA, "1", "hm", written)), reading=how)
    received = QueueMessage.objects.get().received_at
    assert received == datetime.datetime(2024, 11, 20, hour, 5, tzinfo=datetime.UTC)


# -- freshness --------------------------------------------------------------------------------------------------
def test_without_an_extract_and_with_an_old_one_the_picture_is_stale(acme: Enterprise) -> None:
    assert rules.freshness(acme).is_stale
    imported(acme, csv_of())
    with time_machine.travel(YESTERDAY + 25 * HOUR, tick=False):
        assert not rules.freshness(acme).is_stale
    with time_machine.travel(YESTERDAY + 27 * HOUR, tick=False):
        assert rules.freshness(acme).is_stale
    imported(acme, csv_of(), at=YESTERDAY + 20 * HOUR)
    with time_machine.travel(YESTERDAY + 27 * HOUR, tick=False):
        assert not rules.freshness(acme).is_stale, (
            "an empty extract says that the queue is empty, each day anew"
        )


def test_an_old_extract_loaded_again_makes_nothing_fresher(acme: Enterprise) -> None:
    imported(acme, csv_of(STOP))
    imported(acme, csv_of(STOP), at=YESTERDAY - 48 * HOUR)
    assert rules.freshness(acme).extracted_at == YESTERDAY


def test_keywords_that_law_names_hold_whatever_is_set(acme: Enterprise) -> None:
    settings = rules.change(
        acme, languages=["de"], keywords=["Schluss!"], stale_after_hours=2, retry_seconds=[5], actor=OLGA
    )
    assert {"stop", "unsubscribe", "schluss", "abmelden"} <= rules.all_keywords(settings)
    with pytest.raises(errors.BadSettings):
        rules.change(acme, languages=["xx"], keywords=[], stale_after_hours=2, retry_seconds=[5], actor=OLGA)
    with pytest.raises(errors.BadSettings):
        rules.change(acme, languages=[], keywords=[ANA], stale_after_hours=2, retry_seconds=[5], actor=OLGA)


def test_the_simulators_extract_is_understood_as_it_comes(acme: Enterprise) -> None:
    rows = ("id-1", ANA, "46356", "STOP", "stop please", "2024-11-20T14:05:00Z", "5")
    proposal, _ = recipes.propose(read(csv_of(rows, header=EXTRACT)), acme)
    assert proposal.columns == {
        "id": "MessageID", "number": "MobileNumber", "code": "ShortCode", "text": "MessageText",
        "received": "ReceivedDate",
    }  # fmt: skip
    assert imported(acme, csv_of(rows, header=EXTRACT), reading=proposal).new == 1


# -- erasure ----------------------------------------------------------------------------------------------------
def test_an_erased_person_leaves_their_messages_which_no_later_extract_brings_back(acme: Enterprise) -> None:
    undated = (ANA, "46356", "STOP", "soon")
    imported(acme, csv_of(STOP, undated, POLITE))
    index = keyring(acme.pk).blind_index(Kind.MOBILE, ANA)
    assert erasing.forget(acme, [index]) == 2
    assert erasing.forget(acme, [index]) == 0
    imported(acme, csv_of(STOP, undated), at=YESTERDAY + HOUR)
    held = QueueMessage.objects.filter(blind_index=index)
    assert [(one.number, one.text, one.state) for one in held] == [(None, None, "blocked")] * 2
    assert QueueBadLine.objects.get().content is None
    assert is_blocked(acme, ANA)
    assert QueueMessage.objects.exclude(blind_index=index).get().number.open() == BEN
