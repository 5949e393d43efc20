"""The answers' envelopes: JSON, never stored by a cache, packed when the caller can unpack it."""

import gzip
import re
import uuid
from collections.abc import Mapping
from typing import Final

import msgspec
from django.http import HttpRequest, HttpResponse

from tokens.api.errors import RETRY_AFTER_SECONDS, ApiError

JSON: Final = "application/json"
_SMALLEST_PACKED: Final = 1024
_REFUSES_GZIP: Final = re.compile(r"gzip\s*;\s*q=0(\.0*)?\s*(,|$)")


def json_reply(request: HttpRequest, body: bytes, *, status: int = 200) -> HttpResponse:
    """`body`, which is JSON, as an answer to `request`."""
    packed = len(body) >= _SMALLEST_PACKED and accepts_gzip(request)
    reply = HttpResponse(_packed(body) if packed else body, content_type=JSON, status=status)
    if packed:
        reply["Content-Encoding"] = "gzip"
    reply["Vary"] = "Accept-Encoding"
    reply["Cache-Control"] = "no-store"
    if status == 503:
        reply["Retry-After"] = str(RETRY_AFTER_SECONDS)
    return reply


def error_body(error: ApiError, request_id: uuid.UUID) -> bytes:
    """`{"error": code, "message": what to do, "requestId": id}`."""
    return msgspec.json.encode(
        {"error": error.code.code, "message": error.detail, "requestId": str(request_id)}
    )


def error_reply(request: HttpRequest, error: ApiError, body: bytes) -> HttpResponse:
    """The answer that refuses."""
    return with_headers(json_reply(request, body, status=error.code.status), error.headers)


def with_headers(reply: HttpResponse, headers: Mapping[str, str]) -> HttpResponse:
    """`reply` with more headers."""
    for name, value in headers.items():
        reply[name] = value
    return reply


def accepts_gzip(request: HttpRequest) -> bool:
    """Whether the caller asked for gzip by name."""
    accepted = request.META.get("HTTP_ACCEPT_ENCODING", "").lower()
    return "gzip" in accepted and not _REFUSES_GZIP.search(accepted)


def _packed(body: bytes) -> bytes:
    # Level 1: most bytes are random ids, which no level makes smaller. A fixed time keeps equal bodies equal.
    return gzip.compress(body, compresslevel=1, mtime=0)
