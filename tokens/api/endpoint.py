"""What Resolve and Get Token share: who may call, how a refusal is said, and how it is logged."""

from typing import Any, ClassVar, cast

from django.http import HttpResponse
from rest_framework.permissions import BasePermission
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.views import APIView

from audit.models import Api
from tokens.api import allowlist
from tokens.api.authentication import (
    BASIC_CHALLENGE,
    BEARER_CHALLENGE,
    BasicAuthentication,
    BearerAuthentication,
    Client,
)
from tokens.api.bodies import media_type, read_body
from tokens.api.call import Call
from tokens.api.errors import ApiError, ErrorCode
from tokens.api.failures import as_api_error, log_refusal
from tokens.api.replies import JSON, error_body, error_reply
from tokens.models.clients import Scope


class FromItsNetworks(BasePermission):
    """The client calls from a network of its own list, if it has one."""

    def has_permission(self, request: Request, view: Any) -> bool:
        networks = view.call.client.networks
        if networks and not allowlist.in_networks(view.call.address, networks):
            raise ApiError(ErrorCode.ADDRESS_NOT_ALLOWED)
        return True


class HasScope(BasePermission):
    """The client, and its bearer token if it brought one, has the scope of the view."""

    def has_permission(self, request: Request, view: Any) -> bool:
        if view.scope not in view.call.client.scopes:
            challenge = f'{BEARER_CHALLENGE}, error="insufficient_scope", scope="{view.scope}"'
            raise ApiError(
                ErrorCode.INSUFFICIENT_SCOPE, scope=view.scope, headers={"WWW-Authenticate": challenge}
            )
        return True


class Endpoint(APIView):
    """A call of Marketing Cloud: checked, answered in one transaction with its log entry, or refused."""

    authentication_classes = [BasicAuthentication, BearerAuthentication]
    permission_classes = [FromItsNetworks, HasScope]
    # Answers are JSON whatever Accept says: nothing is negotiated.
    renderer_classes = [JSONRenderer]
    http_method_names = ["post"]
    api: ClassVar[Api]
    scope: ClassVar[Scope]
    call: Call

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Everything that needs no body: method, address, credentials, own networks, scope."""
        self.call = Call.begin(request._request, self.api)
        if request.method != "POST":
            raise ApiError(ErrorCode.METHOD_NOT_ALLOWED, headers={"Allow": "POST"})
        if not allowlist.union.holds(self.call.address):
            raise ApiError(ErrorCode.ADDRESS_NOT_ALLOWED)
        self.call.client = cast(Client | None, request.user)
        if self.call.client is None:
            challenges = f"{BASIC_CHALLENGE}, {BEARER_CHALLENGE}"
            raise ApiError(ErrorCode.UNAUTHENTICATED, headers={"WWW-Authenticate": challenges})
        self.check_permissions(request)

    def read(self, request: Request) -> bytes:
        """The body, which from here on stands in the log whatever comes of it."""
        media_type(request._request, JSON)
        self.call.body, self.call.request_bytes = read_body(request._request)
        return self.call.body

    def handle_exception(self, exc: Exception) -> HttpResponse:  # type: ignore[override]
        """The answer to anything that was raised; by now its transaction is rolled back."""
        error = as_api_error(exc, self.api)
        self.call.client = self.call.client or error.client
        body = error_body(error, self.call.id)
        reply = error_reply(self.request._request, error, body)
        log_refusal(self.call, error, body, reply)
        return reply
