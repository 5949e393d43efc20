"""Addresses of the API, fixed by contract."""

from django.urls import path

from tokens.api.events import Events
from tokens.api.get_token import GetToken
from tokens.api.oauth import Token
from tokens.api.opt_outs import OptOuts
from tokens.api.resolve import Resolve

urlpatterns = [
    path("api/v1/tokens/resolve", Resolve.as_view(), name="resolve"),
    path("api/v1/tokens/get", GetToken.as_view(), name="get-token"),
    path("api/v1/marketing-cloud/events", Events.as_view(), name="marketing-cloud-events"),
    path("api/v1/opt-outs", OptOuts.as_view(), name="opt-outs"),
    path("oauth2/token", Token.as_view(), name="oauth-token"),
]
