"""What Marketing Cloud sends us: a handshake that is waited for, signed events, and nothing else."""

import base64
import hashlib
import hmac
import json
from typing import Any

import pytest
import uuid_utils.compat
from django.db import Error, connection
from django.http import HttpResponse
from django.test import Client
from django.utils import timezone

from audit.models import Api, PayloadEntry, RefusalCount
from portal.simulator import notifications
from tests.tokens.cast import IVAN, an_enterprise
from tokens.connections import callbacks
from tokens.connections.verbs import create_connection
from tokens.crypto.fields import Clear
from tokens.log.rebuild import Proof, rebuild
from tokens.models import CloudEvent, Connection, Enterprise, EventCallback

PATH = "/api/v1/marketing-cloud/events"
KEY = "c2lnbmF0dXJlIGtleSBvZiB0aGUgdGVzdHM="
TOKEN = "k7q2@tok.example.net"

pytestmark = pytest.mark.django_db


@pytest.fixture
def acme() -> Enterprise:
    return an_enterprise()


@pytest.fixture
def acmes(acme: Enterprise) -> Connection:
    return create_connection(
        acme, name="Main package", subdomain="mc" + "x" * 26, client_id="c", client_secret="s", actor=IVAN
    )


def a_callback(of: Connection, key: str | None = KEY, **facts: Any) -> EventCallback:
    facts = {"callback_id": "cb-1", "verified_at": timezone.now(), **facts}
    return EventCallback.objects.create(
        id=uuid_utils.compat.uuid7(),
        enterprise=of.enterprise,
        connection=of,
        signature_key=Clear(key) if key else None,
        **facts,
    )


@pytest.fixture
def callback(acmes: Connection) -> EventCallback:
    return a_callback(acmes)


def event(acme: Enterprise, **facts: Any) -> dict[str, Any]:
    return {**notifications.unsubscribe_event(TOKEN, eid=acme.eid, at=1_790_000_000), **facts}


def send(said: Any, *, key: str = KEY, **headers: str) -> HttpResponse:
    body = said if isinstance(said, bytes) else json.dumps(said).encode()
    signed = base64.b64encode(hmac.new(key.encode(), body, hashlib.sha256).digest()).decode()
    headers = {"x-sfmc-ens-signature": signed, **headers}
    return Client().post(PATH, body, content_type="application/json", headers=headers)


def shake(callback_id: str, key: str = "v-1") -> HttpResponse:
    said = {"callbackId": callback_id, "verificationKey": key}
    return Client().post(PATH, json.dumps(said), content_type="application/json")


def test_signed_events_are_stored_sealed_with_their_log_entry(
    callback: EventCallback, acme: Enterprise
) -> None:
    body = json.dumps([event(acme), event(acme, compositeId="2")]).encode()
    answer = send(body)
    assert (answer.status_code, answer.content) == (204, b"")
    first, second = CloudEvent.objects.order_by("id")
    assert json.loads(first.event.open())["info"]["to"] == TOKEN
    assert (first.category, first.occurred_at.year) == ("EngagementEvents.EmailUnsubscribe", 2026)
    assert (first.worked_at, second.entry_id) == (None, first.entry_id)
    entry = PayloadEntry.objects.get(pk=answer["X-Request-ID"])
    assert (entry.api, entry.items_asked, entry.pk) == (Api.EVENTS, 2, first.entry_id)
    rebuilt = rebuild(entry).request
    assert (rebuilt.proof, rebuilt.exact) == (Proof.PROVEN, body)
    with connection.cursor() as cursor:
        for table in ("tokens_cloudevent", "audit_payloadentry"):
            cursor.execute(f"SELECT string_agg(t::text, '') FROM {table} t")
            rows = str(cursor.fetchone())
            assert TOKEN not in rows
            assert TOKEN.encode().hex() not in rows


def test_an_event_counts_once_however_often_and_in_whatever_company_it_comes(
    callback: EventCallback, acme: Enterprise
) -> None:
    send([event(acme)])
    answer = send([event(acme, compositeId="2"), event(acme), event(acme)])
    assert answer.status_code == 204
    assert CloudEvent.objects.count() == 2
    entry = PayloadEntry.objects.get(pk=answer["X-Request-ID"])
    assert entry.anomalies == [[1, "repeated_event"], [2, "repeated_event"]]


def test_the_known_bad_twin_of_de_duplication(callback: EventCallback, acme: Enterprise) -> None:
    """Two unsubscribes that differ in any of the three are two."""
    send(
        [
            event(acme),
            event(acme, timestampUTC=1),
            event(acme, compositeId="2"),
            event(acme, eventCategoryType="A.B"),
        ]
    )
    assert CloudEvent.objects.count() == 4


@pytest.mark.parametrize(
    "headers",
    [
        {"x-sfmc-ens-signature": ""},
        {"x-sfmc-ens-signature": "!!"},
        {"x-sfmc-ens-signature": base64.b64encode(b"x" * 32).decode()},
        {"x-sfmc-ens-signature": "A" * 100_000},
    ],
)
def test_a_forged_signature_is_refused_and_only_counted(
    callback: EventCallback, acme: Enterprise, headers: dict[str, str]
) -> None:
    answer = send([event(acme)], **headers)
    assert (answer.status_code, json.loads(answer.content)["error"]) == (401, "bad_signature")
    assert not CloudEvent.objects.exists()
    assert not PayloadEntry.objects.exists()
    assert RefusalCount.objects.get().api == Api.EVENTS


def test_a_body_that_was_altered_by_a_byte_is_refused(callback: EventCallback, acme: Enterprise) -> None:
    body = json.dumps([event(acme)]).encode()
    signed = base64.b64encode(hmac.new(KEY.encode(), body, hashlib.sha256).digest()).decode()
    assert send(body.replace(b"k7q2", b"k7q3"), **{"x-sfmc-ens-signature": signed}).status_code == 401
    assert send(body, **{"x-sfmc-ens-signature": signed}).status_code == 204


@pytest.mark.parametrize("facts", [{"key": None}, {"verified_at": None}, {"key": ""}])
def test_without_a_proven_key_nothing_is_taken(
    acmes: Connection, acme: Enterprise, facts: dict[str, Any]
) -> None:
    a_callback(acmes, **facts)
    assert send([event(acme)], key=KEY).status_code == 401
    assert send([event(acme)], key="").status_code == 401


def test_a_key_that_does_not_open_asks_marketing_cloud_to_come_again(
    callback: EventCallback, acmes: Connection, acme: Enterprise
) -> None:
    other = a_callback(acmes, key="another", callback_id="cb-2")
    EventCallback.objects.filter(pk=callback.pk).update(
        signature_key=other.signature_key
    )  # moved: it won't open
    assert send([event(acme)]).status_code == 503
    assert send([event(acme)], key="another").status_code == 204


def test_the_key_of_one_account_says_nothing_of_another(callback: EventCallback, acme: Enterprise) -> None:
    answer = send([event(acme), event(acme, eid=999)])
    assert (answer.status_code, "$[1].eid" in answer.content.decode()) == (400, True)
    assert not CloudEvent.objects.exists()
    entry = PayloadEntry.objects.get()  # who is proven is logged
    assert (entry.status, entry.enterprise_id) == (400, acme.pk)


@pytest.mark.parametrize(
    "body", [b"", b"{", b"{}", b"[1]", b"\xff", b'["' + b"[" * 5000, json.dumps([{}] * 5001).encode()]
)
def test_what_is_signed_but_holds_no_events_gets_a_clear_error(callback: EventCallback, body: bytes) -> None:
    answer = send(body)
    assert (answer.status_code, json.loads(answer.content)["error"]) == (400, "invalid_field")
    assert not CloudEvent.objects.exists()


@pytest.mark.parametrize(
    "odd",
    [
        {"timestampUTC": 10**30},
        {"timestampUTC": "soon"},
        {"timestampUTC": None},
        {"eventCategoryType": "who ana@mail.example"},
        {"eventCategoryType": "x" * 500},
        {"compositeId": {"a": 1}},
        {"info": "\x00\ud800"},
    ],
)
def test_an_odd_event_is_stored_once_all_the_same(
    callback: EventCallback, acme: Enterprise, odd: dict[str, Any]
) -> None:
    assert [send([event(acme, **odd)]).status_code for _ in range(2)] == [204, 204]
    stored = CloudEvent.objects.get()
    assert json.loads(stored.event.open()) == event(acme, **odd)
    assert "@" not in stored.category


def test_packed_or_undeclared_bodies_are_refused(callback: EventCallback, acme: Enterprise) -> None:
    assert send([event(acme)], **{"Content-Encoding": "gzip"}).status_code == 415
    assert Client().post(PATH, b"[]", content_type="text/plain").status_code == 415
    assert Client().get(PATH).status_code == 405
    assert send(b"[" + b" " * 1_048_577).status_code == 413


def test_what_cannot_be_logged_is_not_taken(
    callback: EventCallback, acme: Enterprise, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*args: object) -> None:
        raise Error

    monkeypatch.setattr("audit.payload_log.record", away)
    assert send([event(acme)]).status_code == 503
    assert not CloudEvent.objects.exists()


def test_a_handshake_that_is_waited_for_is_kept_sealed_and_not_logged_in_clear(acmes: Connection) -> None:
    row = a_callback(acmes, verified_at=None)
    assert shake("cb-1", "the-verification-key").status_code == 200
    row.refresh_from_db()
    assert json.loads(row.verification_key.open()) == {"cb-1": "the-verification-key"}
    entry = PayloadEntry.objects.get()
    assert (entry.status, entry.request_skeleton, entry.residue) == (200, None, None)


def test_a_handshake_that_is_signed_is_not_logged_in_clear_either(
    callback: EventCallback, acmes: Connection
) -> None:
    said = {"callbackId": "cb-1", "verificationKey": "the-verification-key"}
    assert send(said).status_code == 403  # it is proven already
    assert not PayloadEntry.objects.exists()
    a_callback(acmes, verified_at=None, callback_id="cb-2")
    assert send({**said, "callbackId": "cb-2"}).status_code == 200
    entry = PayloadEntry.objects.get()
    assert (entry.request_skeleton, entry.residue) == (None, None)


def test_a_handshake_may_be_faster_than_the_answer_that_names_its_callback(acmes: Connection) -> None:
    row = a_callback(acmes, key=None, verified_at=None, callback_id="")
    assert shake("cb-7").status_code == 200
    row.refresh_from_db()
    assert json.loads(row.verification_key.open()) == {"cb-7": "v-1"}


def test_nobody_fills_the_database_with_handshakes(
    acmes: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(callbacks, "MOST_CLAIMS", 5)
    a_callback(acmes, key=None, verified_at=None, callback_id="")
    answers = [shake(f"cb-{number}").status_code for number in range(9)]
    assert answers == [200] * 5 + [403] * 4


def test_junk_does_not_shut_out_the_handshake_of_a_callback_that_has_its_name(
    acmes: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(callbacks, "MOST_CLAIMS", 2)
    row = a_callback(acmes, verified_at=None, callback_id="")
    assert [shake(f"junk-{number}").status_code for number in range(3)] == [200, 200, 403]
    assert shake("cb-1").status_code == 403  # the known-bad twin: nobody can tell it from junk yet
    EventCallback.objects.filter(pk=row.pk).update(callback_id="cb-1")
    assert shake("cb-1", "the-key").status_code == 200
    row.refresh_from_db()
    assert json.loads(row.verification_key.open()) == {"cb-1": "the-key"}


def test_a_handshake_is_waited_for_ten_minutes(acmes: Connection) -> None:
    past = timezone.now() - callbacks.WAITS
    a_callback(acmes, key=None, verified_at=None, callback_id="", made_at=past)
    assert shake("cb-1").status_code == 403
    a_callback(acmes, verified_at=None, callback_id="cb-2", made_at=past)
    assert shake("cb-2").status_code == 200  # of a callback that Marketing Cloud named, at any time


def test_a_handshake_that_nobody_waits_for_is_refused(callback: EventCallback) -> None:
    for callback_id in ("cb-1", "unknown", "", "x" * 5000):
        answer = shake(callback_id)
        assert (answer.status_code, json.loads(answer.content)["error"]) == (403, "unexpected_handshake")
    assert Client().post(PATH, b"[]", content_type="application/json").status_code == 401
    assert not PayloadEntry.objects.exists()
