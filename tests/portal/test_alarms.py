"""Alarms reach people: by e-mail and webhook, each at least once, whatever one channel does."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from django.core.management import call_command

from audit import trail
from audit.trail import SYSTEM, Target
from audit.vocabulary import Action
from portal import alarms, doctor
from portal.models import AlarmNotice
from tests.tokens.cast import an_enterprise
from tokens.models import Enterprise

pytestmark = pytest.mark.django_db


class Chat(ThreadingHTTPServer):
    """Something that takes webhooks: `heard` is what it was sent, `status` what it answers."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Ear)
        self.heard: list[dict[str, Any]] = []
        self.status = 200


class Ear(BaseHTTPRequestHandler):
    server: Chat

    def do_POST(self) -> None:
        self.server.heard.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(self.server.status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Quiet."""


@pytest.fixture
def chat(settings: Any) -> Iterator[Chat]:
    server = Chat()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    settings.ALARM_WEBHOOK = f"http://127.0.0.1:{server.server_address[1]}/"
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def _by_mail(settings: Any) -> None:
    settings.ALARM_EMAILS = ["officer@acme.example"]


def raised(enterprise: Enterprise, action: Action = Action.ALARM_OVERDUE) -> None:
    trail.record(
        action, actor=SYSTEM, enterprise_id=enterprise.pk, target=Target("unsubscribe", "7"), details={"n": 1}
    )


@pytest.mark.usefixtures("_by_mail")
def test_each_alarm_is_told_on_every_channel_once(chat: Chat, mailoutbox: list[Any]) -> None:
    raised(an_enterprise("Acme"))
    assert [alarms.tell() for _ in range(2)] == [2, 0]
    [heard], [mail] = chat.heard, mailoutbox
    assert "passed its due instant (Acme)" in heard["text"]
    assert heard["alarms"][0] | {"id": "", "at": ""} == {
        "id": "", "at": "", "action": "alarm.overdue", "says": "an unsubscribe passed its due instant",
        "enterprise": "Acme", "target": "unsubscribe 7", "details": {"n": 1},
    }  # fmt: skip
    assert "passed its due instant" in mail.subject
    assert "unsubscribe 7" in mail.body


def test_other_events_are_no_alarms(chat: Chat) -> None:
    raised(an_enterprise(), Action.SIGNED_IN)
    assert alarms.tell() == 0
    assert chat.heard == []


@pytest.mark.usefixtures("_by_mail")
def test_a_channel_that_fails_delays_nothing_but_itself(chat: Chat, mailoutbox: list[Any]) -> None:
    raised(an_enterprise())
    chat.status = 503
    assert alarms.tell() == 1
    assert len(mailoutbox) == 1
    chat.status = 200
    assert [alarms.tell() for _ in range(2)] == [1, 0]
    assert (len(chat.heard), len(mailoutbox)) == (2, 1)
    assert AlarmNotice.objects.count() == 2


def test_many_at_once_are_one_message(chat: Chat) -> None:
    acme = an_enterprise()
    for _ in range(3):
        raised(acme)
    assert alarms.tell() == 1
    assert len(chat.heard[0]["alarms"]) == 3


def test_thousands_of_overdue_ones_hide_no_other_alarm(chat: Chat) -> None:
    acme = an_enterprise("Acme")
    for _ in range(9):
        raised(acme)
    raised(acme, Action.ALARM_TAMPERING)
    assert [alarms.tell() for _ in range(2)] == [1, 0]
    says = [one["says"] for one in chat.heard[0]["alarms"]]
    assert says == ["an entry is not what was written", "9 unsubscribes passed their due instant"]


def test_a_test_says_how_each_channel_went(
    chat: Chat, settings: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    call_command("alarms")
    assert capsys.readouterr().out == "webhook: sent\n"
    chat.status = 500
    with pytest.raises(SystemExit):
        call_command("alarms")
    assert "webhook: failed" in capsys.readouterr().out
    settings.ALARM_WEBHOOK = ""
    with pytest.raises(SystemExit):
        call_command("alarms")
    assert "Nobody is told" in capsys.readouterr().err


def test_doctor_says_when_nobody_is_told(settings: Any) -> None:
    settings.PRODUCTION = True
    assert [one.level for one in doctor.alarms_reach_people()] == ["look"]
    settings.ALARM_EMAILS = ["officer@acme.example"]
    assert doctor.alarms_reach_people() == []
