"""Resolve answers each request id once, with the clear value or with why not."""

import uuid

import pytest

from audit.models import AuditEvent, Outcome
from audit.vocabulary import Action
from tests.tokens.api.cast import BEN, CLO, MarketingCloud, a_caller, a_person, ask, entry_of
from tests.tokens.cast import an_enterprise
from tokens.models import BudgetUse, ContactMapping, Enterprise, Mapping
from tokens.models.mappings import State

UNKNOWN = "Invalid token; token does not exist."


def test_a_known_token_resolves_to_value_and_attributes(caller: MarketingCloud, ana: str) -> None:
    response = caller.resolve(ask(ana))
    assert response.status_code == 200, response.content
    assert response["Content-Type"] == "application/json"
    assert response["Cache-Control"] == "no-store"
    assert response.json() == {
        "resolvedTokens": [
            {
                "tokenRequestId": "r-1",
                "tokenValue": "ana@mail.example",
                "attributes": [
                    {"name": "FirstName", "value": "Ana"},
                    {"name": "Town", "value": "São Paulo"},
                ],
            }
        ],
        "unresolvedTokens": [],
    }


def test_a_contact_without_attributes_resolves_with_none(
    caller: MarketingCloud, enterprise: Enterprise
) -> None:
    token = a_person(enterprise, *BEN)
    assert caller.resolve(ask(token)).json()["resolvedTokens"][0]["attributes"] == []


def test_a_mobile_token_resolves_to_its_number(caller: MarketingCloud, enterprise: Enterprise) -> None:
    token = a_person(enterprise, *CLO)
    assert caller.resolve(ask(token)).json()["resolvedTokens"][0]["tokenValue"] == "447700900123"


def test_an_unknown_token_is_unresolved_beside_known_ones(caller: MarketingCloud, ana: str) -> None:
    response = caller.resolve(ask("nobody@tok.example", "r-1"), ask(ana, "r-2"), ask("999", "r-3"))
    said = response.json()
    assert [one["tokenRequestId"] for one in said["resolvedTokens"]] == ["r-2"]
    assert said["unresolvedTokens"] == [
        {"tokenRequestId": "r-1", "message": UNKNOWN},
        {"tokenRequestId": "r-3", "message": UNKNOWN},
    ]
    entry = entry_of(response)
    assert (entry.outcome, entry.items_asked, entry.items_answered) == (Outcome.PARTIAL, 3, 1)
    assert BudgetUse.objects.get(kind=BudgetUse.Kind.UNKNOWN_TOKENS).amount == 2


def test_the_same_token_under_many_ids_is_answered_for_each(caller: MarketingCloud, ana: str) -> None:
    ids = [f"r-{number}" for number in range(500)]
    said = caller.resolve(*(ask(ana, one) for one in ids)).json()
    assert [one["tokenRequestId"] for one in said["resolvedTokens"]] == ids


def test_the_same_item_twice_is_answered_once(caller: MarketingCloud, ana: str) -> None:
    response = caller.resolve(ask(ana), ask(ana))
    assert len(response.json()["resolvedTokens"]) == 1
    assert entry_of(response).anomalies == []


def test_the_first_of_two_different_tokens_with_one_id_wins(
    caller: MarketingCloud, enterprise: Enterprise, ana: str
) -> None:
    other = a_person(enterprise, *BEN)
    response = caller.resolve(ask(ana), ask(other))
    assert [one["tokenValue"] for one in response.json()["resolvedTokens"]] == ["ana@mail.example"]
    assert entry_of(response).anomalies == [[1, "repeated_id_differs"]]


@pytest.mark.parametrize("spoil", [str.upper, str.title, " {}".format, "{}\t".format, "\n{} ".format])
def test_case_and_blanks_that_changed_on_the_way_do_not_matter(
    caller: MarketingCloud, ana: str, spoil: object
) -> None:
    assert len(caller.resolve(ask(spoil(ana))).json()["resolvedTokens"]) == 1  # type: ignore[operator]


def test_an_empty_list_is_answered_with_empty_lists(caller: MarketingCloud) -> None:
    response = caller.resolve()
    assert (response.status_code, response.json()) == (200, {"resolvedTokens": [], "unresolvedTokens": []})
    assert entry_of(response).outcome == Outcome.COMPLETE


def test_unknown_fields_are_tolerated_and_optional_ones_may_be_missing(
    caller: MarketingCloud, ana: str
) -> None:
    body = {"tokens": [ask(ana, colour="red", subscriberKey=None)], "jobId": 7, "more": {"a": [1, {}]}}
    response = caller.post("/api/v1/tokens/resolve", body)
    assert (response.status_code, len(response.json()["resolvedTokens"])) == (200, 1)


def test_another_enterprises_token_is_unknown(caller: MarketingCloud) -> None:
    token = a_person(an_enterprise("Other"), *BEN)
    assert caller.resolve(ask(token)).json()["unresolvedTokens"][0]["message"] == UNKNOWN


def test_an_erased_value_is_unresolved(caller: MarketingCloud, ana: str) -> None:
    Mapping.objects.update(state=State.ERASED, value=None)
    response = caller.resolve(ask(ana))
    assert response.json()["unresolvedTokens"] == [
        {"tokenRequestId": "r-1", "message": "Retired token; its value was erased."}
    ]
    assert entry_of(response).links == [ContactMapping.objects.get().pk]


def test_a_superseded_mapping_still_resolves(caller: MarketingCloud, ana: str) -> None:
    Mapping.objects.update(state=State.SUPERSEDED)
    assert len(caller.resolve(ask(ana)).json()["resolvedTokens"]) == 1


def test_resolve_is_idempotent_but_every_call_is_logged(caller: MarketingCloud, ana: str) -> None:
    first, second = caller.resolve(ask(ana)), caller.resolve(ask(ana))
    assert first.content == second.content
    assert entry_of(first).pk != entry_of(second).pk


def test_the_entry_tells_the_facts(caller: MarketingCloud, ana: str) -> None:
    response = caller.resolve(
        ask(ana), headers={"User-Agent": "SFMC/1.0 (ops@mail.example 13175550101 +1 317-555-0101 a1)\0\t"}
    )
    entry = entry_of(response)
    assert entry.pk.version == 7
    assert entry.pk == uuid.UUID(response["X-Request-ID"])
    assert (entry.api, entry.status, entry.outcome, entry.error) == ("resolve", 200, Outcome.COMPLETE, "")
    assert (entry.client_id, entry.client_name) == (caller.client.client_id, "Marketing Cloud")
    assert entry.remote_address == "127.0.0.1"
    assert entry.user_agent == "SFMC/1.0 • • • a1)•"
    assert entry.response_bytes == len(response.content)
    assert entry.request_bytes > 0
    assert 0 < entry.duration_us < 10_000_000
    assert entry.links == [ContactMapping.objects.get().pk]


def test_a_request_id_of_the_caller_is_not_taken_over(caller: MarketingCloud, ana: str) -> None:
    theirs = str(uuid.uuid4())
    assert caller.resolve(ask(ana), headers={"X-Request-ID": theirs})["X-Request-ID"] != theirs


def test_a_clear_address_sent_as_a_token_is_unresolved_sealed_and_searchable(
    caller: MarketingCloud, ana: str
) -> None:
    response = caller.resolve(ask("Ana@mail.example"))
    assert response.json()["unresolvedTokens"][0]["message"] == UNKNOWN
    entry = entry_of(response)
    assert entry.anomalies == [[0, "clear_value_as_token"]]
    assert [bytes(index) for index in entry.blind_indexes] == [
        bytes(Mapping.objects.get().blind_index_1 or b"")
    ]
    assert entry.residue is not None


def test_a_mistyped_mobile_token_is_no_anomaly(caller: MarketingCloud) -> None:
    assert entry_of(caller.resolve(ask("441111111111111"))).anomalies == []


def test_asking_for_many_unknown_tokens_raises_one_alarm_an_hour(
    caller: MarketingCloud, settings: pytest.FixtureRequest
) -> None:
    settings.API_UNKNOWN_TOKENS_PER_HOUR = 3  # type: ignore[attr-defined]
    for _ in range(4):
        response = caller.resolve(ask("a@tok.example", "1"), ask("b@tok.example", "2"))
        assert response.status_code == 200
    assert AuditEvent.objects.filter(action=Action.ALARM_UNKNOWN_TOKENS).count() == 1


def test_two_clients_have_alarms_of_their_own(
    enterprise: Enterprise, caller: MarketingCloud, settings: pytest.FixtureRequest
) -> None:
    settings.API_UNKNOWN_TOKENS_PER_HOUR = 0  # type: ignore[attr-defined]
    for one in (caller, a_caller(enterprise, name="Second")):
        one.resolve(ask("a@tok.example"))
    assert AuditEvent.objects.filter(action=Action.ALARM_UNKNOWN_TOKENS).count() == 2
