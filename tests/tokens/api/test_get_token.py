"""Get Token answers every valid value with a token and a subscriber key, and leaves the others out."""

import pytest

from audit.models import AuditEvent, Outcome
from audit.vocabulary import Action
from tests.tokens.api.cast import MarketingCloud, ask, entry_of, want
from tokens.crypto.keyring import keyring
from tokens.formats.kinds import Kind
from tokens.models import BudgetUse, ContactMapping, Enterprise, Mapping
from tokens.models.mappings import State


def test_a_known_value_gets_its_token_and_the_primary_contacts_key(caller: MarketingCloud, ana: str) -> None:
    response = caller.get_token(want("ana@mail.example"))
    assert response.status_code == 200, response.content
    assert response.json() == {
        "tokens": [{"tokenRequestId": "r-1", "token": ana, "subscriberKey": "SUB-ANA"}]
    }


def test_a_value_in_another_spelling_gets_the_same_token(caller: MarketingCloud, ana: str) -> None:
    response = caller.get_token(want(" ANA@Mail.example "))
    assert response.json()["tokens"][0]["token"] == ana


def test_an_unknown_value_is_minted_with_the_same_shape(caller: MarketingCloud, ana: str) -> None:
    known = caller.get_token(want("ana@mail.example"))
    new = caller.get_token(want("new@mail.example"), want("+44 7700 900123", "r-2"))
    assert new.status_code == known.status_code == 200
    assert [set(token) for token in new.json()["tokens"]] == [set(known.json()["tokens"][0])] * 2
    again = caller.get_token(want("new@mail.example"), want("447700900123", "r-2"))
    assert again.json() == new.json()
    # What was minted resolves.
    number = caller.resolve(ask(new.json()["tokens"][1]["token"])).json()["resolvedTokens"][0]
    assert number["tokenValue"] == "447700900123"


def test_bad_items_are_left_out_and_the_reason_stands_in_the_log(caller: MarketingCloud, ana: str) -> None:
    response = caller.get_token(
        want("not an address", "bad-1", kind="Email"),
        want("ana@mail.example", "good"),
        want("ana@mail.example", "bad-2", kind="Pager"),
        want("12", "bad-3"),
        want("", "bad-4", kind="Email"),
    )
    assert [token["tokenRequestId"] for token in response.json()["tokens"]] == ["good"]
    entry = entry_of(response)
    assert entry.outcome == Outcome.PARTIAL
    assert (entry.items_asked, entry.items_answered) == (5, 1)
    assert {tuple(anomaly) for anomaly in entry.anomalies} == {
        (0, "email_syntax"),
        (2, "unknown_token_type"),
        (3, "phone_not_possible"),
        (4, "empty"),
    }


def test_a_token_gets_no_token_of_its_own(caller: MarketingCloud, ana: str) -> None:
    """It would be stored, and a later send would go to an address that nobody has."""
    before = Mapping.objects.count()
    response = caller.get_token(want(ana.upper()), want(f"nobody@{ana.partition('@')[2]}", "r-2"))
    assert response.json() == {"tokens": []}
    assert entry_of(response).anomalies == [[0, "token_as_clear_value"], [1, "token_as_clear_value"]]
    assert Mapping.objects.count() == before


def test_only_bad_items_answer_an_empty_list(caller: MarketingCloud) -> None:
    response = caller.get_token(want("nobody", kind="Email"))
    assert (response.status_code, response.json()) == (200, {"tokens": []})
    assert entry_of(response).outcome == Outcome.NONE


def test_the_first_of_two_different_values_with_one_id_wins(
    caller: MarketingCloud, enterprise: Enterprise, ana: str
) -> None:
    response = caller.get_token(want("ana@mail.example"), want("other@mail.example"))
    assert [token["token"] for token in response.json()["tokens"]] == [ana]
    entry = entry_of(response)
    assert entry.anomalies == [[1, "repeated_id_differs"]]
    # The other person got no token, and yet the log can be searched for the exchange.
    assert len(entry.blind_indexes) == 1
    assert not Mapping.objects.exclude(token=ana).exists()


def test_the_same_item_twice_is_answered_once(caller: MarketingCloud, ana: str) -> None:
    response = caller.get_token(want("ana@mail.example"), want("ana@mail.example"))
    assert len(response.json()["tokens"]) == 1
    assert entry_of(response).anomalies == []


def test_one_value_under_two_ids_is_answered_twice(caller: MarketingCloud, ana: str) -> None:
    response = caller.get_token(want("ana@mail.example", "a"), want("Ana@mail.example", "b"))
    assert [token["token"] for token in response.json()["tokens"]] == [ana, ana]


def test_an_erased_value_answers_its_retired_token_which_never_resolves(
    caller: MarketingCloud, ana: str
) -> None:
    Mapping.objects.update(state=State.ERASED, value=None)
    answer = caller.get_token(want("ana@mail.example")).json()
    assert answer["tokens"] == [{"tokenRequestId": "r-1", "token": ana, "subscriberKey": "SUB-ANA"}]
    assert caller.resolve(ask(ana)).json()["resolvedTokens"] == []


def test_above_the_budget_it_still_mints_and_raises_one_alarm_an_hour(caller: MarketingCloud) -> None:
    caller.client.mint_budget_per_day = 1
    caller.client.save()
    for number in range(3):
        response = caller.get_token(want(f"new{number}@mail.example"))
        assert len(response.json()["tokens"]) == 1
    assert BudgetUse.objects.filter(kind=BudgetUse.Kind.MINTED).count() == 3
    alarm = AuditEvent.objects.get(action=Action.ALARM_MINT_BUDGET)
    assert alarm.details == {"minted_today": 2, "budget": 1}
    assert alarm.target_id == caller.client.client_id


def test_a_known_value_spends_no_budget(caller: MarketingCloud, ana: str) -> None:
    caller.get_token(want("ana@mail.example"))
    assert not BudgetUse.objects.exists()


def test_the_entry_names_the_links_that_it_touched(caller: MarketingCloud, ana: str) -> None:
    response = caller.get_token(want("ana@mail.example"))
    assert entry_of(response).links == [ContactMapping.objects.get().pk]


def test_a_country_without_free_tokens_stops_only_its_own_numbers(
    caller: MarketingCloud, enterprise: Enterprise, ana: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tokens.formats.token_mobile import TokenSpaceExhausted
    from tokens.vault import mint

    def exhausted(*args: object, **kwargs: object) -> list[str]:
        raise TokenSpaceExhausted("44", 15)

    monkeypatch.setattr(mint, "draw_mobile_tokens", exhausted)
    response = caller.get_token(want("447700900123", "a"), want("ana@mail.example", "b"))
    assert [token["tokenRequestId"] for token in response.json()["tokens"]] == ["b"]
    assert entry_of(response).anomalies == [[0, "no_free_token"]]
    # Who got none is found all the same: everything that touched a person is.
    index = keyring(enterprise.pk).blind_index(Kind.MOBILE, "447700900123")
    assert list(map(bytes, entry_of(response).blind_indexes)) == [index]


@pytest.mark.parametrize("sent", ["ana@mail.example", "Ana@Mail.Example"])
def test_the_log_refers_to_the_mapping_only_where_it_stores_that_spelling(
    caller: MarketingCloud, ana: str, sent: str
) -> None:
    entry = entry_of(caller.get_token(want(sent)))
    assert (entry.residue is None) == (sent == "ana@mail.example")
