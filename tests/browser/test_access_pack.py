"""An access request, from the person's page to the file that is printed, in a real browser."""

import json
from pathlib import Path

import pytest

from audit.models import AuditEvent
from audit.vocabulary import Action
from portal.roles import Role
from tests.browser.conftest import Visitor
from tests.portal.desk import cast
from tests.portal.factor import app_of
from tests.tokens.api import cast as api_cast
from tests.tokens.cast import an_enterprise
from tokens.models import Mapping

pytestmark = pytest.mark.slow


def test_an_officer_makes_a_pack_prints_it_and_takes_it_as_json(visitor: Visitor, tmp_path: Path) -> None:
    acme = an_enterprise("Acme")
    ana = Mapping.objects.get(token=api_cast.a_person(acme, *api_cast.ANA))
    app_of(cast.somebody(Role.COMPLIANCE_OFFICER, enterprise=acme))
    visitor.sign_in(cast.NAMES[Role.COMPLIANCE_OFFICER], cast.PASSWORD)
    visitor.open(f"/admin/people/{ana.pk}/")
    page = visitor.page
    page.get_by_role("link", name="Access pack").click()
    page.get_by_label("Case number").fill("DSAR-2026-7")
    visitor.press("Make the pack")
    assert "The pack is ready below" in page.inner_text("main")
    with page.context.expect_page() as opened:
        page.get_by_role("button", name="Open the pack of case DSAR-2026-7 to print").click()
    file = opened.value
    file.wait_for_load_state()
    assert file.inner_text("h1") == "What is on record of a•••@m•••.example"
    assert "End of the pack." in file.inner_text("footer")
    # Its style sheet is allowed by hash, so it looks as it should, and it prints on white.
    assert file.evaluate("getComputedStyle(document.querySelector('dl')).display") == "grid"
    assert file.pdf()[:5] == b"%PDF-"
    with page.expect_download() as download:
        page.get_by_role("button", name="Download the pack of case DSAR-2026-7 as JSON").click()
    pack = json.loads(Path(download.value.path()).read_text(encoding="utf-8"))
    assert pack["complete"] is True
    assert [one["what"] for one in pack["seen_by"][:2]] == ["took an access pack"] * 2
    assert AuditEvent.objects.filter(action=Action.PACK_TAKEN, target_id=str(ana.pk)).count() == 2


def test_without_the_hash_of_its_style_the_file_would_be_bare(visitor: Visitor, tmp_path: Path) -> None:
    """The known-bad twin: the browser enforces the policy of the file, so the test above sees a wrong hash."""
    bare = tmp_path / "bare.html"
    bare.write_text(
        "<meta http-equiv=Content-Security-Policy content=\"default-src 'none'; style-src 'sha256-AAAA'\">"
        "<style>dl { display: grid }</style><dl></dl>"
    )
    visitor.page.goto(bare.as_uri())
    assert visitor.page.evaluate("getComputedStyle(document.querySelector('dl')).display") == "block"
    visitor.complaints.clear()
