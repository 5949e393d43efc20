"""Whoever seems to look at themselves, or at somebody of their surname, is asked once more; both are on record."""

from typing import Any

import pytest
from django.test import Client

from audit.models import AuditEvent
from audit.vocabulary import Action
from portal.models import User
from portal.reveals import nudges
from tests.tokens.api import cast as api_cast
from tokens.models import Enterprise, Mapping

WHY = {"reason": "complaint", "case": "CS-2026-0815"}
GO_ON = WHY | {"all_the_same": "on"}


def text(response: Any) -> str:
    return str(response.content.decode())


def acts(action: Action) -> list[AuditEvent]:
    return list(AuditEvent.objects.filter(action=action))


@pytest.fixture
def vera(acme: Enterprise) -> Mapping:
    """Somebody of olivia's surname, perhaps herself."""
    attributes = (("First Name", "Vera"), ("last_name", "de la Cruz"))
    return Mapping.objects.get(token=api_cast.a_person(acme, "vera@mail.example", "SUB-VERA", attributes))


@pytest.mark.parametrize(
    ("herself", "own"),
    [({"last_name": "De La Cruz"}, "surname"), ({"email": "Vera@mail.example"}, "record")],
)
def test_they_are_asked_once_more_before_anything_is_shown(
    olivia: Client, vera: Mapping, herself: dict[str, str], own: str
) -> None:
    User.objects.filter(username="olivia").update(**herself)
    address = f"/admin/people/{vera.pk}/reveal/"
    page = text(olivia.post(address, WHY))
    assert "I know, and go on" in page
    assert "vera@mail.example" not in page
    assert not acts(Action.REVEALED)
    [asked] = acts(Action.REVEAL_NUDGED)
    assert (asked.target_id, asked.details["own"]) == (str(vera.pk), own)
    assert "vera@mail.example" in text(olivia.post(address, GO_ON))
    [event] = acts(Action.REVEALED)
    assert event.details["own"] == own
    assert len(acts(Action.ALARM_OWN_RECORD)) == (own == "record")
    assert f"own {own}" in text(olivia.get("/admin/reveals/"))


@pytest.mark.parametrize(
    "herself", [{}, {"last_name": "Cruz"}, {"email": "olivia@acme.example"}, {"email": "@"}]
)
def test_nobody_else_is_asked(olivia: Client, vera: Mapping, herself: dict[str, str]) -> None:
    User.objects.filter(username="olivia").update(**herself)
    assert "vera@mail.example" in text(olivia.post(f"/admin/people/{vera.pk}/reveal/", WHY))
    assert "own" not in acts(Action.REVEALED)[0].details


def test_without_the_question_they_would_just_look(
    olivia: Client, vera: Mapping, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The known-bad twin."""
    User.objects.filter(username="olivia").update(last_name="de la Cruz")
    monkeypatch.setattr(nudges, "own", lambda subject, actor: "")
    assert "vera@mail.example" in text(olivia.post(f"/admin/people/{vera.pk}/reveal/", WHY))
