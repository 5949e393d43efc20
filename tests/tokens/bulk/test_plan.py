"""Planning: a file is taken whole and sealed, or nothing is left of it."""

import pytest

from audit.models import AuditEvent
from tests.tokens.bulk.scene import COLUMNS, DORA, HEADER, converted, planned
from tokens.bulk import errors, slices
from tokens.bulk.columns import ColumnMap
from tokens.bulk.plan import load, map_columns
from tokens.crypto.errors import CannotOpen
from tokens.models import BulkChunk, BulkJob, Enterprise

ROW = "k1,ana@mail.example,13175550101,Ana,Berlin,\n"


def test_a_planned_job_holds_the_file_sealed_in_chunks(enterprise: Enterprise) -> None:
    text = HEADER + "".join(f"k{n},a{n}@mail.example,,,,\n" for n in range(25))
    job = planned(enterprise, text, chunk_rows=10)
    chunks = list(job.chunk_set.order_by("number"))
    assert (job.rows, job.chunks, job.source_bytes) == (25, 3, len(text))
    assert [(one.first_line, one.rows) for one in chunks] == [(2, 10), (12, 10), (22, 5)]
    assert (
        job.header_text
        + "".join(
            slices.unseal(enterprise.pk, job.pk, one.number, "source", bytes(one.source or b""))
            for one in chunks
        )
        == text
    )
    assert all(b"mail.example" not in bytes(one.source or b"") for one in chunks)


def test_a_slice_opens_in_its_own_place_only(enterprise: Enterprise) -> None:
    one, other = (planned(enterprise, HEADER + ROW) for _ in range(2))
    sealed = bytes(one.chunk_set.get().source or b"")
    for job, number, side in ((other, 1, "source"), (one, 2, "source"), (one, 1, "output")):
        with pytest.raises(CannotOpen):
            slices.unseal(enterprise.pk, job.pk, number, side, sealed)  # type: ignore[arg-type]


def test_planning_is_recorded_with_columns_and_without_cells(enterprise: Enterprise) -> None:
    job = planned(enterprise, HEADER + ROW)
    event = AuditEvent.objects.get(action="bulk.planned")
    assert (event.target_id, event.actor_name) == (str(job.pk), DORA.name)
    assert event.details["columns"]["email"] == ["Email"]
    assert "mail.example" not in str(event.details)


def test_the_digest_of_a_file_is_keyed(enterprise: Enterprise) -> None:
    import hashlib

    job = planned(enterprise, HEADER + ROW)
    assert job.source_digest != hashlib.sha256((HEADER + ROW).encode()).digest()
    assert planned(enterprise, HEADER + ROW).source_digest == job.source_digest


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (HEADER, errors.EmptyFile),
        (HEADER + ROW * 50 + "one field too few,,\n", errors.RaggedRow),
        ((HEADER + ROW * 50).encode() + b"k2,\xff@mail.example,,,,\n", errors.NotUtf8),
        ("Key,Mail,Mobile,First,City,Note\n" + ROW, errors.UnknownColumn),
        (HEADER + "ana@mail.example,ana@mail.example,,,,\n" * 3, errors.KeysAreIdentifiers),
        (
            HEADER + "".join(f"+1317555010{n},,1317555010{n},,,\n" for n in range(9)),
            errors.KeysAreIdentifiers,
        ),
    ],
)
def test_a_file_that_is_refused_leaves_nothing_behind(
    enterprise: Enterprise, text: str | bytes, error: type[Exception]
) -> None:
    with pytest.raises(error):
        planned(enterprise, text, chunk_rows=10)
    assert not BulkJob.objects.exists()
    assert not BulkChunk.objects.exists()


def test_ten_digit_customer_numbers_are_keys_although_some_happen_to_be_telephone_numbers(
    enterprise: Enterprise,
) -> None:
    import random

    dice = random.Random(1)
    text = HEADER + "".join(f"{dice.randrange(10**9, 10**10)},a{n}@mail.example,,,,\n" for n in range(300))
    job = converted(enterprise, text)
    assert not job.rejects.exists()


def test_an_unknown_column_is_named_with_the_one_that_was_meant(enterprise: Enterprise) -> None:
    columns = ColumnMap.parse(["email=email "])
    with pytest.raises(errors.UnknownColumn, match="did you mean 'Email'"):
        planned(enterprise, HEADER + ROW, columns)


@pytest.mark.parametrize(
    ("pairs", "attributes", "kept", "words"),
    [
        ([], [], [], "at least one"),
        (["subscriber_key=Key"], [], [], "at least one"),
        (["mail=Email"], [], [], "none of email, mobile, subscriber_key"),
        (["email=Email", "mobile=Email"], [], [], "mapped 2 times"),
        (["email=Email"], ["FirstName=Email"], [], "mapped 2 times"),
        (["email=Email"], ["N=First", "N=City"], [], "named twice"),
        (["email=Email", "subscriber_key=A", "subscriber_key=B"], [], [], "one subscriber key"),
        (["email=Email"], [], ["City"], "not mapped"),
        (["email"], [], [], "no NAME=COLUMN"),
        (["email="], [], [], "no NAME=COLUMN"),
    ],
)
def test_columns_that_can_not_be_mapped_so_are_refused(
    pairs: list[str], attributes: list[str], kept: list[str], words: str
) -> None:
    with pytest.raises(errors.BadColumnMap, match=words):
        ColumnMap.parse(pairs, attributes, kept)


def test_column_maps_survive_the_database() -> None:
    columns = ColumnMap.parse(["email=A", "email=B", "subscriber_key=C"], ["N=D"], ["N"])
    assert ColumnMap.from_stored(columns.stored()) == columns


def test_columns_may_contain_the_equals_sign() -> None:
    assert ColumnMap.parse(["email=a=b"]).email == ("a=b",)


def test_a_region_that_is_no_country_is_refused(enterprise: Enterprise) -> None:
    with pytest.raises(errors.BadColumnMap, match="'XX'"):
        planned(enterprise, HEADER + ROW, region="XX")


def test_the_region_of_the_enterprise_is_the_default(enterprise: Enterprise) -> None:
    enterprise.default_region = "DE"
    enterprise.save(update_fields=["default_region"])
    assert planned(enterprise, HEADER + ROW).region == "DE"
    assert planned(enterprise, HEADER + ROW, region="").region == ""


def test_columns_can_be_mapped_after_the_file_was_loaded_and_again_until_it_is_started(
    enterprise: Enterprise,
) -> None:
    job = load(enterprise, [(HEADER + ROW).encode()], name="C:\\lists\\april.csv", actor=DORA)
    assert (job.state, job.header) == (BulkJob.State.LOADED, HEADER.strip().split(","))
    job = map_columns(job, ColumnMap.parse(["email=Email"]), actor=DORA)
    job = map_columns(job, COLUMNS, actor=DORA)
    assert (job.state, job.columns) == (BulkJob.State.PLANNED, COLUMNS.stored())
    with pytest.raises(errors.WrongState, match="finished"):
        map_columns(converted(enterprise, HEADER + ROW), COLUMNS, actor=DORA)


def test_names_of_files_are_cut_to_their_last_part(enterprise: Enterprise) -> None:
    job = load(enterprise, [(HEADER + ROW).encode()], name="/home/dora/\x1blist.csv", actor=DORA)
    assert job.name == "list.csv"
