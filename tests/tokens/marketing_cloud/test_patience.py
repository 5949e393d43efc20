"""What is tried again, what is not, and what is said when patience ends."""

import time

import pytest

from portal.simulator import Simulator
from portal.simulator.world import EID
from tokens.marketing_cloud import Exchange, MarketingCloud
from tokens.marketing_cloud.errors import (
    Interrupted,
    ServerFailed,
    TooManyCalls,
    UnreadableAnswer,
)

ROW = [({"Id": "1"}, {"City": "Bonn"})]


def calls(simulator: Simulator, path: str) -> int:
    return sum(path in call["path"].lower() for call in simulator.world.journal)


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_failure_that_passes_is_not_noticed(
    simulator: Simulator, cloud: MarketingCloud, status: int
) -> None:
    simulator.faults.plan(kind="status", status=status, path="rowset", times=2)
    cloud.data_extensions.upsert("People", ROW)
    assert calls(simulator, "rowset") == 3


def test_a_wait_that_is_asked_for_is_waited(simulator: Simulator, cloud: MarketingCloud) -> None:
    simulator.faults.plan(kind="status", status=429, path="rowset", retry_after=1)
    began = time.monotonic()
    cloud.data_extensions.upsert("People", ROW)
    assert time.monotonic() - began >= 1


def test_a_long_wait_is_the_callers_and_named(simulator: Simulator, cloud: MarketingCloud) -> None:
    simulator.faults.plan(kind="status", status=429, path="rowset", retry_after=120, times=9)
    with pytest.raises(TooManyCalls, match="in 120 s") as refused:
        cloud.data_extensions.upsert("People", ROW)
    assert refused.value.retry_after == 120
    assert calls(simulator, "rowset") == 1


def test_soap_throttles_with_a_fault_and_is_tried_again(simulator: Simulator, cloud: MarketingCloud) -> None:
    simulator.faults.plan(kind="status", status=500, path="service.asmx")
    assert cloud.subscribers.unsubscribe("SUB-1", reason="STOP")
    simulator.faults.plan(kind="status", status=500, path="service.asmx", times=9)
    with pytest.raises(ServerFailed, match="SOAP Retrieve"):
        cloud.subscribers.statuses(["SUB-1"])


def test_patience_ends_and_every_try_was_told(
    simulator: Simulator, cloud: MarketingCloud, told: list[Exchange]
) -> None:
    simulator.faults.plan(kind="status", status=500, path="rowset", times=9)
    with pytest.raises(ServerFailed, match="HTTP 500"):
        cloud.data_extensions.upsert("People", ROW)
    assert [one.status for one in told] == [200, 500, 500, 500]


def test_a_lost_answer_is_asked_for_again_where_that_changes_nothing(
    simulator: Simulator, cloud: MarketingCloud, told: list[Exchange]
) -> None:
    simulator.faults.plan(kind="reset-after", path="service.asmx")
    cloud.subscribers.unsubscribe("SUB-1", reason="STOP")
    assert simulator.world.subscribers["SUB-1"].unsubscribed == {EID: "STOP"}
    assert [(one.status, one.error) for one in told] == [(200, ""), (0, "Interrupted"), (200, "")]


def test_a_lost_answer_to_a_contact_delete_is_the_callers(
    simulator: Simulator, cloud: MarketingCloud
) -> None:
    simulator.faults.plan(kind="reset-after", path="actions/delete")
    with pytest.raises(Interrupted, match="not known"):
        cloud.contacts.delete(["SUB-1"])
    assert len(simulator.world.deletions) == 1


def test_half_an_upsert_is_completed(simulator: Simulator, cloud: MarketingCloud) -> None:
    simulator.faults.plan(kind="half", path="rowset", rows=1)
    cloud.data_extensions.upsert("People", [({"Id": str(number)}, {}) for number in range(3)])
    assert len(simulator.world.extensions[EID, "people"].rows) == 3


def test_an_answer_of_somebody_else_is_named(cloud: MarketingCloud) -> None:
    with pytest.raises(UnreadableAnswer, match="proxy"):
        cloud.caller.rest("rows", "GET", "/etframework.wsdl", scope="")  # answered in XML
