"""Signing in and out: Django's authentication, counted so that guessing ends soon, and every act recorded.

Attempts are counted in the shared cache, before a password is looked at, for each name at an address and for each
address. While the cache is away nobody can sign in (guesses could not be counted); who is signed in goes on.
"""

from collections.abc import Mapping
from typing import Any, Final

from allauth.account.internal.flows.login import (
    get_authentication_records,
    perform_password_login,
)
from allauth.account.models import Login
from django.contrib.auth import get_user_model
from django.contrib.auth.signals import user_logged_in, user_logged_out, user_login_failed
from django.contrib.auth.views import LoginView
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.views.decorators.debug import sensitive_variables
from redis.exceptions import RedisError
from unfold.forms import AuthenticationForm

from audit import trail
from audit.trail import Actor, Target
from audit.vocabulary import Action
from portal import attempts
from portal.access import grants
from portal.actors import actor_of, address_of
from portal.models import User
from portal.sessions import BEGAN_AT, SEEN_AT

WINDOW_SECONDS: Final = 300
FAILURES_OF_A_NAME: Final = 5
FAILURES_OF_AN_ADDRESS: Final = 30


class SignInForm(AuthenticationForm):
    """Name and password. Anybody with a role may sign in; after too many failures nobody may, for a while."""

    error_messages = {
        "invalid_login": "This name and password do not belong together. Both are case-sensitive.",
        "inactive": "This account is switched off. Ask an administrator of the portal.",
        "no_role": "You have no role in the portal yet. Ask an administrator to grant you one.",
        "too_many": "Too many failed attempts. Wait five minutes, then try again.",
        "cannot_count": "Nobody can sign in at the moment: the cache that counts failed attempts is out of reach.",
    }

    @sensitive_variables()
    def clean(self) -> dict[str, Any]:
        """Counts the attempt, and asks Django's backends only while the limits allow one more."""
        name = self.cleaned_data.get("username") or ""
        try:
            if not _may_try(name, _address(self.request)):
                raise ValidationError(self.error_messages["too_many"], code="too_many")
            return dict(super().clean() or {})
        except RedisError:
            raise ValidationError(self.error_messages["cannot_count"], code="cannot_count") from None

    def confirm_login_allowed(self, user: Any) -> None:
        """The password was right. What lets a person in is a role; staff and superuser flags are not asked."""
        of_name, of_address = _counters(user.get_username(), _address(self.request))
        attempts.forget(of_name)
        attempts.give_back(of_address)
        if not user.is_active:
            raise ValidationError(self.error_messages["inactive"], code="inactive")
        if not grants(user).roles():
            raise ValidationError(self.error_messages["no_role"], code="no_role")


class SignInView(LoginView):
    """Django's view; what follows a right password is allauth's: the second factor, then the session."""

    def form_valid(self, form: Any) -> HttpResponse:
        """On to the next step."""
        user = form.get_user()
        login = Login(user=user, redirect_url=self.get_success_url())
        response: HttpResponse = perform_password_login(
            self.request, {"username": user.get_username()}, login
        )
        return response


def _may_try(name: str, address: str) -> bool:
    of_name, of_address = _counters(name, address)
    # Both are counted, also when the first says no.
    may_name = attempts.take(of_name, limit=FAILURES_OF_A_NAME, seconds=WINDOW_SECONDS)
    may_address = attempts.take(of_address, limit=FAILURES_OF_AN_ADDRESS, seconds=WINDOW_SECONDS)
    return may_name and may_address


def _counters(name: str, address: str) -> tuple[str, str]:
    return f"sign-in:{name.casefold()}@{address}", f"sign-in:{address}"


def _address(request: HttpRequest | None) -> str:
    return (address_of(request) or "") if request else ""


def remember_failure(credentials: Mapping[str, Any], request: HttpRequest | None, **_: Any) -> None:
    """Signal of Django: the failure is recorded; a name that nobody has is not written down."""
    name, address = str(credentials.get("username", "")), _address(request)
    user = get_user_model().objects.filter(username=name).first()
    trail.record(
        Action.SIGN_IN_FAILED,
        actor=Actor("", "not signed in", address or None),
        enterprise_id=None,
        target=Target("user", f"user:{user.pk}", user.get_username())
        if user
        else Target("user", "", "unknown name"),
    )


def remember_sign_in(request: HttpRequest, user: User, **_: Any) -> None:
    """Signal of Django: clocks of the session start, and the act is recorded with what it was made."""
    request.session[BEGAN_AT] = request.session[SEEN_AT] = int(timezone.now().timestamp())
    shown = get_authentication_records(request, user)
    by = list(dict.fromkeys(str(one.get("type") or one.get("provider") or one["method"]) for one in shown))
    _record(Action.SIGNED_IN, request, user, {"by": by} if by else {})


def remember_sign_out(request: HttpRequest, user: User | None, **_: Any) -> None:
    """Signal of Django: the act is recorded."""
    if user is not None:
        _record(Action.SIGNED_OUT, request, user)


def _record(action: Action, request: HttpRequest, user: User, details: dict[str, Any] | None = None) -> None:
    actor = actor_of(request, user)
    target = Target("user", actor.id, actor.name)
    trail.record(action, actor=actor, enterprise_id=None, target=target, details=details)


def connect() -> None:
    """Called once by the app: Django's login can't be edited, so its signals are heard."""
    user_logged_in.connect(remember_sign_in, dispatch_uid="portal.sign_in")
    user_login_failed.connect(remember_failure, dispatch_uid="portal.sign_in")
    user_logged_out.connect(remember_sign_out, dispatch_uid="portal.sign_in")
