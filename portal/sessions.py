"""How long a session of the portal lives: some hours in all, and minutes without a sign of life."""

from collections.abc import Callable
from typing import Final

from django.conf import settings
from django.contrib import messages
from django.contrib.auth import logout
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.urls import reverse
from django.utils import timezone

BEGAN_AT: Final = "began_at"
SEEN_AT: Final = "seen_at"
# The sign of life is written at most once in this time, so that reading pages does not write sessions.
SEEN_EVERY_SECONDS: Final = 60


class SessionClock:
    """Middleware behind authentication: ends sessions that are too old or were left alone."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        # The API sends no session cookie: asking for the session's user would cost it a query.
        if settings.SESSION_COOKIE_NAME in request.COOKIES and request.user.is_authenticated:
            now = int(timezone.now().timestamp())
            if self._has_ended(request, now):
                logout(request)
                messages.info(
                    request, "You were signed out because the session had ended. Please sign in again."
                )
                return self._to_sign_in(request)
            self._note_sign_of_life(request, now)
        return self.get_response(request)

    def _has_ended(self, request: HttpRequest, now: int) -> bool:
        began, seen = request.session.get(BEGAN_AT, 0), request.session.get(SEEN_AT, 0)
        return bool(now - began > settings.SESSION_COOKIE_AGE or now - seen > settings.SESSION_IDLE_SECONDS)

    def _to_sign_in(self, request: HttpRequest) -> HttpResponse:
        if "HX-Request" in request.headers:  # a fragment: the whole page must go, not its part
            return HttpResponse(status=204, headers={"HX-Redirect": reverse("admin:login")})
        wanted = request.get_full_path() if request.method == "GET" else reverse("admin:index")
        return redirect_to_login(wanted, reverse("admin:login"))

    def _note_sign_of_life(self, request: HttpRequest, now: int) -> None:
        # A page that polls while nobody looks at it is no sign of life.
        if "HX-Request" not in request.headers and now - request.session[SEEN_AT] >= SEEN_EVERY_SECONDS:
            request.session[SEEN_AT] = now
