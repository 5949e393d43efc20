"""`POST /api/v1/opt-outs`: other systems say who opted out; each counts once, and none is lost in silence."""

import datetime
from typing import Any

import pytest
from django.utils import timezone

from audit.models import Api, AuditEvent, Outcome
from tests.tokens.api.cast import ANA, CLO, OPT_OUTS, MarketingCloud, a_caller, a_person, ask, entry_of
from tokens.consent.source_ids import source_ids
from tokens.crypto import key_making, keyring
from tokens.crypto.keyset import DataKey, Purpose
from tokens.formats.kinds import Kind
from tokens.models import ConsentEvent, Enterprise, Suppression, Unsubscribe
from tokens.models.clients import Scope
from tokens.vault import find


@pytest.fixture
def crm(enterprise: Enterprise) -> MarketingCloud:
    return a_caller(enterprise, name="CRM", scopes=[Scope.OPT_OUT])


def gone(value: str = ANA[0], number: str = "1", **more: Any) -> dict[str, Any]:
    kind = "Email" if "@" in value else "MobileNumber"
    at = "2024-11-20T09:30:00Z"
    return {"optOutId": number, "value": value, "valueType": kind, "occurredAt": at} | more


def record(crm: MarketingCloud, *items: dict[str, Any]) -> Any:
    return crm.post(OPT_OUTS, {"optOuts": list(items)})


def states(response: Any) -> list[str]:
    return [one.get("reason", one["state"]) for one in response.json()["optOuts"]]


def test_the_person_is_blocked_from_then_on_and_the_clock_began_when_they_asked(
    crm: MarketingCloud, caller: MarketingCloud, ana: str, enterprise: Enterprise
) -> None:
    number = a_person(enterprise, CLO[0], CLO[1])
    response = record(crm, gone(law="can-spam", evidence="Told the shop."), gone(CLO[0], "2"))
    assert (response.status_code, states(response)) == (200, ["new", "new"])
    assert caller.resolve(ask(ana), ask(number, "r-2")).json()["resolvedTokens"] == []
    first = ConsentEvent.objects.get(kind=Kind.EMAIL)
    assert first.evidence.open() == "Told the shop."
    assert (first.source, first.actor_name, first.law) == (ConsentEvent.Source.API, "CRM", "can-spam")
    asked = datetime.datetime(2024, 11, 20, 9, 30, tzinfo=datetime.UTC)
    assert Unsubscribe.objects.get(event=first).asked_at == first.occurred_at == asked
    assert AuditEvent.objects.filter(action="consent.opted-out", actor_name="CRM").count() == 2


def test_what_comes_again_is_known_and_an_id_for_somebody_else_is_refused(crm: MarketingCloud) -> None:
    assert states(record(crm, gone(), gone())) == ["new", "known"]
    assert states(record(crm, gone(), gone("ben@mail.example"))) == ["known", "id_reused"]
    assert ConsentEvent.objects.count() == 1


def test_the_parent_unit_stands_for_the_whole_enterprise(crm: MarketingCloud, enterprise: Enterprise) -> None:
    assert states(record(crm, gone(businessUnit=enterprise.eid))) == ["new"]
    assert ConsentEvent.objects.get().scope == ConsentEvent.Scope.ENTERPRISE
    assert Suppression.objects.filter(enterprise=enterprise).exists()
    assert states(record(crm, gone(businessUnit=enterprise.eid))) == ["known"]


def test_ids_are_each_clients_own(crm: MarketingCloud, enterprise: Enterprise) -> None:
    shop = a_caller(enterprise, name="Shop", scopes=[Scope.OPT_OUT])
    assert states(record(crm, gone())) == states(record(shop, gone("ben@mail.example"))) == ["new"]


def test_an_id_is_known_after_the_key_of_its_digest_was_replaced(
    crm: MarketingCloud, enterprise: Enterprise
) -> None:
    record(crm, gone())
    DataKey.objects.filter(enterprise=enterprise, purpose=Purpose.LOG_DIGEST).update(is_primary=False)
    key_making.make_key(enterprise.pk, Purpose.LOG_DIGEST)
    keyring.keyring(enterprise.pk).refresh(force=True)
    assert states(record(crm, gone(), gone("ben@mail.example", "2"))) == ["known", "new"]
    named = [(crm.client.client_id, "1"), (crm.client.client_id, "2")]
    ids = source_ids(enterprise, ConsentEvent.Source.API, named)
    assert set(ids) == set(ConsentEvent.objects.values_list("source_id", flat=True))


def test_a_token_names_its_person(crm: MarketingCloud, caller: MarketingCloud, ana: str) -> None:
    assert states(record(crm, gone(ana.upper()))) == ["new"]
    assert caller.resolve(ask(ana)).json()["resolvedTokens"] == []


def test_what_is_wrong_with_one_is_named_and_stops_no_other(
    crm: MarketingCloud, enterprise: Enterprise
) -> None:
    tomorrow = (timezone.now() + datetime.timedelta(days=1)).isoformat()
    items = [
        gone("nobody", "1", valueType="Email"),
        gone("ana@mail.example", "2", valueType="Pigeon"),
        gone("ana@mail.example", "3", occurredAt=tomorrow),
        gone("ana@mail.example", "4", occurredAt="0001-01-01T00:00:00+14:00"),
        gone("ana@mail.example", "5", law="murphy"),
        gone("ana@mail.example", "6", businessUnit="1", shortCode="2"),
        gone(
            "ana@mail.example", "9", businessUnit=" "
        ),  # no unit that Marketing Cloud knows, and no enterprise
        gone("ana@mail.example", "10", shortCode="46356 "),
        gone(f"x@{enterprise.token_domain}", "7"),
        gone("ana@mail.example", "8", businessUnit="500000002"),
    ]
    response = record(crm, *items)
    assert states(response) == [
        "email_syntax", "unknown_value_type", "occurred_in_future", "occurred_too_early", "unknown_law",
        "scope_unclear", "scope_unclear", "scope_unclear", "unknown_token", "new",
    ]  # fmt: skip
    told = response.json()["optOuts"]
    assert all(one["message"] for one in told[:9])
    assert "ana" not in str(told)
    assert ConsentEvent.objects.get().scope_id == "500000002"


@pytest.mark.parametrize(
    "wrong",
    [{"occurredAt": "2024-11-20"}, {"occurredAt": "2024-11-20T09:30:00"}, {"optOutId": ""}, {"value": None}],
)
def test_what_is_not_the_contract_is_refused_whole(crm: MarketingCloud, wrong: dict[str, Any]) -> None:
    response = record(crm, gone("ben@mail.example", "0"), gone() | wrong)
    assert (response.status_code, response.json()["error"]) == (400, "invalid_field")
    assert "$.optOuts[1]" in response.json()["message"] or "optOuts[...]" in response.json()["message"]
    assert not ConsentEvent.objects.exists()


def test_it_takes_a_scope_of_its_own_that_marketing_clouds_client_has_not(caller: MarketingCloud) -> None:
    response = record(caller, gone())
    assert (response.status_code, response.json()["error"]) == (403, "insufficient_scope")


def test_too_many_are_refused(crm: MarketingCloud) -> None:
    assert record(crm, *[gone(number=str(n)) for n in range(501)]).json()["error"] == "too_many_items"


def test_the_log_holds_the_exchange_sealed_and_finds_it_by_its_person(
    crm: MarketingCloud, enterprise: Enterprise
) -> None:
    response = record(crm, gone(), gone("nobody", "ben@mail.example"))
    entry = entry_of(response)
    assert (entry.api, entry.outcome, entry.items_asked, entry.items_answered) == (
        Api.OPT_OUTS,
        Outcome.PARTIAL,
        2,
        1,
    )
    stored = bytes(entry.request_skeleton) + bytes(entry.response_skeleton) + bytes(entry.residue)
    assert b"mail" not in stored
    assert [
        one.pk for one in find.exchanges_of(enterprise, find.by_value(enterprise, Kind.EMAIL, ANA[0]))
    ] == [entry.pk]


def test_no_log_no_opt_out_and_no_answer(crm: MarketingCloud, monkeypatch: pytest.MonkeyPatch) -> None:
    from django.db import OperationalError

    def full(_: object) -> None:
        raise OperationalError("no space left")

    monkeypatch.setattr("audit.payload_log.record", full)
    assert record(crm, gone()).status_code == 503
    assert not ConsentEvent.objects.exists()
    monkeypatch.undo()
    assert states(record(crm, gone())) == ["new"]


def test_five_hundred_cost_as_many_statements_as_one(crm: MarketingCloud) -> None:
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    record(crm, gone("first@mail.example", "first"))
    counts = []
    for size in (1, 500):
        with CaptureQueriesContext(connection) as queries:
            assert (
                record(
                    crm, *[gone(f"p{size}-{n}@mail.example", f"{size}-{n}") for n in range(size)]
                ).status_code
                == 200
            )
        counts.append(len(queries))
    assert counts[0] == counts[1] <= 18
