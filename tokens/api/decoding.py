"""From a body to the structs of `tokens.payload`: JSON, and every rule of the contract.

What is wrong is named by path, never by value. Unknown fields are tolerated, as the contract demands, but not
keys that stand twice, and no depth that a reader of the log could not follow.
"""

from collections.abc import Callable
from typing import Final, TypeVar

import msgspec
from django.conf import settings

from tokens.api.errors import ApiError, ErrorCode
from tokens.payload import (
    GetTokenRequest,
    OptOutsRequest,
    ResolveRequest,
    UnreadableBody,
    exceeds_depth,
    find_duplicate_key,
    is_plain,
)

_decode_resolve: Final = msgspec.json.Decoder(ResolveRequest).decode
_decode_get_token: Final = msgspec.json.Decoder(GetTokenRequest).decode
_decode_opt_outs: Final = msgspec.json.Decoder(OptOutsRequest).decode

_R = TypeVar("_R", bound=msgspec.Struct)


def decode_resolve(body: bytes) -> ResolveRequest:
    """The request of Resolve. Raises ApiError 400."""
    request = _decoded(body, _decode_resolve)
    _check_count(len(request.tokens))
    return request


def decode_get_token(body: bytes) -> GetTokenRequest:
    """The request of Get Token. Raises ApiError 400."""
    request = _decoded(body, _decode_get_token)
    _check_count(len(request.token_values))
    return request


def decode_opt_outs(body: bytes) -> OptOutsRequest:
    """The request of Opt-outs. Raises ApiError 400."""
    request = _decoded(body, _decode_opt_outs)
    _check_count(len(request.opt_outs))
    return request


def _decoded(body: bytes, decode: Callable[[bytes], _R]) -> _R:
    try:
        request = decode(body)
    except msgspec.ValidationError as error:
        raise ApiError(ErrorCode.INVALID_FIELD, f"{error}.") from None
    except msgspec.DecodeError as error:
        # The decoder tells what and at which byte, and quotes nothing.
        raise ApiError(ErrorCode.MALFORMED_BODY, f"{error}.") from None
    except UnicodeDecodeError:
        raise ApiError(ErrorCode.MALFORMED_BODY, "The body is not UTF-8.") from None
    except RecursionError:
        raise ApiError(ErrorCode.TOO_DEEP) from None
    if not is_plain(body, request):
        _check_strictly(body)
    if b"\\u0000" in body:
        _check_nul(request, "$")
    return request


def _check_strictly(body: bytes) -> None:
    """What the decoder let pass; costs ten times the decoding, and is asked of unusual bodies only."""
    if exceeds_depth(body):
        raise ApiError(ErrorCode.TOO_DEEP)
    try:
        path = find_duplicate_key(body)
    except UnreadableBody:
        raise ApiError(ErrorCode.MALFORMED_BODY) from None
    if path is not None:
        raise ApiError(ErrorCode.DUPLICATE_KEY, f"The key stands twice - at `{path}`.")


def _check_count(items: int) -> None:
    if items > settings.API_MAX_ITEMS:
        raise ApiError(ErrorCode.TOO_MANY_ITEMS, limit=settings.API_MAX_ITEMS)


def _check_nul(part: msgspec.Struct, path: str) -> None:
    """PostgreSQL has no text with NUL, so it can be no part of a token, a key or a value."""
    for field in msgspec.structs.fields(part):
        value, where = getattr(part, field.name), f"{path}.{field.encode_name}"
        if isinstance(value, str) and "\x00" in value:
            raise ApiError(ErrorCode.INVALID_FIELD, f"Expected text without NUL - at `{where}`.")
        if isinstance(value, list):
            for index, item in enumerate(value):
                _check_nul(item, f"{where}[{index}]")
