"""Authenticator apps of the cast: real ones, whose codes go through the real forms."""

import time

from allauth.account.internal.flows.login import (
    _AUTHENTICATION_METHODS_USER_SESSION_KEY,
    AUTHENTICATION_METHODS_SESSION_KEY,
)
from allauth.mfa.models import Authenticator
from django.test import Client

from audit.trail import SYSTEM
from portal.management.commands.sample_code import next_code
from portal.models import User
from portal.second_factor import codes, enrolment, sealing


def app_of(user: User) -> Authenticator:
    """The app of `user`, set up when there is none. Its first code was used a minute ago."""
    app = Authenticator.objects.filter(user=user, type=Authenticator.Type.TOTP).first()
    if app is None:
        app = Authenticator(user=user, type=Authenticator.Type.TOTP, data={codes.LAST_STEP: 0})
        sealing.keep(app, enrolment.new_app_secret())
        app.save()
    return app


def code_of(user: User) -> str:
    """A code of the user's app that was not used yet; waits for one where it must."""
    app_of(user)
    return next_code(user)


def recovery_codes_of(user: User) -> list[str]:
    return enrolment.renew_recovery_codes(user, actor=SYSTEM)


def show_factor(browser: Client, user: User, *, ago: float = 0) -> None:
    """What a session holds when `user` showed their app `ago` seconds before, as allauth writes it."""
    app, session = app_of(user), browser.session
    shown = {"method": "mfa", "at": time.time() - ago, "id": app.pk, "type": app.type}
    session[AUTHENTICATION_METHODS_SESSION_KEY] = [shown]
    session[_AUTHENTICATION_METHODS_USER_SESSION_KEY] = str(user.pk)
    session.save()
