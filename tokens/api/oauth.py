"""`/oauth2/token`: a client id and secret in, a bearer token out (RFC 6749, client credentials only).

Django OAuth Toolkit issues and stores the token, hashed. Who the client is, is decided here, with the same proof
as for Basic and without a password hasher. Which of three forms Marketing Cloud sends is not public, so all are
taken: a form, a JSON object, or the credentials in a Basic header.
"""

import json
from collections.abc import Iterable
from typing import Any, Final

from django.conf import settings
from django.core.exceptions import SuspiciousOperation
from django.http import HttpRequest, HttpResponse, QueryDict
from oauth2_provider.oauth2_backends import OAuthLibCore
from oauth2_provider.oauth2_validators import OAuth2Validator
from oauth2_provider.views import TokenView
from oauthlib.oauth2 import BackendApplicationServer

from audit.models import Api, Outcome
from tokens.api import allowlist
from tokens.api.authentication import BASIC_CHALLENGE, Client, client_of_secret, decode_basic
from tokens.api.bodies import media_type, read_body
from tokens.api.call import Call
from tokens.api.errors import ApiError, ErrorCode
from tokens.api.failures import answering, as_api_error, log_refusal
from tokens.api.replies import JSON, json_reply, with_headers
from tokens.log import recording
from tokens.models import ApiClient
from tokens.models.clients import AuthMethod

FORM: Final = "application/x-www-form-urlencoded"

KNOWN: Final = frozenset({"grant_type", "scope", "client_id", "client_secret"})

# What RFC 6749 calls our refusals; anything else that is wrong with a request is invalid_request.
RFC_NAMES: Final = {
    ErrorCode.UNAUTHENTICATED: "invalid_client",
    ErrorCode.INVALID_CREDENTIALS: "invalid_client",
    ErrorCode.WRONG_METHOD: "invalid_client",
    ErrorCode.SWITCHED_OFF: "invalid_client",
    ErrorCode.ADDRESS_NOT_ALLOWED: "unauthorized_client",
    ErrorCode.INTERNAL: "server_error",
    ErrorCode.UNAVAILABLE: "temporarily_unavailable",
}


class Token(TokenView):
    """`POST /oauth2/token`"""

    http_method_names = ["post"]
    call: Call

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """A bearer token, or why not. Both are logged as facts, without bodies."""
        self.call = Call.begin(request, Api.OAUTH)
        try:
            if not allowlist.union.holds(self.call.address):
                raise ApiError(ErrorCode.ADDRESS_NOT_ALLOWED)
            request.POST = self.parameters(request)  # type: ignore[assignment]
            self.call.client = authenticated(request, self.call)
            return self.issue(request)
        except Exception as error:  # noqa: BLE001 - each becomes an answer
            return self.refuse(request, as_api_error(error, Api.OAUTH))

    def http_method_not_allowed(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        self.call = Call.begin(request, Api.OAUTH)
        return self.refuse(request, ApiError(ErrorCode.METHOD_NOT_ALLOWED, headers={"Allow": "POST"}))

    def parameters(self, request: HttpRequest) -> QueryDict:
        """The parameters of a form or of a flat JSON object. Raises ApiError 400, 413 or 415."""
        kind = media_type(request, FORM, JSON)
        body, self.call.request_bytes = read_body(request)
        return form_parameters(body) if kind == FORM else json_parameters(body)

    def issue(self, request: HttpRequest) -> HttpResponse:
        """The token with its log entry, in one transaction; or what Django OAuth Toolkit says is wrong."""
        with answering():
            _, headers, body, status = self.create_token_response(request)
            reply = with_headers(json_reply(request, body.encode(), status=status), headers)
            refused = "" if status == 200 else str(json.loads(body).get("error"))
            outcome = Outcome.REFUSED if refused else Outcome.COMPLETE
            recording.write(
                self.call.exchange(
                    status=status, outcome=outcome, error=refused, response_bytes=len(reply.content)
                )
            )
        return reply

    def get_oauthlib_core(self) -> OAuthLibCore:
        """A server that knows one grant, for the client of this call."""
        lifetime = settings.OAUTH2_PROVIDER["ACCESS_TOKEN_EXPIRE_SECONDS"]
        server = BackendApplicationServer(_Validator(self.call), token_expires_in=lifetime)
        return OAuthLibCore(server)

    def refuse(self, request: HttpRequest, error: ApiError) -> HttpResponse:
        """A refusal as RFC 6749 says it."""
        self.call.client = self.call.client or error.client
        said = {
            "error": RFC_NAMES.get(error.code, "invalid_request"),
            "error_description": error.detail.replace('"', "'"),
        }
        reply = json_reply(request, json.dumps(said).encode(), status=error.code.status)
        if reply.status_code == 401:
            reply["WWW-Authenticate"] = BASIC_CHALLENGE
        log_refusal(self.call, error, None, reply)
        return with_headers(reply, error.headers)


class _Validator(OAuth2Validator):
    """What Django OAuth Toolkit asks about the client, which has already proven itself."""

    def __init__(self, call: Call) -> None:
        self.portal_client = call.proven
        super().__init__()

    def authenticate_client(self, request: Any, *args: Any, **kwargs: Any) -> bool:
        request.client = ApiClient.objects.get(pk=self.portal_client.pk)
        return True

    def get_default_scopes(self, client_id: str, request: Any, *args: Any, **kwargs: Any) -> list[str]:
        return sorted(self.portal_client.scopes)

    def validate_scopes(
        self, client_id: str, scopes: list[str], client: ApiClient, request: Any, *args: Any, **kwargs: Any
    ) -> bool:
        return set(scopes) <= self.portal_client.scopes


def authenticated(request: HttpRequest, call: Call) -> Client:
    """The client that asks, proven and allowed to. A Basic header goes before credentials in the body."""
    scheme, _, credentials = request.META.get("HTTP_AUTHORIZATION", "").strip().partition(" ")
    if scheme.lower() == "basic":
        client_id, secret = decode_basic(credentials.strip())
    elif "client_id" in request.POST:
        client_id, secret = request.POST["client_id"], request.POST.get("client_secret", "")
    else:
        raise ApiError(ErrorCode.UNAUTHENTICATED)
    client = client_of_secret(client_id, secret)
    if client is None:
        raise ApiError(ErrorCode.INVALID_CREDENTIALS)
    if client.auth != AuthMethod.OAUTH:
        raise ApiError(ErrorCode.WRONG_METHOD, client=client)
    if client.switched_off:
        raise ApiError(ErrorCode.SWITCHED_OFF, client=client)
    if client.networks and not allowlist.in_networks(call.address, client.networks):
        raise ApiError(ErrorCode.ADDRESS_NOT_ALLOWED, client=client)
    return client


def form_parameters(body: bytes) -> QueryDict:
    """The parameters of a form, of which each may stand once. Raises ApiError 400."""
    try:
        form = QueryDict(body.decode(), encoding="utf-8")
    except (ValueError, SuspiciousOperation):  # too many fields are suspicious
        raise ApiError(ErrorCode.MALFORMED_BODY, "Send parameters as a form, in UTF-8.") from None
    return _parameters([(name, value) for name, values in form.lists() for value in values])


def json_parameters(body: bytes) -> QueryDict:
    """The parameters of one JSON object. Raises ApiError 400."""
    try:
        pairs = json.loads(body.decode(), object_pairs_hook=_Pairs)
    except (ValueError, RecursionError):
        pairs = None
    if not isinstance(pairs, _Pairs):
        raise ApiError(ErrorCode.MALFORMED_BODY, "Send parameters as one JSON object.")
    return _parameters(pairs)


class _Pairs(list[tuple[str, Any]]):
    """The members of a JSON object, equal names included."""


def _parameters(pairs: Iterable[tuple[str, Any]]) -> QueryDict:
    """Those that the grant knows; others are tolerated, and an empty one is none (RFC 6749, section 3.2)."""
    parameters = QueryDict(mutable=True)
    for name, value in pairs:
        if name not in KNOWN or value in (None, ""):
            continue
        if not isinstance(value, str) or not is_text(value):
            raise ApiError(ErrorCode.INVALID_FIELD, f"Expected text - at `{name}`.")
        if name in parameters:
            raise ApiError(ErrorCode.DUPLICATE_KEY, f"Send each parameter once - at `{name}`.")
        parameters[name] = value
    return parameters


def is_text(value: str) -> bool:
    """Whether a decoded string could be sent on: half a surrogate pair, or NUL, could not."""
    return value.isascii() and "\x00" not in value
