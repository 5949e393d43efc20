"""X-Forwarded-Proto counts only if a proxy that we trust wrote it; Django believes it from every peer."""

from collections.abc import Callable
from typing import Final

from django.conf import settings
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from tokens.api.caller import trusted_proxies

HEADER: Final = "HTTP_X_FORWARDED_PROTO"


class ForwardedScheme:
    """Middleware, before all that asks whether a request is secure: forgets the header of strangers."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if HEADER in request.META:
            proxies = trusted_proxies(tuple(settings.TRUSTED_PROXIES))
            if not proxies.trusts_peer(str(request.META.get("REMOTE_ADDR") or "")):
                del request.META[HEADER]
        return self.get_response(request)
