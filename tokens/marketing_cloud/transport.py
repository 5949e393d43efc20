"""One HTTP exchange with Marketing Cloud: sent, told to the observer, and its failures named."""

import datetime
import socket
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

import httpx2

from tokens.marketing_cloud.errors import (
    Interrupted,
    MarketingCloudError,
    NameUnknown,
    TimedOut,
    TlsFailed,
    Unreachable,
    UnreadableAnswer,
)
from tokens.marketing_cloud.tenant import Api

LARGEST_ANSWER: Final = 64 * 1024 * 1024
LONGEST_TO_CONNECT: Final = 10.0


@dataclass(frozen=True, slots=True)
class Call:
    """What is sent. `verb` names it in errors and logs; `told` is the body as an observer may see it, or None."""

    api: Api
    verb: str
    method: str
    url: str = field(repr=False)
    body: bytes = field(default=b"", repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    told: bytes | None = field(default=None, repr=False)
    is_repeatable: bool = True

    @property
    def where(self) -> str:
        """For messages: never an address, which can hold a key."""
        return f"{self.api.value.upper()} {self.verb}"


@dataclass(frozen=True, slots=True)
class Reply:
    """What was answered, content-decoded."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Exchange:
    """What an observer is told of a call. Bodies are None where one of them holds a secret or bearer token.

    `status` is 0 and `error` the name of the error when no answer came.
    """

    api: Api
    verb: str
    at: datetime.datetime
    seconds: float
    status: int
    error: str = ""
    request: bytes | None = field(default=None, repr=False)
    response: bytes | None = field(default=None, repr=False)
    request_bytes: int = 0
    response_bytes: int = 0
    user_agent: str = ""


Observer = Callable[[Exchange], None]


def ignore(exchange: Exchange) -> None:
    """An observer that keeps nothing; for tests and tools, never for the portal."""


class Transport:
    """Connections to one tenant. Redirects are not followed: a token goes nowhere else."""

    def __init__(self, observe: Observer, *, answer_within: float = 60, trust_env: bool = True) -> None:
        self._observe = observe
        patience = min(answer_within, LONGEST_TO_CONNECT)
        timeout = httpx2.Timeout(answer_within, connect=patience, pool=patience)
        self._http = httpx2.Client(timeout=timeout, follow_redirects=False, trust_env=trust_env)

    def close(self) -> None:
        self._http.close()

    def send(self, call: Call) -> Reply:
        """The answer, whatever its status. Raises Unreachable or UnreadableAnswer; the observer is told first.

        What the observer raises is raised: an exchange that can't be logged is not used.
        """
        at, began = datetime.datetime.now(datetime.UTC), time.perf_counter()
        reply: Reply | None = None
        failure: MarketingCloudError | None = None
        try:
            reply = self._sent(call)
        except httpx2.HTTPError as error:
            failure = _named(error, call)
        except MarketingCloudError as error:
            failure = error
        self._observe(
            Exchange(
                api=call.api,
                verb=call.verb,
                at=at,
                seconds=time.perf_counter() - began,
                status=reply.status if reply else 0,
                error=type(failure).__name__ if failure else "",
                request=call.told,
                response=reply.body if reply and call.told is not None else None,
                request_bytes=len(call.body),
                response_bytes=len(reply.body) if reply else 0,
                user_agent=_user_agent(call),
            )
        )
        if reply is None:
            # Without its cause: that could hold the address, and in it a key.
            raise failure or Unreachable(call.where) from None
        return reply

    def _sent(self, call: Call) -> Reply:
        headers = {**call.headers, "User-Agent": _user_agent(call)}
        with self._http.stream(call.method, call.url, content=call.body, headers=headers) as answer:
            body = bytearray()
            for chunk in answer.iter_bytes():
                body += chunk
                if len(body) > LARGEST_ANSWER:
                    raise UnreadableAnswer(call.where, f"more than {LARGEST_ANSWER} bytes")
            return Reply(answer.status_code, answer.headers, bytes(body))


def _user_agent(call: Call) -> str:
    """Who calls, and for what: it helps whoever reads Marketing Cloud's logs, or ours."""
    return f"token-portal ({call.verb})"


def _named(error: httpx2.HTTPError, call: Call) -> MarketingCloudError:
    causes = list(_chain(error))
    if any(isinstance(cause, socket.gaierror) for cause in causes):
        return NameUnknown(call.where)
    if any(isinstance(cause, ssl.SSLError) for cause in causes):
        return TlsFailed(call.where)
    if isinstance(
        error, httpx2.ConnectError | httpx2.ConnectTimeout | httpx2.PoolTimeout | httpx2.ProxyError
    ):
        return Unreachable(call.where)
    if isinstance(error, httpx2.TimeoutException):
        return TimedOut(call.where)
    return Interrupted(call.where)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
