"""The closed list of what the API answers when it does not answer 200. docs/errors.md explains each code.

A message says what to do and where; it names fields by path and never holds a value of the request.
"""

from enum import Enum
from typing import Any, Final

RETRY_AFTER_SECONDS: Final = 5


class ErrorCode(Enum):
    """The code that stands in the answer, its HTTP status, and what the caller can do about it."""

    def __init__(self, code: str, status: int, message: str) -> None:
        self.code = code
        self.status = status
        self.message = message

    BAD_REQUEST = "bad_request", 400, "Check the Host header and the address."
    MALFORMED_BODY = "malformed_body", 400, "Send one JSON object in UTF-8."
    MALFORMED_GZIP = "malformed_gzip", 400, "Send one whole gzip stream, or no Content-Encoding."
    INVALID_FIELD = "invalid_field", 400, "Correct the field that is named."
    DUPLICATE_KEY = "duplicate_key", 400, "Send each key of an object once."
    TOO_DEEP = "too_deep", 400, "Nest objects and arrays less deeply."
    TOO_MANY_ITEMS = "too_many_items", 400, "Send at most {limit} items in a batch."
    UNAUTHENTICATED = "unauthenticated", 401, "Send the credentials of an API client."
    INVALID_CREDENTIALS = "invalid_credentials", 401, "Check the client id and its secret."
    INVALID_TOKEN = "invalid_token", 401, "Get a new bearer token: this one is unknown or was revoked."
    EXPIRED_TOKEN = "expired_token", 401, "Get a new bearer token: this one expired."
    WRONG_METHOD = "wrong_auth_method", 401, "Authenticate by the method that this client was made for."
    SWITCHED_OFF = (
        "client_switched_off",
        401,
        "This client was switched off: ask the operator of this server.",
    )
    BAD_SIGNATURE = (
        "bad_signature",
        401,
        "Sign the body as it is sent with the signature key of a callback that is verified here.",
    )
    UNEXPECTED_HANDSHAKE = (
        "unexpected_handshake",
        403,
        "Ask for events on the connection's page of this portal: its own handshake is waited for.",
    )
    ADDRESS_NOT_ALLOWED = "address_not_allowed", 403, "Call from an address on the allowlist."
    INSUFFICIENT_SCOPE = (
        "insufficient_scope",
        403,
        "Ask for a client, or a bearer token, with the scope {scope}.",
    )
    NOT_FOUND = "not_found", 404, "There is nothing at this address."
    METHOD_NOT_ALLOWED = "method_not_allowed", 405, "Use POST."
    BODY_TOO_LARGE = "body_too_large", 413, "Send at most {limit} bytes, counted as sent and unpacked."
    UNSUPPORTED_MEDIA = "unsupported_media_type", 415, "Send {accepted} in UTF-8."
    UNSUPPORTED_ENCODING = (
        "unsupported_encoding",
        415,
        "Send the body as it is, or with Content-Encoding gzip.",
    )
    INTERNAL = "internal_error", 500, "Try again; if it stays, give the request id to the operator."
    UNAVAILABLE = "unavailable", 503, "Try again after the seconds in Retry-After."


class ApiError(Exception):
    """The API refuses, or can't answer.

    `detail` replaces the code's own message; neither holds a value. `client` is whom it refuses, where that was
    proven but is not yet known to the view.
    """

    def __init__(
        self,
        code: ErrorCode,
        detail: str | None = None,
        *,
        headers: dict[str, str] | None = None,
        client: Any = None,
        **facts: object,
    ) -> None:
        self.code = code
        self.detail = detail or code.message.format(**facts)
        self.headers = headers or {}
        self.client = client
        super().__init__(code.code)
