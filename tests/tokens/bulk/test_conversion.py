"""What becomes of the cells of a file."""

import csv
import io
import itertools
import random
from collections.abc import Callable

import pytest
import uuid_utils.compat
from django.utils import timezone

from audit.models import Api, Direction, Outcome
from audit.payload_log import Exchange, record
from portal import synthetic_people
from tests.tokens.bulk.scene import DORA, HEADER, converted, output_of, planned, rows_of, work_off
from tokens.bulk import holding, jobs, leases, rejects, spellings, worker
from tokens.bulk.columns import ColumnMap
from tokens.enterprises import create_enterprise
from tokens.formats.kinds import Kind
from tokens.models import AttributeSet, BulkJob, Contact, ContactMapping, Enterprise, Mapping
from tokens.models.mappings import State
from tokens.vault.mint import Wanted, get_or_create

PEOPLE = ColumnMap.parse(
    ["email=EmailAddress", "mobile=MobileNumber", "subscriber_key=SubscriberKey"],
    ["FirstName=FirstName", "City=City"],
)
ANA = "k1,Ana@mail.example,13175550101,Ana,Berlin,hi\n"
BO = "k2,bo@mail.example,13175550102,Bo,Bonn,\n"


def people_file(count: int) -> tuple[str, list[synthetic_people.Row]]:
    rows = list(synthetic_people.rows(count, seed=7, duplicates=0.2, bad=0.05))
    out = io.StringIO(newline="")
    csv.writer(out).writerows([synthetic_people.COLUMNS, *(row.cells for row in rows)])
    return out.getvalue(), rows


def attributes_of(key: str) -> str | None:
    held = Contact.objects.get(subscriber_key=key).attributes
    return held.payload.open() if held and held.payload else None


def token_of(enterprise: Enterprise, kind: Kind, value: str) -> str:
    return get_or_create(enterprise, [Wanted(kind, value, value)])[0].token


def codes_of(job: BulkJob) -> dict[tuple[int, str], str]:
    return {(reject.line, reject.column): reject.code for reject in rejects.of(job)}


def rows_in_vault() -> tuple[int, ...]:
    return tuple(model.objects.count() for model in (Mapping, Contact, ContactMapping, AttributeSet))


def test_every_good_cell_becomes_a_token_and_every_bad_one_is_emptied_and_named(
    enterprise: Enterprise,
) -> None:
    text, people = people_file(600)
    job = converted(enterprise, text, PEOPLE, chunk_rows=100)
    rows = rows_of(job)
    values = {(m.kind, m.token): m.value.open() for m in Mapping.objects.all() if m.value}
    first_spelling = {
        (one.kind, one.normalised): one.first_spelling
        for one in synthetic_people.expected(600, seed=7, duplicates=0.2, bad=0.05)
    }
    assert len(rows) == 600
    for row, one in zip(rows, people, strict=True):
        assert row["SubscriberKey"] == one.cells[0]
        for kind, column, name in ((1, "EmailAddress", "Email"), (2, "MobileNumber", "MobileNumber")):
            if one.bad_column == column:
                assert row[column] == ""
            else:
                normalised = one.person.email if kind == 1 else one.person.mobile
                assert values[kind, row[column]] == first_spelling[name, normalised]
    assert codes_of(job) == {
        (line, one.bad_column): one.reason for line, one in enumerate(people, start=2) if one.bad_column
    }
    assert len(values) == len(first_spelling)


def test_the_counts_explain_every_cell(enterprise: Enterprise) -> None:
    text, people = people_file(600)
    totals = jobs.totals(converted(enterprise, text, PEOPLE, chunk_rows=100))
    bad = {column: sum(one.bad_column == column for one in people) for column in synthetic_people.COLUMNS}
    repeated = sum(one.repeated for one in people)
    for kind, column in (("email", "EmailAddress"), ("mobile", "MobileNumber")):
        assert totals[f"{kind}.read"] == 600
        assert totals[f"{kind}.rejected"] == bad[column]
        assert totals[f"{kind}.merged"] == repeated
        assert totals[f"{kind}.minted"] == 600 - repeated - bad[column]


def test_columns_order_and_dialect_stay_and_the_sensitive_columns_are_emptied(enterprise: Enterprise) -> None:
    text = "\ufeff" + HEADER.replace(",", ";").replace("\n", "\r\n")
    text += 'k1;Ana@mail.example;13175550101;Ana;Berlin;"a ""b"";\r\nc"\r\n'
    out = output_of(converted(enterprise, text))
    email = token_of(enterprise, Kind.EMAIL, "ana@mail.example")
    mobile = token_of(enterprise, Kind.MOBILE, "13175550101")
    assert out == text.split("k1")[0] + f'k1;{email};{mobile};;;"a ""b"";\r\nc"\r\n'


def test_an_attribute_can_be_kept(enterprise: Enterprise) -> None:
    columns = ColumnMap.parse(["email=Email"], ["FirstName=First", "City=City"], ["City"])
    row = rows_of(converted(enterprise, HEADER + ANA, columns))[0]
    assert (row["First"], row["City"]) == ("", "Berlin")


def test_attributes_are_sealed_with_the_contact_and_empty_cells_are_none(enterprise: Enterprise) -> None:
    converted(enterprise, HEADER + "k1,a@mail.example,,Ana,,\nk2,b@mail.example,,,,\n")
    assert attributes_of("k1") == '[{"name":"FirstName","value":"Ana"}]'
    assert attributes_of("k2") is None


@pytest.mark.parametrize("seed", range(5))
def test_the_highest_line_of_a_person_wins_whatever_the_order_of_the_chunks(
    enterprise: Enterprise, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = [f"k{n % 3},a{n % 3}@mail.example,,Name{n},City{n},\n" for n in range(12)]
    job = jobs.start(planned(enterprise, HEADER + "".join(lines), chunk_rows=2), actor=jobs.SYSTEM)
    claimed = [leases.claim(job) for _ in range(6)]
    random.Random(seed).shuffle(claimed)
    chunks = worker.Chunks(job)
    for lease in claimed:
        assert lease is not None
        chunks.convert(lease)
    for n in (9, 10, 11):
        city, name = f'"City","value":"City{n}"', f'"FirstName","value":"Name{n}"'
        assert attributes_of(f"k{n % 3}") == f'[{{"name":{city}}},{{"name":{name}}}]'


def spelling_after(enterprise: Enterprise, order: list[int], between: Callable[[], object] = int) -> str:
    """How the one address of three chunks is spelled when they are converted in this order."""
    lines = [f"k1,{spelling}@mail.example,,,,\n" for spelling in ("ANA", "Ana", "ana")]
    job = jobs.start(planned(enterprise, HEADER + "".join(lines), chunk_rows=1), actor=jobs.SYSTEM)
    claimed = [leases.claim(job) for _ in lines]
    chunks = worker.Chunks(job)
    for number in order:
        lease = claimed[number]
        assert lease is not None
        chunks.convert(lease)
        between()
    value = Mapping.objects.get().value
    assert value is not None
    return value.open()


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))), ids=str)
def test_the_first_line_of_an_address_gives_its_spelling_whatever_the_order_of_the_chunks(
    enterprise: Enterprise, order: tuple[int, ...]
) -> None:
    assert spelling_after(enterprise, list(order)) == "ANA@mail.example"


def test_without_that_a_late_chunk_would_leave_the_spelling_of_a_later_line(
    enterprise: Enterprise, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spellings, "put_first", lambda *_: 0)
    assert spelling_after(enterprise, [2, 1, 0]) == "ana@mail.example"


def test_an_address_that_was_there_before_the_job_keeps_its_spelling(enterprise: Enterprise) -> None:
    converted(enterprise, HEADER + "k1,aNa@mail.example,,,,\n")
    assert spelling_after(enterprise, [2, 1, 0]) == "aNa@mail.example"


def test_a_spelling_that_the_payload_log_refers_to_stays(enterprise: Enterprise) -> None:
    def be_spoken_of() -> None:
        links = list(ContactMapping.objects.values_list("pk", flat=True))
        record(
            Exchange(
                id=uuid_utils.compat.uuid7(), at=timezone.now(), direction=Direction.INBOUND, api=Api.RESOLVE,
                status=200, outcome=Outcome.COMPLETE, enterprise_id=enterprise.pk, links=links,
            )
        )  # fmt: skip

    assert spelling_after(enterprise, [1, 2, 0], be_spoken_of) == "Ana@mail.example"


def test_the_same_file_twice_changes_nothing_even_where_its_lines_disagree(enterprise: Enterprise) -> None:
    text, _ = people_file(300)
    first = converted(enterprise, text, PEOPLE, chunk_rows=50)
    before = rows_in_vault()
    second = converted(enterprise, text, PEOPLE, chunk_rows=70)
    assert rows_in_vault() == before
    assert output_of(first) == output_of(second)
    totals = jobs.totals(second)
    assert totals["email.minted"] == totals["email.merged"] == totals["contacts.new"] == 0


def test_a_job_without_memory_of_the_first_would_write_new_attribute_versions(enterprise: Enterprise) -> None:
    """The known-bad twin of the test above."""
    text = HEADER + "".join(f"k1,a@mail.example,,Name{n},,\n" for n in range(4))
    converted(enterprise, text, chunk_rows=1)
    before = AttributeSet.objects.count()
    job = planned(enterprise, text, chunk_rows=1)
    job.same_source = []
    job.save()
    work_off(job)
    assert AttributeSet.objects.count() > before


def test_a_later_file_replaces_the_attributes(enterprise: Enterprise) -> None:
    converted(enterprise, HEADER + ANA)
    converted(enterprise, HEADER + "k1,ana@mail.example,,Anna,,\n")
    assert attributes_of("k1") == '[{"name":"FirstName","value":"Anna"}]'


def test_the_file_that_was_planned_later_wins_over_one_that_runs_later(enterprise: Enterprise) -> None:
    earlier = planned(enterprise, HEADER + "k1,ana@mail.example,,Old,,\n")
    converted(enterprise, HEADER + "k1,ana@mail.example,,New,,\n")
    work_off(earlier)
    assert attributes_of("k1") == '[{"name":"FirstName","value":"New"}]'


def test_our_own_tokens_pass_through_and_are_counted_so(enterprise: Enterprise) -> None:
    out = output_of(converted(enterprise, HEADER + ANA + BO))
    again = converted(enterprise, out)
    assert output_of(again) == out
    totals = jobs.totals(again)
    for kind in ("email", "mobile"):
        assert totals[f"{kind}.passed_through"] == 2
        assert totals[f"{kind}.minted"] == totals[f"{kind}.reused"] == totals[f"{kind}.rejected"] == 0


@pytest.mark.parametrize("region", ["", "DE"])
def test_tokens_pass_through_in_any_spelling(enterprise: Enterprise, region: str) -> None:
    row = rows_of(converted(enterprise, HEADER + ANA))[0]
    email, mobile = row["Email"], row["Mobile"]
    text = HEADER + f"k1, {email.upper()} ,+{mobile},,,\nk1,{email}, {mobile},,,\n"
    again = rows_of(converted(enterprise, text, region=region))
    assert [(one["Email"], one["Mobile"]) for one in again] == [(email, mobile)] * 2


def test_what_looks_like_a_token_but_was_never_given_out_is_rejected_not_minted(
    enterprise: Enterprise,
) -> None:
    text = HEADER + f"k1,{'a' * 26}@tok.example.net,,,,\nk2,info@tok.example.net,,,,\n"
    job = converted(enterprise, text)
    assert codes_of(job) == {(2, "Email"): "unknown_token", (3, "Email"): "unknown_token"}
    assert [row["Email"] for row in rows_of(job)] == ["", ""]
    assert not Mapping.objects.exists()


def test_a_token_of_another_enterprise_does_not_pass_through(enterprise: Enterprise) -> None:
    other = create_enterprise(
        eid="511", name="Blumen West", token_domain="tok.west.example", sandbox=True, actor=DORA
    )
    mobile = token_of(other, Kind.MOBILE, "13175550101")
    job = converted(enterprise, HEADER + f"k1,,{mobile},,,\n")
    assert codes_of(job) == {(2, "Mobile"): "phone_not_possible"}


def test_lines_are_those_of_an_editor_also_behind_quoted_line_ends_and_blank_lines(
    enterprise: Enterprise,
) -> None:
    text = HEADER + 'k1,a@mail.example,,,,"one\ntwo\nthree"\n\nk2,bad,,,,\nk3,worse,,,,\n'
    assert codes_of(converted(enterprise, text)) == {
        (6, "Email"): "email_syntax",
        (7, "Email"): "email_syntax",
    }


def test_rejects_show_the_value_masked_and_how_to_mend_it(enterprise: Enterprise) -> None:
    job = converted(enterprise, HEADER + "k1,jane.doe.mail.example,1317555010199999999,,,\n")
    found = list(rejects.of(job))
    assert [reject.masked_value for reject in found] == ["j•••", "1317•••••99"]
    assert all(reject.hint for reject in found)


def test_blank_cells_stay_blank_and_are_not_counted(enterprise: Enterprise) -> None:
    job = converted(enterprise, HEADER + "k1,  ,\t,,,\nk2,b@mail.example,,,,\n")
    assert (rows_of(job)[0]["Email"], rows_of(job)[0]["Mobile"]) == ("", "")
    totals = jobs.totals(job)
    assert (totals["email.read"], totals["mobile.read"]) == (1, 0)


def test_several_columns_may_hold_addresses_of_the_same_contact(enterprise: Enterprise) -> None:
    columns = ColumnMap.parse(["email=Work", "email=Home", "subscriber_key=Key"])
    job = converted(enterprise, "Key,Work,Home\nk1,w@mail.example,h@mail.example\n", columns)
    row = rows_of(job)[0]
    assert row["Work"] != row["Home"]
    contact = Contact.objects.get(subscriber_key="k1")
    assert ContactMapping.objects.filter(contact=contact, is_primary=True).count() == 2


def test_a_number_that_two_contacts_share_has_one_token_and_one_primary(enterprise: Enterprise) -> None:
    job = converted(enterprise, HEADER + "k1,,13175550101,,,\nk2,,+1 317 555 0101,,,\n", chunk_rows=1)
    first, second = rows_of(job)
    assert first["Mobile"] == second["Mobile"]
    links = ContactMapping.objects.order_by("id").values_list("contact__subscriber_key", "is_primary")
    assert list(links) == [("k1", True), ("k2", False)]


def test_numbers_without_a_country_are_read_in_the_region_of_the_file(enterprise: Enterprise) -> None:
    converted(enterprise, HEADER + "k1,,0151 12345678,,,\n", region="DE")
    assert Mapping.objects.get().value.open() == "4915112345678"


def test_the_value_of_an_erased_person_is_neither_tokenized_nor_linked(enterprise: Enterprise) -> None:
    held = get_or_create(enterprise, [Wanted(Kind.EMAIL, "ana@mail.example", "ana@mail.example")])[0]
    Mapping.objects.filter(pk=held.mapping_id).update(state=State.ERASED, value=None)
    job = converted(enterprise, HEADER + ANA)
    assert rows_of(job)[0]["Email"] == ""
    assert codes_of(job) == {(2, "Email"): "value_erased"}
    assert jobs.totals(job)["email.skipped"] == 1
    assert not ContactMapping.objects.filter(mapping=held.mapping_id).exists()


def test_rows_of_an_erased_contact_mint_nothing(enterprise: Enterprise) -> None:
    converted(enterprise, HEADER + "k1,old@mail.example,,,,\n")
    Contact.objects.update(erased_at="2026-01-01T00:00Z")
    before = rows_in_vault()
    job = converted(enterprise, HEADER + "k1,new@mail.example,13175550101,Ana,,\n")
    assert rows_in_vault() == before
    assert codes_of(job) == dict.fromkeys(((2, "Key"), (2, "Email"), (2, "Mobile")), "subscriber_key_erased")
    assert rows_of(job)[0]["Key"] == ""
    assert jobs.totals(job)["email.skipped"] == 1


def test_rows_without_a_key_share_the_contact_of_their_value(enterprise: Enterprise) -> None:
    text = HEADER + ",a@mail.example,13175550101,Ana,,\n,A@mail.example,,Anna,,\n"
    rows = rows_of(converted(enterprise, text, chunk_rows=1))
    assert rows[0]["Key"] == rows[1]["Key"]
    assert rows[0]["Key"].startswith("sk-")
    assert Contact.objects.count() == 1
    assert attributes_of(rows[0]["Key"]) == '[{"name":"FirstName","value":"Anna"}]'


def test_rows_without_a_key_join_the_contact_that_is_known_already(enterprise: Enterprise) -> None:
    converted(enterprise, HEADER + ANA)
    row = rows_of(converted(enterprise, HEADER + ",ana@mail.example,,,,\n"))[0]
    assert row["Key"] == "k1"
    assert Contact.objects.count() == 1


def test_a_file_without_a_key_column_gets_contacts_too(enterprise: Enterprise) -> None:
    columns = ColumnMap.parse(["email=Email", "mobile=Mobile"])
    job = converted(enterprise, HEADER + ANA + BO, columns)
    assert Contact.objects.count() == jobs.totals(job)["contacts.new"] == 2
    assert [row["Key"] for row in rows_of(job)] == ["k1", "k2"]  # not mapped, so left as it is


def test_a_key_that_is_an_address_is_rejected_with_its_row(enterprise: Enterprise) -> None:
    text = HEADER + ANA + BO + "ana@mail.example,cy@mail.example,13175550103,Cy,,\n"
    job = converted(enterprise, text)
    assert codes_of(job) == {
        (4, "Key"): "subscriber_key_is_identifier",
        (4, "Email"): "row_without_key",
        (4, "Mobile"): "row_without_key",
    }
    row = rows_of(job)[2]
    assert (row["Key"], row["Email"], row["Mobile"], row["First"]) == ("", "", "", "")
    assert Mapping.objects.count() == 4


def test_a_key_that_is_the_number_of_its_row_is_rejected_but_other_numbers_are_keys(
    enterprise: Enterprise,
) -> None:
    text = HEADER + "100001,,13175550101,,,\n100002,,13175550102,,,\n3175550103,,13175550103,,,\n"
    assert codes_of(converted(enterprise, text)) == {
        (4, "Key"): "subscriber_key_is_identifier",
        (4, "Mobile"): "row_without_key",
    }


def test_keys_that_are_identifiers_can_be_replaced_by_derived_ones(enterprise: Enterprise) -> None:
    text = HEADER + "ana@mail.example,ana@mail.example,,,,\nk2,bo@mail.example,,,,\n"
    job = converted(enterprise, text, derive_keys=True)
    first, second = rows_of(job)
    assert first["Key"].startswith("sk-")
    assert second["Key"] == "k2"
    assert jobs.totals(job)["keys.derived"] == 1
    again = rows_of(converted(enterprise, text, derive_keys=True))
    assert again[0]["Key"] == first["Key"]


def test_a_malformed_key_is_rejected_with_its_row(enterprise: Enterprise) -> None:
    text = HEADER + f"{'k' * 255},a@mail.example,,,,\n" + '"k\x01",b@mail.example,,,,\n' + ANA
    assert codes_of(converted(enterprise, text)) == {
        (2, "Key"): "subscriber_key_malformed",
        (2, "Email"): "row_without_key",
        (3, "Key"): "subscriber_key_malformed",
        (3, "Email"): "row_without_key",
    }


def test_an_enterprise_may_accept_identifiers_as_keys(enterprise: Enterprise) -> None:
    enterprise.identifier_keys_allowed = True
    enterprise.save(update_fields=["identifier_keys_allowed"])
    row = rows_of(converted(enterprise, HEADER + "ana@mail.example,ana@mail.example,,,,\n"))[0]
    assert row["Key"] == "ana@mail.example"


def test_a_cell_that_is_no_token_never_reaches_the_output(
    enterprise: Enterprise, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A vault that answered something else than a token must stop the job, not fill the file."""
    monkeypatch.setattr(
        holding,
        "get_or_create",
        lambda enterprise, wanted: [one._replace(token="=1+1") for one in get_or_create(enterprise, wanted)],
    )
    job = jobs.start(planned(enterprise, HEADER + ANA), actor=jobs.SYSTEM)
    assert worker.work_one(worker.Chunks(job))
    chunk = job.chunk_set.get()
    assert (chunk.state, chunk.error, chunk.output) == ("pending", "UnsafeOutput", None)
    assert not Mapping.objects.exists()
