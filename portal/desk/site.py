"""The admin site of the portal: sign-in by Django and Unfold, and our own pages instead of model admins."""

from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.contrib.auth import REDIRECT_FIELD_NAME
from django.db import transaction
from django.http import HttpRequest, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.urls import URLPattern, path, reverse
from django.views.decorators.cache import never_cache
from unfold.sites import UnfoldAdminSite

from audit import trail
from audit.trail import Target
from audit.vocabulary import Action
from portal.access import grants
from portal.actors import actor_of
from portal.desk import entrance, own_factor, set_up
from portal.desk.gate import second_factor_first
from portal.desk.pages import PAGES
from portal.models import User
from portal.sign_in import SignInForm, SignInView


class PortalSite(UnfoldAdminSite):
    """Serves PAGES at /admin/. No model is registered: what can be edited is edited through domain verbs."""

    site_title = "Token Governance Portal"
    login_form = SignInForm
    login_template = "desk/sign_in.html"
    logout_template = "desk/signed_out.html"
    password_change_template = "desk/password_change.html"  # noqa: S105 (a path)
    password_change_done_template = "desk/password_changed.html"  # noqa: S105 (a path)

    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponseBase:
        """The first step of signing in; `portal.desk.entrance` is the second."""
        if request.method == "GET" and self.has_permission(request):
            return HttpResponseRedirect(reverse("admin:index"))
        context = {
            **self.each_context(request),
            "app_path": request.get_full_path(),
            "providers": list(settings.PROVIDERS.values()),
            **(extra_context or {}),
        }
        if REDIRECT_FIELD_NAME not in request.GET and REDIRECT_FIELD_NAME not in request.POST:
            context[REDIRECT_FIELD_NAME] = reverse("admin:index")
        view = SignInView.as_view(
            extra_context=context, authentication_form=self.login_form, template_name=self.login_template
        )
        return never_cache(view)(request)

    def own(self, view: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
        """A page of one's own account that asks for the second factor, as every page of PAGES does."""

        def gated(request: HttpRequest, **arguments: Any) -> HttpResponseBase:
            user = request.user
            assert isinstance(user, User)
            return second_factor_first(request, user, grants(user)) or view(request, **arguments)

        wrapped: Callable[..., HttpResponseBase] = self.admin_view(gated)
        return wrapped

    def get_urls(self) -> list[URLPattern]:
        """Our pages, and of Django's only what belongs to signing in."""
        return [
            *(page.as_url() for page in PAGES),
            path("login/", self.login, name="login"),
            path("login/code/", entrance.code, name="login-code"),
            path("set-up/", set_up.begin, name="set-up"),
            path("set-up/finish/", set_up.finish, name="set-up-finish"),
            path("logout/", self.logout, name="logout"),
            path("password_change/", self.own(self.password_change), name="password_change"),
            path("password_change/done/", self.own(self.password_change_done), name="password_change_done"),
            path("second-factor/", self.own(own_factor.index), name="factor"),
            # These set it up or show it, so they can't ask for it first.
            path("second-factor/app/", self.admin_view(own_factor.app), name="factor-app"),
            path("second-factor/passkey/", self.admin_view(own_factor.passkey), name="factor-passkey"),
            path("second-factor/confirm/", self.admin_view(own_factor.confirm), name="factor-confirm"),
            path("second-factor/codes/", self.own(own_factor.recovery_codes), name="factor-codes"),
            path("second-factor/<int:factor_id>/remove/", self.own(own_factor.remove), name="factor-remove"),
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
