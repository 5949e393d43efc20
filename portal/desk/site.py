"""The admin site of the portal: sign-in by Django and Unfold, and our own pages instead of model admins."""

from typing import Any

from django.db import transaction
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.urls import URLPattern, path
from unfold.sites import UnfoldAdminSite

from audit import trail
from audit.trail import Target
from audit.vocabulary import Action
from portal.access import grants
from portal.actors import actor_of
from portal.desk.pages import PAGES
from portal.models import User
from portal.sign_in import SignInForm


class PortalSite(UnfoldAdminSite):
    """Serves PAGES at /admin/. No model is registered: what can be edited is edited through domain verbs."""

    site_title = "Token Governance Portal"
    login_form = SignInForm
    login_template = "desk/sign_in.html"
    logout_template = "desk/signed_out.html"
    password_change_template = "desk/password_change.html"  # noqa: S105 (a path)
    password_change_done_template = "desk/password_changed.html"  # noqa: S105 (a path)

    def get_urls(self) -> list[URLPattern]:
        """Our pages, and of Django's only what belongs to signing in."""
        return [
            *(page.as_url() for page in PAGES),
            path("login/", self.login, name="login"),
            path("logout/", self.logout, name="logout"),
            path("password_change/", self.admin_view(self.password_change), name="password_change"),
            path(
                "password_change/done/",
                self.admin_view(self.password_change_done),
                name="password_change_done",
            ),
        ]

    def has_permission(self, request: HttpRequest) -> bool:
        """Whoever holds a role may enter; the flags staff and superuser open nothing."""
        return isinstance(request.user, User) and bool(grants(request.user).roles())

    def password_change(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponseBase:
        """Django's own page; that the password was changed is recorded, what it is never."""
        with transaction.atomic():
            response: HttpResponseBase = super().password_change(request, extra_context)
            if request.method == "POST" and response.status_code == 302 and isinstance(request.user, User):
                actor = actor_of(request, request.user)
                target = Target("user", actor.id, actor.name)
                trail.record(Action.PASSWORD_CHANGED, actor=actor, enterprise_id=None, target=target)
        return response

    def each_context(self, request: HttpRequest) -> dict[str, Any]:
        """What Django's own sign-in views need; the frame itself comes from `portal.desk.shell`."""
        return {"site_title": self.site_title, "has_permission": self.has_permission(request)}


site = PortalSite(name="admin")
