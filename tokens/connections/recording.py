"""Our exchanges with Marketing Cloud become log entries, under the rules of those that it begins (decision 6).

Bodies are sealed whole under the day's key: a row of a data extension can hold anything of a person. An entry is
written in a transaction of its own, right after the exchange and before its result is used; what can't be logged is
not used.
"""

import re
from collections.abc import Sequence
from typing import Final

import uuid_utils.compat
from django.db import transaction

from audit import payload_log
from audit.models import Api, Direction, Outcome
from tokens.log import recording
from tokens.marketing_cloud import Exchange
from tokens.marketing_cloud.tenant import Api as Host
from tokens.marketing_cloud.transport import Observer
from tokens.models import Connection, CoreOrg
from tokens.payload import Residue, cut_unknown

_APIS: Final = {Host.AUTH: Api.CLOUD_AUTH, Host.REST: Api.CLOUD_REST, Host.SOAP: Api.CLOUD_SOAP}
_WORD: Final = re.compile(r"(?<!^)(?=[A-Z])")


def recorder(connection: Connection | CoreOrg, *, links: Sequence[int] = ()) -> Observer:
    """An observer that logs every exchange of `connection`; `links` are the contact–mapping links it is about.

    It must not be called inside a transaction: a rollback would take the entry with it.
    """

    def record(exchange: Exchange) -> None:
        entry = _facts(connection, exchange)
        entry.links = list(links)
        with transaction.atomic(durable=True):
            if exchange.request is None or exchange.response is None:
                recording.write(entry)
            else:
                recording.record(entry, _bodies(exchange.request, exchange.response))

    return record


def _facts(connection: Connection | CoreOrg, exchange: Exchange) -> payload_log.Exchange:
    if not exchange.status:
        outcome, error = Outcome.FAILED, _WORD.sub("_", exchange.error).lower()
    elif exchange.status >= 400:
        # SOAP says every refusal with 500; its body has the reason.
        outcome = Outcome.REFUSED if exchange.status < 500 else Outcome.FAILED
        error = f"http_{exchange.status}"
    else:
        outcome, error = Outcome.COMPLETE, ""
    return payload_log.Exchange(
        id=uuid_utils.compat.uuid7(),
        at=exchange.at,
        direction=Direction.OUTBOUND,
        api=_APIS[exchange.api],
        status=exchange.status,
        outcome=outcome,
        enterprise_id=connection.enterprise_id,
        client_name=connection.name,
        error=error,
        duration_us=round(exchange.seconds * 1e6),
        request_bytes=exchange.request_bytes,
        response_bytes=exchange.response_bytes,
        user_agent=exchange.user_agent,
    )


def _bodies(request: bytes, response: bytes) -> recording.Bodies:
    residue = Residue()
    return recording.Bodies(
        request=request,
        request_skeleton=cut_unknown(request, residue),
        response=response,
        response_skeleton=cut_unknown(response, residue),
        residue=residue,
    )
