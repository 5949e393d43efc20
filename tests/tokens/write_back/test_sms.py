"""Text-message opt-outs are handed over as a file, and proven by reading back (P10)."""

import csv
import datetime
import io
from typing import Any

import httpx2
import pytest
from django.db import connection as database
from django.utils import timezone

from audit.approvals import acts
from audit.models import Api, AuditEvent, PayloadEntry
from audit.vocabulary import Action
from portal.simulator import Simulator
from portal.simulator.world import SmsSubscription
from tests.tokens.cast import ANAS_PHONE, BORIS_PHONE, OLGA, an_enterprise, mobile
from tokens.consent import opt_ins, unsubscribes
from tokens.consent.opt_outs import record_opt_out
from tokens.errors import NothingToHandOver, SmsFileGone, SmsFileOvertaken
from tokens.formats.kinds import Kind
from tokens.models import Connection, ConsentEvent, Enterprise, SmsFile, Unsubscribe, WriteBack
from tokens.vault import contacts, mint
from tokens.vault.contacts import Person
from tokens.write_back import sms_files, worker

pytestmark = pytest.mark.django_db
State, Proof = Unsubscribe.State, Unsubscribe.Proof


@pytest.fixture(autouse=True)
def _in_use(connection: Connection) -> None:
    Connection.objects.update(in_use_since=timezone.now())


def texting(enterprise: Enterprise, simulator: Simulator, number: str, key: str, *codes: str) -> str:
    """The token of somebody who gets text messages of these codes."""
    [held] = mint.get_or_create(enterprise, [mobile(number)])
    [made] = contacts.upsert(enterprise, [Person(key, None)])
    contacts.link(enterprise, [(held.mapping_id, made.contact_id)])
    simulator.world.sms += [SmsSubscription(held.token, key, short_code=code) for code in codes]
    return held.token


def opted_out(enterprise: Enterprise, number: str, **changes: Any) -> Unsubscribe:
    said: dict[str, Any] = {
        "kind": Kind.MOBILE, "raw_value": number, "source": ConsentEvent.Source.OFFICER, "source_id": number,
        "occurred_at": timezone.now(), "actor": OLGA,
    }  # fmt: skip
    return Unsubscribe.objects.get(event=record_opt_out(enterprise, **(said | changes)))


def now(row: Unsubscribe) -> Unsubscribe:
    return Unsubscribe.objects.get(pk=row.pk)


def handed_over(enterprise: Enterprise) -> bytes:
    return sms_files.take(sms_files.make(enterprise, actor=OLGA), actor=OLGA)


def look_again() -> None:
    WriteBack.objects.update(next_try_at=timezone.now() - datetime.timedelta(hours=1))
    worker.work(seconds=60)


def imported(simulator: Simulator, content: bytes) -> None:
    """As somebody imports it by hand."""
    assert httpx2.post(f"{simulator.origin}/simulator/sms-import", content=content).json()["rows"] > 0


def test_a_file_is_taken_imported_and_read_back_and_that_closes_it(
    acme: Enterprise, simulator: Simulator
) -> None:
    token = texting(acme, simulator, ANAS_PHONE, "ANA", "46356", "98765")
    row = opted_out(acme, ANAS_PHONE)
    content = handed_over(acme)
    [line] = csv.DictReader(io.StringIO(content.decode()))
    assert (line["SubscriberKey"], line["MobileNumber"], line["ShortCode"]) == ("ANA", token, "")
    assert ANAS_PHONE not in content.decode()
    look_again()  # nobody has imported it yet
    assert (now(row).state, now(row).proof) == (State.BLOCKED, Proof.NONE)
    assert WriteBack.objects.get(pk=row.pk).trouble == "StillSubscribed"
    imported(simulator, content)
    assert not any(one.opted_in for one in simulator.world.sms if one.key == "ANA")
    look_again()
    assert (now(row).state, now(row).proof) == (State.CLOSED, Proof.READ_BACK)
    assert PayloadEntry.objects.filter(api=Api.CLOUD_REST).exists()


def test_one_code_is_ended_and_the_other_left(acme: Enterprise, simulator: Simulator) -> None:
    texting(acme, simulator, ANAS_PHONE, "ANA", "46356", "98765")
    row = opted_out(acme, ANAS_PHONE, scope=ConsentEvent.Scope.SHORT_CODE, scope_id="46356")
    imported(simulator, handed_over(acme))
    assert {one.short_code: one.opted_in for one in simulator.world.sms if one.key == "ANA"} == {
        "46356": False, "98765": True,
    }  # fmt: skip
    look_again()
    assert now(row).state == State.CLOSED


def test_who_has_no_token_or_no_subscription_is_left_to_people(
    acme: Enterprise, simulator: Simulator
) -> None:
    texting(acme, simulator, ANAS_PHONE, "ANA")
    row = opted_out(acme, ANAS_PHONE)
    opted_out(acme, BORIS_PHONE)
    file = sms_files.make(acme, actor=OLGA)
    assert (file.rows, file.left_out) == (1, 1)
    sms_files.take(file, actor=OLGA)
    look_again()
    waits = WriteBack.objects.get()
    assert (waits.pk, waits.state, waits.trouble) == (row.pk, WriteBack.State.DEAD, "no_such_subscription")
    assert now(row).state == State.BLOCKED
    sms_files.take(file, actor=OLGA)
    assert WriteBack.objects.get().state == WriteBack.State.PENDING


def test_what_is_proven_closed_or_of_mail_stands_in_no_file(acme: Enterprise, simulator: Simulator) -> None:
    texting(acme, simulator, ANAS_PHONE, "ANA", "46356")
    row = opted_out(acme, ANAS_PHONE)
    opted_out(acme, "ana@mail.example", kind=Kind.EMAIL)
    unsubscribes.prove(row.pk, Proof.READ_BACK)
    with pytest.raises(NothingToHandOver):
        sms_files.make(acme, actor=OLGA)


def test_making_and_taking_are_recorded_and_the_file_is_sealed(
    acme: Enterprise, simulator: Simulator
) -> None:
    token = texting(acme, simulator, ANAS_PHONE, "ANA", "46356")
    opted_out(acme, ANAS_PHONE)
    handed_over(acme)
    told = AuditEvent.objects.filter(target_type="sms-file").order_by("id")
    assert list(told.values_list("action", "actor_id")) == [
        (Action.SMS_FILE_MADE, OLGA.id), (Action.SMS_FILE_TAKEN, OLGA.id),
    ]  # fmt: skip
    with database.cursor() as cursor:
        cursor.execute("SELECT encode(content, 'escape') FROM tokens_smsfile")
        assert token not in cursor.fetchone()[0]


def test_an_old_file_is_emptied(acme: Enterprise, simulator: Simulator) -> None:
    texting(acme, simulator, ANAS_PHONE, "ANA", "46356")
    opted_out(acme, ANAS_PHONE)
    file = sms_files.make(acme, actor=OLGA)
    assert sms_files.forget_old() == 0
    SmsFile.objects.update(made_at=timezone.now() - datetime.timedelta(days=30))
    assert sms_files.forget_old() == 1
    with pytest.raises(SmsFileGone):
        sms_files.take(file, actor=OLGA)


def test_a_file_with_somebody_who_consented_anew_since_is_not_taken(
    simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(acts._outside, "may", lambda *_: True)  # who may lift is the portal's matter
    of_sandbox = an_enterprise("Sandbox", sandbox=True)  # where one person lifts
    texting(of_sandbox, simulator, ANAS_PHONE, "ANA", "46356")
    texting(of_sandbox, simulator, BORIS_PHONE, "BORIS", "46356")
    asked = timezone.now() - datetime.timedelta(days=1)
    ana, _ = (opted_out(of_sandbox, number, occurred_at=asked) for number in (ANAS_PHONE, BORIS_PHONE))
    file = sms_files.make(of_sandbox, actor=OLGA)
    assert b"BORIS" in sms_files.take(file, actor=OLGA)
    opt_ins.ask(
        ana.event, consented_at=timezone.now(), evidence="file DOI-7", reason="Signed up.", actor=OLGA
    )
    with pytest.raises(SmsFileOvertaken):
        sms_files.take(file, actor=OLGA)
    assert b"ANA" not in handed_over(of_sandbox)
