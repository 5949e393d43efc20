"""What every page has in common: strict CSP, nothing from elsewhere, navigation by role, bones for assistive tools."""

import hashlib
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.contrib.staticfiles import finders
from django.test import Client

from audit.trail import SYSTEM
from portal.models import BreakGlass
from portal.roles import Role
from tests.portal.desk import cast
from tests.tokens.api import cast as api_cast
from tokens.bulk import jobs, plan
from tokens.bulk.columns import ColumnMap
from tokens.models import Enterprise, Mapping

ALPINE = "vendor/alpinejs-csp/alpine-csp-3.17.4.min.js"
VOID = {"area", "base", "br", "col", "hr", "img", "input", "link", "meta", "source", "wbr"}


class Bones(HTMLParser):
    """The elements of a page with their attributes."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.text_of_scripts: list[tuple[dict[str, str], str]] = []
        self._script: dict[str, str] | None = None
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        facts = {name: value or "" for name, value in attrs}
        self.elements.append((tag, facts))
        if tag == "script":
            self._script = facts

    def handle_data(self, data: str) -> None:
        if self._script is not None:
            self.text_of_scripts.append((self._script, data))

    def handle_endtag(self, tag: str) -> None:
        if tag == "script":
            self._script = None

    def all(self, tag: str) -> list[dict[str, str]]:
        return [facts for name, facts in self.elements if name == tag]


@pytest.fixture
def pages(
    acme: Enterprise, rival: Enterprise, ana: Mapping, caller: api_cast.MarketingCloud
) -> dict[str, str]:
    """Every page that a GET shows, with data, as who may see them all."""
    entry = api_cast.entry_of(
        caller.resolve(api_cast.ask(ana.token), api_cast.ask("nobody@tok.acme.example", "r-2"))
    )
    browser = cast.browser_of(cast.somebody(*Role, name="everything"))
    loaded, running = (
        plan.load(acme, [b"Key,Email,Town\n1,ana@mail.example,Rome\n"], name=f"{name}.csv", actor=SYSTEM)
        for name in "ab"
    )
    plan.map_columns(running, ColumnMap(email=("Email",), subscriber_key="Key"), actor=SYSTEM)
    jobs.start(running, actor=SYSTEM)
    client = f"/admin/clients/{caller.client.client_id}/"
    browser.post(
        f"/admin/people/{ana.pk}/reveal/",
        {"reason": "incident", "break_glass": "on", "explanation": "The mail server is leaking."},
    )
    addresses = [
        f"/admin/people/{ana.pk}/reveal/", f"/admin/log/{entry.pk}/response/0/reveal/", "/admin/reveals/",
        f"/admin/reveals/{BreakGlass.objects.get().pk}/review/",
        "/admin/", "/admin/log/", "/admin/log/?status=500", f"/admin/log/{entry.pk}/", "/admin/events/",
        "/admin/people/", f"/admin/people/{ana.pk}/", "/admin/unsubscribes/", "/admin/unsubscribes/new/",
        f"/admin/unsubscribes/new/?mapping={ana.pk}", "/admin/clients/", "/admin/clients/new/", client,
        f"{client}change/", "/admin/enterprises/", "/admin/enterprises/new/", f"/admin/enterprises/{acme.pk}/",
        f"/admin/enterprises/{acme.pk}/change/", f"/admin/enterprises/{acme.pk}/units/new/", "/admin/password_change/",
        "/admin/bulk/", "/admin/bulk/new/", f"/admin/bulk/new/?enterprise={acme.pk}", f"/admin/bulk/{loaded.pk}/",
        f"/admin/bulk/{loaded.pk}/columns/", f"/admin/bulk/{running.pk}/",
    ]  # fmt: skip
    shown = {address: browser.get(address).content.decode() for address in addresses}
    why = {"reason": "complaint", "case": "CS-1"}
    shown["revealed"] = browser.post(f"/admin/people/{ana.pk}/reveal/", why).content.decode()
    shown["/admin/second-factor/"] = browser.get("/admin/second-factor/").content.decode()
    shown["show again"] = browser.get("/admin/second-factor/confirm/").content.decode()
    shown["passkey"] = browser.get("/admin/second-factor/passkey/").content.decode()
    auditor = cast.browser_of(cast.somebody(Role.AUDITOR))
    shown["set up"] = auditor.get("/admin/second-factor/app/").content.decode()
    shown["sign in"] = Client().get("/admin/login/").content.decode()
    shown["signed out"] = browser.post("/admin/logout/").content.decode()
    return shown


def test_the_policy_lets_scripts_and_styles_come_from_us_only(pages: dict[str, str]) -> None:
    policy = Client().get("/admin/login/")["Content-Security-Policy"]
    said = dict(part.strip().split(" ", 1) for part in policy.split(";"))
    assert said["script-src"] == said["style-src"] == said["connect-src"] == "'self'"
    assert said["default-src"] == said["frame-ancestors"] == said["base-uri"] == "'none'"
    assert "unsafe" not in policy


def test_no_page_holds_an_inline_script_handler_or_style(pages: dict[str, str]) -> None:
    for address, page in pages.items():
        bones = Bones(page)
        for facts, text in bones.text_of_scripts:
            assert facts.get("type") == "application/json" or not text.strip(), address
        assert not bones.all("style"), address
        for tag, facts in bones.elements:
            inline = [name for name in facts if name.startswith("on") or name == "style"]
            assert not inline, (address, tag, inline)


def test_no_page_names_another_host(pages: dict[str, str]) -> None:
    for address, page in pages.items():
        for tag, facts in Bones(page).elements:
            for name in ("src", "href", "action", "hx-get", "hx-post"):
                value = facts.get(name, "")
                assert not re.match(r"(https?:)?//", value), (address, tag, value)


def test_alpine_is_the_build_that_evaluates_no_strings(pages: dict[str, str]) -> None:
    for address, page in pages.items():
        scripts = [facts.get("src", "") for facts in Bones(page).all("script")]
        assert any(script.endswith(ALPINE) for script in scripts), address
        assert not any("unfold/js/alpine" in script for script in scripts), address


def test_the_vendored_file_is_the_one_that_was_checked() -> None:
    found = finders.find(ALPINE)
    assert isinstance(found, str)
    content = Path(found).read_bytes()
    readme = (Path(settings.BASE_DIR) / "portal/static/vendor/README.md").read_text()
    assert hashlib.sha256(content).hexdigest() in readme
    assert b"new Function" not in content
    assert b"AsyncFunction" not in content


def test_every_page_has_a_language_a_title_a_main_part_and_one_heading(pages: dict[str, str]) -> None:
    titles = {}
    for address, page in pages.items():
        bones = Bones(page)
        assert bones.all("html")[0]["lang"] == "en", address
        assert len(bones.all("main")) == 1, address
        assert len(bones.all("h1")) == 1, address
        [titles[address]] = re.findall(r"<title>(.*?)</title>", page, re.DOTALL)
    assert all(title.strip() for title in titles.values())


def test_every_page_of_the_desk_can_be_skipped_to_its_content(pages: dict[str, str]) -> None:
    for address, page in pages.items():
        if address.startswith("/"):
            links = Bones(page).all("a")
            assert links[0] == {"class": "skip-link", "href": "#content"}, address
            assert any(facts.get("id") == "content" for facts in Bones(page).all("main")), address


def test_ids_are_given_once_and_what_is_named_is_there(pages: dict[str, str]) -> None:
    for address, page in pages.items():
        elements = Bones(page).elements
        ids = [facts["id"] for _, facts in elements if "id" in facts]
        assert len(ids) == len(set(ids)), address
        for tag, facts in elements:
            for name in (
                "for",
                "aria-labelledby",
                "aria-describedby",
                "aria-controls",
                "data-copy",
                "data-gate",
            ):
                for target in facts.get(name, "").split():
                    assert target in ids, (address, tag, name, target)


def test_every_field_has_a_label(pages: dict[str, str]) -> None:
    for address, page in pages.items():
        bones = Bones(page)
        labelled = {facts["for"] for facts in bones.all("label") if "for" in facts}
        for tag, facts in bones.elements:
            if tag in ("input", "select", "textarea") and facts.get("type") not in (
                "hidden",
                "checkbox",
                "radio",
            ):
                assert facts.get("id") in labelled, (address, facts)


def test_every_table_has_a_caption_and_scoped_headings(pages: dict[str, str]) -> None:
    for address, page in pages.items():
        bones = Bones(page)
        assert len(bones.all("caption")) == len(bones.all("table")), address
        assert all("scope" in facts for facts in bones.all("th")), address


def test_icons_are_hidden_from_readers(pages: dict[str, str]) -> None:
    for address, page in pages.items():
        for facts in Bones(page).all("span"):
            if "icon" in facts.get("class", "").split():
                assert facts.get("aria-hidden") == "true", address


SEEN_BY_ALL = {"Start", "Enterprises", "Approvals"}
EVIDENCE = {"Payload log", "Event trail", "Rescue window"}
PEOPLE = {"Find a person", "Erasures", "Legal holds", "Who saw whom", "Unsubscribes", "No Token Queue"}
NAVIGATION = {
    Role.COMPLIANCE_OFFICER: SEEN_BY_ALL
    | EVIDENCE
    | PEOPLE
    | {"API clients", "Bulk jobs", "Exports", "Marketing Cloud", "Retention", "SFTP", "Users and roles"},
    Role.AUDITOR: SEEN_BY_ALL
    | EVIDENCE
    | PEOPLE
    | {"API clients", "Bulk jobs", "Exports", "Marketing Cloud", "Retention", "SFTP", "Users and roles"},
    Role.INTEGRATION_ADMIN: SEEN_BY_ALL | EVIDENCE | {"API clients", "Marketing Cloud", "SFTP"},
    Role.DATA_ENGINEER: SEEN_BY_ALL | {"Bulk jobs"},
    Role.ADMINISTRATOR: SEEN_BY_ALL | {"Event trail", "Retention", "Users and roles"},
}


@pytest.mark.parametrize("role", list(Role))
def test_the_navigation_shows_what_the_role_opens(role: Role, acme: Enterprise) -> None:
    browser = cast.at_desk(role, acme)
    page = browser.get("/admin/enterprises/").content.decode()
    links = re.findall(
        r'class="side-link" href="([^"]+)"[^>]*>\s*<span[^>]*>[^<]*</span>\s*([^<]+?)\s*</a>', page
    )
    assert {name for _, name in links} == NAVIGATION[role]
    assert all(browser.get(address).status_code == 200 for address, _ in links)
    assert re.findall(r'href="([^"]+)" aria-current="page"', page) == ["/admin/enterprises/"]


def test_the_environment_is_a_word_on_every_page(pages: dict[str, str]) -> None:
    for address, page in pages.items():
        if address != "signed out":
            assert settings.ENVIRONMENT in re.sub(r"<[^>]+>", "", page), address


def test_the_search_box_is_on_every_page_and_posts(pages: dict[str, str]) -> None:
    for address, page in pages.items():
        if address.startswith("/"):
            [form] = [facts for facts in Bones(page).all("form") if facts.get("role") == "search"]
            assert (form["method"], form["action"]) == ("post", "/admin/search/"), address


def test_no_page_is_kept_in_a_cache(acme: Enterprise, olivia: Any) -> None:
    for address in ("/admin/", "/admin/log/", "/admin/people/"):
        assert "no-store" in olivia.get(address)["Cache-Control"]


def test_a_dead_end_says_what_to_do(acme: Enterprise, dario: Client) -> None:
    forbidden, missing = dario.get("/admin/log/"), dario.get("/admin/nothing/")
    assert forbidden.status_code == 403
    assert "ask an administrator" in forbidden.content.decode()
    assert missing.status_code == 404
    assert "To the start page" in missing.content.decode()
