"""The authenticator of a trial: for users of the embedded database without one, never a way round."""

from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from audit.models import AuditEvent
from audit.vocabulary import Action
from portal import sample_data
from tests.portal.desk import cast
from tests.portal.factor import app_of

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _trial(tmp_path: Path, settings: Any) -> None:
    settings.STATE_DIR, settings.EMBEDDED, settings.PRODUCTION = tmp_path, True, False


def test_a_newcomer_signs_in_with_what_was_printed(capsys: pytest.CaptureFixture[str]) -> None:
    access = sample_data.create()
    browser = Client()
    for _ in range(2):  # the second time the app is there already, and its code is another one
        call_command("sample_code", "officer")
        code = capsys.readouterr().out.strip()
        fields = {"username": "officer", "password": access.passwords["officer"]}
        assert browser.post("/admin/login/", fields)["Location"] == "/admin/login/code/"
        assert browser.post("/admin/login/code/", {"code": code})["Location"] == "/admin/"
        assert browser.get("/admin/people/").status_code == 200
        browser.post("/admin/logout/")
    assert AuditEvent.objects.filter(action=Action.FACTOR_ADDED).count() == 1


@pytest.mark.parametrize(("name", "value"), [("EMBEDDED", False), ("PRODUCTION", True)])
def test_it_refuses_outside_a_trial(settings: Any, name: str, value: bool) -> None:
    sample_data.create()
    setattr(settings, name, value)
    with pytest.raises(CommandError, match="trials with the embedded database only"):
        call_command("sample_code", "officer")


def test_it_is_the_app_of_who_has_none_and_refuses_who_has_their_own(
    capsys: pytest.CaptureFixture[str],
) -> None:
    cast.a_user("second")
    for _ in range(2):
        call_command("sample_code", "second")
        assert len(capsys.readouterr().out.strip()) == 6
    app_of(cast.a_user("olivia"))
    with pytest.raises(CommandError, match="of their own"):
        call_command("sample_code", "olivia")
    with pytest.raises(CommandError, match="no user 'nobody'"):
        call_command("sample_code", "nobody")
