"""The keyring: the one module through which every clear value is sealed and opened.

Data keys stand wrapped in PostgreSQL (`DataKey`), one set for each enterprise and purpose with a primary and
older ones. They are unwrapped once and held in memory, so that neither a blip of the root-key provider nor a
slow one stops a send. Each process looks again every REFRESH_SECONDS, which bounds how long it goes on sealing
under a retired primary, or opening under a destroyed key.
"""

import hmac
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

import structlog
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hmac import HMAC
from django.utils import timezone

from tokens.crypto import envelope, key_making, root_keys
from tokens.crypto.errors import CannotOpen, KeyDestroyed, NoSuchKey
from tokens.crypto.keyset import DataKey, IndexVersion, Purpose, slot_of

REFRESH_SECONDS: Final = 30.0

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class IndexKey:
    """One live version of the blind index of an enterprise."""

    enterprise_id: int
    number: int
    normalisation: int
    key: bytes = field(repr=False)
    # Of each kind an HMAC that has taken in the key and what all its values share; copying one is half the work.
    _begun: dict[int, HMAC] = field(init=False, repr=False, compare=False, default_factory=dict)

    @property
    def parity(self) -> int:
        """Which of the two columns of a mapping holds this version."""
        return self.number % 2

    def digest(self, kind: int, normalised: str) -> bytes:
        """Full HMAC-SHA256 over enterprise, kind, normalisation version and normalised value: 32 bytes."""
        begun = self._begun.get(kind)
        mac = begun.copy() if begun is not None else self._begin(kind)
        mac.update(normalised.encode())
        return mac.finalize()

    def _begin(self, kind: int) -> HMAC:
        begun = HMAC(self.key, SHA256())
        begun.update(f"{self.enterprise_id}\x1f{int(kind)}\x1f{self.normalisation}\x1f".encode())
        self._begun[int(kind)] = begun
        return begun.copy()


class Keyring:
    """The unwrapped keys of one enterprise. Ask `keyring(enterprise_id)`, never construct it."""

    def __init__(self, enterprise_id: int) -> None:
        self.enterprise_id = enterprise_id
        self._lock = threading.Lock()
        self._ciphers: dict[int, AESGCM] = {}
        self._decrypts: dict[bytes, envelope.Decrypt] = {}
        self._mac_keys: dict[int, bytes] = {}
        self._primary: dict[str, int] = {}
        self._of_purpose: dict[str, list[int]] = {}
        self._destroyed: frozenset[int] = frozenset()
        self._index_keys: tuple[IndexKey, ...] = ()
        self._loaded_at: float | None = None

    # -- sealing and opening --------------------------------------------------------------------------------
    def seal(self, purpose: Purpose, plaintext: bytes, aad: bytes) -> bytes:
        """Seal `plaintext` under the primary key of `purpose`; `aad` names the place (`envelope.place`)."""
        return self.sealer(purpose)(plaintext, aad)

    def sealer(self, purpose: Purpose) -> Callable[[bytes, bytes], bytes]:
        """`seal(plaintext, aad)` with the key looked up once, for a batch."""
        key_id = self.primary_id(purpose)
        return envelope.sealer(self._ciphers[key_id], key_id)

    def open(self, sealed: bytes, aad: bytes) -> bytes:
        """The plaintext of an envelope that stands at the place `aad`. Raises CannotOpen or KeyDestroyed."""
        cipher = self._ciphers.get(int.from_bytes(sealed[1:5], "big"))
        if cipher is None or sealed[:1] != envelope.FORMAT:
            cipher = self._cipher(envelope.key_id_of(sealed))
        return envelope.unseal(cipher, sealed, aad)

    def opener(self) -> Callable[[bytes, bytes], bytes]:
        """`open(sealed, aad)` for a batch: the keys are looked up by the envelopes' first bytes."""
        return envelope.opener(self._decrypts, otherwise=self.open)

    def primary_id(self, purpose: Purpose) -> int:
        """Id of the key that seals for `purpose` now."""
        day = timezone.now().date() if purpose == Purpose.RESIDUE else None
        key_id = self._primary.get(slot_of(purpose, day))
        if key_id is None:
            self.refresh(force=True)
            key_id = self._primary.get(slot_of(purpose, day))
        if key_id is None and day is not None:
            # Day keys are made a week ahead; this one was not, so the first who needs it makes it.
            key_making.make_day_key_apart(self.enterprise_id, day)
            self.refresh(force=True)
            key_id = self._primary.get(slot_of(purpose, day))
        if key_id is None:
            raise NoSuchKey(f"enterprise {self.enterprise_id}, {purpose.value}")
        return key_id

    # -- keyed digests --------------------------------------------------------------------------------------
    def digest(self, purpose: Purpose, data: bytes) -> tuple[int, bytes]:
        """(key id, HMAC-SHA256 of `data`) under the primary key of `purpose`."""
        key_id = self.primary_id(purpose)
        return key_id, hmac.digest(self._mac_keys[key_id], data, "sha256")

    def digest_with(self, key_id: int, data: bytes) -> bytes:
        """HMAC-SHA256 of `data` under a named key, to compare with a stored digest."""
        self._cipher(key_id)
        return hmac.digest(self._mac_keys[key_id], data, "sha256")

    def digests_under_all(self, purpose: Purpose, data: bytes) -> list[bytes]:
        """HMAC-SHA256 of `data` under every live key of `purpose`."""
        return [hmac.digest(self._mac_keys[key], data, "sha256") for key in self._of_purpose.get(purpose, ())]

    # -- blind index ----------------------------------------------------------------------------------------
    def live_versions(self) -> tuple[IndexKey, ...]:
        """Every live version of the blind index, the current one last. Raises NoSuchKey if there is none."""
        if not self._index_keys:
            raise NoSuchKey(f"enterprise {self.enterprise_id}, blind index")
        return self._index_keys

    def current_index_version(self) -> int:
        """Number of the blind-index version that new rows are written under."""
        return self.live_versions()[-1].number

    def blind_index(self, kind: int, normalised: str, *, version: int | None = None) -> bytes:
        """The blind index of a normalised value under `version`, or the current one. Raises NoSuchKey."""
        for key in reversed(self._index_keys):
            if version in (None, key.number):
                return key.digest(kind, normalised)
        raise NoSuchKey(f"enterprise {self.enterprise_id}, blind index version {version}")

    # -- loading --------------------------------------------------------------------------------------------
    def refresh(self, *, force: bool = False) -> None:
        """Read the keyset again when it is older than REFRESH_SECONDS.

        One thread reads; the others go on with what they have, as all do while the provider of root keys is away.
        """
        now = time.monotonic()
        if not force and self._loaded_at is not None and now - self._loaded_at < REFRESH_SECONDS:
            return
        if self._lock.acquire(blocking=force or self._loaded_at is None):
            try:
                if force or self._loaded_at is None or self._loaded_at < now:
                    self._load()
            finally:
                self._lock.release()

    def _load(self) -> None:
        keys = list(DataKey.objects.filter(enterprise_id=self.enterprise_id).order_by("id"))
        self._unwrap(key for key in keys if key.wrapped is not None and key.id not in self._ciphers)
        self._destroyed = frozenset(key.id for key in keys if key.wrapped is None)
        for key_id in self._destroyed:
            self._ciphers.pop(key_id, None)
            self._mac_keys.pop(key_id, None)
        usable = [key for key in keys if key.id in self._ciphers]
        primary = {slot_of(Purpose(key.purpose), key.day): key.id for key in usable if key.is_primary}
        # While a new primary can't be unwrapped, the one before goes on.
        kept = {slot: key_id for slot, key_id in self._primary.items() if key_id in self._ciphers}
        self._primary = kept | primary
        self._of_purpose = {}
        for key in usable:
            self._of_purpose.setdefault(key.purpose, []).append(key.id)
        self._index_keys = self._live_index_keys()
        self._decrypts = {envelope.header(key_id): cipher.decrypt for key_id, cipher in self._ciphers.items()}
        self._loaded_at = time.monotonic()

    def _unwrap(self, keys: Iterable[DataKey]) -> None:
        for key in keys:
            try:
                secret = root_keys.provider().unwrap(bytes(key.wrapped or b""), key.context())
            except Exception as error:
                # Whatever a provider raises while it is away must not stop what can go on without it.
                if self._loaded_at is None:
                    raise
                _log.warning("a data key could not be unwrapped", key=key.id, error=type(error).__name__)
            else:
                # No key serves two algorithms: what HMAC uses is derived from what AES uses.
                self._mac_keys[key.id] = hmac.digest(secret, b"token-portal HMAC", "sha256")
                self._ciphers[key.id] = AESGCM(secret)

    def _live_index_keys(self) -> tuple[IndexKey, ...]:
        versions = IndexVersion.objects.filter(enterprise_id=self.enterprise_id, retired_at=None)
        return tuple(
            IndexKey(
                self.enterprise_id, version.number, version.normalisation, self._mac_keys[version.key_id]
            )
            for version in versions.order_by("number")
            if version.key_id in self._mac_keys
        )

    def _cipher(self, key_id: int) -> AESGCM:
        if key_id not in self._ciphers and key_id not in self._destroyed:
            self.refresh(force=True)
        if key_id in self._destroyed:
            raise KeyDestroyed
        try:
            return self._ciphers[key_id]
        except KeyError:
            raise CannotOpen("unknown key") from None


_keyrings: dict[int, Keyring] = {}


def keyring(enterprise_id: int) -> Keyring:
    """The keyring of an enterprise, one for each process, refreshed when it is old. Ask anew for each batch."""
    ring = _keyrings.get(enterprise_id)
    if ring is None:
        ring = _keyrings.setdefault(enterprise_id, Keyring(enterprise_id))
    ring.refresh()
    return ring


def forget_all() -> None:
    """Drop every unwrapped key from memory (tests, and after a restore)."""
    _keyrings.clear()
    root_keys.provider.cache_clear()
