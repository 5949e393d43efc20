"""The day keys of the payload log are destroyed on time, and what they sealed is gone."""

import datetime

import pytest

from audit.models import AuditEvent
from audit.vocabulary import Action
from tests.tokens.cast import an_enterprise
from tokens.crypto.envelope import place
from tokens.crypto.errors import KeyDestroyed
from tokens.crypto.key_destruction import destroy_expired_day_keys
from tokens.crypto.keyring import keyring
from tokens.crypto.keyset import DataKey, Purpose
from tokens.models import Enterprise

pytestmark = pytest.mark.django_db
HERE = place("audit.PayloadEntry", "residue", 1, "x")


def _after(days: int) -> datetime.date:
    return datetime.datetime.now(datetime.UTC).date() + datetime.timedelta(days=days)


def keeping_residue_for(days: int) -> Enterprise:
    enterprise = an_enterprise()
    enterprise.residue_days = days
    enterprise.save(update_fields=["residue_days"])
    return enterprise


def test_what_a_destroyed_day_key_sealed_does_not_open_any_more() -> None:
    enterprise = keeping_residue_for(3)
    ring = keyring(enterprise.pk)
    sealed = ring.seal(Purpose.RESIDUE, b"left over", HERE)
    destroy_expired_day_keys(_after(4))
    ring.refresh(force=True)
    with pytest.raises(KeyDestroyed):
        ring.open(sealed, HERE)


def test_on_its_last_day_a_day_key_still_opens() -> None:
    enterprise = keeping_residue_for(3)
    ring = keyring(enterprise.pk)
    sealed = ring.seal(Purpose.RESIDUE, b"left over", HERE)
    assert destroy_expired_day_keys(_after(3)) == 0
    ring.refresh(force=True)
    assert ring.open(sealed, HERE) == b"left over"


def test_keys_of_other_purposes_are_never_touched() -> None:
    enterprise = keeping_residue_for(0)
    destroy_expired_day_keys(_after(4000))
    others = DataKey.objects.filter(enterprise=enterprise).exclude(purpose=Purpose.RESIDUE)
    assert others.exists()
    assert not others.filter(wrapped=None).exists()


def test_each_destruction_is_in_the_event_trail() -> None:
    enterprise = keeping_residue_for(3)
    destroyed = destroy_expired_day_keys(_after(4))
    events = AuditEvent.objects.filter(enterprise_id=enterprise.pk, action=Action.KEY_DESTROYED)
    assert destroyed >= 1
    assert events.count() == DataKey.objects.filter(enterprise=enterprise, wrapped=None).count()
    assert destroy_expired_day_keys(_after(4)) == 0  # and a second run finds nothing to do
