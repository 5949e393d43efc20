"""Paging by key, newest first: no COUNT and no OFFSET, so the millionth row costs what the first does."""

import uuid
from dataclasses import dataclass
from typing import Any, Final

from django.db.models import Model, QuerySet
from django.http import HttpRequest

PAGE_SIZE: Final = 50


@dataclass(frozen=True, slots=True)
class Sheet:
    """A page of rows, and the query strings that lead to the pages beside it ("" where there is none)."""

    rows: list[Any]
    newer: str
    older: str


def sheet(rows: "QuerySet[Any]", request: HttpRequest, *, size: int = PAGE_SIZE) -> Sheet:
    """The page of `rows` (with UUIDv7 keys) that `?older=` or `?newer=` asks for: beyond that id, exclusive."""
    older, newer = _key(request, "older"), _key(request, "newer")
    if newer:
        found = list(rows.filter(pk__gt=newer).order_by("pk")[: size + 1])
        more_newer, more_older = len(found) > size, True
        found = found[:size][::-1]
    else:
        found = list((rows.filter(pk__lt=older) if older else rows).order_by("-pk")[: size + 1])
        more_newer, more_older = older is not None, len(found) > size
        found = found[:size]
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


def _link(request: HttpRequest, name: str, row: Model) -> str:
    query = request.GET.copy()
    for parameter in ("older", "newer"):
        query.pop(parameter, None)
    query[name] = str(row.pk)
    return "?" + query.urlencode()
