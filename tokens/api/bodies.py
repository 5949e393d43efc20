"""Reading a request body, within its limits: as sent, and unpacked when it came as gzip."""

import zlib
from email.message import Message
from functools import lru_cache
from typing import Any, Final

from django.conf import settings
from django.http import HttpRequest
from django.http.request import UnreadablePostError

from tokens.api.errors import ApiError, ErrorCode

_GZIP: Final = 16 + zlib.MAX_WBITS
# 500 items fit one member; a stream of countless tiny ones costs more to read than it says.
_MOST_GZIP_MEMBERS: Final = 16
_CUT_SHORT: Final = "The connection ended before the body did."


def media_type(request: HttpRequest, *accepted: str) -> str:
    """The media type of the body; one that does not say is taken for the first of `accepted`. Raises ApiError 415."""
    header = request.META.get("CONTENT_TYPE") or accepted[0]
    named, charset = _parsed(header)
    if named not in accepted or charset not in ("utf-8", "utf8", "us-ascii"):
        raise ApiError(ErrorCode.UNSUPPORTED_MEDIA, accepted=" or ".join(accepted))
    return named


@lru_cache(maxsize=64)
def _parsed(content_type: str) -> tuple[str, str]:
    message = Message()
    message["content-type"] = content_type
    return message.get_content_type(), message.get_content_charset("utf-8")


def read_body(request: HttpRequest) -> tuple[bytes, int]:
    """(content-decoded body, bytes as they were sent). Raises ApiError: 400, 413 or 415."""
    encoding = request.META.get("HTTP_CONTENT_ENCODING", "").strip().lower()
    if encoding not in ("", "identity", "gzip", "x-gzip"):
        raise ApiError(ErrorCode.UNSUPPORTED_ENCODING)
    sent = _read_sent(request, settings.API_MAX_BODY_BYTES)
    if encoding in ("gzip", "x-gzip"):
        return _unpacked(sent, settings.API_MAX_BODY_BYTES), len(sent)
    return sent, len(sent)


def _read_sent(request: HttpRequest, limit: int) -> bytes:
    length = request.META.get("CONTENT_LENGTH") or ""
    if length.isdecimal() and int(length) > limit:
        raise ApiError(ErrorCode.BODY_TOO_LARGE, limit=limit)
    # Without a Content-Length Django takes the body for empty; the server ends a chunked one by itself.
    is_chunked = not length and request.META.get("wsgi.input_terminated")
    stream: Any = request.META["wsgi.input"] if is_chunked else request
    try:
        sent: bytes = stream.read(limit + 1)
    except (UnreadablePostError, OSError):
        raise ApiError(ErrorCode.MALFORMED_BODY, _CUT_SHORT) from None
    except Exception as error:
        # Servers have errors of their own for chunks that can't be read; ours is not imported for its name.
        if is_chunked:
            raise ApiError(ErrorCode.MALFORMED_BODY, "Send whole chunks, each with its size.") from error
        raise
    # A server hands on what came before a caller hung up; by chance that can be JSON, but it is not what was meant.
    if length.isdecimal() and len(sent) < int(length):
        raise ApiError(ErrorCode.MALFORMED_BODY, _CUT_SHORT)
    if len(sent) > limit:
        raise ApiError(ErrorCode.BODY_TOO_LARGE, limit=limit)
    return sent


def _unpacked(sent: bytes, limit: int) -> bytes:
    """The content of a gzip stream, never more than one byte beyond `limit`, whatever it would unpack to."""
    unpacked, left = b"", sent
    for _ in range(_MOST_GZIP_MEMBERS):
        member = zlib.decompressobj(_GZIP)
        try:
            unpacked += member.decompress(left, limit + 1 - len(unpacked))
        except zlib.error:
            raise ApiError(ErrorCode.MALFORMED_GZIP) from None
        if len(unpacked) > limit:
            raise ApiError(ErrorCode.BODY_TOO_LARGE, limit=limit)
        if not member.eof:
            break
        left = member.unused_data
        if not left:
            return unpacked
    raise ApiError(ErrorCode.MALFORMED_GZIP)
