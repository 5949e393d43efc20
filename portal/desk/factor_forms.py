"""The form in which a second factor is shown, and what a browser needs to ask for a passkey."""

import json
from typing import Any

from allauth.mfa.models import Authenticator
from allauth.mfa.webauthn.internal import auth as webauthn
from django import forms

from audit.trail import Actor
from portal import second_factor
from portal.models import User
from portal.second_factor.checking import check_code, check_passkey
from portal.second_factor.errors import FactorError, WrongPasskey

LONGEST_CREDENTIAL = 20_000


class ShownFactor(forms.Form):
    """A code of an app, a recovery code, or what a passkey answered."""

    code = forms.CharField(
        label="Code",
        max_length=40,
        required=False,
        widget=forms.TextInput(
            {
                "autocomplete": "one-time-code",
                "autocapitalize": "none",
                "spellcheck": "false",
                "autofocus": True,
            }
        ),
    )
    credential = forms.CharField(max_length=LONGEST_CREDENTIAL, required=False, widget=forms.HiddenInput)
    factor: Authenticator | None = None

    def check(self, user: User, *, actor: Actor, purpose: str) -> bool:
        """Whether it was right; `factor` is then what was shown, and otherwise the form says what was wrong."""
        if not self.is_valid():
            return False
        try:
            if self.cleaned_data["credential"]:
                shown = parsed(self.cleaned_data["credential"])
                self.factor = check_passkey(user, shown, actor=actor, purpose=purpose)
            else:
                self.factor = check_code(user, self.cleaned_data["code"], actor=actor, purpose=purpose)
        except FactorError as error:
            self.add_error(None, str(error))
        return self.factor is not None


def parsed(credential: str) -> Any:
    """What a browser made of a passkey's answer. Raises WrongPasskey."""
    try:
        return json.loads(credential)
    except ValueError:
        raise WrongPasskey from None


def passkey_request(user: User) -> dict[str, Any]:
    """Template context: what `user` can show, with a challenge for the passkeys, which the session keeps."""
    kinds = {factor.type for factor in second_factor.factors(user)}
    has_passkey = Authenticator.Type.WEBAUTHN in kinds
    return {
        "has_app": Authenticator.Type.TOTP in kinds,
        "passkey_options": json.dumps(webauthn.begin_authentication(user)) if has_passkey else "",
    }
