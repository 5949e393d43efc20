"""Signing in by a provider in a real browser: the strict policy lets it go there and nowhere else."""

import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from portal.embedded.state import CHECKOUT
from tests.browser.conftest import DESKTOP, Visitor
from tests.conftest import OwnDatabase
from tests.serving import Server
from tests.tokens.cast import an_enterprise

pytestmark = pytest.mark.slow


@pytest.fixture
def provider() -> Iterator[str]:
    command = [sys.executable, "-m", "tests.oidc_provider", "portal", "provider-secret"]
    process = subprocess.Popen(command, cwd=CHECKOUT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    server = json.loads(process.stdout.readline())["server"]
    person = {"sub": "u-1", "claims": {"preferred_username": "olivia", "groups": ["officers"]}}
    request = urllib.request.Request(f"{server}/person", json.dumps(person).encode())  # noqa: S310
    urllib.request.urlopen(request, timeout=30).close()  # noqa: S310 - our own process
    yield server
    process.terminate()
    process.wait(60)
    process.stdout.close()


def test_an_officer_arrives_and_is_led_to_a_second_factor(
    chromium: Any, own_database: OwnDatabase, provider: str
) -> None:
    acme = an_enterprise("Acme")
    settings = {
        "OIDC_SERVER": provider,
        "OIDC_CLIENT_ID": "portal",
        "OIDC_CLIENT_SECRET": "provider-secret",
        "OIDC_ROLES": f"officers=compliance-officer@{acme.eid}",
        "PRODUCTION": "false",
    }
    server = Server(own_database.environment | settings)
    context = chromium.new_context(viewport=DESKTOP)
    try:
        server.wait_until_served()
        visitor = Visitor(context.new_page(), server.url)
        visitor.open("/admin/events/")
        visitor.page.get_by_role("button", name="Sign in with Single sign-on").click()
        visitor.page.wait_for_url("**/admin/second-factor/app/**")
        assert visitor.page.inner_text("h1") == "Set up your second factor"
        elsewhere = [said for said in visitor.complaints if provider not in said]
        assert not elsewhere
    finally:
        context.close()
        server.stop()
