"""What a page is: a route, a permission, the methods that it answers, and a view that is given a `Visit`."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseNotAllowed
from django.urls import URLPattern, path, reverse
from django.views.decorators.cache import never_cache

from portal.access import grants
from portal.actors import actor_of
from portal.desk.gate import fresh_factor_first, second_factor_first
from portal.desk.visit import Visit
from portal.models import User
from portal.roles import Permission

READ: Final = ("GET", "HEAD")
FORM: Final = ("GET", "HEAD", "POST")
ACT: Final = ("POST",)


@dataclass(frozen=True, slots=True)
class Page:
    """A row of the table of pages."""

    route: str
    name: str
    permission: Permission
    view: Callable[..., HttpResponseBase]
    methods: tuple[str, ...] = READ
    # Opens only to who showed their second factor within SECOND_FACTOR_FRESH_SECONDS.
    fresh_factor: bool = False

    @property
    def section(self) -> str:
        """The entry of the navigation that the page belongs to: where its route begins."""
        return self.route.split("/")[0] or "start"

    def as_url(self) -> URLPattern:
        """The page as Django serves it: for signed-in people who hold the permission, never from a cache."""
        return path(self.route, never_cache(self._serve), {}, self.name)

    def _serve(self, request: HttpRequest, **arguments: Any) -> HttpResponseBase:
        user = request.user
        if not isinstance(user, User):
            return _to_sign_in(request)
        held = grants(user)
        if not held.may(self.permission):
            raise PermissionDenied
        if request.method not in self.methods:
            return HttpResponseNotAllowed(self.methods)
        stop = second_factor_first(request, user, held)
        if stop is None and self.fresh_factor:
            stop = fresh_factor_first(request)
        if stop is not None:
            return stop
        visit = Visit(user, actor_of(request, user), held, self.permission)
        vars(request)["visit"] = visit  # for the frame, which need not ask for the memberships again
        return self.view(request, visit, **arguments)


def _to_sign_in(request: HttpRequest) -> HttpResponse:
    wanted = request.get_full_path() if request.method in READ else reverse("admin:index")
    return redirect_to_login(wanted, reverse("admin:login"))
