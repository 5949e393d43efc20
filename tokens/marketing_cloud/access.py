"""Access tokens: fetched, kept in memory until nine tenths of their life are over, and renewed once when refused."""

import json
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlencode

from tokens.marketing_cloud.errors import (
    AccessRefused,
    CredentialsRefused,
    GrantRefused,
    NotThere,
    RequestRefused,
    ScopeNotGranted,
    ServerFailed,
    TooManyCalls,
    UnreadableAnswer,
)
from tokens.marketing_cloud.grants import Grant, JwtBearer, RefreshToken
from tokens.marketing_cloud.tenant import Api, Tenant
from tokens.marketing_cloud.transport import Call, Reply, Transport

USED_UP: Final = 0.9
_REFUSALS: Final = {
    "invalid_client": CredentialsRefused,
    "invalid_grant": GrantRefused,
    "invalid_scope": ScopeNotGranted,
}


@dataclass(frozen=True, slots=True)
class AccessToken:
    """A bearer token, the hosts that take it, and what it may do."""

    value: str = field(repr=False)
    scopes: frozenset[str]
    renew_at: float  # of time.monotonic
    rest: str
    soap: str
    refresh_token: str | None = field(default=None, repr=False)


def nobody_keeps_it(refresh_token: str) -> None:
    """For grants that yield no refresh token."""


class Access:
    """The access token of one grant. Threads share it: one fetches, the others wait for that.

    `keep` is given each new refresh token before anything else is done with it: the one before may be void already.
    Where others refresh too, each fetch happens inside of `turn`, which yields the grant to use.
    """

    def __init__(
        self,
        tenant: Tenant,
        grant: Grant,
        send: Callable[[Call], Reply],
        keep: Callable[[str], None] = nobody_keeps_it,
        turn: Callable[[], AbstractContextManager[Grant]] | None = None,
    ) -> None:
        self._tenant = tenant
        self._grant = grant
        self._send = send
        self._keep = keep
        self._turn = turn
        self._lock = threading.Lock()
        self._token: AccessToken | None = None

    def token(self) -> AccessToken:
        """A token that is good for a while. Raises AccessRefused and what a call raises."""
        with self._lock:
            if self._token is None or time.monotonic() >= self._token.renew_at:
                self._token = self._fetched()
            return self._token

    def renewed(self, instead_of: AccessToken) -> AccessToken:
        """A new token, since that one was refused; or the one that another thread fetched meanwhile."""
        with self._lock:
            if self._token is None or self._token is instead_of:
                self._token = self._fetched()
            return self._token

    def _fetched(self) -> AccessToken:
        with self._turn() if self._turn else nullcontext(self._grant) as grant:
            return self._fetched_by(grant)

    def _fetched_by(self, grant: Grant) -> AccessToken:
        said = grant.body()
        call = Call(
            api=Api.AUTH,
            verb="token",
            method="POST",
            url=f"{self._tenant.url(Api.AUTH)}/v2/token",
            body=json.dumps(said).encode(),
            headers={"Content-Type": "application/json"},
            is_repeatable=grant.is_repeatable,
        )
        answer = _answer(self._send(call), call.where)
        token = self._read(answer, call.where)
        if token.refresh_token is not None:
            self._keep(token.refresh_token)
            self._grant = RefreshToken(said["client_id"], token.refresh_token, said.get("client_secret"))
        return token

    def _read(self, answer: dict[str, Any], where: str) -> AccessToken:
        try:
            lifetime = float(answer["expires_in"])
            value = str(answer["access_token"])
        except (KeyError, TypeError, ValueError):
            raise UnreadableAnswer(where) from None
        return AccessToken(
            value=value,
            scopes=frozenset(str(answer.get("scope") or "").split()),
            renew_at=time.monotonic() + lifetime * USED_UP,
            rest=self._tenant.instance(Api.REST, answer.get("rest_instance_url")),
            soap=self._tenant.instance(Api.SOAP, answer.get("soap_instance_url")),
            refresh_token=answer.get("refresh_token"),
        )


@dataclass(frozen=True, slots=True)
class CoreAccess:
    """Access to a Salesforce core org."""

    value: str = field(repr=False)
    instance_url: str
    scopes: frozenset[str]


def core_access(transport: Transport, login_url: str, grant: JwtBearer) -> CoreAccess:
    """A token of the Salesforce org at `login_url` by the JWT bearer flow. Raises as `Access.token` does."""
    call = Call(
        api=Api.AUTH,
        verb="core token",
        method="POST",
        url=f"{login_url.rstrip('/')}/services/oauth2/token",
        body=urlencode(grant.body()).encode(),
        headers={"Content-Type": "application/x-www-form-urlencoded"},
    )
    answer = _answer(transport.send(call), call.where)
    try:
        scopes = frozenset(str(answer.get("scope") or "").split())
        return CoreAccess(str(answer["access_token"]), str(answer["instance_url"]), scopes)
    except KeyError:
        raise UnreadableAnswer(call.where) from None


def _answer(reply: Reply, where: str) -> dict[str, Any]:
    """The JSON of a token answer, or the refusal that it is."""
    if reply.status == 404:
        raise NotThere(where)
    if reply.status == 429:
        raise TooManyCalls(where, None)
    if reply.status >= 500:
        raise ServerFailed(where, reply.status)
    try:
        answer = json.loads(reply.body)
    except ValueError:
        answer = None
    if not isinstance(answer, dict):
        raise UnreadableAnswer(where, f"HTTP {reply.status}")
    if reply.status != 200:
        refusal: type[AccessRefused] = _REFUSALS.get(str(answer.get("error")), RequestRefused)
        raise refusal(where, f"HTTP {reply.status}")
    return answer
