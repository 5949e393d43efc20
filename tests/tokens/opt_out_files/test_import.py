"""A file of opt-outs, or of bounces and complaints, is taken over line by line, once, whatever happens meanwhile."""

import datetime
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from audit.models import AuditEvent
from tests.tokens.cast import ANA, ANAS_PHONE, BORIS, OLGA, an_enterprise, mapping_of
from tests.tokens.opt_out_files.cast import (
    COLUMNS,
    HEADER,
    READING,
    counts,
    csv_of,
    imported,
    loaded,
    rejects,
    workbook_of,
)
from tokens.formats.kinds import Kind
from tokens.models import ConsentEvent, Enterprise, OptOutChunk, OptOutFile, Suppression, Unsubscribe
from tokens.no_token_queue.errors import (
    BadExtract,
    BadHeader,
    BadRecipe,
    EmptyExtract,
    MissingColumn,
    NotAnExtract,
    TooLarge,
    WrongEncoding,
    WrongState,
)
from tokens.opt_out_files import chunks, columns, files, taking, worker
from tokens.opt_out_files.columns import Reading
from tokens.opt_out_files.refusals import hint_of

pytestmark = pytest.mark.django_db
ROW = (ANA, "2024-11-18T09:30:00Z", "told the shop")
BOUNCES = Reading(
    columns={"person": "Recipient", "asked": "EventDate", "report": "BounceCategory"}, order="mdy"
)


@pytest.fixture
def acme() -> Enterprise:
    return an_enterprise()


@pytest.mark.parametrize("write", [csv_of, workbook_of])
def test_each_line_is_an_opt_out_from_when_the_person_asked(acme: Enterprise, write: Any) -> None:
    file = imported(acme, write(ROW, (f"+{ANAS_PHONE}", "2024-11-19T12:00:00Z", "")))
    assert (file.state, counts(file)) == (OptOutFile.State.FINISHED, (2, 0, 0, 0))
    event = ConsentEvent.objects.get(kind=Kind.EMAIL)
    assert event.occurred_at == datetime.datetime(2024, 11, 18, 9, 30, tzinfo=datetime.UTC)
    assert (event.source, event.law, event.actor_name) == (ConsentEvent.Source.FILE, "can-spam", OLGA.name)
    assert event.evidence.open() == "told the shop"
    assert Unsubscribe.objects.filter(asked_at=event.occurred_at, state="blocked").count() == 1
    assert Suppression.objects.count() == 2
    ended = AuditEvent.objects.get(action="consent.file-imported")
    assert (ended.target_id, ended.details["new"], ended.details["lines"]) == (str(file.pk), 2, 2)


def test_a_line_counts_once_in_whatever_file_and_however_often(acme: Enterprise) -> None:
    other = (BORIS, "2024-11-18T09:30:00Z", "")
    assert counts(imported(acme, csv_of(ROW, ROW, other))) == (2, 1, 0, 0)
    assert counts(imported(acme, csv_of(ROW, ROW, other))) == (0, 3, 0, 0)
    assert counts(imported(acme, workbook_of(other, (ANA.upper(), *ROW[1:])))) == (0, 2, 0, 0)
    assert counts(imported(acme, csv_of((ANA, "2024-11-19T09:30:00Z", "again")))) == (1, 0, 0, 0)


def test_ids_make_lines_known_and_one_for_somebody_else_is_refused(acme: Enterprise) -> None:
    reading = Reading(columns={"person": "Email", "id": "Id"})

    def of(*rows: tuple[str, ...]) -> OptOutFile:
        return imported(acme, csv_of(*rows, header=("Email", "Id")), reading)

    assert counts(of((ANA, "1"))) == (1, 0, 0, 0)
    assert ConsentEvent.objects.get().occurred_at == OptOutFile.objects.get().written_at
    again = of((ANA, "1"), (BORIS, "1"), (BORIS, ""))
    assert counts(again) == (0, 1, 0, 2)
    assert rejects(again) == [(3, "Id", "id_reused"), (4, "Id", "id_missing")]


def test_tokens_name_their_person_as_marketing_clouds_files_do(acme: Enterprise) -> None:
    ana, phone = mapping_of(acme, ANA), mapping_of(acme, ANAS_PHONE)
    rows = [(one.token, "11/18/2024 9:30:00 AM", "Hard bounce") for one in (ana, phone)]
    rows.append((f"{'q' * 26}@{acme.token_domain}", "11/18/2024 9:30:00 AM", "Hard bounce"))
    file = imported(
        acme, csv_of(*rows, header=("Recipient", "EventDate", "BounceCategory")), BOUNCES,
        what=OptOutFile.What.BOUNCES,
    )  # fmt: skip
    assert counts(file) == (2, 0, 0, 1)
    assert rejects(file) == [(4, "Recipient", "unknown_token")]
    blocked = {bytes(index) for index in Suppression.objects.values_list("blind_index", flat=True)}
    assert blocked == {bytes(one.blind_index_1) for one in (ana, phone)}


def test_soft_bounces_are_skipped_and_counted(acme: Enterprise) -> None:
    reports = ["Hard bounce", "Soft bounce", "Spam complaint", "Technical bounce", ""]
    rows = [(f"p{n}@mail.example", "11/18/2024", report) for n, report in enumerate(reports)]
    file = imported(
        acme, csv_of(*rows, header=("Recipient", "EventDate", "BounceCategory")), BOUNCES,
        what=OptOutFile.What.BOUNCES,
    )  # fmt: skip
    assert counts(file) == (2, 0, 3, 0)
    assert set(ConsentEvent.objects.values_list("source", flat=True)) == {ConsentEvent.Source.BOUNCE.value}


def test_a_code_narrows_the_opt_out_and_a_country_reads_bare_numbers(acme: Enterprise) -> None:
    reading = Reading(
        columns={"person": "Phone", "asked": "Date", "code": "ShortCode"}, order="dmy", region="de"
    )
    rows = [("0151 23456789", "18.11.2024 09:30", "46356"), ("0151 23456789", "18.11.2024 09:30", "")]
    assert counts(imported(acme, csv_of(*rows, header=("Phone", "Date", "ShortCode")), reading)) == (
        2,
        0,
        0,
        0,
    )
    assert set(ConsentEvent.objects.values_list("scope", "scope_id")) == {
        ("short-code", "46356"),
        ("enterprise", ""),
    }
    assert mapping_of(acme, "+4915123456789").blind_index_1 == Suppression.objects.get().blind_index


# -- bad lines ------------------------------------------------------------------------------------------------
def test_what_is_wrong_with_a_line_is_named_and_stops_no_other(acme: Enterprise) -> None:
    tomorrow = (timezone.now() + datetime.timedelta(days=1)).isoformat()
    rows = [
        ("", ROW[1], ""), ("nobody", ROW[1], ""), ("4.4770E+11", ROW[1], ""), (ANA, "", ""), (ANA, "soon", ""),
        (ANA, tomorrow, ""), (ANA, "1969-12-31", ""),
    ]  # fmt: skip
    content = csv_of(*rows) + f'{ANA},{ROW[1]}\r\n{ANA},{ROW[1]},"st"op\r\n'.encode()
    content += f"{ANA},{ROW[1]},caf".encode() + b"\xe9\r\n" + f"{BORIS},{ROW[1]},\r\n".encode()
    file = imported(acme, content)
    assert counts(file) == (1, 0, 0, 10)
    assert rejects(file) == [
        (2, "Email", "person_missing"), (3, "Email", "phone_letters"), (4, "Email", "number_rounded"),
        (5, "OptOutDate", "date_missing"), (6, "OptOutDate", "date_unreadable"),
        (7, "OptOutDate", "date_in_future"), (8, "OptOutDate", "date_unreadable"), (9, "", "fields"),
        (10, "", "quoting"), (11, "Reason", "not_text"),
    ]  # fmt: skip
    assert all(hint_of(code) != code for _, _, code in rejects(file))
    assert "ana" not in str(list(file.rejects.values_list("masked", flat=True))).lower()


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b"", EmptyExtract),
        (b"%PDF-1.7", NotAnExtract),
        (f"{ANA},2024-11-18,x\r\n".encode(), BadHeader),
        (b"Email,Email\r\n", BadHeader),
        ("E-Mail-Empf\u00e4nger,Datum\r\n".encode("cp1252"), WrongEncoding),
        (b"\xff\xfe\x00", WrongEncoding),
        ("Email,Asked\r\n".encode("utf-16-le"), WrongEncoding),  # without the mark that says so
        ("Email,Asked\r\n".encode("utf-32"), WrongEncoding),
        (",".join(f"c{n}" for n in range(201)).encode() + b"\r\n", TooLarge),
        (csv_of(ROW, ROW, ROW, ROW), TooLarge),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_whole(
    acme: Enterprise, content: bytes, error: type[BadExtract], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chunks, "MOST_LINES", 3)
    with pytest.raises(error):
        loaded(acme, content)
    assert not OptOutFile.objects.exists()
    assert not OptOutChunk.objects.exists()


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ({"columns": COLUMNS | {"person": "Mail"}}, MissingColumn),
        ({"columns": {"person": "Email"}}, BadRecipe),
        ({"columns": {"asked": "OptOutDate"}}, BadRecipe),
        ({"zone": "Mars/Base"}, BadRecipe),
        ({"law": "murphy"}, BadRecipe),
        ({"region": "XX"}, BadRecipe),
    ],
)
def test_wrong_columns_are_named_before_anything_is_taken_over(
    acme: Enterprise, wrong: dict[str, Any], error: type[BadRecipe]
) -> None:
    file = loaded(acme, csv_of(ROW))
    with pytest.raises(error):
        files.begin(file, Reading(**({"columns": COLUMNS} | wrong)), actor=OLGA)
    file.refresh_from_db()
    assert file.state == OptOutFile.State.LOADED


def test_columns_are_proposed_and_a_recipe_reads_the_next_file(acme: Enterprise) -> None:
    file = loaded(acme, csv_of(ROW))
    proposal, shown = files.proposed(file)
    assert (proposal.columns, proposal.order) == (COLUMNS, "mdy")
    assert [(one.name, one.holds) for one in shown] == [
        ("Email", "person"), ("OptOutDate", "asked"), ("Reason", "evidence"),
    ]  # fmt: skip
    assert "ana" not in str(shown).lower()
    columns.save(acme, "file", "crm", READING, actor=OLGA)
    assert columns.fitting(acme, "file", file.header) == READING
    with pytest.raises(BadRecipe):
        columns.fitting(acme, "bounce", file.header)


# -- interruptions --------------------------------------------------------------------------------------------
def test_a_worker_that_dies_in_a_chunk_leaves_it_to_the_next_and_nothing_is_lost_or_done_twice(
    acme: Enterprise, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chunks, "LINES", 2)
    rows = [(f"p{n}@mail.example", ROW[1], "") for n in range(5)]
    file = files.begin(loaded(acme, csv_of(*rows)), READING, actor=OLGA)
    real, calls = taking.record_opt_outs, iter((False, True))

    def dies_in_the_second(*args: Any, **facts: Any) -> Any:
        recorded = real(*args, **facts)
        if next(calls):
            raise KeyboardInterrupt
        return recorded

    with monkeypatch.context() as patch:
        patch.setattr(taking, "record_opt_outs", dies_in_the_second)
        with pytest.raises(KeyboardInterrupt):
            worker.work(file.pk, seconds=60)
    assert ConsentEvent.objects.count() == 2
    assert chunks.claim(file.pk) is not None  # the third; the second is leased still
    assert chunks.claim(file.pk) is None
    OptOutChunk.objects.update(lease_until=None)
    done = worker.work_until_done(file.pk)
    assert (done.state, counts(done)) == (OptOutFile.State.FINISHED, (5, 0, 0, 0))
    assert ConsentEvent.objects.count() == 5
    assert not OptOutChunk.objects.filter(source__isnull=False).exists()


def test_a_worker_that_was_stopped_past_its_lease_writes_nothing(acme: Enterprise) -> None:
    file = files.begin(loaded(acme, csv_of(ROW)), READING, actor=OLGA)
    taker = taking.Taker(file)
    first = chunks.claim(file.pk)
    OptOutChunk.objects.update(lease_until=timezone.now())
    second = chunks.claim(file.pk)
    assert first is not None
    assert second is not None
    with pytest.raises(chunks.LeaseLost):
        worker.take(taker, first)
    assert not ConsentEvent.objects.exists()
    worker.take(taker, second)
    assert files.close_if_done(file)
    assert ConsentEvent.objects.count() == 1


def test_a_chunk_that_fails_again_and_again_stops_the_file_until_somebody_resumes_it(
    acme: Enterprise, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = files.begin(loaded(acme, csv_of(ROW)), READING, actor=OLGA)
    with monkeypatch.context() as patch:
        patch.setattr(taking, "record_opt_outs", lambda *_, **__: 1 / 0)
        for _ in range(chunks.MOST_FAILURES):
            worker.work(file.pk, seconds=60)
            OptOutChunk.objects.update(lease_until=None)
    file.refresh_from_db()
    assert (file.state, file.failure) == (OptOutFile.State.FAILED, "ZeroDivisionError")
    assert AuditEvent.objects.filter(action="consent.file-failed").count() == 1
    files.resume(file, actor=OLGA)
    assert counts(worker.work_until_done(file.pk)) == (1, 0, 0, 0)
    with pytest.raises(WrongState):
        files.resume(file, actor=OLGA)


def test_the_same_file_that_waits_or_runs_is_one(acme: Enterprise) -> None:
    file = loaded(acme, csv_of(ROW))
    assert loaded(acme, csv_of(ROW)) == file
    assert loaded(acme, csv_of(ROW), what=OptOutFile.What.BOUNCES) != file
    files.begin(file, READING, actor=OLGA)
    with pytest.raises(WrongState):
        files.begin(file, READING, actor=OLGA)


def test_one_that_was_cut_at_the_wrong_sign_is_brought_again(acme: Enterprise) -> None:
    content = csv_of(ROW).replace(b",", b"|")
    wrong, right = loaded(acme, content, delimiter=";"), loaded(acme, content, delimiter="|")
    assert len(wrong.header) == 1
    assert tuple(right.header) == HEADER
    assert loaded(acme, content) == right  # found by itself, and read the same


def test_a_file_was_written_neither_tomorrow_nor_before_there_were_any(acme: Enterprise) -> None:
    for at in (
        timezone.now() + datetime.timedelta(days=1),
        datetime.datetime(1999, 1, 1, tzinfo=datetime.UTC),
    ):
        with pytest.raises(BadExtract):
            loaded(acme, csv_of(ROW), written_at=at)


@pytest.mark.parametrize("name", [f"{ANA}.csv", "opt-out of ana@mail.example.xlsx", f"+{ANAS_PHONE}.csv"])
def test_no_name_of_a_file_names_a_person(acme: Enterprise, name: str) -> None:
    assert loaded(acme, csv_of(ROW), name=name).name == "unnamed"
    with pytest.raises(BadRecipe):
        columns.save(acme, "file", name, READING, actor=OLGA)


def test_what_waits_to_be_taken_over_is_sealed(acme: Enterprise) -> None:
    loaded(acme, csv_of(ROW))
    with connection.cursor() as cursor:
        cursor.execute("SELECT string_agg(c::text || encode(source, 'escape'), '') FROM tokens_optoutchunk c")
        stored = cursor.fetchone()[0].lower()
    assert "mail.example" not in stored
    assert b"mail.example".hex() not in stored
