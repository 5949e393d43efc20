"""What stands around every page: plots of the start page, theme, shortcut, navigation, keyboard, and the policy."""

import itertools

import pytest

from portal.roles import Role
from tests.browser.conftest import PHONE, Visitor
from tests.portal.desk import cast
from tests.portal.desk.exchanges import logged
from tests.portal.factor import app_of
from tests.serving import Server
from tests.tokens.cast import an_enterprise

pytestmark = pytest.mark.slow
_numbers = itertools.count(1)
IS_DARK = "document.documentElement.classList.contains('dark')"


@pytest.fixture
def served(shared_server: Server) -> Server:
    return shared_server


@pytest.fixture
def reader() -> str:
    """The name of somebody who reads, in an enterprise of their own."""
    name = f"aaron-{next(_numbers)}"
    cast.somebody(Role.AUDITOR, enterprise=an_enterprise(), name=name)
    return name


def test_plots_are_drawn_and_lead_to_the_log(visitor: Visitor) -> None:
    acme = an_enterprise("Acme")
    for ago in range(40):
        logged(acme, ago=ago * 120)
    app_of(cast.somebody(Role.COMPLIANCE_OFFICER, enterprise=acme))
    visitor.sign_in("olivia", cast.PASSWORD)
    painted = visitor.page.evaluate(
        """() => [...document.querySelectorAll("canvas")].map((canvas) => {
            const dots = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
            return dots.some((dot) => dot !== 0);
        })"""
    )
    assert painted == [True, True]
    box = visitor.page.locator("canvas[data-plot=outcomes]").bounding_box()
    assert box
    with visitor.page.expect_navigation():
        visitor.page.mouse.click(box["x"] + box["width"] - 14, box["y"] + box["height"] / 2)
    assert "/admin/log/?since=" in visitor.page.url


def test_the_theme_is_chosen_kept_and_painted_at_once(visitor: Visitor, reader: str) -> None:
    visitor.sign_in(reader, cast.PASSWORD)
    page = visitor.page
    assert page.evaluate(IS_DARK) is False
    page.get_by_text(reader, exact=True).click()
    page.get_by_role("button", name="Dark").click()
    assert page.evaluate(IS_DARK) is True
    assert page.get_by_role("button", name="Dark").get_attribute("aria-pressed") == "true"
    page.goto(f"{visitor.base}/admin/enterprises/", wait_until="commit")
    page.wait_for_selector("body", state="attached")
    assert page.evaluate(IS_DARK) is True


def test_the_shortcut_can_be_switched_off(visitor: Visitor, reader: str) -> None:
    visitor.sign_in(reader, cast.PASSWORD)
    page, focused = visitor.page, "document.activeElement.id"
    page.keyboard.press("/")
    assert page.evaluate(focused) == "search-all"
    page.get_by_text(reader, exact=True).click()
    page.get_by_role("button", name="goes to search").click()
    visitor.open("/admin/log/")
    page.keyboard.press("/")
    assert page.evaluate(focused) != "search-all"


def test_the_navigation_of_a_phone_opens_and_closes_by_keyboard(visitor: Visitor, reader: str) -> None:
    visitor.page.set_viewport_size(PHONE)
    visitor.sign_in(reader, cast.PASSWORD)
    page = visitor.page
    link = page.get_by_role("link", name="Payload log")
    assert not link.is_visible()
    opener = page.get_by_role("button", name="Open the navigation")
    opener.focus()
    page.keyboard.press("Enter")
    link.wait_for(state="visible")
    assert opener.get_attribute("aria-expanded") == "true"
    page.keyboard.press("Escape")
    link.wait_for(state="hidden")
    assert page.evaluate("document.activeElement.classList.contains('side-open')")


def test_the_first_tab_skips_to_the_content(visitor: Visitor, reader: str) -> None:
    visitor.sign_in(reader, cast.PASSWORD)
    page = visitor.page
    page.keyboard.press("Tab")
    skip = page.get_by_role("link", name="Skip to the content")
    assert skip.evaluate("(link) => document.activeElement === link && link.getBoundingClientRect().top >= 0")
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "content"


def test_a_policy_that_is_broken_would_be_noticed(visitor: Visitor) -> None:
    """The known-bad twin: an inline handler, a style and a foreign image, put in by hand, are all complained of."""
    visitor.open("/admin/login/")
    visitor.page.evaluate(
        """() => {
            document.body.insertAdjacentHTML("beforeend",
                '<img src="https://elsewhere.example/x.png"><b style="color:red" onclick="1">x</b>');
            document.querySelector("b[onclick]").click();
        }"""
    )
    kinds = ("elsewhere.example", "style-src", "script-src")
    for _ in range(300):
        missing = [kind for kind in kinds if kind not in " ".join(visitor.complaints)]
        if not missing:
            break
        visitor.page.wait_for_timeout(100)
    visitor.complaints.clear()
    assert not missing
