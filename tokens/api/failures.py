"""When there is no answer: what the caller is told, what the server's log gets, and what stands in the payload log."""

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import structlog
from django.db import InterfaceError, InternalError, OperationalError, connection, transaction
from django.http import HttpResponse

from audit import refusals
from audit.models import Api, Outcome
from tokens.api.call import Call
from tokens.api.errors import ApiError, ErrorCode
from tokens.log import recording
from tokens.log.recording import NotRecorded

log = structlog.get_logger(__name__)

# A call that waits longer than this for the database answers 503, well within Marketing Cloud's 60 s. The items of a
# batch differ: what the planner would remember between its loops is filled 500 times and hardly ever asked.
FOR_THIS_ANSWER: Final = (
    "SET LOCAL statement_timeout = '15s'; SET LOCAL lock_timeout = '5s'; SET LOCAL enable_memoize = off"
)
# The database is away, overloaded, shutting down or read-only: trying again is the right thing to do.
UNAVAILABLE: Final = (NotRecorded, OperationalError, InterfaceError, InternalError)


@contextmanager
def answering() -> Iterator[None]:
    """The transaction of an answer and its log entry, with limits on waiting."""
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(FOR_THIS_ANSWER)
        yield


def as_api_error(error: Exception, api: Api) -> ApiError:
    """What the caller is told of an error. The server's log gets the rest, without texts that may hold values."""
    if isinstance(error, ApiError):
        return error
    code = ErrorCode.UNAVAILABLE if isinstance(error, UNAVAILABLE) else ErrorCode.INTERNAL
    log.error("the API could not answer", api=api.value, code=code.code, **scrubbed(error))
    return ApiError(code)


def scrubbed(error: BaseException) -> dict[str, Any]:
    """Where an error came from, and of which types it is. Its message is left out: it may quote a value."""
    types, cause = [type(error).__name__], error.__cause__
    while cause is not None:
        types.append(f"{type(cause).__name__}[{getattr(cause, 'sqlstate', None) or '-'}]")
        cause = cause.__cause__
    frames = traceback.extract_tb(error.__traceback__)
    return {"types": types, "trace": [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames]}


def log_refusal(call: Call, error: ApiError, body: bytes | None, reply: HttpResponse) -> None:
    """Log a refusal in a transaction of its own, as well as can be: the answer does not depend on it.

    Who could not be named only counts: otherwise anybody could fill the log. `body` is the answer's, None where
    bodies are not kept. While the database is away there is nothing to log to.
    """
    code = error.code
    if code is ErrorCode.UNAVAILABLE:
        return
    try:
        if call.client is None:
            refusals.count(call.api, code.code, call.address)
            return
        with answering():
            exchange = call.exchange(
                status=code.status,
                outcome=Outcome.FAILED if code.status >= 500 else Outcome.REFUSED,
                error=code.code,
                response_bytes=len(reply.content),
            )
            if call.body is None or body is None:
                recording.write(exchange)
            else:
                recording.record(exchange, recording.refused_bodies(call.body, body))
    except Exception as unlogged:  # noqa: BLE001 - best effort
        log.error("a refusal could not be logged", api=call.api.value, code=code.code, **scrubbed(unlogged))
