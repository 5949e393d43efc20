"""What is destroyed beside the vault: rows in files of bulk jobs, exports in clear, messages of the queue."""

import pytest
from django.utils import timezone

from audit.trail import SYSTEM
from tests.tokens.api import cast
from tests.tokens.bulk.scene import HEADER, converted, planned, work_off
from tests.tokens.cast import an_enterprise
from tests.tokens.no_token_queue.cast import csv_of, imported
from tokens.bulk import plan, reconcile, slices
from tokens.erasure import bulk_files, destroying
from tokens.erasure import scope as scopes
from tokens.erasure.scope import Scope
from tokens.exports import requests, worker
from tokens.models import (
    BulkChunk,
    BulkJob,
    Enterprise,
    Export,
    ExportSlice,
    Mapping,
    QueueBadLine,
    QueueMessage,
)
from tokens.no_token_queue import deciding, extracts

pytestmark = pytest.mark.django_db
CELLS = ("Ana", "Rome", "Calls herself Annie", "ana@mail.example", "ANA@mail.example", "13175550101")
LINES = (
    'SUB-ANA,ANA@mail.example,+1 317 555 0101,Ana,Rome,"Calls herself\nAnnie"\n'
    "SUB-BEN,ben@mail.example,+1 317 555 0101,Ben,Oslo,Lives with her\n"
    "SUB-BAD,no address,,Kim,Bern,\n"
    "\n"
    "SUB-ANA,ana@mail.example,,Ana,Rome,\n"
)


@pytest.fixture
def acme() -> Enterprise:
    return an_enterprise()


def ana_in(enterprise: Enterprise, *keys: str) -> Scope:
    """Ana, whose erasure has begun; her number is Ben's too."""
    mapping = Mapping.objects.get(enterprise=enterprise, links__contact__subscriber_key="SUB-ANA", kind=1)
    scope = scopes.of_contacts(mapping, [link.contact_id for link in mapping.links.all()])
    scopes.block(scope)
    return scope


def texts(job: BulkJob) -> list[str]:
    """Every slice of the job's file, opened."""
    return [
        slices.unseal(job.enterprise_id, job.pk, chunk.number, side, bytes(sealed))
        for chunk in BulkChunk.objects.filter(job=job).order_by("number")
        for side in bulk_files.SIDES
        if (sealed := getattr(chunk, side)) is not None
    ]


def swept(scope: Scope) -> int:
    return bulk_files.sweep(scope, after=0, seconds=60).rows


def test_of_a_converted_file_their_rows_are_emptied_and_the_books_still_balance(acme: Enterprise) -> None:
    job = converted(acme, HEADER + LINES)
    scope, before = ana_in(acme), texts(job)
    assert swept(scope) == 3  # two rows of the file, and one of its output that holds a note
    source, output = texts(job)
    ana, phone = scope.mappings[0].token, scope.shared[0].token
    assert source == (
        f'SUB-ANA,{ana},+1 317 555 0101,,,"\n"\n'
        "SUB-BEN,ben@mail.example,+1 317 555 0101,Ben,Oslo,Lives with her\n"
        "SUB-BAD,no address,,Kim,Bern,\n"
        "\n"
        f"SUB-ANA,{ana},,,,\n"
    )
    assert f"SUB-ANA,{ana},{phone},,," in output
    assert "Lives with her" in output
    assert len(source.splitlines()) == len(before[0].splitlines())
    assert swept(scope) == 0  # nothing is left to find
    assert reconcile.reconcile(job, actor=SYSTEM).balanced


def test_of_a_file_that_is_not_converted_yet_they_are_skipped(acme: Enterprise) -> None:
    cast.a_person(acme, "ana@mail.example", "SUB-ANA")
    job = planned(acme, HEADER + LINES)
    raw = plan.load(
        acme, [b"What,Who\nhello,Ana@mail.example\nhello,ben@mail.example\n"], name="x.csv", actor=SYSTEM
    )
    derived = planned(acme, HEADER + "ana@mail.example,ana@mail.example,,Ana,Rome,\n", derive_keys=True)
    scope = ana_in(acme)
    assert swept(scope) == 4
    assert texts(raw) == [f",{scope.mappings[0].token}\nhello,ben@mail.example\n"]
    assert texts(derived) == [f",{scope.mappings[0].token},,,,\n"]
    assert not any(cell in text for cell in CELLS[2:] for text in texts(job) + texts(derived))
    done = work_off(job)
    assert done.state == BulkJob.State.FINISHED
    assert reconcile.reconcile(done, actor=SYSTEM).balanced


def test_an_export_in_clear_that_they_are_in_goes_as_a_whole_and_others_stay(acme: Enterprise) -> None:
    cast.a_person(acme, "ana@mail.example", "SUB-ANA")
    exports = []
    for clear in (True, False):
        export = requests.ask(
            acme,
            what=Export.What.PEOPLE,
            form=Export.Form.CSV,
            only={},
            case="C-1",
            clear=clear,
            actor=SYSTEM,
        )
        worker.work(export.pk, seconds=60)
        exports.append(export)
    scope = ana_in(acme)
    assert destroying.export_files(scope) == 1
    for export, state, is_kept in zip(exports, ("expired", "ready"), (False, True), strict=True):
        export.refresh_from_db()
        assert export.state == state
        assert ExportSlice.objects.filter(export=export, sealed__isnull=False).exists() == is_kept
    assert destroying.export_files(scope) == 0


def test_what_they_wrote_to_the_queue_goes(acme: Enterprise) -> None:
    imported(acme, csv_of(("13175550101", "1", "STOP", "11/20/2024")))
    cast.a_person(acme, "13175550101", "SUB-ANA")
    mapping = Mapping.objects.get(enterprise=acme)
    scope = scopes.of_contacts(mapping, [mapping.links.get().contact_id])
    assert destroying.queue_messages(scope) == 1
    message = QueueMessage.objects.get()
    assert (message.number, message.text) == (None, None)
    assert destroying.queue_messages(scope) == 0
    assert destroying.waiting_files(scope) == 0
    extracts.load(
        acme, [csv_of(("1", "1", "x", ""))], name="q.csv", extracted_at=timezone.now(), actor=SYSTEM
    )
    assert destroying.lives_until(scope, timezone.now())["files"] == 1  # who is in it, nobody can tell


def test_of_lines_that_could_not_be_read_a_settled_one_with_their_number_goes(acme: Enterprise) -> None:
    mapping = Mapping.objects.get(token=cast.a_person(acme, "13175550101", "SUB-ANA"))
    scope = scopes.of_contacts(mapping, [mapping.links.get().contact_id])
    imported(
        acme,
        csv_of(("+1 (317) 555-0101", "1", "hi", "soon", "more"), ("13175550102", "1", "hi", "soon", "more")),
    )
    hers, other = QueueBadLine.objects.order_by("line")
    assert destroying.queue_messages(scope) == 0  # it may be an opt-out that nobody has heard
    assert destroying.lives_until(scope, timezone.now())["lines"] == 2
    for line in (hers, other):
        deciding.settle(line.pk, how="Asked the shop.", actor=SYSTEM)
    assert [destroying.queue_messages(scope) for _ in range(2)] == [1, 0]
    assert list(QueueBadLine.objects.filter(content__isnull=False)) == [other]
    assert destroying.lives_until(scope, timezone.now())["lines"] == 1
