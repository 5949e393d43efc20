"""The people of the API's tests, and a Marketing Cloud that calls for them."""

import base64
import json
from dataclasses import dataclass, field
from typing import Any

import httpx2
from django.test import Client

from audit.models import PayloadEntry
from audit.trail import SYSTEM
from tokens.clients import create_client
from tokens.formats.kinds import Kind
from tokens.formats.normalise import normalise
from tokens.models import ApiClient, Enterprise
from tokens.models.clients import AuthMethod
from tokens.vault import contacts, mint
from tokens.vault.contacts import Person
from tokens.vault.mint import Wanted

RESOLVE = "/api/v1/tokens/resolve"
GET = "/api/v1/tokens/get"
OAUTH = "/oauth2/token"
OPT_OUTS = "/api/v1/opt-outs"

ANA = ("ana@mail.example", "SUB-ANA", (("FirstName", "Ana"), ("Town", "São Paulo")))
BEN = ("ben@mail.example", "SUB-BEN", None)
CLO = ("447700900123", "SUB-CLO", None)


@dataclass
class MarketingCloud:
    """A caller with the credentials of one API client."""

    client: ApiClient
    secret: str
    headers: dict[str, str] = field(default_factory=dict)
    http: "Client | Wire" = field(default_factory=lambda: Client(raise_request_exception=False))

    @property
    def authorization(self) -> str:
        return basic(self.client.client_id, self.secret)

    def post(self, path: str, body: Any, headers: dict[str, str | None] | None = None, **extra: Any) -> Any:
        """POST `body`: bytes as they are, anything else as JSON. A header that is None is left out."""
        sent = body if isinstance(body, bytes) else json.dumps(body).encode()
        merged = {"Authorization": self.authorization, "Content-Type": "application/json"} | self.headers
        merged |= headers or {}
        given = {name: value for name, value in merged.items() if value is not None}
        content_type = given.pop("Content-Type", "")
        return self.http.post(path, sent, content_type=content_type, headers=given, **extra)

    def resolve(self, *items: dict[str, Any], headers: dict[str, str | None] | None = None) -> Any:
        return self.post(RESOLVE, {"sendKey": "send-1", "tokens": list(items)}, headers)

    def get_token(self, *items: dict[str, Any], headers: dict[str, str | None] | None = None) -> Any:
        return self.post(GET, {"tokenValues": list(items)}, headers)


class Wire:
    """Posts over a socket, for a server that runs in a process of its own."""

    def __init__(self, url: str) -> None:
        self.url = url

    def post(self, path: str, body: bytes, *, content_type: str, headers: dict[str, str]) -> Any:
        given = headers | {"Content-Type": content_type}
        return httpx2.post(self.url + path, content=body, headers=given, timeout=60)


def basic(client_id: str, secret: str) -> str:
    return "Basic " + base64.b64encode(f"{client_id}:{secret}".encode()).decode()


def a_caller(enterprise: Enterprise, *, name: str = "Marketing Cloud", **facts: Any) -> MarketingCloud:
    client, secret = create_client(
        enterprise, name=name, actor=SYSTEM, **({"auth": AuthMethod.BASIC} | facts)
    )
    return MarketingCloud(client, secret)


def a_person(
    enterprise: Enterprise,
    value: str,
    key: str,
    attributes: tuple[tuple[str, str], ...] | None = None,
) -> str:
    """The token of somebody with an address or number, whose contact has `key`."""
    kind = Kind.EMAIL if "@" in value else Kind.MOBILE
    [held] = mint.get_or_create(enterprise, [Wanted(kind, normalise(kind, value), value)])
    [contact] = contacts.upsert(enterprise, [Person(key, attributes)])
    contacts.link(enterprise, [(held.mapping_id, contact.contact_id)])
    return held.token


def ask(token: str, request_id: str = "r-1", **more: Any) -> dict[str, Any]:
    """An item of a Resolve request."""
    return {"tokenRequestId": request_id, "token": token} | more


def want(value: str, request_id: str = "r-1", kind: str | None = None, **more: Any) -> dict[str, Any]:
    """An item of a Get Token request."""
    named = kind or ("Email" if "@" in value else "MobileNumber")
    return {"tokenRequestId": request_id, "tokenValue": value, "tokenType": named} | more


def entry_of(response: Any) -> PayloadEntry:
    """The log entry of an answer."""
    return PayloadEntry.objects.get(pk=response["X-Request-ID"])
