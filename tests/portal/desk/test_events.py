"""The event trail at the desk: read-only, filtered, within one's enterprises."""

import html
import re
import uuid
from typing import Any

import pytest
import uuid_utils.compat
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from audit import trail
from audit.models import AuditEvent
from audit.seals.rows import UNREADABLE
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


# -- planted ------------------------------------------------------------------------------------------------
PLANTED = {
    "a time without end": "'infinity' AS at",
    "a time before all": "'4000-01-01 BC' AS at",
    "details that are a list": "'[1]'::jsonb AS details",
    "details without end": "(repeat('[', 5000) || repeat(']', 5000))::jsonb AS details",
}


def plant(action: Action, bent: str) -> uuid.UUID:
    """A copy of the event of that act as the app's role could insert it, with one column bent; its id."""
    planted = uuid_utils.compat.uuid7()
    changed = {"id": f"'{planted}'::uuid AS id", bent.rpartition(" ")[2]: bent}
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT column_name FROM information_schema.columns WHERE table_name = 'audit_auditevent'"
        )
        names = [name for (name,) in cursor.fetchall()]
        values = ", ".join(changed.get(name, name) for name in names)
        cursor.execute(
            f"INSERT INTO audit_auditevent ({', '.join(names)}) SELECT {values} FROM audit_auditevent"
            " WHERE action = %s",
            [action.value],
        )
    return planted


@pytest.mark.parametrize("bent", PLANTED.values(), ids=PLANTED)
def test_a_planted_event_is_told_as_such_and_hides_none_beside_it(
    aaron: Client, acme: Enterprise, bent: str
) -> None:
    did(Action.CLIENT_SWITCHED_OFF, acme)
    planted = plant(Action.CLIENT_SWITCHED_OFF, bent)
    did(Action.CLIENT_SWITCHED_ON, acme)
    page = text(aaron.get(EVENTS))
    assert "can't be read" in page
    assert str(planted) in page
    assert "switched an API client off" in page.split("<tbody>")[1]
    assert "switched an API client on" in page.split("<tbody>")[1]


def test_a_planted_reveal_does_not_end_the_ledger(aaron: Client, acme: Enterprise) -> None:
    did(
        Action.REVEALED, acme, details={"field": "value", "masked": "x", "reason": "complaint", "case": "C-1"}
    )
    planted = plant(Action.REVEALED, PLANTED["a time without end"])
    page = text(aaron.get("/admin/reveals/"))
    assert str(planted) in page
    assert "The person complains or asks" in page.split("<tbody>")[-1]


def test_read_as_any_other_it_would_end_the_page(acme: Enterprise) -> None:
    """The known-bad twin."""
    did(Action.CLIENT_SWITCHED_OFF, acme)
    plant(Action.CLIENT_SWITCHED_OFF, PLANTED["a time without end"])
    with pytest.raises(UNREADABLE):
        list(AuditEvent.objects.all())
