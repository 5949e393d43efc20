"""What the client can ask Marketing Cloud to do, against the simulator."""

import pytest

from portal.simulator import Simulator
from portal.simulator.world import CHILD, EID, DataExtension
from tokens.marketing_cloud import MarketingCloud
from tokens.marketing_cloud.contacts import DeleteState
from tokens.marketing_cloud.data_extensions import RowStatus
from tokens.marketing_cloud.errors import CallRefused, ObjectRefused, TooMuch
from tokens.marketing_cloud.subscribers import Done, Status


@pytest.fixture
def people(simulator: Simulator) -> DataExtension:
    return simulator.world.extensions[EID, "people"]


def row(number: int, **values: str) -> tuple[dict[str, str], dict[str, str]]:
    return {"Id": str(number)}, values


def test_it_says_for_which_unit_it_acts_and_with_which_scopes(cloud: MarketingCloud) -> None:
    whom = cloud.whom()
    assert (whom.mid, whom.eid) == (EID, EID)
    assert "data_extensions_read" in whom.scopes


def test_rows_are_written_and_read_back_page_by_page(cloud: MarketingCloud) -> None:
    assert list(cloud.data_extensions.rows("People")) == []
    cloud.data_extensions.upsert("People", [row(number, City="Bonn") for number in range(5)])
    rows = list(cloud.data_extensions.rows("People", page_size=2))
    assert rows == [{"id": str(number), "city": "Bonn"} for number in range(5)]


def test_a_column_is_cleared_and_the_others_keep_their_values(
    cloud: MarketingCloud, people: DataExtension
) -> None:
    cloud.data_extensions.upsert("People", [row(1, City="Bonn"), row(2, City="Graz")])
    cloud.data_extensions.clear_column("People", [{"Id": "1"}], "City")
    assert people.rows == {("1",): {"Id": "1", "City": ""}, ("2",): {"Id": "2", "City": "Graz"}}


def test_a_bad_row_is_refused_with_its_number_for_the_reason(cloud: MarketingCloud) -> None:
    with pytest.raises(CallRefused, match="HTTP 400, error 10006") as refused:
        cloud.data_extensions.upsert("People", [row(1, Town="Secret Place")])
    assert "Secret" not in str(refused.value)
    assert refused.value.code == 10006


def test_more_rows_than_a_call_takes_are_refused_before_they_leave(cloud: MarketingCloud) -> None:
    with pytest.raises(TooMuch, match="at most 50 rows"):
        cloud.data_extensions.upsert("People", [row(number) for number in range(51)])


def test_many_rows_at_once_have_a_result_each(cloud: MarketingCloud, people: DataExtension) -> None:
    rows = [{"Id": str(number), "City": "Oslo"} for number in range(60)] + [{"City": "nowhere"}]
    request = cloud.data_extensions.upsert_later("People", rows)
    assert cloud.data_extensions.is_done(request)
    results = list(cloud.data_extensions.results(request))
    assert [one.status for one in results] == [RowStatus.OK] * 60 + [RowStatus.ERROR]
    assert len(people.rows) == 60


def test_someone_is_unsubscribed_and_already_unsubscribed_counts_as_done(
    cloud: MarketingCloud, simulator: Simulator
) -> None:
    keys = ["SUB-1", "SUB-2", "SUB-9"]
    assert cloud.subscribers.unsubscribe("SUB-1", reason="STOP") is Done.NOW
    assert cloud.subscribers.unsubscribe("SUB-1", reason="STOP") is Done.BEFORE
    assert simulator.world.subscribers["SUB-1"].unsubscribed == {EID: "STOP"}
    assert cloud.subscribers.statuses(keys) == {"SUB-1": Status.UNSUBSCRIBED, "SUB-2": Status.ACTIVE}
    with pytest.raises(ObjectRefused) as refused:
        cloud.subscribers.unsubscribe("SUB-9", reason="STOP")
    assert "SUB-9" not in str(refused.value)


def test_someone_is_unsubscribed_in_one_child_unit_only(cloud: MarketingCloud, simulator: Simulator) -> None:
    cloud.subscribers.unsubscribe("SUB-2", reason="STOP", mid=CHILD)
    assert simulator.world.subscribers["SUB-2"].unsubscribed == {CHILD: "STOP"}
    assert cloud.subscribers.statuses(["SUB-2"]) == {"SUB-2": Status.ACTIVE}


def test_a_status_is_set_by_update(cloud: MarketingCloud) -> None:
    cloud.subscribers.set_status("SUB-3", Status.UNSUBSCRIBED)
    assert cloud.subscribers.statuses(["SUB-3"]) == {"SUB-3": Status.UNSUBSCRIBED}
    with pytest.raises(ObjectRefused):
        cloud.subscribers.set_status("SUB-9", Status.UNSUBSCRIBED)


def test_statuses_of_many_come_in_several_calls(
    cloud: MarketingCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tokens.marketing_cloud.subscribers.KEYS_A_CALL", 2)
    monkeypatch.setattr("portal.simulator.soap.LARGEST_BATCH", 1)
    assert list(cloud.subscribers.statuses(["SUB-1", "SUB-2", "SUB-3"])) == ["SUB-1", "SUB-2", "SUB-3"]


def test_text_subscriptions_are_read_back_by_key_and_by_mobile_token(cloud: MarketingCloud) -> None:
    (by_key,) = cloud.contacts.sms_subscriptions(subscriber_keys=["SUB-1"])
    (by_token,) = cloud.contacts.sms_subscriptions(mobiles=["199991111222233"])
    assert by_key == by_token
    assert by_key.is_opted_in


def test_a_contact_is_deleted_and_its_state_polled(cloud: MarketingCloud) -> None:
    operation = cloud.contacts.delete(["SUB-1"])
    with pytest.raises(CallRefused):
        cloud.contacts.delete(["SUB-2"])
    assert cloud.contacts.delete_state(operation) is DeleteState.RUNNING
    assert cloud.contacts.delete_state(operation) is DeleteState.DONE
    assert cloud.subscribers.statuses(["SUB-1"]) == {}


def test_an_address_for_events_is_made_verified_and_subscribed(
    cloud: MarketingCloud, simulator: Simulator
) -> None:
    made = cloud.notifications.create_callback("portal", "http://127.0.0.1:9/nobody")
    key = simulator.world.callbacks[made.id].verification_key
    cloud.notifications.verify(made.id, key)
    assert [one.is_verified for one in cloud.notifications.callbacks()] == [True]
    cloud.notifications.subscribe(made.id, "unsubscribes", ["EngagementEvents.EmailUnsubscribe"])
    assert [one["callbackId"] for one in simulator.world.subscriptions.values()] == [made.id]
    assert cloud.notifications.subscriptions(made.id) == list(simulator.world.subscriptions)
    cloud.notifications.delete_callback(made.id)
    assert cloud.notifications.callbacks() == []
