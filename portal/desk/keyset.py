"""Paging by key, newest first: no COUNT and no OFFSET, so the millionth row costs what the first does."""

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from django.db.models import QuerySet
from django.http import HttpRequest

PAGE_SIZE: Final = 50


@dataclass(frozen=True, slots=True)
class Sheet:
    """A page of rows, and the query strings that lead to the pages beside it ("" where there is none)."""

    rows: list[Any]
    newer: str
    older: str


Fetch = Callable[[uuid.UUID | None, uuid.UUID | None, int], list[Any]]


def sheet(rows: "QuerySet[Any]", request: HttpRequest, *, size: int = PAGE_SIZE) -> Sheet:
    """The page of `rows` (with UUIDv7 keys) that `?older=` or `?newer=` asks for: beyond that id, exclusive."""

    def fetch(older: uuid.UUID | None, newer: uuid.UUID | None, limit: int) -> list[Any]:
        if newer:
            return list(rows.filter(pk__gt=newer).order_by("pk")[:limit])[::-1]
        return list((rows.filter(pk__lt=older) if older else rows).order_by("-pk")[:limit])

    return sheet_by(fetch, request, size=size)


def sheet_by(fetch: Fetch, request: HttpRequest, *, size: int = PAGE_SIZE) -> Sheet:
    """The same of whatever has a `pk`: `fetch(older, newer, limit)` gives those next beyond a key, newest first."""
    older, newer = _key(request, "older"), _key(request, "newer")
    found = fetch(None if newer else older, newer, size + 1)
    is_more = len(found) > size
    if newer:
        more_newer, more_older, found = is_more, True, found[-size:]
    else:
        more_newer, more_older, found = older is not None, is_more, found[:size]
    return Sheet(
        found,
        _link(request, "newer", found[0]) if found and more_newer else "",
        _link(request, "older", found[-1]) if found and more_older else "",
    )


def _key(request: HttpRequest, name: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(request.GET[name])
    except (KeyError, ValueError):
        return None


def _link(request: HttpRequest, name: str, row: Any) -> str:
    query = request.GET.copy()
    for parameter in ("older", "newer"):
        query.pop(parameter, None)
    query[name] = str(row.pk)
    return "?" + query.urlencode()
