"""Rows of data extensions."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final
from urllib.parse import quote

from tokens.marketing_cloud import envelopes
from tokens.marketing_cloud.caller import Caller
from tokens.marketing_cloud.errors import TooMuch, UnreadableAnswer
from tokens.marketing_cloud.retrieving import retrieve

READ: Final = "data_extensions_read"
WRITE: Final = "data_extensions_write"
LARGEST_PAGE: Final = 2500
ROWS_A_CALL: Final = 50  # a soft limit of Marketing Cloud
ROWS_AN_ASYNC_CALL: Final = 32_000

Row = Mapping[str, str]


class RowStatus(StrEnum):
    """What became of a row of an asynchronous upsert."""

    OK = "OK"
    ERROR = "Error"


@dataclass(frozen=True, slots=True)
class RowResult:
    """The result of one row, in the order in which they were given; `code` is Marketing Cloud's."""

    status: RowStatus
    code: str


class DataExtensions:
    """Rows by the external key of their data extension. Column names come back in lower case."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    def rows(self, key: str, *, page_size: int = LARGEST_PAGE) -> Iterator[dict[str, str]]:
        """Every row, key columns and others in one mapping, page by page."""
        query = {"$page": "1", "$pageSize": str(min(page_size, LARGEST_PAGE))}
        path = f"/data/v1/customobjectdata/key/{quote(key, safe='')}/rowset"
        page, seen = 1, 0
        while True:
            answer = self._caller.rest("rows", "GET", path, scope=READ, query=query | {"$page": str(page)})
            items = _items(answer)
            yield from ({**item.get("keys", {}), **item.get("values", {})} for item in items)
            seen += len(items)
            # Later pages stand under the token of the first, so that they are of the same moment.
            token = answer.get("requestToken")
            if not items or seen >= int(answer.get("count") or 0) or not token:
                return
            path, page = f"/data/v1/customobjectdata/token/{quote(str(token), safe='')}/rowset", page + 1

    def upsert(self, key: str, rows: Sequence[tuple[Row, Row]]) -> None:
        """Write rows, each as (key columns, other columns), at most 50. A column that is left out keeps its value.

        When it raises, rows before the first bad one are written: do the call again, it changes nothing twice.
        """
        if len(rows) > ROWS_A_CALL:
            raise TooMuch("REST upsert", f"at most {ROWS_A_CALL} rows")
        body = [{"keys": dict(keys), "values": dict(values)} for keys, values in rows]
        path = f"/hub/v1/dataevents/key:{quote(key, safe='')}/rowset"
        self._caller.rest("upsert", "POST", path, scope=WRITE, body=body)

    def not_sendable(self) -> list[tuple[str, str]]:
        """(external key, name) of each data extension that nothing is sent to: a contact delete leaves its rows."""
        answer = retrieve(
            self._caller, "DataExtension", ("CustomerKey", "Name"), ("IsSendable", ["false"]), scope=READ
        )
        return sorted((envelopes.text(one, "CustomerKey"), envelopes.text(one, "Name")) for one in answer)

    def clear_column(self, key: str, keys: Sequence[Row], column: str) -> None:
        """Empty one column of rows: REST takes "" for nothing, and leaves alone what is left out."""
        for first in range(0, len(keys), ROWS_A_CALL):
            self.upsert(key, [(row, {column: ""}) for row in keys[first : first + ROWS_A_CALL]])

    def upsert_later(self, key: str, rows: Sequence[Row]) -> str:
        """Hand in up to 32,000 rows; the id under which `results` tells of them."""
        if len(rows) > ROWS_AN_ASYNC_CALL:
            raise TooMuch("REST asynchronous upsert", f"at most {ROWS_AN_ASYNC_CALL} rows")
        path = f"/data/v1/async/dataextensions/key:{quote(key, safe='')}/rows"
        body = {"items": [dict(row) for row in rows]}
        answer = self._caller.rest("asynchronous upsert", "PUT", path, scope=WRITE, body=body)
        return str(_field(answer, "requestId"))

    def is_done(self, request_id: str) -> bool:
        """Whether an asynchronous upsert is worked off, for good or for ill."""
        answer = self._caller.rest(
            "upsert status", "GET", f"/data/v1/async/{quote(request_id)}/status", scope=READ
        )
        status = _field(answer, "status")
        return str(_field(status, "requestStatus")).casefold() in ("complete", "error")

    def results(self, request_id: str) -> Iterator[RowResult]:
        """The result of each row."""
        page, seen = 1, 0
        while True:
            path = f"/data/v1/async/{quote(request_id)}/results"
            answer = self._caller.rest("upsert results", "GET", path, scope=READ, query={"page": str(page)})
            items = _items(answer)
            for item in items:
                status = RowStatus.OK if item.get("status") == "OK" else RowStatus.ERROR
                yield RowResult(status, str(item.get("errorCode", "")))
            seen, page = seen + len(items), page + 1
            if not items or seen >= int(answer.get("count") or 0):
                return


def _items(answer: Any) -> list[dict[str, Any]]:
    """The items of a page; an empty page has none."""
    if not isinstance(answer, dict):
        raise UnreadableAnswer("REST rows")
    return list(answer.get("items") or [])


def _field(answer: Any, name: str) -> Any:
    if not isinstance(answer, dict) or name not in answer:
        raise UnreadableAnswer("REST rows", f"{name} is missing")
    return answer[name]
