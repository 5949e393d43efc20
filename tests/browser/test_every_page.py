"""Every page in a real browser, at a desk and on a phone: no complaint, nothing cut off, all within reach."""

import datetime
from typing import Any

import pytest
from django.utils import timezone

from audit import holds
from audit.approvals import requests
from audit.models import Outcome
from audit.trail import SYSTEM, Target
from portal.models import BreakGlass
from portal.reveals.reasons import Reason
from portal.reveals.revealing import Why, reveal
from portal.reveals.subjects import value_of
from portal.roles import Role
from tests.browser.conftest import DESKTOP, PHONE, Visitor
from tests.browser.opt_out_scene import opt_out_pages
from tests.browser.queue_scene import queue_pages
from tests.browser.sftp_scene import sftp_pages
from tests.portal import erasing, retaining
from tests.portal.desk import asking, cast
from tests.portal.desk.exchanges import logged
from tests.portal.factor import app_of
from tests.tokens.api import cast as api_cast
from tests.tokens.cast import an_enterprise
from tokens.bulk import approval, jobs, plan
from tokens.bulk.columns import ColumnMap
from tokens.connections import core_orgs
from tokens.connections.verbs import create_connection
from tokens.connections.verbs import test_connection as walk_through
from tokens.consent.opt_outs import record_opt_out
from tokens.dossier import packs
from tokens.enterprises import create_business_unit
from tokens.exports import requests as exports
from tokens.formats.kinds import Kind
from tokens.models import ConsentEvent, Enterprise, Export, Mapping
from tokens.models.connections import GrantKind

pytestmark = pytest.mark.slow

DAY = datetime.timedelta(days=1)
EMPTY = [
    "/admin/", "/admin/log/", "/admin/events/", "/admin/people/", "/admin/unsubscribes/", "/admin/unsubscribes/new/",
    "/admin/unsubscribes/open/", "/admin/unsubscribes/terms/", "/admin/unsubscribes/files/", "/admin/unsubscribes/sms/",
    "/admin/unsubscribes/files/new/",
    "/admin/no-token-queue/", "/admin/no-token-queue/new/", "/admin/no-token-queue/lines/", "/admin/rescue/",
    "/admin/no-token-queue/extracts/", "/admin/no-token-queue/reconciliation/",
    "/admin/bulk/", "/admin/bulk/new/", "/admin/clients/", "/admin/clients/new/", "/admin/enterprises/",
    "/admin/enterprises/new/", "/admin/password_change/", "/api/docs/", "/admin/approvals/",
    "/admin/approvals/?show=all", "/admin/users/", "/admin/users/new/", "/admin/holds/", "/admin/holds/new/",
    "/admin/exports/", "/admin/exports/new/", "/admin/reveals/", "/admin/reveals/several/", "/admin/second-factor/",
    "/admin/second-factor/passkey/", "/admin/second-factor/confirm/", "/admin/connections/", "/admin/connections/new/",
    "/admin/connections/core/new/", "/admin/retention/", "/admin/erasures/", "/admin/sftp/", "/admin/sftp/new/",
]  # fmt: skip

# Buttons, fields and entries of the navigation are at least 24 px in both directions. Links in text are exempt.
TOO_SMALL = """
() => [...document.querySelectorAll("button, select, summary, input:not([type=hidden]), textarea, .button, .side-link")]
    .filter((e) => e.checkVisibility({ visibilityProperty: true }) && !e.closest(".visually-hidden"))
    .map((e) => [e.outerHTML.slice(0, 90), (e.closest("label") || e).getBoundingClientRect()])
    .filter(([, box]) => box.width > 0 && (box.width < 24 || box.height < 24))
    .map(([html, box]) => `${html} ${box.width}x${box.height}`)
"""
# A plot follows the window's new size in its own time, so a page that is too wide is given some to settle.
WIDER_THAN_THE_WINDOW = """
async () => {
    const over = () => document.documentElement.scrollWidth - window.innerWidth;
    for (const end = performance.now() + 10000; over() > 0 && performance.now() < end; )
        await new Promise((go) => setTimeout(go, 50));
    return over();
}
"""


def with_data(acme: Enterprise) -> list[str]:
    """Addresses of pages that show something."""
    token = api_cast.a_person(acme, *api_cast.ANA)
    ana = Mapping.objects.get(token=token)
    caller = api_cast.a_caller(acme, networks=["127.0.0.0/8"])
    create_business_unit(acme, mid="1", name="Shop", actor=SYSTEM)
    entry = api_cast.entry_of(caller.resolve(api_cast.ask(token), api_cast.ask("ben@mail.example", "r-2")))
    for ago in range(70):
        outcome = Outcome.REFUSED if ago % 9 == 0 else Outcome.COMPLETE
        logged(
            acme,
            ago=ago * 600,
            outcome=outcome,
            status=401 if ago % 9 == 0 else 200,
            duration_us=1_000 + ago * 40,
        )
    event = record_opt_out(
        acme,
        kind=Kind.EMAIL,
        mapping=ana,
        source=ConsentEvent.Source.OFFICER,
        source_id="1",
        occurred_at=timezone.now(),
        actor=SYSTEM,
    )
    for place in (
        {"scope": holds.Scope.ENTRY, "entry_id": entry.pk},
        {"scope": holds.Scope.PERSON, "subject": Target("mapping", str(ana.pk), ana.token)},
        {"scope": holds.Scope.RANGE, "first": entry.at, "before": timezone.now()},
    ):
        hold = holds.place(enterprise_id=acme.pk, case="LIT-7", reason="pending", actor=SYSTEM, **place)
    for state in Export.State:
        export = exports.ask(
            acme,
            what=Export.What.PEOPLE,
            form=Export.Form.XLSX,
            only={"kind": "1"},
            case="C-1",
            clear=True,
            actor=SYSTEM,
        )
        Export.objects.filter(pk=export.pk).update(state=state, expires_at=timezone.now() + DAY, taken=2)
    packs.make(ana, case="DSAR-2026-7", actor=SYSTEM)
    rows = "".join(f"{n},p{n}@mail.example,Rome\n" for n in range(50))
    loaded, running = (
        plan.load(acme, [b"Key,Email,Town\n", rows.encode()], name=f"{name}.csv", actor=SYSTEM)
        for name in "ab"
    )
    plan.map_columns(running, ColumnMap(email=("Email",), subscriber_key="Key"), actor=SYSTEM)
    jobs.start(running, actor=SYSTEM)
    client = f"/admin/clients/{caller.client.client_id}/"
    engineer = cast.somebody(Role.DATA_ENGINEER, enterprise=acme)
    plan.map_columns(loaded, ColumnMap(email=("Email",), subscriber_key="Key"), actor=SYSTEM)
    asked = approval.start(loaded, reason="The list of the spring.", actor=asking.actor(engineer)).waits_for
    assert asked is not None
    closed = asking.a_request(acme)
    requests.reject(closed.pk, actor=asking.actor(cast.somebody(Role.COMPLIANCE_OFFICER)), comment="not now")
    subject = value_of(ana)
    assert subject is not None
    reveal(subject, Why(Reason.INCIDENT, "", "The mail server is leaking."), actor=asking.actor(engineer))
    broken = BreakGlass.objects.get()
    connection = create_connection(
        acme,
        name="Main package",
        subdomain="mc" + "x" * 26,
        client_id="package",
        grant_kind=GrantKind.JWT,
        subject="portal@acme.example",
        actor=SYSTEM,
    )
    walk_through(connection, actor=SYSTEM)
    facts = {
        "login_url": "https://login.salesforce.com",
        "client_id": "app",
        "subject": "portal@acme.example",
    }
    org = core_orgs.create(acme, name="Sales org", actor=SYSTEM, **facts)
    copy = retaining.a_scene(acme)
    erased = erasing.a_scene(acme)
    return [
        *queue_pages(acme, caller),
        *opt_out_pages(acme),
        *sftp_pages(acme),
        f"/admin/people/{erased.mapping_id}/renew/",
        f"/admin/people/{ana.pk}/erase/", "/admin/erasures/", f"/admin/erasures/{erased.pk}/",
        f"/admin/erasures/{erased.pk}/receipt/", f"/admin/people/{erased.mapping_id}/",
        "/admin/connections/", f"/admin/connections/{connection.pk}/", f"/admin/connections/{connection.pk}/change/",
        f"/admin/connections/core/{org.pk}/",
        f"/admin/people/{ana.pk}/reveal/", f"/admin/log/{entry.pk}/response/0/reveal/", "/admin/reveals/",
        f"/admin/reveals/{broken.pk}/review/", "/admin/retention/", f"/admin/log/{copy}/",
        "/admin/", "/admin/log/", "/admin/log/?status=4xx&within=24h", "/admin/log/?address=nonsense",
        f"/admin/log/{entry.pk}/", "/admin/events/", f"/admin/people/{ana.pk}/",
        "/admin/exports/", "/admin/exports/new/?what=log&status=4xx&odd=on", "/admin/holds/",
        f"/admin/holds/{hold.pk}/release/", f"/admin/holds/new/?mapping={ana.pk}",
        f"/admin/people/{ana.pk}/?show=sight", f"/admin/people/{ana.pk}/pack/",
        "/admin/unsubscribes/",
        f"/admin/unsubscribes/new/?mapping={ana.pk}", f"/admin/unsubscribes/{event.pk}/", "/admin/bulk/",
        "/admin/unsubscribes/open/", "/admin/unsubscribes/terms/", f"/admin/unsubscribes/{event.pk}/receipt/",
        f"/admin/unsubscribes/{event.pk}/lift/",
        f"/admin/bulk/{loaded.pk}/", f"/admin/bulk/{loaded.pk}/columns/", f"/admin/bulk/{running.pk}/",
        "/admin/clients/", client, f"{client}change/", "/admin/enterprises/", f"/admin/enterprises/{acme.pk}/",
        f"/admin/enterprises/{acme.pk}/change/", f"/admin/enterprises/{acme.pk}/units/new/", "/admin/approvals/",
        "/admin/approvals/?show=all", f"/admin/approvals/{asked.pk}/", f"/admin/approvals/{closed.pk}/",
        "/admin/users/", f"/admin/users/{engineer.pk}/",
    ]  # fmt: skip


def look(visitor: Visitor, addresses: list[str]) -> list[str]:
    """Open them all, at a desk and on a phone; what is wrong with how they look."""
    wrong = []
    for address in addresses:
        answer = visitor.open(address)
        wrong += [f"{address}: status {answer.status}"] if answer.status != 200 else []
        for size in (DESKTOP, PHONE):
            visitor.page.set_viewport_size(size)
            wrong += [f"{address} at {size['width']} px: {fault}" for fault in faults_of(visitor.page)]
    return wrong


def faults_of(page: Any) -> list[str]:
    # The page of the API's description brings buttons of its own.
    small = [] if page.url.endswith("/api/docs/") else page.evaluate(TOO_SMALL)
    over = page.evaluate(WIDER_THAN_THE_WINDOW)
    return [f"too small: {one}" for one in small] + [f"{over} px wider than the window"] * (over > 0)


def test_no_page_complains_or_is_cut_off(visitor: Visitor) -> None:
    acme = an_enterprise("Acme")
    app_of(cast.somebody(*Role, name="everything"))
    visitor.page.emulate_media(color_scheme="dark")
    visitor.sign_in("everything", cast.PASSWORD)
    assert visitor.page.evaluate("document.documentElement.classList.contains('dark')")
    assert not look(visitor, EMPTY)
    assert not look(visitor, with_data(acme))
