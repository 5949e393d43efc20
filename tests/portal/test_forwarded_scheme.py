"""Who may say that a request came by HTTPS: a trusted proxy, and nobody else."""

from typing import Any

import pytest
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory

from portal.forwarded_scheme import HEADER, ForwardedScheme


@pytest.fixture(autouse=True)
def behind_a_proxy(settings: Any) -> None:
    settings.TRUSTED_PROXIES = ["10.0.0.0/8"]
    settings.SECURE_PROXY_SSL_HEADER = (HEADER, "https")


def seen_as_secure(peer: str) -> bool:
    seen: list[bool] = []

    def view(request: HttpRequest) -> HttpResponse:
        seen.append(request.is_secure())
        return HttpResponse()

    ForwardedScheme(view)(RequestFactory().get("/admin/", REMOTE_ADDR=peer, **{HEADER: "https"}))  # type: ignore[arg-type]
    return seen[0]


def test_a_trusted_proxy_is_believed() -> None:
    assert seen_as_secure("10.1.2.3")


@pytest.mark.parametrize("peer", ["203.0.113.9", "127.0.0.1", ""])
def test_anybody_else_is_not(peer: str) -> None:
    assert not seen_as_secure(peer)


def test_the_middleware_stands_before_all_that_asks_for_the_scheme(settings: Any) -> None:
    assert settings.MIDDLEWARE.index("portal.forwarded_scheme.ForwardedScheme") < settings.MIDDLEWARE.index(
        "django.middleware.security.SecurityMiddleware"
    )
