"""Calls with a token: renewed once when it is refused, tried again when Marketing Cloud asks for patience."""

import email.utils
import json
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Final, TypeVar
from urllib.parse import quote
from xml.etree.ElementTree import Element

import stamina

from tokens.marketing_cloud import envelopes
from tokens.marketing_cloud.access import Access, AccessToken, nobody_keeps_it
from tokens.marketing_cloud.errors import (
    CallRefused,
    Interrupted,
    MissingScope,
    NotThere,
    ServerFailed,
    TimedOut,
    TokenRefused,
    TooManyCalls,
    Unreachable,
    UnreadableAnswer,
)
from tokens.marketing_cloud.grants import Grant
from tokens.marketing_cloud.tenant import Api, Tenant
from tokens.marketing_cloud.transport import Call, Observer, Reply, Transport

_T = TypeVar("_T")
_JSON: Final = {"Content-Type": "application/json"}


@dataclass(frozen=True, slots=True)
class Patience:
    """How long one call is tried again, in seconds. A longer wait is the caller's: it gets the error at once."""

    attempts: int = 5
    longest_wait: float = 30
    first_wait: float = 0.5
    jitter: float = 0.5
    answer_within: float = 60


class Caller:
    """REST and SOAP of one business unit. Closes with `close`, or as a context."""

    def __init__(
        self,
        tenant: Tenant,
        grant: Grant,
        *,
        observe: Observer,
        keep_refresh_token: Callable[[str], None] = nobody_keeps_it,
        turn: Callable[[], AbstractContextManager[Grant]] | None = None,
        patience: Patience = Patience(),
    ) -> None:
        # What is on this machine is not asked through a proxy.
        self.transport = Transport(
            observe, answer_within=patience.answer_within, trust_env=not tenant.is_simulated
        )
        self.tenant = tenant
        self.patience = patience
        self.access = Access(tenant, grant, self.sent, keep_refresh_token, turn)

    def close(self) -> None:
        self.transport.close()

    # -- REST --------------------------------------------------------------------------------------------------
    def rest(
        self,
        verb: str,
        method: str,
        path: str,
        *,
        scope: str,
        body: Any = None,
        query: Mapping[str, str] | None = None,
        is_repeatable: bool = True,
        is_secret: bool = False,
    ) -> Any:
        """The JSON that a REST call answers (None for nothing). `scope` is what it needs, for the error.

        Of what `is_secret`, because a body or its answer holds a key, the observer is told facts only.
        """
        content = b"" if body is None else json.dumps(body).encode()
        # Names such as $page are written as Marketing Cloud documents them.
        asked = "&".join(f"{name}={quote(value, safe='')}" for name, value in (query or {}).items())

        def call(token: AccessToken) -> Any:
            host = self.tenant.url(Api.AUTH) if path.startswith("/v2/") else token.rest
            sent = Call(
                api=Api.REST,
                verb=verb,
                method=method,
                url=f"{host}{path}?{asked}" if asked else f"{host}{path}",
                body=content,
                headers={**_JSON, "Authorization": f"Bearer {token.value}"},
                told=None if is_secret else content,
                is_repeatable=is_repeatable,
            )
            return self._patiently(sent, lambda reply: rest_answer(reply, sent.where, scope))

        return self._with_token(call)

    # -- SOAP --------------------------------------------------------------------------------------------------
    def soap(self, verb: str, action: str, message: Element, *, scope: str) -> Element:
        """The element that a SOAP call answers."""

        def call(token: AccessToken) -> Element:
            sent = Call(
                api=Api.SOAP,
                verb=verb,
                method="POST",
                url=f"{token.soap}/Service.asmx",
                body=envelopes.wrapped(message, token.value),
                headers={"Content-Type": "text/xml; charset=utf-8", "SOAPAction": action},
                told=envelopes.wrapped(message, ""),
            )
            return self._patiently(sent, lambda reply: soap_answer(reply, sent.where, scope))

        return self._with_token(call)

    # -- patience ----------------------------------------------------------------------------------------------
    def sent(self, call: Call) -> Reply:
        """The answer of a token request, once it is no failure that passes."""

        def read(reply: Reply) -> Reply:
            _raise_what_passes(reply, call.where)
            return reply

        return self._patiently(call, read)

    def _with_token(self, call: Callable[[AccessToken], _T]) -> _T:
        token = self.access.token()
        try:
            return call(token)
        except TokenRefused:
            return call(self.access.renewed(instead_of=token))

    def _patiently(self, call: Call, read: Callable[[Reply], _T]) -> _T:
        patience = self.patience
        for attempt in stamina.retry_context(
            on=lambda error: self._wait(error, call),
            attempts=patience.attempts,
            timeout=None,
            wait_initial=patience.first_wait,
            wait_max=patience.longest_wait,
            wait_jitter=patience.jitter,
        ):
            with attempt:
                return read(self.transport.send(call))
        raise AssertionError("the last attempt returns or raises")

    def _wait(self, error: Exception, call: Call) -> bool | float:
        """Whether, or in how many seconds, to try again after `error`."""
        if isinstance(error, TooManyCalls):
            if error.retry_after is None:
                return True
            return error.retry_after <= self.patience.longest_wait and float(error.retry_after)
        if isinstance(error, ServerFailed | TimedOut | Interrupted):
            return call.is_repeatable  # it may have been done
        return isinstance(error, Unreachable)


def rest_answer(reply: Reply, where: str, scope: str) -> Any:
    """The JSON of a REST answer, or the refusal that it is."""
    _raise_what_passes(reply, where)
    if reply.status == 401:
        raise TokenRefused(where)
    if reply.status == 403:
        raise MissingScope(where, scope)
    if reply.status == 404:
        raise NotThere(where)
    if not 200 <= reply.status < 300:
        raise CallRefused(where, reply.status, _error_code(reply))
    if not reply.body.strip():
        return None
    try:
        return json.loads(reply.body)
    except ValueError:
        raise UnreadableAnswer(where) from None


def soap_answer(reply: Reply, where: str, scope: str) -> Element:
    """The element in a SOAP answer, or the fault that it is. Faults come with HTTP 500, throttling too."""
    if reply.status == 404:
        raise NotThere(where)
    if reply.status == 429:
        raise TooManyCalls(where, _retry_after(reply))
    content = envelopes.content(reply.body)
    if content is None:
        if reply.status >= 500:
            raise ServerFailed(where, reply.status)
        raise UnreadableAnswer(where, f"HTTP {reply.status}")
    fault = envelopes.fault_in(content)
    if fault is envelopes.Fault.TOKEN:
        raise TokenRefused(where)
    if fault is envelopes.Fault.SCOPE:
        raise MissingScope(where, scope)
    if fault is not None or reply.status >= 400:
        raise ServerFailed(where, reply.status)
    return content


def _raise_what_passes(reply: Reply, where: str) -> None:
    if reply.status == 429:
        raise TooManyCalls(where, _retry_after(reply))
    if reply.status >= 500:
        raise ServerFailed(where, reply.status)


def _retry_after(reply: Reply) -> float | None:
    """Seconds of a Retry-After header, which can be a number or a date."""
    said = reply.headers.get("Retry-After", "").strip()
    if said.isdecimal():
        return float(said)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(said).timestamp() - time.time())
    except (TypeError, ValueError):
        return None


def _error_code(reply: Reply) -> int:
    try:
        return int(json.loads(reply.body).get("errorcode") or 0)
    except (ValueError, TypeError, AttributeError):
        return 0
