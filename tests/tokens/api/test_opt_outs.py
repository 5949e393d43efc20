"""An opt-out of the whole enterprise closes its channel from the next request on (decision 9)."""

import pytest
from django.utils import timezone

from audit.trail import SYSTEM
from tests.tokens.api.cast import ANA, MarketingCloud, a_caller, a_person, ask, entry_of, want
from tests.tokens.cast import let_through
from tokens.consent.opt_outs import record_opt_out
from tokens.formats.kinds import Kind
from tokens.models import ConsentEvent, Enterprise


@pytest.fixture
def opted_out(enterprise: Enterprise, ana: str) -> str:
    """Ana's e-mail token, after she opted out."""
    opt_out(enterprise, "ana@mail.example")
    return ana


def opt_out(enterprise: Enterprise, value: str, **scope: object) -> None:
    record_opt_out(
        enterprise,
        kind=Kind.EMAIL if "@" in value else Kind.MOBILE,
        raw_value=value,
        source=ConsentEvent.Source.OFFICER,
        source_id=f"case-{value}",
        occurred_at=timezone.now(),
        actor=SYSTEM,
        **scope,  # type: ignore[arg-type]
    )


def test_the_channel_is_closed_from_the_next_request_on(
    caller: MarketingCloud, enterprise: Enterprise, ana: str
) -> None:
    assert len(caller.resolve(ask(ana)).json()["resolvedTokens"]) == 1
    opt_out(enterprise, "ana@mail.example")
    response = caller.resolve(ask(ana))
    assert response.json() == {
        "resolvedTokens": [],
        "unresolvedTokens": [
            {"tokenRequestId": "r-1", "message": "Opted out; this channel is closed by the person."}
        ],
    }
    assert len(entry_of(response).links) == 1


def test_the_other_channel_of_the_person_stays_open(
    caller: MarketingCloud, enterprise: Enterprise, opted_out: str
) -> None:
    number = a_person(enterprise, "447700900123", ANA[1])
    said = caller.resolve(ask(opted_out, "email"), ask(number, "sms")).json()
    assert [one["tokenRequestId"] for one in said["resolvedTokens"]] == ["sms"]


def test_a_transactional_client_is_exempt(enterprise: Enterprise, opted_out: str) -> None:
    receipts = a_caller(enterprise, name="Receipts", transactional=True)
    assert len(receipts.resolve(ask(opted_out)).json()["resolvedTokens"]) == 1


def test_an_enterprise_may_leave_blocking_to_marketing_cloud(
    caller: MarketingCloud, enterprise: Enterprise, opted_out: str
) -> None:
    let_through(enterprise)
    assert len(caller.resolve(ask(opted_out)).json()["resolvedTokens"]) == 1


def test_a_narrower_opt_out_does_not_block_resolve(
    caller: MarketingCloud, enterprise: Enterprise, ana: str
) -> None:
    opt_out(enterprise, "ana@mail.example", scope=ConsentEvent.Scope.BUSINESS_UNIT, scope_id="7001")
    assert len(caller.resolve(ask(ana)).json()["resolvedTokens"]) == 1


def test_get_token_still_answers_so_that_a_stop_finds_its_token(
    caller: MarketingCloud, opted_out: str
) -> None:
    assert caller.get_token(want("ana@mail.example")).json()["tokens"][0]["token"] == opted_out


def test_an_opt_out_before_the_value_was_known_blocks_it_once_it_is(
    caller: MarketingCloud, enterprise: Enterprise
) -> None:
    opt_out(enterprise, "early@mail.example")
    token = a_person(enterprise, "early@mail.example", "SUB-EARLY")
    assert caller.resolve(ask(token)).json()["resolvedTokens"] == []
