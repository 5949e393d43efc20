"""The portal tells where an entry is sealed, and on every page that sealing has stopped."""

import datetime
import uuid
from typing import Any

import pytest
import time_machine
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from audit.models import AuditEvent, SealedLeaf
from audit.seals import status
from portal import sealing
from portal.roles import Role
from tests.audit.seals.cast import an_entry, an_event, as_superuser
from tests.conftest import OwnDatabase
from tests.portal.desk import cast

BANNER = "Evidence is not being sealed."
NOTHING_KEPT = dict.fromkeys(
    ("request_skeleton", "response_skeleton", "residue", "digest_key", "request_digest", "response_digest")
)


@pytest.fixture
def officer(own_database: OwnDatabase) -> Client:
    return cast.at_desk(Role.COMPLIANCE_OFFICER)


def page(browser: Client, path: str) -> str:
    response: Any = browser.get(path)
    assert response.status_code == 200
    return str(response.content.decode())


def test_an_entry_says_where_it_is_sealed(officer: Client) -> None:
    path = f"/admin/log/{an_entry(**NOTHING_KEPT)}/"
    assert "waits for its seal" in page(officer, path)
    sealing.seal()
    leaf = SealedLeaf.objects.get(kind=1)
    shown = page(officer, path)
    assert f"sealed as #{leaf.index} at " in shown
    assert "waits for its seal" not in shown


def test_the_seal_is_that_of_the_first_checkpoint_over_it(own_database: OwnDatabase) -> None:
    entry, event = an_entry(), an_event()
    sealing.seal()
    later = an_entry()
    sealing.seal()
    seals = status.seals_of(1, [entry, later, uuid.uuid4()])
    assert {one: (seal.index, seal.checkpoint) for one, seal in seals.items()} == {
        entry: (0, 0),
        later: (2, 1),
    }
    assert status.seals_of(1, [event]) == {}


def test_each_event_says_where_it_is_sealed(officer: Client) -> None:
    an_event()
    sealing.seal()
    an_event()
    with CaptureQueriesContext(connection) as queries:
        shown = page(officer, "/admin/events/")
    leaf = SealedLeaf.objects.get(
        entry_id=AuditEvent.objects.filter(action="client.changed").order_by("id")[0].pk
    )
    assert f"#{leaf.index}</span>" in shown
    assert "waits for its seal" in shown
    assert sum("audit_sealedleaf" in query["sql"] for query in queries) == 1


@pytest.mark.parametrize("path", ["/admin/", "/admin/events/", "/admin/log/"])
def test_every_page_warns_when_the_newest_seal_is_older_than_five_minutes(officer: Client, path: str) -> None:
    an_event()
    sealing.seal()
    assert BANNER not in page(officer, path)
    as_superuser("UPDATE audit_checkpoint SET at = at - interval '6 minutes'")
    with CaptureQueriesContext(connection) as queries:
        shown = page(officer, path)
    assert BANNER in shown
    assert "The newest seal is of" in shown
    assert sum("audit_checkpoint" in query["sql"] and "LATERAL" not in query["sql"] for query in queries) == 1


def test_who_is_not_signed_in_is_told_nothing(own_database: OwnDatabase) -> None:
    an_event()
    sealing.seal()
    as_superuser("UPDATE audit_checkpoint SET at = at - interval '6 minutes'")
    assert BANNER not in page(Client(), "/admin/login/")


def test_a_log_that_was_never_sealed_is_told_once_a_seal_is_due(officer: Client) -> None:
    an_event()
    assert status.late_since() is None
    with time_machine.travel(timezone.now() + datetime.timedelta(minutes=6)):
        assert status.lateness().startswith("nothing has been sealed yet")
        assert "Nothing has been sealed yet." in page(officer, "/admin/")


def test_readiness_tells_it_and_stays_ready(own_database: OwnDatabase) -> None:
    an_event()
    sealing.seal()
    as_superuser("UPDATE audit_checkpoint SET at = at - interval '6 minutes'")
    response: Any = Client().get("/readyz")
    assert (response.status_code, response.json()["status"]) == (200, "ready")
    assert "the newest checkpoint is of" in response.json()["warnings"]["seals"]
