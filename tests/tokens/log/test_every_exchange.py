"""For any request and answer: the log gives back the exact bodies, and stores nothing clear in the open (issue: 4)."""

import gzip
import os
from typing import Any

import psycopg
import pytest
from django.utils import timezone
from hypothesis import HealthCheck, given, settings

from audit.models import PayloadEntry
from audit.trail import SYSTEM
from tests.conftest import OwnDatabase
from tests.tokens.api.cast import GET, RESOLVE, MarketingCloud, a_caller, a_person
from tests.tokens.cast import an_enterprise
from tests.tokens.log.strategies import Cast, Sent, requests
from tests.tokens.log.sweep import findings
from tokens.api import resolve
from tokens.consent.opt_outs import record_opt_out
from tokens.formats.kinds import Kind
from tokens.log.rebuild import Proof, rebuild
from tokens.models import ConsentEvent, Mapping
from tokens.models.mappings import State
from tokens.payload.skeleton import VERSION

EXAMPLES = int(os.environ.get("LOG_EXAMPLES", "150"))
NAME = "Canarina"
PEOPLE = {
    "active": ("canary-active@mail.example", "SUB-1"),
    "erased": ("canary-erased@mail.example", "SUB-2"),
    "opted out": ("canary-out@mail.example", "SUB-3"),
    "mobile": ("447700900123", "SUB-4"),
}
CLEAR = [
    *(value for value, _ in PEOPLE.values()),
    "canary-new@mail.example",
    "canary/slash@mail.example",
    "canary not an address",
    "13175550101",
    "+44 7700 900456",
]


@pytest.fixture
def marketing_cloud(own_database: OwnDatabase) -> MarketingCloud:
    return a_caller(an_enterprise())


@pytest.fixture
def people(marketing_cloud: MarketingCloud) -> Cast:
    """Somebody in each state that a mapping can be in."""
    enterprise = marketing_cloud.client.enterprise
    tokens = {
        state: a_person(enterprise, value, key, (("FirstName", NAME),))
        for state, (value, key) in PEOPLE.items()
    }
    Mapping.objects.filter(token=tokens["erased"]).update(state=State.ERASED, value=None)
    record_opt_out(
        enterprise,
        kind=Kind.EMAIL,
        raw_value=PEOPLE["opted out"][0],
        source=ConsentEvent.Source.OFFICER,
        source_id="case-1",
        occurred_at=timezone.now(),
        evidence=f"{PEOPLE['opted out'][0]} called",
        actor=SYSTEM,
    )
    return Cast(list(tokens.values()), [key for _, key in PEOPLE.values()], CLEAR)


def call(who: MarketingCloud, sent: Sent) -> Any:
    return who.post(RESOLVE if sent.api == "resolve" else GET, sent.wire, sent.headers)


def said(response: Any) -> bytes:
    content: bytes = response.content
    return gzip.decompress(content) if response.get("Content-Encoding") == "gzip" else content


def everything_stored(database: OwnDatabase) -> list[str]:
    with psycopg.connect(database.urls.owner) as connection:
        return findings(connection, [*CLEAR, NAME])


def test_bodies_come_back_and_nothing_clear_is_stored(
    own_database: OwnDatabase, marketing_cloud: MarketingCloud, people: Cast
) -> None:
    statuses: list[int] = []

    @settings(max_examples=EXAMPLES, suppress_health_check=list(HealthCheck))
    @given(requests(people))
    def exchange(sent: Sent) -> None:
        response = call(marketing_cloud, sent)
        statuses.append(response.status_code)
        assert response.status_code in (200, 400)
        entry = PayloadEntry.objects.get(pk=response["X-Request-ID"])
        rebuilt = rebuild(entry)
        assert (rebuilt.request.proof, rebuilt.response.proof) == (Proof.PROVEN, Proof.PROVEN)
        assert rebuilt.request.exact == sent.body
        assert rebuilt.response.exact == said(response)

    exchange()
    # The property is about both outcomes; a strategy that only ever fails would prove nothing.
    assert statuses.count(200) > EXAMPLES / 3
    assert statuses.count(400) > 5
    assert everything_stored(own_database) == []


def test_the_sweep_would_find_what_is_stored_in_the_open(
    own_database: OwnDatabase, marketing_cloud: MarketingCloud, people: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The twin without the defence: a log that keeps bodies as they came."""
    monkeypatch.setattr(resolve, "cut_resolve_request", lambda body, *args, **kwargs: VERSION + body)
    body = b'{"tokens":[{"tokenRequestId":"1","token":"\\u0063anary-active@mail.example"}]}'
    assert marketing_cloud.post(RESOLVE, body).status_code == 200
    assert everything_stored(own_database) == ["audit_payloadentry.request_skeleton"]


def test_the_sweep_would_find_a_clear_value_in_any_column(
    own_database: OwnDatabase, marketing_cloud: MarketingCloud, people: Cast
) -> None:
    marketing_cloud.client.name = "for CANARY-active@mail.example"
    marketing_cloud.client.save()
    assert everything_stored(own_database) == ["tokens_apiclient.name"]
