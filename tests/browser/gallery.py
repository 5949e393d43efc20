"""Pictures of the pages: the sample data with a day of made-up traffic, in the system's Chromium."""

import argparse
import datetime
import math
import random
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from django.db import connections
from django.utils import timezone
from playwright.sync_api import sync_playwright

from audit.approvals import requests
from audit.models import Api, Outcome
from audit.trail import SYSTEM
from portal import sample_data
from portal.embedded.state import CHECKOUT
from portal.models import Membership, User
from portal.roles import Role
from portal.sample_data import SampleAccess
from portal.synthetic_people import people
from tests import cluster, components, serving
from tests.audit.seals.cast import a_sequencer
from tests.browser.conftest import DESKTOP, PHONE, Visitor
from tests.browser.opt_out_scene import opt_out_pages
from tests.browser.sftp_scene import sftp_pages
from tests.conftest import CHROMIUM_ARGUMENTS
from tests.portal import erasing
from tests.portal.desk import asking
from tests.portal.desk.exchanges import logged
from tests.portal.factor import app_of
from tests.tokens.api import cast as api_cast
from tests.tokens.bulk import scene
from tests.tokens.cast import an_enterprise
from tokens.bulk import approval
from tokens.connections import core_orgs
from tokens.connections.verbs import create_connection
from tokens.consent import clocks
from tokens.consent.opt_outs import record_opt_out
from tokens.formats.kinds import Kind
from tokens.models import ApiClient, BulkJob, ConsentEvent, Enterprise, Mapping

IMAGES: Final = CHECKOUT / "docs" / "images"
PICTURE: Final = {"width": 1280, "height": 800}
CALLS_OF_THE_DAY: Final = 4_000
OPT_OUT_FILES = (
    "sms-files",
    "files",
    "file-new",
    "file-columns",
    "file-over",
    "file-waits",
    "file-runs",
    "file-failed",
)
CALLS_OF_THE_PERSON: Final = 6


def main() -> None:
    """Take the pictures."""
    parser = argparse.ArgumentParser("make shots", description=__doc__)
    parser.add_argument("--all", type=Path, metavar="FOLDER", help="every page, to look at")
    parser.add_argument("--only", nargs="+", metavar="PAGE", help="of --all only these, by name")
    chosen = parser.parse_args()
    folder = chosen.all
    name = cluster.session_database()
    cluster.main().make_clone(name)
    try:
        access, pages = _data()
        pages = {name: pages[name] for name in chosen.only or pages}
        with _visitors() as visit:
            take_all(visit, access, pages, folder) if folder else take_three(visit, access, pages)
    finally:
        connections.close_all()
        cluster.main().drop(name)


def take_three(visit: Any, access: SampleAccess, pages: dict[str, str]) -> None:
    """The pictures of the README."""
    IMAGES.mkdir(parents=True, exist_ok=True)
    visitor = visit(PICTURE, "light")
    visitor.sign_in("officer", access.passwords["officer"])
    for name in ("start", "log-entry", "person"):
        visitor.open(pages[name])
        visitor.page.wait_for_load_state("networkidle")
        visitor.page.screenshot(path=IMAGES / f"{name}.png")
        print(f"docs/images/{name}.png")


def take_all(visit: Any, access: SampleAccess, pages: dict[str, str], folder: Path) -> None:
    """Every page four times."""
    folder.mkdir(parents=True, exist_ok=True)
    for size_name, size in (("desk", DESKTOP), ("phone", PHONE)):
        for scheme in ("light", "dark"):
            visitor = visit(size, scheme)
            visitor.open("/admin/login/")
            visitor.page.screenshot(path=folder / f"sign-in-{size_name}-{scheme}.png")
            visitor.sign_in(access.username, access.password)
            for name, address in pages.items():
                visitor.open(address)
                visitor.page.wait_for_timeout(200)
                visitor.page.screenshot(path=folder / f"{name}-{size_name}-{scheme}.png", full_page=True)


@contextmanager
def _visitors() -> Iterator[Any]:
    server = serving.Server({"DJANGO_SETTINGS_MODULE": "tests.served_settings"})
    server.wait_until_served()
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path=str(components.need_chromium()), args=CHROMIUM_ARGUMENTS
            )

            def visit(size: Any, scheme: str) -> Visitor:
                context = browser.new_context(viewport=size, color_scheme=scheme)
                return Visitor(context.new_page(), server.url)

            yield visit
            browser.close()
    finally:
        server.stop()


def _data() -> tuple[SampleAccess, dict[str, str]]:
    """The sample data with traffic; addresses of the pages by name."""
    access = sample_data.create()
    for name in (access.username, "officer"):
        app_of(User.objects.get(username=name))
    enterprise = Enterprise.objects.get(eid=sample_data.EID)
    caller = api_cast.MarketingCloud(ApiClient.objects.get(client_id=access.client_id), access.client_secret)
    _traffic_of_a_day(enterprise, caller.client)
    first, *others = [Mapping.objects.get(pk=pk) for pk in _ids_of_emails(enterprise)[:40]]
    entry = None
    for number in range(CALLS_OF_THE_PERSON):
        batch = [first, *others[number * 4 : number * 4 + 4]]
        items = [api_cast.ask(one.token, f"r-{place}") for place, one in enumerate(batch, start=1)]
        entry = api_cast.entry_of(caller.resolve(*items, api_cast.ask("lea.meyer@mail.example", "r-9")))
    caller.get_token(api_cast.want(people_list()[0].email))
    job = _bulk_job(enterprise)
    opt_out = _an_opt_out(enterprise)
    assert entry is not None
    with tempfile.TemporaryDirectory() as folder:
        a_sequencer(Path(folder)).run()
    client = f"/admin/clients/{caller.client.client_id}/"
    return access, {
        "start": "/admin/",
        "log": "/admin/log/",
        "log-entry": f"/admin/log/{entry.pk}/",
        "events": "/admin/events/",
        "people": "/admin/people/",
        "person": f"/admin/people/{first.pk}/",
        "pack": f"/admin/people/{first.pk}/pack/",
        "unsubscribes": "/admin/unsubscribes/",
        "unsubscribe": f"/admin/unsubscribes/new/?mapping={first.pk}",
        "opt-out": f"/admin/unsubscribes/{opt_out}/",
        "opt-out-receipt": f"/admin/unsubscribes/{opt_out}/receipt/",
        "unsubscribe-work": "/admin/unsubscribes/open/",
        "terms": "/admin/unsubscribes/terms/",
        **dict(zip(OPT_OUT_FILES, opt_out_pages(enterprise), strict=True)),
        "bulk": "/admin/bulk/",
        "bulk-new": "/admin/bulk/new/",
        "bulk-job": f"/admin/bulk/{job.pk}/",
        "clients": "/admin/clients/",
        "client-new": "/admin/clients/new/",
        "client": client,
        "client-change": f"{client}change/",
        "connections": "/admin/connections/",
        "connection-new": "/admin/connections/new/",
        "connection": f"/admin/connections/{_connection(enterprise)}/",
        "core-org": f"/admin/connections/core/{_core_org(enterprise)}/",
        **dict(
            zip(("sftp-servers", "sftp", "sftp-change", "sftp-host-key"), sftp_pages(enterprise), strict=True)
        ),
        "enterprises": "/admin/enterprises/",
        "enterprise": f"/admin/enterprises/{enterprise.pk}/",
        "enterprise-change": f"/admin/enterprises/{enterprise.pk}/change/",
        "password": "/admin/password_change/",
        "factor": "/admin/second-factor/",
        "reveal": f"/admin/people/{first.pk}/reveal/",
        "reveals": "/admin/reveals/",
        **_erasures(enterprise, first),
        "factor-confirm": "/admin/second-factor/confirm/",
        "factor-passkey": "/admin/second-factor/passkey/",
        "approvals": "/admin/approvals/",
        "approvals-all": "/admin/approvals/?show=all",
        **_approvals(enterprise),
        "users": "/admin/users/",
        "user": f"/admin/users/{User.objects.get(username='engineer').pk}/",
        "user-new": "/admin/users/new/",
        "nothing": "/admin/nothing/",
        "none-found": "/admin/log/?status=413",
    }


def _erasures(sandbox: Enterprise, person: Mapping) -> dict[str, str]:
    erased = erasing.a_scene(sandbox)
    return {
        "erase": f"/admin/people/{person.pk}/erase/",
        "erasures": "/admin/erasures/",
        "erasure": f"/admin/erasures/{erased.pk}/",
        "erasure-receipt": f"/admin/erasures/{erased.pk}/receipt/",
        "erasure-person": f"/admin/people/{erased.mapping_id}/",
    }


def _approvals(sandbox: Enterprise) -> dict[str, str]:
    """What waits and what was decided, in an enterprise that is no sandbox."""
    live = an_enterprise("Acme")
    engineer, officer = (User.objects.get(username=name) for name in ("engineer", "officer"))
    Membership.objects.create(user=engineer, role=Role.DATA_ENGINEER, enterprise=live)
    Membership.objects.create(user=officer, role=Role.COMPLIANCE_OFFICER, enterprise=live)
    job = scene.planned(live, scene.HEADER + "1,ana@mail.example,,Ana,Rome,\n")
    reason = "The list of the spring: sales has signed it off, ticket 4711."
    asked = approval.start(job, reason=reason, actor=asking.actor(engineer)).waits_for
    closed = asking.a_request(live)
    requests.approve(closed.pk, actor=asking.actor(officer), comment="agreed by phone")
    assert asked is not None
    return {
        "approval": f"/admin/approvals/{asked.pk}/",
        "approval-done": f"/admin/approvals/{closed.pk}/",
        "bulk-job-waits": f"/admin/bulk/{job.pk}/",
    }


def people_list() -> list[Any]:
    """The synthetic people of the sample."""
    return list(people(sample_data.PEOPLE))


def _ids_of_emails(enterprise: Enterprise) -> list[int]:
    return list(
        Mapping.objects.filter(enterprise=enterprise, kind=1).order_by("pk").values_list("pk", flat=True)
    )


def _an_opt_out(enterprise: Enterprise) -> object:
    """The latest of several, of all ages and laws."""
    laws = [law.code for law in clocks.LAWS]
    for number, mapping_id in enumerate(_ids_of_emails(enterprise)[40:58]):
        record_opt_out(
            enterprise,
            kind=Kind.EMAIL,
            mapping=Mapping.objects.get(pk=mapping_id),
            source=ConsentEvent.Source.FILE,
            source_id=f"gallery {number}",
            occurred_at=timezone.now() - datetime.timedelta(hours=11 * number),
            law=laws[number % len(laws)],
            actor=SYSTEM,
        )
    return ConsentEvent.objects.filter(enterprise=enterprise).latest("id").pk


def _bulk_job(enterprise: Enterprise) -> BulkJob:
    rows = [
        f"{one.subscriber_key},{one.email},{one.mobile},{one.first_name},{one.city}," for one in people_list()
    ]
    rows += ["SUB-X,no address,12,Kim,Rome,", "SUB-Y,who@where,+1,Noa,Oslo,"]
    return scene.converted(enterprise, scene.HEADER + "\n".join(rows) + "\n")


def _traffic_of_a_day(enterprise: Enterprise, client: ApiClient) -> None:
    """Quiet nights, two sends, a few refusals: made up, and the same at each run."""
    dice = random.Random(4)
    for _ in range(CALLS_OF_THE_DAY):
        ago = dice.random() * 86_000
        busy = (
            0.35
            + 0.65 * math.exp(-(((ago / 3600) - 3) ** 2) / 4)
            + 0.5 * math.exp(-(((ago / 3600) - 13) ** 2) / 3)
        )
        if dice.random() > busy:
            continue
        outcome = dice.choices(list(Outcome), [90, 6, 1, 2.2, 0.4])[0]
        asked = dice.choice([1, 20, 100, 500]) if outcome not in (Outcome.REFUSED, Outcome.FAILED) else 0
        answered = {Outcome.COMPLETE: asked, Outcome.PARTIAL: max(asked - 2, 0)}.get(outcome, 0)
        status = {Outcome.REFUSED: 401, Outcome.FAILED: 503}.get(outcome, 200)
        logged(
            enterprise,
            ago=ago,
            api=dice.choices([Api.RESOLVE, Api.GET_TOKEN], [85, 15])[0],
            outcome=outcome,
            status=status,
            error={401: "expired_token", 503: "unavailable"}.get(status, ""),
            items_asked=asked,
            items_answered=answered,
            duration_us=int(dice.lognormvariate(8.3, 0.45) * (1 + busy)),
            request_bytes=40 + asked * 118,
            response_bytes=60 + answered * 131,
            client_id=client.client_id,
            client_name=client.name,
            remote_address=f"13.110.{dice.randint(0, 3)}.{dice.randint(1, 254)}",
        )


def _connection(enterprise: Enterprise) -> str:
    """One that a user has to sign in for."""
    facts = {"subdomain": "mc" + "x" * 26, "client_id": "package", "grant_kind": "authorization-code"}
    return str(create_connection(enterprise, name="Web app", actor=SYSTEM, **facts).pk)


def _core_org(enterprise: Enterprise) -> str:
    facts = {
        "login_url": "https://login.salesforce.com",
        "client_id": "3MVG9…",
        "subject": "portal@acme.example",
    }
    return str(core_orgs.create(enterprise, name="Sales org", actor=SYSTEM, **facts).pk)
