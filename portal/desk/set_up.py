"""Setting up a sign-in with a link that somebody handed over: the code, then password and authenticator app."""

from typing import Any, Final

from allauth.mfa.adapter import get_adapter
from django import forms
from django.conf import settings
from django.contrib.auth.forms import SetPasswordForm
from django.core.exceptions import ValidationError
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables
from django.views.decorators.http import require_http_methods

from audit.trail import Actor
from portal import set_up
from portal.actors import actor_of, address_of
from portal.desk.own_factor import AppForm, qr_path
from portal.models import SetUpLink, User
from portal.second_factor import enrolment, sealing
from portal.second_factor.errors import FactorError
from portal.set_up import SetUpError
from tokens.crypto.errors import CryptoError

# In the session between the two pages: which link, and the secret of the app, sealed.
PENDING: Final = "pending_set_up"


class CodeForm(forms.Form):
    """What stands behind the # of the link."""

    code = forms.CharField(
        label="Code of the link",
        max_length=100,
        help_text="What stands behind the # of the link that you were given.",
        widget=forms.TextInput(
            {
                "autocomplete": "off", "autocapitalize": "none", "spellcheck": "false", "data-from-fragment": "",
            }
        ),
    )  # fmt: skip


class FinishForm(AppForm, SetPasswordForm):  # type: ignore[type-arg]
    """A password of their own, and the first code of an authenticator app."""

    field_order = ("new_password1", "new_password2", "code")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        first, second = self.fields["new_password1"], self.fields["new_password2"]
        first.help_text = "At least 12 characters. A sentence of your own is good."
        second.label, second.help_text = "The same again", ""


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@sensitive_post_parameters("code")
def begin(request: HttpRequest) -> HttpResponseBase:
    """GET and POST /admin/set-up/: the code, which a script takes from behind the # of the address."""
    form = CodeForm(request.POST or None)
    if form.is_valid():
        try:
            link = set_up.opened(
                form.cleaned_data["code"], viewer=_viewer(request), remote_address=address_of(request)
            )
        except SetUpError as error:
            form = CodeForm()  # without what was typed
            return render(request, "desk/set_up.html", {"form": form, "refused": str(error)})
        secret = sealing.seal(enrolment.new_app_secret(), user_id=link.user_id, use=sealing.PENDING_APP)
        request.session.cycle_key()
        request.session[PENDING] = {"link": link.pk, "secret": secret}
        return redirect("admin:set-up-finish")
    return render(request, "desk/set_up.html", {"form": form})


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@sensitive_post_parameters()
@sensitive_variables("secret", "codes")
def finish(request: HttpRequest) -> HttpResponseBase:
    """GET and POST /admin/set-up/finish/: password and app together; then the recovery codes, once."""
    try:
        link, secret = _pending(request)
        set_up.check(link, viewer=_viewer(request))
    except (KeyError, CryptoError, SetUpLink.DoesNotExist):
        return redirect("admin:set-up")
    except SetUpError as error:
        return render(request, "desk/set_up.html", {"form": CodeForm(), "refused": str(error)})
    form = FinishForm(link.user, request.POST or None)
    if form.is_valid():
        codes = _finished(form, link, secret, request)
        if codes:
            del request.session[PENDING]
            done = {"codes": [f"{one[:5]}-{one[5:]}" for one in codes], "next": reverse("admin:login")}
            return render(request, "desk/set_up_done.html", done)
    context: dict[str, Any] = {
        "form": form,
        "user_name": link.user.get_username(),
        "is_trial": settings.EMBEDDED and not settings.PRODUCTION,
        "secret": " ".join(secret[at : at + 4] for at in range(0, len(secret), 4)),
        "qr": qr_path(get_adapter().build_totp_url(link.user, secret)),
    }
    return render(request, "desk/set_up_finish.html", context)


@sensitive_variables("secret", "given")
def _finished(form: FinishForm, link: SetUpLink, secret: str, request: HttpRequest) -> list[str]:
    """The recovery codes; none where the form now says what was wrong."""
    given: dict[str, Any] = form.cleaned_data
    try:
        return set_up.finish(
            link, password=given["new_password1"], app_secret=secret, app_code=given["code"],
            remote_address=address_of(request),
        )  # fmt: skip
    except FactorError as error:
        form.add_error("code", str(error))
    except (SetUpError, ValidationError) as error:
        form.add_error(None, str(error) if isinstance(error, SetUpError) else error)
    return []


def _pending(request: HttpRequest) -> tuple[SetUpLink, str]:
    waiting = request.session[PENDING]
    link = SetUpLink.objects.select_related("user").get(pk=waiting["link"])
    return link, sealing.unseal(waiting["secret"], user_id=link.user_id, use=sealing.PENDING_APP)


def _viewer(request: HttpRequest) -> Actor | None:
    return actor_of(request, request.user) if isinstance(request.user, User) else None


def address_of_link(request: HttpRequest, code: str) -> str:
    """The link to hand over: no browser sends what stands behind the #."""
    return request.build_absolute_uri(reverse("admin:set-up")) + "#" + code
