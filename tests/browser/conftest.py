"""Chromium in front of the real web server. Whatever a page complains about fails the test that opened it."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from portal import second_factor
from portal.access import grants
from portal.models import User
from tests.portal.factor import app_of, code_of
from tests.serving import Server

DESKTOP = {"width": 1440, "height": 900}
PHONE = {"width": 390, "height": 844}
# A busy machine takes its time; what never comes fails all the same.
PATIENCE_MS = 90_000


@dataclass
class Visitor:
    """Somebody at a browser. `complaints` are console errors, violations of the policy and foreign requests."""

    page: Any
    base: str
    complaints: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.set_default_timeout(PATIENCE_MS)
        self.page.on("console", self._heard)
        self.page.on("pageerror", lambda error: self.complaints.append(f"{self.page.url}: {error}"))
        self.page.on("request", self._asked)

    def _heard(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(f"{self.page.url}: {message.text}")

    def _asked(self, request: Any) -> None:
        if not request.url.startswith((self.base, "data:", "blob:")):
            self.complaints.append(f"{self.page.url}: asked {request.url}")

    def open(self, address: str) -> Any:
        """Open an address of the portal; its answer."""
        return self.page.goto(self.base + address)

    def sign_in(self, name: str, password: str) -> None:
        """Through the real forms: password, and the code of whoever has an authenticator app or needs one."""
        user = User.objects.get(username=name)
        if second_factor.is_required(grants(user)):
            app_of(user)
        self.open("/admin/login/")
        self.page.get_by_label("User name").fill(name)
        self.page.get_by_label("Password").fill(password)
        with self.page.expect_navigation():
            self.page.get_by_role("button", name="Sign in").click()
        if self.page.url.endswith("/admin/login/code/"):
            self.page.get_by_label("Code").fill(code_of(user))
            with self.page.expect_navigation():
                self.page.get_by_role("button", name="Sign in").click()
        self.page.wait_for_url("**/admin/")

    def press(self, name: str) -> None:
        """Press a button, and wait for the page that it leads to."""
        with self.page.expect_navigation():
            self.page.get_by_role("button", name=name).click()


@pytest.fixture
def served(portal_server: Server) -> Server:
    """The server that a visitor finds; modules whose tests may share one say so by a fixture of this name."""
    return portal_server


@pytest.fixture
def visitor(chromium: Any, served: Server) -> Iterator[Visitor]:
    """A visitor at a desk."""
    context = chromium.new_context(viewport=DESKTOP)
    visitor = Visitor(context.new_page(), served.url)
    yield visitor
    context.close()
    assert not visitor.complaints
