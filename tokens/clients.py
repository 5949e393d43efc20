"""API clients of Marketing Cloud: making them, turning their secrets over, switching them off (decision 11).

A secret is 256 random bits, shown once and kept as an HMAC under the enterprise's credential key. Django's password
hasher would cost half a second of CPU a call and gain nothing against a secret that nobody can guess.
"""

import hmac
import ipaddress
import secrets
from collections.abc import Iterable, Sequence
from typing import Any, Final

from django.db import transaction
from django.utils import timezone

from audit import trail
from audit.trail import Actor, Target
from audit.vocabulary import Action
from tokens.crypto.keyring import keyring
from tokens.crypto.keyset import Purpose
from tokens.errors import BadClient, BadNetwork, LastSecret, SecretRetired, TwoSecretsLive
from tokens.models import AllowedNetwork, ApiClient, ClientSecret, Enterprise
from tokens.models.clients import FOR_MARKETING_CLOUD, AuthMethod, Scope

NOTHING_OPENS_THIS: Final = "pbkdf2_sha256$1$none$!"
"""Stands in Django OAuth Toolkit's own secret column: a hash by its form, of no secret, and free to make."""

SLOTS: Final = (1, 2)


@transaction.atomic
def create_client(
    enterprise: Enterprise,
    *,
    name: str,
    auth: AuthMethod | str,
    scopes: Iterable[Scope | str] = FOR_MARKETING_CLOUD,
    networks: Sequence[str] = (),
    transactional: bool = False,
    actor: Actor,
) -> tuple[ApiClient, str]:
    """A client and its first secret, which is never shown again. Raises BadClient or BadNetwork."""
    client = ApiClient(
        enterprise=enterprise,
        name=_checked_name(name),
        auth=_member(AuthMethod, auth),
        scopes=_checked_scopes(scopes),
        transactional=transactional,
        client_type=ApiClient.CLIENT_CONFIDENTIAL,
        authorization_grant_type=ApiClient.GRANT_CLIENT_CREDENTIALS,
        client_secret=NOTHING_OPENS_THIS,
        hash_client_secret=False,
    )
    client.save(force_insert=True)
    cidrs = sorted({network(text) for text in networks})
    AllowedNetwork.objects.bulk_create(AllowedNetwork(client=client, cidr=cidr) for cidr in cidrs)
    facts = {
        "auth": client.auth,
        "scopes": client.scopes,
        "networks": cidrs,
        "transactional": transactional,
    }
    _record(Action.CLIENT_CREATED, client, actor, facts)
    return client, _new_secret(client, slot=1)


@transaction.atomic
def change_client(
    client: ApiClient,
    *,
    name: str | None = None,
    scopes: Iterable[Scope | str] | None = None,
    transactional: bool | None = None,
    mint_budget_per_day: int | None = None,
    actor: Actor,
) -> ApiClient:
    """Change what is not None; the event holds what was before. Raises BadClient."""
    locked = _locked(client)
    wanted: dict[str, Any] = {
        "name": None if name is None else _checked_name(name),
        "scopes": None if scopes is None else _checked_scopes(scopes),
        "transactional": transactional,
        "mint_budget_per_day": mint_budget_per_day,
    }
    differing = {
        field: [getattr(locked, field), value]
        for field, value in wanted.items()
        if value is not None and value != getattr(locked, field)
    }
    for field, (_, value) in differing.items():
        setattr(locked, field, value)
    if differing:
        locked.save(update_fields=list(differing))
        _record(Action.CLIENT_CHANGED, locked, actor, differing)
    return locked


@transaction.atomic
def allow_network(client: ApiClient, *, cidr: str, label: str = "", actor: Actor) -> AllowedNetwork:
    """Let `client` call from a network; the first one ends "from anywhere". Idempotent. Raises BadNetwork."""
    locked = _locked(client)
    rule, is_new = AllowedNetwork.objects.get_or_create(
        client=locked, cidr=network(cidr), defaults={"label": label}
    )
    if is_new:
        _record(Action.CLIENT_CHANGED, locked, actor, {"network_added": rule.cidr, "label": label})
    return rule


@transaction.atomic
def disallow_network(rule: AllowedNetwork, *, actor: Actor) -> None:
    """Take a network from a client's list. Without any the client may call from anywhere: pages warn of it."""
    locked = _locked(rule.client)
    deleted, _ = AllowedNetwork.objects.filter(pk=rule.pk).delete()
    if deleted:
        left = locked.networks.count()
        _record(Action.CLIENT_CHANGED, locked, actor, {"network_removed": rule.cidr, "networks_left": left})


@transaction.atomic
def add_secret(client: ApiClient, *, actor: Actor) -> str:
    """A second live secret beside the first, so that it can be turned over without a gap. Raises TwoSecretsLive."""
    locked = _locked(client)
    taken = set(locked.secrets.filter(retired_at=None).values_list("slot", flat=True))
    free = [slot for slot in SLOTS if slot not in taken]
    if not free:
        raise TwoSecretsLive(locked.name)
    secret = _new_secret(locked, slot=free[0])
    _record(Action.CLIENT_SECRET_ADDED, locked, actor, {"slot": free[0]})
    return secret


@transaction.atomic
def retire_secret(secret: ClientSecret, *, actor: Actor) -> None:
    """End a secret at once. Raises LastSecret if no other is live, and SecretRetired."""
    client = _locked(secret.client)
    live = client.secrets.filter(retired_at=None)
    if not live.filter(pk=secret.pk).exists():
        raise SecretRetired(client.name)
    if live.count() == 1:
        raise LastSecret(client.name)
    ClientSecret.objects.filter(pk=secret.pk).update(retired_at=timezone.now())
    _record(Action.CLIENT_SECRET_RETIRED, client, actor, {"slot": secret.slot})


@transaction.atomic
def switch_off(client: ApiClient, *, actor: Actor) -> ApiClient:
    """Refuse every call of `client` from now on. Idempotent."""
    locked = _locked(client)
    if locked.switched_off_at is None:
        locked.switched_off_at = timezone.now()
        locked.save(update_fields=["switched_off_at"])
        _record(Action.CLIENT_SWITCHED_OFF, locked, actor, {})
    return locked


@transaction.atomic
def switch_on(client: ApiClient, *, actor: Actor) -> ApiClient:
    """Let `client` call again, with the secrets that it had. Idempotent."""
    locked = _locked(client)
    if locked.switched_off_at is not None:
        off_since, locked.switched_off_at = locked.switched_off_at, None
        locked.save(update_fields=["switched_off_at"])
        _record(Action.CLIENT_SWITCHED_ON, locked, actor, {"off_since": off_since.isoformat()})
    return locked


def matching_secret(enterprise_id: int, live: Iterable[tuple[int, int, bytes]], offered: str) -> int | None:
    """The id of the live secret that `offered` is, of (secret id, key id, digest) rows; None if it is none.

    All rows are compared, each in constant time.
    """
    ring, found, data = keyring(enterprise_id), None, offered.encode("utf-8", "surrogatepass")
    for secret_id, key_id, digest in live:
        if hmac.compare_digest(ring.digest_with(key_id, data), bytes(digest)):
            found = secret_id
    return found


def network(text: str) -> str:
    """A CIDR in its canonical form, as it is stored: `203.0.113.0/24`, `2001:db8::/32`. Raises BadNetwork."""
    try:
        return str(ipaddress.ip_network(text.strip()))
    except ValueError:
        pass
    try:
        meant = ipaddress.ip_network(text.strip(), strict=False)
    except ValueError:
        raise BadNetwork(repr(text[:50])) from None
    raise BadNetwork(f"{text.strip()!r} has bits set beyond its length: did you mean {meant}?")


def _locked(client: ApiClient) -> ApiClient:
    locked: ApiClient = ApiClient.objects.select_for_update().get(pk=client.pk)
    return locked


def _new_secret(client: ApiClient, *, slot: int) -> str:
    secret = secrets.token_urlsafe(32)
    key_id, digest = keyring(client.enterprise_id).digest(Purpose.CREDENTIAL, secret.encode())
    ClientSecret.objects.create(client=client, slot=slot, key_id=key_id, digest=digest)
    return secret


def _checked_name(name: str) -> str:
    if not name.strip() or len(name) > 255:
        raise BadClient("a client has a name of 1 to 255 characters")
    return name.strip()


def _checked_scopes(scopes: Iterable[Scope | str]) -> list[str]:
    chosen = sorted({_member(Scope, scope) for scope in scopes})
    if not chosen:
        raise BadClient("a client needs at least one scope")
    return chosen


def _member(choices: type[AuthMethod] | type[Scope], value: str) -> str:
    try:
        return str(choices(value).value)
    except ValueError:
        raise BadClient(f"{value!r} is none of {', '.join(choices.values)}") from None


def _record(action: Action, client: ApiClient, actor: Actor, details: dict[str, Any]) -> None:
    target = Target("client", client.client_id, client.name)
    trail.record(action, actor=actor, enterprise_id=client.enterprise_id, target=target, details=details)
