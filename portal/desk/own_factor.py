"""A person's own second factor: setting it up, adding and removing, and showing it again."""

import json
import time
from collections.abc import Callable
from functools import wraps
from typing import Any, Final

import qrcode
from allauth.mfa.adapter import get_adapter
from allauth.mfa.models import Authenticator
from allauth.mfa.webauthn.internal import auth as webauthn
from django import forms
from django.conf import settings
from django.contrib import messages
from django.contrib.auth import logout
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.debug import sensitive_variables
from django.views.decorators.http import require_http_methods, require_POST

from portal import second_factor
from portal.access import grants
from portal.actors import actor_of
from portal.desk.factor_forms import LONGEST_CREDENTIAL, ShownFactor, parsed, passkey_request
from portal.desk.gate import go_on, lead_to, way_back
from portal.models import User
from portal.second_factor import enrolment, sealing
from portal.second_factor.errors import FactorError
from portal.sessions import BEGAN_AT
from tokens.crypto.errors import CryptoError

# The secret between the page that shows it and the code that proves it, sealed.
PENDING: Final = "pending_app"
# Without a factor to show, a sign-in so many seconds ago is proof enough to add one.
RECENT_SECONDS: Final = 900

View = Callable[..., HttpResponseBase]


class AppForm(forms.Form):
    """The first code of an authenticator app."""

    code = forms.CharField(
        label="Code that the app shows",
        max_length=12,
        widget=forms.TextInput(
            {"autocomplete": "one-time-code", "inputmode": "numeric", "spellcheck": "false"}
        ),
    )


class PasskeyForm(forms.Form):
    """What a new passkey answered, and what to call it."""

    name = forms.CharField(
        label="Name",
        max_length=enrolment.NAME_LENGTH,
        initial="Passkey",
        help_text="So that you know it again.",
    )
    credential = forms.CharField(max_length=LONGEST_CREDENTIAL, widget=forms.HiddenInput)


def changes_factors(view: View) -> View:
    """For views that add or remove factors: the person shows one first, or has just signed in."""

    @wraps(view)
    def wrapped(request: HttpRequest, **arguments: Any) -> HttpResponseBase:
        user = request.user
        assert isinstance(user, User)
        if second_factor.has_one(user):
            if not second_factor.is_fresh(request):
                if request.method == "POST":
                    messages.info(request, "You have a second factor already. Confirm with a code of it.")
                back = request.get_full_path() if request.method != "POST" else reverse("admin:factor")
                return lead_to(request, "admin:factor-confirm", back=back)
        elif time.time() - request.session.get(BEGAN_AT, 0) > RECENT_SECONDS:
            logout(request)
            messages.info(request, "Please sign in again before you set up a second factor.")
            return redirect_to_login(reverse("admin:factor"), reverse("admin:login"))
        return view(request, user, **arguments)

    return wrapped


@require_http_methods(["GET", "HEAD"])
def index(request: HttpRequest) -> HttpResponse:
    """GET /admin/second-factor/: what the person has."""
    user = request.user
    assert isinstance(user, User)
    held = second_factor.factors(user)
    codes = Authenticator.objects.filter(user=user, type=Authenticator.Type.RECOVERY_CODES).first()
    required = second_factor.is_required(grants(user))
    context = {
        "title": "Second factor",
        "factors": held,
        "has_app": any(one.type == Authenticator.Type.TOTP for one in held),
        "codes": codes,
        "required": required,
        "may_remove": len(held) > 1 or not required,
    }
    return render(request, "desk/factor.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
def confirm(request: HttpRequest) -> HttpResponseBase:
    """GET and POST /admin/second-factor/confirm/: show it again, then on to where it was asked for."""
    user = request.user
    assert isinstance(user, User)
    if not second_factor.has_one(user):
        return lead_to(request, "admin:factor-app", back=way_back(request))
    form = ShownFactor(request.POST or None)
    if request.method == "POST" and form.check(user, actor=actor_of(request, user), purpose="confirm"):
        assert form.factor is not None
        request.session.cycle_key()
        second_factor.note_passed(request, form.factor, again=True)
        return go_on(request)
    context = {
        "form": form,
        "next": way_back(request),
        "user_name": user.get_username(),
        **passkey_request(user),
    }
    return render(request, "desk/factor_confirm.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@changes_factors
@sensitive_variables("secret")
def app(request: HttpRequest, user: User) -> HttpResponseBase:
    """GET and POST /admin/second-factor/app/: scan, type the first code, done."""
    secret, form = _pending_secret(request, user), AppForm(request.POST or None)
    if form.is_valid():
        try:
            factor = enrolment.add_app(user, secret, form.cleaned_data["code"], actor=actor_of(request, user))
        except FactorError as error:
            form.add_error("code", str(error))
        else:
            del request.session[PENDING]
            return _added(request, user, factor)
    context = {
        "form": form,
        "next": way_back(request),
        "required": second_factor.is_required(grants(user)) and not second_factor.has_one(user),
        "secret": " ".join(secret[at : at + 4] for at in range(0, len(secret), 4)),
        "qr": qr_path(get_adapter().build_totp_url(user, secret)),
        "is_trial": settings.EMBEDDED and not settings.PRODUCTION,
    }
    return render(request, "desk/factor_app.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@changes_factors
def passkey(request: HttpRequest, user: User) -> HttpResponseBase:
    """GET and POST /admin/second-factor/passkey/: the browser makes one, the portal keeps its public half."""
    form = PasskeyForm(request.POST or None)
    if form.is_valid():
        try:
            shown, actor = parsed(form.cleaned_data["credential"]), actor_of(request, user)
            factor = enrolment.add_passkey(user, form.cleaned_data["name"], shown, actor=actor)
        except FactorError as error:
            form.add_error(None, str(error))
        else:
            return _added(request, user, factor)
    options = json.dumps(webauthn.begin_registration(user, passwordless=False))
    context = {"form": form, "next": way_back(request), "passkey_options": options}
    return render(request, "desk/factor_passkey.html", context)


@require_POST
@changes_factors
def recovery_codes(request: HttpRequest, user: User) -> HttpResponseBase:
    """POST /admin/second-factor/codes/: ten new ones, shown once."""
    if not second_factor.has_one(user):
        return redirect("admin:factor")
    return _show_codes(request, user, reverse("admin:factor"))


@require_POST
@changes_factors
def remove(request: HttpRequest, user: User, factor_id: int) -> HttpResponseBase:
    """POST /admin/second-factor/<id>/remove/"""
    try:
        enrolment.remove(user, factor_id, actor=actor_of(request, user))
    except FactorError as error:
        messages.error(request, str(error))
    else:
        messages.success(request, "It was removed.")
    return redirect("admin:factor")


def qr_path(text: str) -> dict[str, Any]:
    """A QR code as one SVG path of unit squares: `size` and `path`."""
    code = qrcode.QRCode(border=2, error_correction=qrcode.ERROR_CORRECT_M)
    code.add_data(text)
    matrix = code.get_matrix()
    squares = (
        f"M{x} {y}h1v1h-1z" for y, row in enumerate(matrix) for x, is_dark in enumerate(row) if is_dark
    )
    return {"size": len(matrix), "path": "".join(squares)}


def _pending_secret(request: HttpRequest, user: User) -> str:
    try:
        return sealing.unseal(request.session[PENDING], user_id=user.pk, use=sealing.PENDING_APP)
    except (KeyError, CryptoError):
        secret = enrolment.new_app_secret()
        request.session[PENDING] = sealing.seal(secret, user_id=user.pk, use=sealing.PENDING_APP)
        return secret


def _added(request: HttpRequest, user: User, factor: Authenticator) -> HttpResponseBase:
    """The new factor was shown just now; with the first one come recovery codes."""
    request.session.cycle_key()
    second_factor.note_passed(request, factor, again=True)
    if Authenticator.objects.filter(user=user, type=Authenticator.Type.RECOVERY_CODES).exists():
        messages.success(request, "It was added.")
        return redirect(way_back(request))
    return _show_codes(request, user, way_back(request))


def _show_codes(request: HttpRequest, user: User, onward: str) -> HttpResponse:
    made = enrolment.renew_recovery_codes(user, actor=actor_of(request, user))
    context = {"codes": [f"{one[:5]}-{one[5:]}" for one in made], "next": onward}
    return render(request, "desk/factor_codes.html", context)
