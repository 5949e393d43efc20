"""Errors outside of the views. Below the API's addresses they are JSON, elsewhere they are Django's pages."""

from django.http import HttpRequest, HttpResponse
from django.views import defaults

from tokens.api.errors import ApiError, ErrorCode
from tokens.api.replies import error_body, error_reply
from tokens.api.request_ids import request_id_of

PREFIXES = ("/api/", "/oauth2/")


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """handler400"""
    return _json(request, ErrorCode.BAD_REQUEST) or defaults.bad_request(request, exception)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """handler404"""
    return _json(request, ErrorCode.NOT_FOUND) or defaults.page_not_found(request, exception)


def server_error(request: HttpRequest) -> HttpResponse:
    """handler500"""
    return _json(request, ErrorCode.INTERNAL) or defaults.server_error(request)


def _json(request: HttpRequest, code: ErrorCode) -> HttpResponse | None:
    if not request.path.startswith(PREFIXES):
        return None
    error = ApiError(code)
    return error_reply(request, error, error_body(error, request_id_of(request)))
