"""Addresses of the whole project; those of the API are fixed by contract."""

from django.urls import URLPattern, URLResolver, include, path
from django.views.generic import RedirectView
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView

from portal import health, providers
from portal.desk.site import site

urlpatterns: list[URLPattern | URLResolver] = [
    path("", RedirectView.as_view(pattern_name="admin:index"), name="home"),
    path("admin", RedirectView.as_view(pattern_name="admin:index")),
    # allauth looks for these by name.
    path("admin/login/with/<str:provider_id>/", providers.login, name="openid_connect_login"),
    path("admin/login/with/<str:provider_id>/callback/", providers.callback, name="openid_connect_callback"),
    path("admin/", site.urls),
    path("", include("tokens.api.urls")),
    path("api/schema/", SpectacularAPIView.as_view(), name="schema"),
    path("api/docs/", SpectacularSwaggerSplitView.as_view(url_name="schema"), name="docs"),
    path("healthz", health.healthz, name="healthz"),
    path("readyz", health.readyz, name="readyz"),
]

handler400 = "tokens.api.fallbacks.bad_request"
handler404 = "tokens.api.fallbacks.not_found"
handler500 = "tokens.api.fallbacks.server_error"
