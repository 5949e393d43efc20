"""A STOP that got no token, in a real browser: seen in the rescue window, lost, imported, decided, explained."""

from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from portal.roles import Role
from tests.browser.conftest import Visitor
from tests.browser.test_stories import at_desk, call
from tests.tokens.api import cast as api_cast
from tests.tokens.cast import an_enterprise
from tests.tokens.no_token_queue.cast import ANA, BEN, csv_of
from tokens.models import Enterprise, QueueMessage

pytestmark = pytest.mark.slow


@pytest.fixture
def acme(visitor: Visitor) -> Enterprise:
    return an_enterprise("Acme")


def test_a_message_without_a_token_is_watched_imported_decided_and_accounted_for(
    visitor: Visitor, acme: Enterprise, tmp_path: Path
) -> None:
    caller = api_cast.a_caller(acme)
    credentials = caller.client.client_id, caller.secret

    def asked(value: str, kind: str) -> list[Any]:
        item = {"tokenRequestId": "r-1", "tokenValue": value, "tokenType": kind, "privateCode": "46356"}
        status, answer = call(visitor.base, api_cast.GET, *credentials, {"tokenValues": [item]})
        assert status == 200
        return list(answer["tokens"])

    # Five tries in a wrong tokenType: the window counts them, and the chain is lost.
    for _ in range(4):
        assert asked(ANA, "Phone") == []
    page = at_desk(visitor, Role.COMPLIANCE_OFFICER, acme)
    page.get_by_role("link", name="Rescue window").click()
    row = page.get_by_role("region", name="Chains of tries").get_by_role("row").nth(1)
    assert "4 of 5" in row.inner_text()
    assert "4477•••••23" in row.inner_text()
    asked(ANA, "Phone")
    page.get_by_text("Nobody is waiting for a token").wait_for()  # the page asks for itself

    # The extract comes in: a keyword blocks, a polite one waits.
    now = f"{timezone.now():%m/%d/%Y %H:%M:%S}"
    file = tmp_path / "queue.csv"
    file.write_bytes(csv_of((ANA, "46356", "STOP", now), (BEN, "46356", "no more of this please, Jane", now)))
    page.get_by_role("link", name="No Token Queue").click()
    assert "No extract was ever imported" in page.inner_text("[role=alert]")
    page.get_by_role("link", name="Import an extract").click()
    page.get_by_label("Extract", exact=True).set_input_files(file)
    page.get_by_label("When Marketing Cloud wrote it").fill(f"{timezone.now():%Y-%m-%dT%H:%M}")
    visitor.press("Read the file")
    assert page.get_by_label("MobileNumber holds").input_value() == "number"
    page.get_by_label("Keep this as the recipe").fill("daily")
    visitor.press("Take the lines over")
    assert "2 lines: 2 new, 0 known, 1 blocked by a keyword." in page.inner_text("[role=status]")
    [token] = asked(ANA, "MobileNumber")
    status, answer = call(
        visitor.base,
        api_cast.RESOLVE,
        *credentials,
        {"tokens": [{"tokenRequestId": "r-1", "token": token["token"]}]},
    )
    assert (status, answer["resolvedTokens"]) == (200, [])

    # A person decides what no keyword says, in two clicks.
    assert "no more of this please •••" in page.inner_text("main")
    page.get_by_label("Choose the message of 4477•••••56").check()
    visitor.press("Opt out")
    assert "Recorded for 1 message." in page.inner_text("[role=status]")
    assert set(QueueMessage.objects.values_list("state", flat=True)) == {"blocked", "opt-out"}

    # What only one of the two books knows is named, and explained.
    page.get_by_role("link", name="Reconciliation").click()
    visitor.press("Reconcile now")
    assert "1 unexplained." in page.inner_text(".verdict")
    page.get_by_label("Why, for 4477•••••56").fill("INC-4711: the proxy was down")
    visitor.press("Explain")
    visitor.press("Reconcile now")
    assert "0 unexplained." in page.inner_text(".verdict")
    assert not [clear for clear in (ANA, BEN, "Jane") if clear in page.content()]
