"""Signing in by OpenID Connect: allauth's flow, with what it leaves out.

It skips the signature of a token that came over TLS, and takes whatever issuer a discovery document names: here every
token is verified, under an algorithm from a list, and the issuer is the one that is configured. What the provider says
of a person is read for their roles and not stored.
"""

import hmac
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import jwt
from allauth.account.internal.decorators import login_not_required
from allauth.core.exceptions import ImmediateHttpResponse
from allauth.core.internal.httpkit import add_query_params
from allauth.socialaccount.adapter import DefaultSocialAccountAdapter
from allauth.socialaccount.internal import jwtkit
from allauth.socialaccount.models import SocialAccount, SocialLogin
from allauth.socialaccount.providers.oauth2.client import OAuth2Error
from allauth.socialaccount.providers.oauth2.views import OAuth2CallbackView, OAuth2LoginView
from allauth.socialaccount.providers.openid_connect.views import OpenIDConnectOAuth2Adapter
from django.conf import settings
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.crypto import salted_hmac
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST
from redis.exceptions import RedisError
from requests import RequestException

from audit import trail
from audit.trail import Actor, Target
from audit.vocabulary import Action
from portal import arrivals, attempts
from portal.actors import address_of

ALGORITHMS: Final = frozenset(
    {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA"}
)
# Anybody can send a browser to the callback, and an event is kept for ever: of one address no more are recorded.
FAILURES_OF_AN_ADDRESS: Final = 30
WINDOW_SECONDS: Final = 300
SAID_WRONG: Final = (
    "Signing in by the provider did not work. Try again; if it stays so, tell an administrator."
)


class OpenIdConnect(OpenIDConnectOAuth2Adapter):
    """allauth's client of a provider, stricter."""

    @property
    def openid_config(self) -> dict[str, Any]:
        """The discovery document. Raises OAuth2Error when it is that of somebody else."""
        config: dict[str, Any] = super().openid_config
        if str(config.get("issuer", "")).rstrip("/") != settings.PROVIDERS[self.provider_id].server:
            raise OAuth2Error("the discovery document names another issuer")
        return config

    def complete_login(self, request: HttpRequest, app: Any, token: Any, **kwargs: Any) -> SocialLogin:
        """Who came, with their claims beside the account, which keeps none of them."""
        login: SocialLogin = super().complete_login(request, app, token, **kwargs)
        said = login.account.extra_data
        proven, userinfo = said.get("id_token"), said.get("userinfo") or {}
        if not proven or not proven.get("sub") or userinfo.get("sub", proven["sub"]) != proven["sub"]:
            raise OAuth2Error("the id token and the user info are of two people, or there is no id token")
        login.account.uid, login.account.extra_data = str(proven["sub"]), {}
        login.email_addresses = []
        vars(login)["claims"] = userinfo | proven
        return login

    def _decode_id_token(self, app: Any, id_token: str) -> dict[str, Any]:
        try:
            if jwt.get_unverified_header(id_token).get("alg") not in ALGORITHMS:
                raise OAuth2Error("the id token is signed by an algorithm that is not taken")
            claims: dict[str, Any] = jwtkit.verify_and_decode(
                credential=id_token,
                keys_url=self.openid_config["jwks_uri"],
                issuer=self.openid_config["issuer"],
                audience=app.client_id,
                lookup_kid=jwtkit.lookup_kid_jwk,
                verify_signature=True,
            )
        except (jwt.PyJWTError, KeyError, ValueError, TypeError) as error:
            raise OAuth2Error("the id token can't be read") from error
        except RedisError as error:
            raise OAuth2Error("the cache that knows which tokens were used is out of reach") from error
        if not hmac.compare_digest(str(claims.get("nonce", "")), nonce_of(self.request.GET.get("state", ""))):
            raise OAuth2Error("the id token answers another sign-in")
        return claims


def nonce_of(state: str) -> str:
    """The nonce of a sign-in: allauth binds its state to the session, and this binds the id token to the state."""
    return salted_hmac("portal.providers.nonce", state, algorithm="sha256").hexdigest()


class SocialAdapter(DefaultSocialAccountAdapter):
    """What allauth asks of a project about those who arrive from a provider."""

    def pre_social_login(self, request: HttpRequest, sociallogin: SocialLogin) -> None:
        """Make or find the user and give the roles of the claims; nobody connects anything to an account of theirs."""
        provider = settings.PROVIDERS[sociallogin.account.provider]
        subject, address = sociallogin.account.uid, address_of(request)
        if sociallogin.state.get("process") != "login":
            raise ImmediateHttpResponse(back_to_sign_in(request, provider.id, "Process", SAID_WRONG))
        try:
            user = arrivals.arrive(provider, subject, vars(sociallogin)["claims"], address=address)
            if not user.memberships.exists():
                raise arrivals.NoRole
        except arrivals.NotAdmittedError as error:
            raise ImmediateHttpResponse(
                back_to_sign_in(request, provider.id, type(error).__name__, str(error))
            ) from None
        # What waits for the second factor in the session holds neither token nor claims.
        sociallogin.token, sociallogin.user = None, user
        sociallogin.account = SocialAccount.objects.get(provider=provider.id, uid=subject)

    def on_authentication_error(
        self, request: HttpRequest, provider: Any, error: Any = None, exception: Any = None, **_: Any
    ) -> None:
        """Back to the sign-in page, which says so; what exactly was wrong is in the trail, without what was sent."""
        why = type(exception).__name__ if exception else str(error)
        raise ImmediateHttpResponse(back_to_sign_in(request, provider.app.provider_id, why, SAID_WRONG))

    def is_open_for_signup(self, request: HttpRequest, sociallogin: SocialLogin) -> bool:
        """Whoever is admitted has a user by now."""
        return False


def back_to_sign_in(request: HttpRequest, provider_id: str, why: str, said: str) -> HttpResponse:
    """Somebody could not sign in by a provider: recorded, and told."""
    address = address_of(request)
    if _is_recorded(address):
        trail.record(
            Action.SIGN_IN_FAILED,
            actor=Actor("", "not signed in", address),
            enterprise_id=None,
            target=Target("provider", provider_id, settings.PROVIDERS[provider_id].name),
            details={"why": why[:60]},
        )
    messages.error(request, said)
    return HttpResponseRedirect(reverse("admin:login"))


def _is_recorded(address: str | None) -> bool:
    counter = f"provider-failures:{address or ''}"
    try:
        return attempts.take(counter, limit=FAILURES_OF_AN_ADDRESS, seconds=WINDOW_SECONDS)
    except RedisError:
        return True


@require_POST
@never_cache
@login_not_required
def login(request: HttpRequest, provider_id: str) -> HttpResponse:
    """POST /admin/login/with/<provider>/: off to the provider."""
    if "process" in request.POST or "process" in request.GET:
        raise Http404  # allauth would connect the account to whoever is signed in
    response = _answer(request, provider_id, OAuth2LoginView)
    state = parse_qs(urlsplit(response.get("Location", "")).query).get("state")
    if state:
        response["Location"] = add_query_params(response["Location"], {"nonce": nonce_of(state[0])})
    return response


@require_GET
@never_cache
@login_not_required
def callback(request: HttpRequest, provider_id: str) -> HttpResponse:
    """GET /admin/login/with/<provider>/callback/: back from the provider."""
    return _answer(request, provider_id, OAuth2CallbackView)


def _answer(request: HttpRequest, provider_id: str, view: Any) -> HttpResponse:
    if provider_id not in settings.PROVIDERS:
        raise Http404
    try:
        response: HttpResponse = view.adapter_view(OpenIdConnect(request, provider_id))(request)
    except (OAuth2Error, RequestException, KeyError) as error:
        # Out of reach, or its discovery document is not what it should be.
        return back_to_sign_in(request, provider_id, type(error).__name__, SAID_WRONG)
    return response
