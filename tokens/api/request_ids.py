"""An id for every request, which its answer carries as X-Request-ID and its log entry as primary key."""

import uuid
from collections.abc import Callable

import structlog
import uuid_utils.compat
from django.http import HttpRequest, HttpResponse

HEADER = "X-Request-ID"
_ATTRIBUTE = "_portal_request_id"


class RequestIds:
    """Middleware, the outermost. An id that the caller sends is not believed: ids are the keys of evidence."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        request_id = request_id_of(request)
        with structlog.contextvars.bound_contextvars(request_id=str(request_id)):
            response = self.get_response(request)
        response[HEADER] = str(request_id)
        return response


def request_id_of(request: HttpRequest) -> uuid.UUID:
    """The UUIDv7 of a request; made when it is first asked for."""
    request_id = getattr(request, _ATTRIBUTE, None)
    if not isinstance(request_id, uuid.UUID):
        request_id = uuid_utils.compat.uuid7()
        setattr(request, _ATTRIBUTE, request_id)
    return request_id
