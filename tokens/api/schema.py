"""OpenAPI of the API: requests and answers from their msgspec structs, every error, both ways to authenticate."""

from itertools import permutations
from typing import Annotated, Any, Final, Literal

import msgspec
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.utils import OpenApiExample, OpenApiResponse, extend_schema

from tokens.api.errors import ErrorCode
from tokens.models.clients import Scope
from tokens.payload import GetTokenRequest, OptOutsRequest, ResolveRequest

# PostgreSQL has no text with NUL, and half a surrogate pair is no text at all.
_NO_NUL: Final = "^[^\\u0000]*$"


class Attribute(msgspec.Struct):
    name: str
    value: str


class ResolvedToken(msgspec.Struct, rename="camel"):
    token_request_id: str
    token_value: str
    attributes: list[Attribute]


class UnresolvedToken(msgspec.Struct, rename="camel"):
    token_request_id: str
    message: str


class ResolveAnswer(msgspec.Struct, rename="camel"):
    resolved_tokens: list[ResolvedToken]
    unresolved_tokens: list[UnresolvedToken]


class IssuedToken(msgspec.Struct, rename="camel"):
    token_request_id: str
    token: str
    subscriber_key: str


class GetTokenAnswer(msgspec.Struct, rename="camel"):
    tokens: list[IssuedToken]


class TakenOptOut(msgspec.Struct, rename="camel"):
    opt_out_id: str
    state: Literal["new", "known", "refused"]
    reason: str | msgspec.UnsetType = msgspec.UNSET
    message: str | msgspec.UnsetType = msgspec.UNSET


class OptOutsAnswer(msgspec.Struct, rename="camel"):
    opt_outs: list[TakenOptOut]


class Error(msgspec.Struct, rename="camel"):
    error: str
    message: str
    request_id: str


class BearerToken(msgspec.Struct):
    access_token: str
    token_type: str
    expires_in: Annotated[int, msgspec.Meta(gt=0)]
    scope: str


class OAuthError(msgspec.Struct):
    error: str
    error_description: str | msgspec.UnsetType = msgspec.UNSET


SCHEMAS: Final = (
    ResolveRequest,
    ResolveAnswer,
    GetTokenRequest,
    GetTokenAnswer,
    OptOutsRequest,
    OptOutsAnswer,
    Error,
    BearerToken,
    OAuthError,
)
REQUEST_ID: Final = {
    "description": "Id of this exchange in the payload log.",
    "required": True,
    "schema": {"type": "string", "format": "uuid"},
}
DESCRIPTIONS: Final = {
    400: "The request is malformed; the message names the field by its path.",
    401: "The credentials are missing, wrong or no longer valid.",
    403: "The address is not allowed, or the client lacks the scope.",
    405: "Only POST is answered.",
    413: "The body is too large, as sent or unpacked.",
    415: "The body is not declared as JSON in UTF-8, or packed in an unknown way.",
    500: "An unexpected error; the server's log has it under the request id.",
    503: "The database or the payload log is away: nothing was answered. Try again after Retry-After seconds.",
}


class BasicScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """HTTP Basic."""

    target_class = "tokens.api.authentication.BasicAuthentication"
    name = "basic"

    def get_security_definition(self, auto_schema: Any) -> dict[str, Any]:
        return {"type": "http", "scheme": "basic", "description": "Client id and secret of a Basic client."}


class BearerScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """OAuth 2.0 client credentials."""

    target_class = "tokens.api.authentication.BearerAuthentication"
    name = "oauth"

    def get_security_definition(self, auto_schema: Any) -> dict[str, Any]:
        flow = {"tokenUrl": "/oauth2/token", "scopes": {scope.value: scope.label for scope in Scope}}
        return {"type": "oauth2", "flows": {"clientCredentials": flow}}


def _reference(component: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{component}"}


def described(
    operation: str, summary: str, request: str, answer: str, example: dict[str, Any], *, tag: str = "tokens"
) -> Any:
    """Decorates the method of an endpoint whose bodies are these components."""
    return extend_schema(
        operation_id=operation,
        tags=[tag],
        summary=summary,
        request={"application/json": _reference(request)},
        responses={200: OpenApiResponse(_reference(answer), "Every id is answered once.")}
        | {status: OpenApiResponse(_reference("Error"), text) for status, text in DESCRIPTIONS.items()},
        examples=[OpenApiExample("One item", example, request_only=True)],
    )


RESOLVE: Final = described(
    "resolve",
    "Resolve tokens",
    "ResolveRequest",
    "ResolveAnswer",
    {"sendKey": "send-1", "tokens": [{"tokenRequestId": "0b6c", "token": "k7q2@tok.example.net"}]},
)
GET_TOKEN: Final = described(
    "getToken",
    "Get tokens",
    "GetTokenRequest",
    "GetTokenAnswer",
    {"tokenValues": [{"tokenRequestId": "8f0c", "tokenValue": "13175550101", "tokenType": "MobileNumber"}]},
)


OPT_OUTS: Final = described(
    "recordOptOuts",
    "Record opt-outs",
    "OptOutsRequest",
    "OptOutsAnswer",
    {
        "optOuts": [
            {
                "optOutId": "crm-4711",
                "value": "ana@mail.example",
                "valueType": "Email",
                "occurredAt": "2026-11-20T09:30:00Z",
            }
        ]
    },
    tag="opt-outs",
)


def complete(result: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
    """Adds the components, the header of every answer, and the token endpoint, which is no view of the framework."""
    _, components = msgspec.json.schema_components(SCHEMAS, ref_template="#/components/schemas/{name}")
    _tighten(components)
    result["components"].setdefault("schemas", {}).update(components)
    result["components"]["headers"] = {"RequestId": REQUEST_ID}
    result["paths"]["/oauth2/token"] = {"post": _token_endpoint()}
    for path in result["paths"].values():
        path["post"]["requestBody"]["required"] = True
        for answer in path["post"]["responses"].values():
            answer["headers"] = {"X-Request-ID": {"$ref": "#/components/headers/RequestId"}}
    return result


def _tighten(components: dict[str, Any]) -> None:
    """What the API checks beyond types."""
    from django.conf import settings

    batches = (
        ("ResolveRequest", "tokens"),
        ("GetTokenRequest", "tokenValues"),
        ("OptOutsRequest", "optOuts"),
    )
    for name, items in batches:
        components[name]["properties"][items]["maxItems"] = settings.API_MAX_ITEMS
    for name in ("ResolveRequest", "ResolveItem", "GetTokenItem", "OptOutItem"):
        for field in components[name]["properties"].values():
            for option in field.get("anyOf", [field]):
                if option.get("type") == "string" and "format" not in option:
                    option["pattern"] = _NO_NUL
    components["Error"]["properties"]["error"]["enum"] = sorted({code.code for code in ErrorCode})


def _parameters(*, nullable: bool) -> dict[str, Any]:
    """What `/oauth2/token` reads; in JSON null stands for nothing."""
    text: dict[str, Any] = {"type": ["string", "null"] if nullable else "string"}
    scopes = [" ".join(some) for size in range(len(Scope) + 1) for some in permutations(Scope.values, size)]
    return {
        "type": "object",
        "required": ["grant_type"],
        "properties": {
            "grant_type": {"type": "string", "enum": ["client_credentials"]},
            "scope": text | {"enum": [*scopes, None] if nullable else scopes},
            "client_id": text,
            "client_secret": text | {"format": "password"},
        },
    }


def _token_endpoint() -> dict[str, Any]:
    texts = DESCRIPTIONS | {400: "The request is malformed, or asks for a scope that the client lacks."}
    answers = {"200": _answer("BearerToken", "A bearer token.")}
    answers |= {str(status): _answer("OAuthError", text) for status, text in texts.items()}
    content = {
        "application/x-www-form-urlencoded": {"schema": _parameters(nullable=False)},
        "application/json": {"schema": _parameters(nullable=True)},
    }
    return {
        "operationId": "token",
        "summary": "Get a bearer token",
        "description": "Client credentials in a Basic header, or as client_id and client_secret in the body.",
        "tags": ["oauth2"],
        "security": [{"basic": []}, {}],
        "requestBody": {"content": content},
        "responses": answers,
    }


def _answer(component: str, description: str) -> dict[str, Any]:
    return {
        "description": description,
        "content": {"application/json": {"schema": _reference(component)}},
    }
