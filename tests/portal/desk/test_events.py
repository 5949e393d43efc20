"""The event trail at the desk: read-only, filtered, within one's enterprises."""

import html
import re
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from audit import trail
from audit.trail import Actor, Target
from audit.vocabulary import Action
from portal.roles import Role
from tests.portal.desk import cast
from tokens.models import Enterprise

EVENTS = "/admin/events/"
DORA = Actor("user:9", "dora", "198.51.100.7")


def text(response: Any) -> str:
    return html.unescape(response.content.decode())


def rows(browser: Client, query: str = "") -> list[str]:
    """What was done, newest first."""
    return re.findall(r'data-label="Did what"[^>]*>(.*?)</td>', text(browser.get(EVENTS + query)), re.DOTALL)


def did(action: Action, enterprise: Enterprise | None, **facts: Any) -> None:
    trail.record(action, actor=DORA, enterprise_id=enterprise.pk if enterprise else None, **facts)


def test_one_sees_the_events_of_ones_enterprises_only(
    aaron: Client, acme: Enterprise, rival: Enterprise
) -> None:
    did(Action.CLIENT_SWITCHED_OFF, acme)
    did(Action.CLIENT_SWITCHED_ON, rival)
    did(Action.SIGNED_OUT, None)
    page = text(aaron.get(EVENTS))
    assert "switched an API client off" in page
    assert "switched an API client on" not in page.split("<tbody>")[1]
    assert "signed out" not in page.split("<tbody>")[1]


def test_a_role_everywhere_sees_sign_ins_too(acme: Enterprise) -> None:
    did(Action.SIGN_IN_FAILED, None)
    assert "sign-in failed" in rows(cast.at_desk(Role.AUDITOR))


@pytest.mark.parametrize(
    ("query", "kept"),
    [
        ("?action=client.switched-off", 1),
        ("?action=client", 2),
        ("?action=alarm", 1),
        ("?actor=dora", 4),
        ("?actor=nobody", 0),
        ("?target=c-1", 1),
        ("?within=24h&action=client", 2),
    ],
)
def test_each_filter_keeps_what_matches(aaron: Client, acme: Enterprise, query: str, kept: int) -> None:
    did(Action.CLIENT_SWITCHED_OFF, acme, target=Target("client", "c-1", "Journeys"))
    did(Action.CLIENT_SWITCHED_ON, acme)
    did(Action.ALARM_CANNOT_OPEN, acme)
    did(Action.OPTED_OUT, acme)
    assert len(rows(aaron, query)) == kept


def test_details_are_pairs_and_changes_have_an_arrow(aaron: Client, acme: Enterprise) -> None:
    did(
        Action.CLIENT_CHANGED,
        acme,
        details={"name": ["Old", "New"], "transactional": [False, True], "scopes": ["a", "b"]},
    )
    page = re.sub(r"<[^>]+>", "", text(aaron.get(EVENTS)))
    assert "no → yes" in page
    assert "name" in page


def test_events_lead_to_what_they_speak_of(aaron: Client, acme: Enterprise) -> None:
    did(Action.ENTERPRISE_CHANGED, acme, target=Target("enterprise", str(acme.pk), "Acme"))
    did(Action.ENTRY_VIEWED, acme, target=Target("entry", "not-an-id-of-today", "Resolve"))
    page = text(aaron.get(EVENTS))
    assert f'href="/admin/enterprises/{acme.pk}/"' in page
    assert "not-an-id-of-today" not in page


def test_what_somebody_wrote_is_shown_as_text(aaron: Client, acme: Enterprise) -> None:
    did(Action.CLIENT_CHANGED, acme, target=Target("client", "c", "<b>bold</b>"), details={"<i>": "<script>"})
    page = aaron.get(EVENTS).content.decode()
    assert "<b>bold" not in page
    assert "<script>" not in page.split("<tbody>")[1]


def test_many_events_cost_as_many_queries_as_one_and_none_counts_or_skips(
    aaron: Client, acme: Enterprise
) -> None:
    did(Action.OPTED_OUT, acme)
    with CaptureQueriesContext(connection) as few:
        rows(aaron)
    for _ in range(300):
        did(Action.OPTED_OUT, acme)
    with CaptureQueriesContext(connection) as many:
        assert len(rows(aaron)) == 50
    assert len(many) == len(few) <= 13
    assert not re.search(r"COUNT\(|OFFSET", " ".join(query["sql"] for query in many))


def test_an_empty_trail_says_so(aaron: Client, acme: Enterprise) -> None:
    page = text(aaron.get(EVENTS + "?actor=nobody"))
    assert "No event matches" in page
