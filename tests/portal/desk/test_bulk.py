"""Bulk jobs at the desk: a file comes in sealed, its columns are guessed, the job is started, watched and taken."""

import datetime
import html
import re
from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.utils import timezone

from audit.models import AuditEvent
from audit.trail import SYSTEM
from audit.vocabulary import Action
from portal.desk import uploads
from portal.roles import Role
from tests.portal.desk import cast
from tests.tokens.bulk.scene import work_off
from tests.tokens.cast import an_enterprise
from tokens.bulk import plan
from tokens.bulk.guess import guess
from tokens.models import BulkChunk, BulkJob, Enterprise

NEW = "/admin/bulk/new/"
LIST = (
    b"SubscriberKey,Email,Mobile,FirstName,Note\n"
    b"SUB-1,ana@mail.example,+44 7700 900123,Ana,likes blue\n"
    b"SUB-2,ben@mail.example,+44 7700 900124,Ben,\n"
    b"SUB-3,not an address,,Clo,\n"
)
MAPPED = {
    "holds-0": "subscriber_key", "holds-1": "email", "holds-2": "mobile", "holds-3": "attribute", "name-3": "FirstName",
    "holds-4": "", "region": "",
}  # fmt: skip


@pytest.fixture
def acme(db: None) -> Enterprise:
    """A sandbox: its jobs start without a second person (tests/portal/desk/test_approvals.py has the others)."""
    return an_enterprise("Acme", sandbox=True)


def text(response: Any) -> str:
    return html.unescape(response.content.decode())


def send(browser: Client, acme: Enterprise, content: bytes = LIST, **fields: Any) -> Any:
    file = SimpleUploadedFile("list.csv", content, content_type="text/csv")
    return browser.post(f"{NEW}?enterprise={acme.pk}", {"file": file, "delimiter": ""} | fields)


def loaded(browser: Client, acme: Enterprise, content: bytes = LIST) -> BulkJob:
    send(browser, acme, content)
    return BulkJob.objects.latest("id")


def page_of(browser: Client, job: BulkJob, part: str = "") -> str:
    return text(browser.get(f"/admin/bulk/{job.pk}/{part}"))


def test_a_file_becomes_tokens_in_three_steps(dario: Client, acme: Enterprise) -> None:
    answer = send(dario, acme)
    job = BulkJob.objects.get()
    assert answer["Location"] == f"/admin/bulk/{job.pk}/columns/"
    assert dario.post(answer["Location"], MAPPED)["Location"] == f"/admin/bulk/{job.pk}/"
    assert "Step 3 of 3: start it" in page_of(dario, job)
    dario.post(f"/admin/bulk/{job.pk}/start/")
    assert 'hx-trigger="every 2s"' in page_of(dario, job)
    job.refresh_from_db()
    while job.state == BulkJob.State.RUNNING:
        job = work_on(job)
    page = page_of(dario, job)
    assert "Finished at" in page
    assert "hx-trigger" not in page
    taken = b"".join(dario.post(f"/admin/bulk/{job.pk}/output/")).decode()  # type: ignore[arg-type]
    assert taken.splitlines()[0] == "SubscriberKey,Email,Mobile,FirstName,Note"
    assert re.search(r"SUB-1,[a-z0-9]{26}@tok\d+\.acme\.example,44\d{13},,likes blue", taken)
    assert "mail.example" not in taken
    dario.post(f"/admin/bulk/{job.pk}/reconcile/")
    assert "Everything is explained." in page_of(dario, job)
    acts = AuditEvent.objects.filter(action__startswith="bulk.", actor_name="dario").order_by("pk")
    assert [act.action for act in acts] == [
        Action.BULK_LOADED, Action.BULK_PLANNED, Action.BULK_STARTED, Action.BULK_OUTPUT_TAKEN,
        Action.BULK_RECONCILED,
    ]  # fmt: skip


def work_on(job: BulkJob) -> BulkJob:
    from tokens.bulk import worker

    chunks = worker.Chunks(job)
    while worker.work_one(chunks):
        pass
    job.refresh_from_db()
    return job


def test_an_upload_lies_nowhere_in_the_clear(
    dario: Client,
    acme: Enterprise,
    tmp_path: Path,
    settings: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings.FILE_UPLOAD_TEMP_DIR = str(tmp_path)
    seen: list[bytes] = []
    blocks = uploads.SealedUpload.blocks

    def spied(upload: uploads.SealedUpload) -> Any:
        upload._spool.seek(0)
        seen.append(upload._spool.read())
        return blocks(upload)

    monkeypatch.setattr(uploads.SealedUpload, "blocks", spied)
    job = loaded(dario, acme)
    assert job.rows == 3
    assert len(seen) == 1
    assert b"mail.example" not in seen[0] + bytes(BulkChunk.objects.get().source or b"")
    assert list(tmp_path.iterdir()) == []


def test_a_large_file_comes_in_block_by_block(
    dario: Client, acme: Enterprise, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads.SealedUploadHandler, "chunk_size", 1 << 16)
    people = "".join(f"SUB-{n},p{n}@mail.example,,,\n" for n in range(20_000))
    job = loaded(dario, acme, LIST + people.encode())
    assert job.rows == 20_003
    assert job.source_bytes == len(LIST) + len(people)


def test_a_file_that_is_too_large_is_refused_with_a_way_out(
    dario: Client, acme: Enterprise, settings: Any
) -> None:
    settings.UPLOAD_MAX_BYTES = 100
    assert "manage.py bulk plan" in text(send(dario, acme))
    assert not BulkJob.objects.exists()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"Key,Email\n", "has a header and no rows"),
        ("Key,Email\nä,b@mail.example\n".encode("utf-16"), "UTF-8"),
        (b'Key,Email\n1,"open\n', "not closed"),
    ],
)
def test_a_file_that_makes_no_sense_is_explained(
    dario: Client, acme: Enterprise, content: bytes, said: str
) -> None:
    assert said in text(send(dario, acme, content))
    assert not BulkJob.objects.exists()


@pytest.mark.parametrize("address", ["/admin/login/", "/admin/people/", NEW])
def test_files_that_nobody_asked_for_are_dropped(
    dario: Client, acme: Enterprise, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def touched(*args: object) -> None:
        raise AssertionError

    monkeypatch.setattr(uploads.SealedUploadHandler, "receive_data_chunk", touched)
    file = SimpleUploadedFile("list.csv", LIST)
    for browser in (dario, Client()):
        browser.post(address, {"file": file})
        file.seek(0)


def test_a_file_for_an_enterprise_that_there_is_not_is_dropped(acme: Enterprise) -> None:
    browser = cast.browser_of(cast.somebody(Role.DATA_ENGINEER, name="everywhere"))
    for number in ("999999", "9" * 30):
        file = SimpleUploadedFile("list.csv", LIST)
        assert browser.post(f"{NEW}?enterprise={number}", {"file": file}).status_code == 200


def test_a_file_for_an_enterprise_of_others_is_dropped(
    dario: Client, acme: Enterprise, rival: Enterprise
) -> None:
    send(dario, rival)
    assert not BulkJob.objects.exists()


def test_columns_are_guessed_from_names_and_cells_and_shown_masked(dario: Client, acme: Enterprise) -> None:
    job = loaded(dario, acme)
    guesses = {found.column: found.target for found in guess(job)}
    assert guesses == {
        "SubscriberKey": "subscriber_key", "Email": "email", "Mobile": "mobile", "FirstName": "attribute", "Note": "",
    }  # fmt: skip
    page = page_of(dario, job, "columns/")
    assert "a•••@m•••.example" in page
    for clear in ("ana@", "900123", ">Ana", "likes blue"):
        assert clear not in page


def test_numbers_with_a_country_code_are_not_taken_for_numbers_of_the_enterprise_s_country(
    acme: Enterprise,
) -> None:
    acme.default_region = "DE"
    acme.save(update_fields=["default_region"])
    with_code = plan.load(acme, [b"Mobile\n13175550101\n13175550102\n"], name="a.csv", actor=SYSTEM)
    national = plan.load(acme, [b"Mobile\n0151 23456789\n0151 23456780\n"], name="b.csv", actor=SYSTEM)
    assert [guess(job)[0].national for job in (with_code, national)] == [False, True]
    assert [guess(job)[0].target for job in (with_code, national)] == ["mobile", "mobile"]


def test_subscriber_keys_that_name_people_are_refused_with_a_way_out(dario: Client, acme: Enterprise) -> None:
    job = loaded(dario, acme, b"Key,Email\nana@mail.example,ana@mail.example\n")
    given = {"holds-0": "subscriber_key", "holds-1": "email", "region": ""}
    address = f"/admin/bulk/{job.pk}/columns/"
    assert "Tick this, or map another column" in text(dario.post(address, given))
    assert dario.post(address, given | {"derive_keys": "on"}).status_code == 302


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"holds-0": "subscriber_key"}, "map at least one column"),
        ({"holds-1": "email", "region": "ZZ"}, "is no country"),
        (
            {
                "holds-1": "attribute",
                "name-1": "N",
                "holds-3": "attribute",
                "name-3": "N",
                "holds-2": "mobile",
            },
            "named twice",
        ),
    ],
)
def test_a_mapping_that_makes_no_sense_is_explained(
    dario: Client, acme: Enterprise, given: dict[str, str], said: str
) -> None:
    job = loaded(dario, acme)
    assert said in text(dario.post(f"/admin/bulk/{job.pk}/columns/", given))


def test_rejects_are_grouped_by_what_mends_them_and_never_clear(dario: Client, acme: Enterprise) -> None:
    job = loaded(dario, acme)
    dario.post(f"/admin/bulk/{job.pk}/columns/", MAPPED)
    job.refresh_from_db()
    job = work_off(job)
    page = page_of(dario, job)
    assert "Write a bare address such as name@domain" in page
    taken = b"".join(dario.get(f"/admin/bulk/{job.pk}/rejects/")).decode()  # type: ignore[arg-type]
    assert taken.splitlines()[0] == "line,column,code,masked_value,hint"
    assert "4,Email,email_syntax" in taken
    assert "not an address" not in page + taken


def test_a_job_is_paused_resumed_and_cancelled(dario: Client, acme: Enterprise) -> None:
    job = loaded(dario, acme)
    base = f"/admin/bulk/{job.pk}/"
    assert "it is loaded, not planned" in text(dario.post(base + "start/", follow=True))
    dario.post(base + "columns/", MAPPED)
    for verb, state in (
        ("start", "running"),
        ("pause", "paused"),
        ("resume", "running"),
        ("cancel", "cancelled"),
    ):
        dario.post(f"{base}{verb}/")
        job.refresh_from_db()
        assert job.state == state
    assert "The rows of the file were deleted" in page_of(dario, job)


def test_the_part_that_polls_reloads_the_page_once_the_job_has_ended(dario: Client, acme: Enterprise) -> None:
    job = loaded(dario, acme)
    dario.post(f"/admin/bulk/{job.pk}/columns/", MAPPED)
    dario.post(f"/admin/bulk/{job.pk}/start/")
    address = f"/admin/bulk/{job.pk}/progress/"
    running = dario.get(address, headers={"HX-Request": "true"})
    assert "HX-Refresh" not in running
    assert "<progress" in text(running)
    assert "<html" not in text(running)
    job.refresh_from_db()
    work_on(job)
    assert dario.get(address, headers={"HX-Request": "true"})["HX-Refresh"] == "true"


def test_a_job_that_nobody_works_says_where_to_look(dario: Client, acme: Enterprise) -> None:
    job = loaded(dario, acme)
    dario.post(f"/admin/bulk/{job.pk}/columns/", MAPPED)
    dario.post(f"/admin/bulk/{job.pk}/start/")
    words = "No worker has taken a chunk for a while"
    assert words not in page_of(dario, job)
    BulkJob.objects.update(started_at=timezone.now() - datetime.timedelta(minutes=1))
    assert words in page_of(dario, job)


def test_who_only_looks_is_offered_no_act_and_cannot_take_the_output(
    dario: Client, aaron: Client, acme: Enterprise
) -> None:
    job = loaded(dario, acme)
    page = page_of(aaron, job)
    assert set(re.findall(r'method="post" action="([^"]+)"', page)) == {"/admin/search/", "/admin/logout/"}
    assert aaron.post(f"/admin/bulk/{job.pk}/output/").status_code == 403


def test_jobs_of_others_are_not_there(dario: Client, acme: Enterprise, rival: Enterprise) -> None:
    job = loaded(dario, acme)
    other = cast.browser_of(cast.somebody(Role.DATA_ENGINEER, enterprise=rival, name="other"))
    assert other.get(f"/admin/bulk/{job.pk}/").status_code == 404
    assert "Nothing here yet" in text(other.get("/admin/bulk/"))
    assert "list.csv" in text(dario.get("/admin/bulk/"))
