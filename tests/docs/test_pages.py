"""The documentation says what the code does: settings, dependencies, links."""

import json
import re
import tomllib
import uuid
from pathlib import Path

import pytest
from django.utils import timezone

from audit import payload_log, trail
from audit.models import Api, Direction, Outcome
from audit.payload_log import Exchange
from audit.vocabulary import Action

CHECKOUT = Path(__file__).resolve().parents[2]
PAGES = sorted([*CHECKOUT.glob("*.md"), *CHECKOUT.glob("docs/**/*.md")])
READS = re.compile(r'(?:env\.\w+\(\s*|environ(?:\.get\(|\[)\s*)"([A-Z][A-Z0-9_]+)"')
# Set by the tools that start us, not by an operator.
NOT_SETTINGS = {"DJANGO_SETTINGS_MODULE", "MAKELEVEL", "SERVES_WEB"}


def settings_read() -> set[str]:
    """Names of the environment variables that the product reads."""
    sources = [path for app in ("audit", "tokens", "portal") for path in (CHECKOUT / app).rglob("*.py")]
    names = {name for source in sources for name in READS.findall(source.read_text(encoding="utf-8"))}
    return {name.removesuffix("_FILE") for name in names} - NOT_SETTINGS


def settings_documented() -> set[str]:
    """Names in the first cells of the tables of docs/settings.md."""
    rows = re.findall(
        r"^\| (`[A-Z].*?) \|", (CHECKOUT / "docs/settings.md").read_text(encoding="utf-8"), re.MULTILINE
    )
    return {name for row in rows for name in re.findall(r"`([A-Z0-9_]+)`", row)}


def test_every_environment_variable_that_is_read_is_documented_and_no_other() -> None:
    assert settings_documented() == settings_read()


def test_every_dependency_has_its_reason() -> None:
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))
    wanted = [*project["project"]["dependencies"], *project["dependency-groups"]["dev"]]
    names = {re.split(r"[\[<>=]", requirement)[0] for requirement in wanted}
    said = (CHECKOUT / "docs/decisions.md").read_text(encoding="utf-8").lower()
    assert {
        name for name in names if not re.search(rf"^\|[^|]*\b{re.escape(name)}\b", said, re.MULTILINE)
    } == set()


@pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(CHECKOUT)) for page in PAGES])
def test_links_of_a_page_lead_to_files_of_the_checkout(page: Path) -> None:
    targets = re.findall(r"(?:\]\(|src=\"|href=\")([^)#\"\s]+)", page.read_text(encoding="utf-8"))
    missing = [
        target for target in targets if ":" not in target and not (page.parent / target).resolve().exists()
    ]
    assert missing == []


def keys_documented(kind: str) -> set[str]:
    """Names in the first cells of the table of docs/payload-log.md that follows the words `"kind": "<kind>"`."""
    page = (CHECKOUT / "docs/payload-log.md").read_text(encoding="utf-8")
    table = page.partition(f'"kind": "{kind}"')[2].partition("\n\n")[2].partition("\n\n")[0]
    cells = re.findall(r"^\| (`.*?) \|", table, re.MULTILINE)
    return {name for cell in cells for name in re.findall(r"`(\w+)`", cell)}


def test_every_key_of_a_payload_header_is_documented_and_no_other() -> None:
    exchange = Exchange(
        id=uuid.uuid4(), at=timezone.now(), direction=Direction.INBOUND, api=Api.RESOLVE,
        status=200, outcome=Outcome.COMPLETE,
    )  # fmt: skip
    assert keys_documented("payload") == set(json.loads(payload_log.header_of(exchange)))


def test_every_key_of_an_event_header_is_documented_and_no_other() -> None:
    header = trail.header_of(
        uuid.uuid4(), timezone.now(), Action.SIGNED_IN, trail.SYSTEM, None, trail.Target("", ""), None, {}
    )
    assert keys_documented("event") == set(json.loads(header))
