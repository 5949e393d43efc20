"""What goes through the simulator: a request as handlers see it, an answer, and refusals in Marketing Cloud's words."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

DOCUMENTATION: Final = (
    "https://developer.salesforce.com/docs/marketing/marketing-cloud/guide/error-handling.html"
)


@dataclass(frozen=True, slots=True)
class Request:
    """One call. `path` has no host in front and is in lower case; `keys` are the parts of it that a route names."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes = field(repr=False)
    origin: str  # http://127.0.0.1:port
    keys: Mapping[str, str] = field(default_factory=dict)

    def json(self) -> Any:
        """The body. Raises Refused 400 when it is no JSON."""
        try:
            return json.loads(self.body)
        except ValueError:
            raise Refused(400, 10001, "The request body is not valid JSON.") from None

    def number(self, name: str, default: int) -> int:
        """A whole number above nought of the query. Raises Refused 400."""
        said = self.query.get(name, str(default))
        if not said.isdecimal() or int(said) < 1:
            raise Refused(400, 10001, f"{name} must be a number above 0.")
        return int(said)


@dataclass(frozen=True, slots=True)
class Reply:
    """What is answered."""

    status: int = 200
    body: bytes = b""
    content_type: str = "application/json; charset=utf-8"
    headers: Mapping[str, str] = field(default_factory=dict)


def as_json(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Reply:
    """`value` as a JSON answer."""
    return Reply(status, json.dumps(value).encode(), headers=headers or {})


class Refused(Exception):
    """A REST call is refused, with Marketing Cloud's number for the reason."""

    def __init__(self, status: int, code: int, message: str, **headers: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}

    def reply(self) -> Reply:
        said = {"message": self.message, "errorcode": self.code, "documentation": DOCUMENTATION}
        return as_json(said, self.status, self.headers)


class OAuthRefused(Refused):
    """A call of the auth host is refused, as RFC 6749 says it."""

    def __init__(self, status: int, error: str, description: str) -> None:
        super().__init__(status, 0, description)
        self.error = error

    def reply(self) -> Reply:
        said = {"error": self.error, "error_description": self.message, "error_uri": DOCUMENTATION}
        return as_json(said, self.status)
