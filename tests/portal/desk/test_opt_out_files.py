"""A file of opt-outs on the desk: brought in sealed, its columns said, the count typed, and followed to its end."""

from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from portal.roles import Role
from tests.portal.desk import cast
from tests.tokens.cast import ANA, BORIS, an_enterprise
from tests.tokens.opt_out_files.cast import csv_of
from tokens.models import ConsentEvent, Enterprise, ExtractRecipe, OptOutChunk, OptOutFile
from tokens.opt_out_files import worker

pytestmark = pytest.mark.django_db
FILES = "/admin/unsubscribes/files/"
ROW = (ANA, "2024-11-18T09:30:00Z", "told the shop")
SAID = {
    "holds-0": "person",
    "holds-1": "asked",
    "holds-2": "evidence",
    "order": "iso",
    "zone": "UTC",
    "law": "can-spam",
}


@pytest.fixture
def acme() -> Enterprise:
    return an_enterprise()


@pytest.fixture
def officer(acme: Enterprise) -> Client:
    return cast.browser_of(cast.somebody(Role.COMPLIANCE_OFFICER, enterprise=acme))


def bring(browser: Client, enterprise: Enterprise, content: bytes, **said: Any) -> Any:
    form = {"what": "file", "written_at": "2024-11-20T18:00", "file": SimpleUploadedFile("crm.csv", content)}
    return browser.post(f"{FILES}new/?enterprise={enterprise.pk}", form | said)


def test_a_file_is_brought_its_columns_said_and_its_lines_recorded(acme: Enterprise, officer: Client) -> None:
    columns = bring(officer, acme, csv_of(ROW, (BORIS, "soon", "")))["Location"]
    page = officer.get(columns).content.decode()
    assert "2 lines were read" in page
    assert "ana@" not in page.lower()
    answer = officer.post(columns, SAID | {"name": "crm"})
    file = OptOutFile.objects.get()
    assert (answer["Location"], file.state) == (f"{FILES}{file.pk}/", OptOutFile.State.RUNNING)
    assert "0 of 2 lines" in officer.get(answer["Location"]).content.decode()
    worker.work_until_done(file.pk)
    page = officer.get(answer["Location"]).content.decode()
    assert "2 lines = 1 new + 0 known + 0 skipped + 1 refused" in page
    assert officer.get(f"{FILES}{file.pk}/progress/")["HX-Refresh"] == "true"
    rejects = b"".join(officer.get(f"{FILES}{file.pk}/rejects/")).decode()
    assert "3,OptOutDate,date_unreadable," in rejects
    assert "boris@post" not in rejects
    event = ConsentEvent.objects.get()
    assert (event.law, event.evidence.open()) == ("can-spam", "told the shop")
    assert ExtractRecipe.objects.get().what == ExtractRecipe.What.OPT_OUTS


def test_many_lines_are_recorded_only_when_their_number_was_typed(acme: Enterprise, officer: Client) -> None:
    rows = [(f"p{n}@mail.example", *ROW[1:]) for n in range(101)]
    columns = bring(officer, acme, csv_of(*rows))["Location"]
    for typed in ("", "100"):
        assert officer.post(columns, SAID | {"typed": typed}).status_code == 200
        assert OptOutFile.objects.get().state == OptOutFile.State.LOADED
    assert officer.post(columns, SAID | {"typed": "101"}).status_code == 302


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty"),
        (b"%PDF-1.7", "neither text nor"),
        ("E-Mail,Empf\u00e4nger\r\n".encode("cp1252"), "encoding"),
    ],
)
def test_a_file_that_cannot_be_read_is_named_and_nothing_is_kept(
    acme: Enterprise, officer: Client, content: bytes, words: str
) -> None:
    answer = bring(officer, acme, content)
    assert words in answer.content.decode()
    assert not OptOutChunk.objects.exists()


def test_wrong_columns_are_named(acme: Enterprise, officer: Client) -> None:
    columns = bring(officer, acme, csv_of(ROW))["Location"]
    answer = officer.post(columns, SAID | {"holds-0": ""})
    assert "say which column holds the address" in answer.content.decode()


def test_two_columns_of_people_are_refused_since_one_would_be_left_out_unseen(
    acme: Enterprise, officer: Client
) -> None:
    columns = bring(officer, acme, csv_of(ROW))["Location"]
    answer = officer.post(columns, SAID | {"holds-2": "person"})
    assert "both hold that" in answer.content.decode()
    assert OptOutFile.objects.get().state == OptOutFile.State.LOADED


def test_a_file_of_another_enterprise_is_not_there(acme: Enterprise, officer: Client) -> None:
    bring(officer, acme, csv_of(ROW))
    file = OptOutFile.objects.get()
    stranger = cast.browser_of(
        cast.somebody(Role.COMPLIANCE_OFFICER, enterprise=an_enterprise("Other"), name="other")
    )
    for part in ("", "columns/", "progress/", "rejects/"):
        assert stranger.get(f"{FILES}{file.pk}/{part}").status_code == 404
    assert stranger.post(f"{FILES}{file.pk}/resume/").status_code == 404
    assert "crm.csv" not in stranger.get(FILES).content.decode()


def test_one_that_failed_is_tried_again(acme: Enterprise, officer: Client) -> None:
    columns = bring(officer, acme, csv_of(ROW))["Location"]
    officer.post(columns, SAID)
    OptOutFile.objects.update(state=OptOutFile.State.FAILED, failure="CannotOpen")
    file = OptOutFile.objects.get()
    assert "CannotOpen" in officer.get(f"{FILES}{file.pk}/").content.decode()
    officer.post(f"{FILES}{file.pk}/resume/")
    assert worker.work_until_done(file.pk).new == 1
