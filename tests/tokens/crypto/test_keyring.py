"""Data keys: rotation, destruction, root keys that come and go, and what a process knows of it all."""

import base64
import hmac
import os
import time
from collections.abc import Iterator

import pytest
from django.db import transaction
from django.utils import timezone

from tests.tokens.cast import ANA, an_enterprise, email, hold, mapping_of
from tokens.crypto import envelope, key_making, keyring, root_keys
from tokens.crypto.errors import CannotOpen, KeyDestroyed, NoSuchKey, RootKeyMalformed, RootKeyMissing
from tokens.crypto.keyring import REFRESH_SECONDS, Keyring
from tokens.crypto.keyset import DataKey, IndexVersion, Purpose
from tokens.formats.kinds import Kind
from tokens.models import Enterprise, Mapping

pytestmark = pytest.mark.django_db
PLACE = envelope.place("tokens.Mapping", "value", 1, 1, "token")


@pytest.fixture(autouse=True)
def _no_keys_of_other_tests() -> Iterator[None]:
    keyring.forget_all()
    yield
    keyring.forget_all()


@pytest.fixture
def acme() -> Enterprise:
    return an_enterprise()


def a_root_key() -> str:
    return base64.urlsafe_b64encode(os.urandom(32)).decode()


def rotate(enterprise: Enterprise, purpose: Purpose) -> None:
    DataKey.objects.filter(enterprise=enterprise, purpose=purpose).update(is_primary=False)
    key_making.make_key(enterprise.pk, purpose)


def destroy(enterprise: Enterprise, purpose: Purpose) -> None:
    DataKey.objects.filter(enterprise=enterprise, purpose=purpose).update(
        wrapped=None, destroyed_at=timezone.now()
    )


def long_ago(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let REFRESH_SECONDS pass."""
    later = time.monotonic() + REFRESH_SECONDS + 1
    monkeypatch.setattr(time, "monotonic", lambda: later)


# -- data keys --------------------------------------------------------------------------------------------------
def test_an_enterprise_is_born_with_a_key_for_each_purpose(acme: Enterprise) -> None:
    purposes = set(DataKey.objects.filter(enterprise=acme).values_list("purpose", flat=True))
    assert purposes == set(Purpose.values)
    assert IndexVersion.objects.get(enterprise=acme).number == 1


def test_after_a_rotation_the_old_primary_still_opens(
    acme: Enterprise, monkeypatch: pytest.MonkeyPatch
) -> None:
    ana = mapping_of(acme, ANA)
    rotate(acme, Purpose.VALUE)
    long_ago(monkeypatch)
    new = mapping_of(acme, "new@mail.example")
    assert envelope.key_id_of(new.value.envelope) != envelope.key_id_of(ana.value.envelope)
    assert (ana.value.open(), new.value.open()) == (ANA, "new@mail.example")


def test_a_process_opens_what_another_sealed_under_a_key_that_it_never_saw(acme: Enterprise) -> None:
    ring = keyring.keyring(acme.pk)
    rotate(acme, Purpose.VALUE)
    other = Keyring(acme.pk)  # another process has a ring of its own
    other.refresh()
    sealed = other.seal(Purpose.VALUE, b"x", PLACE)
    assert ring.open(sealed, PLACE) == b"x"


def test_what_a_destroyed_key_sealed_is_gone_for_good(acme: Enterprise) -> None:
    ana = mapping_of(acme, ANA)
    destroy(acme, Purpose.VALUE)
    keyring.forget_all()
    with pytest.raises(KeyDestroyed):
        Mapping.objects.get(pk=ana.pk).value.open()


def test_a_process_that_only_opens_learns_of_a_destroyed_key_in_time(
    acme: Enterprise, monkeypatch: pytest.MonkeyPatch
) -> None:
    ana = mapping_of(acme, ANA)
    destroy(acme, Purpose.VALUE)
    assert ana.value.open() == ANA
    long_ago(monkeypatch)
    with pytest.raises(KeyDestroyed):
        ana.value.open()


def test_an_unknown_key_cannot_be_opened(acme: Enterprise) -> None:
    sealed = keyring.keyring(acme.pk).seal(Purpose.VALUE, b"x", PLACE)
    strange = sealed[:1] + (2**31).to_bytes(4, "big") + sealed[5:]
    with pytest.raises(CannotOpen):
        keyring.keyring(acme.pk).open(strange, PLACE)


def test_a_key_of_one_enterprise_opens_nothing_of_another(acme: Enterprise) -> None:
    sealed = keyring.keyring(acme.pk).seal(Purpose.VALUE, b"x", PLACE)
    with pytest.raises(CannotOpen):
        keyring.keyring(an_enterprise("Other").pk).open(sealed, PLACE)


def test_digests_are_known_again_after_a_rotation(acme: Enterprise) -> None:
    key_id, digest = keyring.keyring(acme.pk).digest(Purpose.CREDENTIAL, b"secret")
    rotate(acme, Purpose.CREDENTIAL)
    keyring.forget_all()
    ring = keyring.keyring(acme.pk)
    assert ring.digest(Purpose.CREDENTIAL, b"secret") != (key_id, digest)
    assert ring.digest_with(key_id, b"secret") == digest
    assert digest in ring.digests_under_all(Purpose.CREDENTIAL, b"secret")


def test_no_key_serves_two_algorithms(acme: Enterprise) -> None:
    """The HMAC key is not the AES key: opening with it fails."""
    ring = keyring.keyring(acme.pk)
    sealed = ring.seal(Purpose.VALUE, b"x", PLACE)
    mac_key = ring._mac_keys[envelope.key_id_of(sealed)]
    with pytest.raises(CannotOpen):
        envelope.unseal(keyring.AESGCM(mac_key), sealed, PLACE)


# -- blind index ------------------------------------------------------------------------------------------------
def test_a_blind_index_tells_enterprises_kinds_and_versions_apart(acme: Enterprise) -> None:
    other = an_enterprise("Other")
    ring = keyring.keyring(acme.pk)
    [version] = ring.live_versions()
    digests = {
        version.digest(Kind.EMAIL, "ana@mail.example"),
        version.digest(Kind.MOBILE, "ana@mail.example"),
        version.digest(Kind.EMAIL, "anb@mail.example"),
        keyring.keyring(other.pk).blind_index(Kind.EMAIL, "ana@mail.example"),
    }
    assert len(digests) == 4
    assert {len(digest) for digest in digests} == {32}
    assert ring.blind_index(Kind.EMAIL, "ana@mail.example") in digests
    with pytest.raises(NoSuchKey):
        ring.blind_index(Kind.EMAIL, "ana@mail.example", version=2)


def test_a_blind_index_is_the_hmac_of_what_it_says_it_is(acme: Enterprise) -> None:
    [version] = keyring.keyring(acme.pk).live_versions()
    said = f"{acme.pk}\x1f1\x1f1\x1fana@mail.example".encode()
    expected = hmac.digest(version.key, said, "sha256")
    for _ in range(2):
        assert version.digest(Kind.EMAIL, "ana@mail.example") == expected


def test_keys_do_not_show_in_the_text_of_an_index_key(acme: Enterprise) -> None:
    [version] = keyring.keyring(acme.pk).live_versions()
    assert repr(version.key) not in repr(version)


# -- root keys --------------------------------------------------------------------------------------------------
def use(settings: object, *keys: str) -> None:
    settings.ROOT_KEYS = list(keys)  # type: ignore[attr-defined]
    keyring.forget_all()


def test_the_first_root_key_wraps_and_every_one_opens(settings: object) -> None:
    old, new = a_root_key(), a_root_key()
    use(settings, old)
    acme = an_enterprise()
    ana = mapping_of(acme, ANA)
    use(settings, f"root-2:{new}", old)
    assert ana.value.open() == ANA
    rotate(acme, Purpose.VALUE)
    use(settings, new)
    key = DataKey.objects.get(enterprise=acme, purpose=Purpose.VALUE, is_primary=True)
    assert len(root_keys.provider().unwrap(bytes(key.wrapped or b""), key.context())) == 32


def test_without_the_root_key_nothing_opens_and_the_error_says_what_to_give(
    acme: Enterprise, settings: object
) -> None:
    ana = mapping_of(acme, ANA)
    use(settings, a_root_key())
    with pytest.raises(RootKeyMissing, match="FIELD_ENCRYPTION_KEY"):
        ana.value.open()


@pytest.mark.parametrize(
    "malformed", ["", "short", base64.b64encode(b"x" * 16).decode(), "not base64 at all!"]
)
def test_a_malformed_root_key_is_named_without_being_shown(settings: object, malformed: str) -> None:
    use(settings, malformed)
    with pytest.raises(RootKeyMalformed) as caught:
        root_keys.provider()
    assert not malformed or malformed not in str(caught.value)


@pytest.mark.parametrize("alphabet", [base64.b64encode, base64.urlsafe_b64encode])
def test_both_alphabets_of_base64_name_the_same_root_key(alphabet: object) -> None:
    key = b"\xfb\xff\xfe" * 11
    text = alphabet(key[:32]).decode()  # type: ignore[operator]
    wrapped = root_keys.LocalRootKeys([base64.b64encode(key[:32]).decode()]).wrap(b"x" * 32, b"here")
    assert root_keys.LocalRootKeys([text]).unwrap(wrapped, b"here") == b"x" * 32


def test_a_wrapped_key_moved_to_another_enterprise_or_purpose_is_refused(acme: Enterprise) -> None:
    other = an_enterprise("Other")
    mine = DataKey.objects.get(enterprise=acme, purpose=Purpose.VALUE)
    for theirs in DataKey.objects.exclude(pk=mine.pk).filter(enterprise__in=[acme, other]):
        with pytest.raises(CannotOpen):
            root_keys.provider().unwrap(bytes(mine.wrapped or b""), theirs.context())


def test_while_the_provider_is_away_what_is_in_memory_goes_on(
    acme: Enterprise, monkeypatch: pytest.MonkeyPatch
) -> None:
    ana = mapping_of(acme, ANA)

    class Away:
        def wrap(self, key: bytes, context: bytes) -> bytes:
            raise OSError("the key service does not answer")

        unwrap = wrap

    rotate(acme, Purpose.VALUE)
    with monkeypatch.context() as away:
        away.setattr(root_keys, "provider", Away)
        long_ago(away)
        assert ana.value.open() == ANA
        [held] = hold(acme, email("new@mail.example"))
        assert Mapping.objects.get(pk=held.mapping_id).value.open() == "new@mail.example"


# -- residue keys -----------------------------------------------------------------------------------------------
def test_residue_keys_are_made_a_week_ahead_and_only_once(acme: Enterprise) -> None:
    days = DataKey.objects.filter(enterprise=acme, purpose=Purpose.RESIDUE)
    assert days.count() == key_making.DAYS_AHEAD + 1
    key_making.make_day_keys_of_all()
    assert days.count() == key_making.DAYS_AHEAD + 1


def test_each_day_seals_residue_under_a_key_of_its_own(acme: Enterprise) -> None:
    ring = keyring.keyring(acme.pk)
    today = DataKey.objects.get(pk=ring.primary_id(Purpose.RESIDUE))
    assert today.day == timezone.now().date()


def test_reading_the_keyset_costs_two_statements_and_then_none(
    acme: Enterprise, django_assert_num_queries: object
) -> None:
    with django_assert_num_queries(2):  # type: ignore[operator]
        keyring.keyring(acme.pk)
    with django_assert_num_queries(0):  # type: ignore[operator]
        keyring.keyring(acme.pk).seal(Purpose.RESIDUE, b"x", PLACE)


def test_the_keyset_is_written_with_its_enterprise_or_not_at_all() -> None:
    before = DataKey.objects.count()
    with transaction.atomic():
        an_enterprise()
        transaction.set_rollback(True)
    assert DataKey.objects.count() == before
