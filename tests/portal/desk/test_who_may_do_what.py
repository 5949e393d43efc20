"""Every address × method × role, from the URL resolver itself: an address without a row here fails."""

import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from django.http import HttpRequest, HttpResponseForbidden
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver

from audit import holds
from audit.trail import SYSTEM
from portal.desk.pages import PAGES
from portal.models import User
from portal.roles import Permission, Role
from tests.portal.desk import asking, cast
from tests.tokens.api import cast as api_cast
from tests.tokens.no_token_queue.cast import POLITE, csv_of, imported
from tests.tokens.opt_out_files import cast as opt_outs
from tokens.bulk import plan
from tokens.connections.verbs import create_connection
from tokens.consent.opt_outs import record_opt_out
from tokens.dossier import packs
from tokens.enterprises import create_business_unit
from tokens.exports import requests
from tokens.file_transfer.verbs import create_transfer
from tokens.formats.kinds import Kind
from tokens.models import ConsentEvent, Enterprise, Erasure, Export, Mapping, QueueBadLine, QueueMessage

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
READ, FORM, ACT = ("GET", "HEAD"), ("GET", "HEAD", "POST"), ("POST",)

O, A, I, D = Role.COMPLIANCE_OFFICER, Role.AUDITOR, Role.INTEGRATION_ADMIN, Role.DATA_ENGINEER  # noqa: E741
U = Role.ADMINISTRATOR

# Written by hand, on purpose: whoever adds a page says here who may open it, and how.
DESK: dict[str, tuple[tuple[str, ...], tuple[Role, ...]]] = {
    "admin/": (READ, (O, A, I, D, U)),
    "admin/search/": (ACT, (O, A, I)),
    "admin/log/": (READ, (O, A, I)),
    "admin/log/<uuid:entry_id>/": (READ, (O, A, I)),
    "admin/events/": (READ, (O, A, I, U)),
    "admin/exports/": (READ, (O, A)),
    "admin/exports/new/": (FORM, (O,)),
    "admin/exports/<uuid:export_id>/": (ACT, (O,)),
    "admin/holds/": (READ, (O, A)),
    "admin/holds/new/": (FORM, (O,)),
    "admin/holds/<uuid:hold_id>/release/": (FORM, (O,)),
    "admin/retention/": (READ, (O, A, U)),
    "admin/retention/policy/": (ACT, (O,)),
    "admin/retention/residue/": (ACT, (O,)),
    "admin/retention/drop/": (ACT, (O,)),
    "admin/people/": (FORM, (O, A)),
    "admin/people/<int:mapping_id>/": (READ, (O, A, D)),
    "admin/people/<int:mapping_id>/erase/": (FORM, (O,)),
    "admin/people/<int:mapping_id>/renew/": (FORM, (O,)),
    "admin/erasures/": (READ, (O, A)),
    "admin/erasures/<uuid:erasure_id>/": (READ, (O, A)),
    "admin/erasures/<uuid:erasure_id>/act/": (ACT, (O,)),
    "admin/erasures/<uuid:erasure_id>/receipt/": (READ, (O, A)),
    "admin/people/<int:mapping_id>/pack/": (FORM, (O,)),
    "admin/people/<int:mapping_id>/pack/<uuid:pack_id>/": (ACT, (O,)),
    "admin/people/<int:mapping_id>/reveal/": (FORM, (O,)),
    "admin/people/<int:mapping_id>/attributes/<uuid:set_id>/<int:position>/reveal/": (FORM, (O,)),
    "admin/log/<uuid:entry_id>/<str:side>/<int:number>/reveal/": (FORM, (O,)),
    "admin/log/<uuid:entry_id>/<str:side>/<int:number>/<int:position>/reveal/": (FORM, (O,)),
    "admin/reveals/several/": (FORM, (O,)),
    "admin/reveals/several/<uuid:grant_id>/": (FORM, (O,)),
    "admin/reveals/": (READ, (O, A)),
    "admin/reveals/<uuid:event_id>/review/": (FORM, (O,)),
    "admin/unsubscribes/": (READ, (O, A)),
    "admin/unsubscribes/new/": (FORM, (O,)),
    "admin/unsubscribes/files/": (READ, (O, A)),
    "admin/unsubscribes/files/new/": (FORM, (O,)),
    "admin/unsubscribes/files/<uuid:file_id>/": (READ, (O, A)),
    "admin/unsubscribes/files/<uuid:file_id>/columns/": (FORM, (O,)),
    "admin/unsubscribes/files/<uuid:file_id>/progress/": (READ, (O, A)),
    "admin/unsubscribes/files/<uuid:file_id>/rejects/": (READ, (O, A)),
    "admin/unsubscribes/files/<uuid:file_id>/resume/": (ACT, (O,)),
    "admin/unsubscribes/sms/": (READ, (O, A)),
    "admin/unsubscribes/sms/make/": (ACT, (O,)),
    "admin/unsubscribes/sms/<uuid:file_id>/": (ACT, (O,)),
    "admin/unsubscribes/open/": (READ, (O, A)),
    "admin/unsubscribes/open/act/": (ACT, (O,)),
    "admin/unsubscribes/terms/": (READ, (O, A)),
    "admin/unsubscribes/terms/add/": (ACT, (O,)),
    "admin/unsubscribes/terms/<int:day_id>/remove/": (ACT, (O,)),
    "admin/unsubscribes/<uuid:event_id>/": (READ, (O, A)),
    "admin/unsubscribes/<uuid:event_id>/act/": (ACT, (O,)),
    "admin/unsubscribes/<uuid:event_id>/lift/": (FORM, (O,)),
    "admin/unsubscribes/<uuid:event_id>/receipt/": (READ, (O, A)),
    "admin/no-token-queue/": (READ, (O, A)),
    "admin/no-token-queue/decide/": (ACT, (O,)),
    "admin/no-token-queue/messages/<uuid:message_id>/": (READ, (O, A)),
    "admin/no-token-queue/messages/<uuid:message_id>/reveal/<str:part>/": (FORM, (O,)),
    "admin/no-token-queue/lines/": (READ, (O, A)),
    "admin/no-token-queue/lines/<uuid:line_id>/": (FORM, (O,)),
    "admin/no-token-queue/lines/<uuid:line_id>/reveal/": (FORM, (O,)),
    "admin/no-token-queue/extracts/": (READ, (O, A)),
    "admin/no-token-queue/new/": (FORM, (O,)),
    "admin/no-token-queue/extracts/<uuid:extract_id>/columns/": (FORM, (O,)),
    "admin/no-token-queue/settings/<int:enterprise_id>/": (FORM, (O,)),
    "admin/rescue/": (READ, (O, A, I)),
    "admin/rescue/live/": (READ, (O, A, I)),
    "admin/no-token-queue/reconciliation/": (READ, (O, A)),
    "admin/no-token-queue/reconcile/": (ACT, (O,)),
    "admin/no-token-queue/explain/": (ACT, (O,)),
    "admin/bulk/": (READ, (O, A, D)),
    "admin/bulk/new/": (FORM, (D,)),
    "admin/bulk/<uuid:job_id>/": (READ, (O, A, D)),
    "admin/bulk/<uuid:job_id>/columns/": (FORM, (D,)),
    "admin/bulk/<uuid:job_id>/progress/": (READ, (O, A, D)),
    "admin/bulk/<uuid:job_id>/rejects/": (READ, (O, A, D)),
    "admin/bulk/<uuid:job_id>/start/": (ACT, (D,)),
    "admin/bulk/<uuid:job_id>/pause/": (ACT, (D,)),
    "admin/bulk/<uuid:job_id>/resume/": (ACT, (D,)),
    "admin/bulk/<uuid:job_id>/cancel/": (ACT, (D,)),
    "admin/bulk/<uuid:job_id>/output/": (ACT, (D,)),
    "admin/bulk/<uuid:job_id>/reconcile/": (ACT, (D,)),
    "admin/clients/": (READ, (O, A, I)),
    "admin/clients/new/": (FORM, (I,)),
    "admin/clients/<str:client_id>/": (READ, (O, A, I)),
    "admin/clients/<str:client_id>/change/": (FORM, (I,)),
    "admin/clients/<str:client_id>/secrets/": (ACT, (I,)),
    "admin/clients/<str:client_id>/secrets/<int:secret_id>/retire/": (ACT, (I,)),
    "admin/clients/<str:client_id>/networks/": (ACT, (I,)),
    "admin/clients/<str:client_id>/networks/<int:network_id>/remove/": (ACT, (I,)),
    "admin/clients/<str:client_id>/opt-outs/": (ACT, (I,)),
    "admin/clients/<str:client_id>/off/": (ACT, (I,)),
    "admin/clients/<str:client_id>/on/": (ACT, (I,)),
    "admin/connections/": (READ, (O, A, I)),
    "admin/connections/new/": (FORM, (I,)),
    "admin/connections/<uuid:connection_id>/": (READ, (O, A, I)),
    "admin/connections/<uuid:connection_id>/change/": (FORM, (I,)),
    "admin/connections/<uuid:connection_id>/secret/": (ACT, (I,)),
    "admin/connections/<uuid:connection_id>/key/": (ACT, (I,)),
    "admin/connections/<uuid:connection_id>/test/": (ACT, (I,)),
    "admin/connections/<uuid:connection_id>/use/": (ACT, (I,)),
    "admin/connections/<uuid:connection_id>/sign-in/": (ACT, (I,)),
    "admin/connections/signed-in/": (READ, (I,)),
    "admin/connections/core/new/": (FORM, (I,)),
    "admin/connections/core/<uuid:org_id>/": (READ, (O, A, I)),
    "admin/connections/core/<uuid:org_id>/key/": (ACT, (I,)),
    "admin/connections/core/<uuid:org_id>/test/": (ACT, (I,)),
    "admin/connections/<uuid:connection_id>/events/": (ACT, (I,)),
    "admin/connections/<uuid:connection_id>/stop/": (ACT, (I,)),
    "admin/sftp/": (READ, (O, A, I)),
    "admin/sftp/new/": (FORM, (I,)),
    "admin/sftp/<uuid:transfer_id>/": (READ, (O, A, I)),
    "admin/sftp/<uuid:transfer_id>/change/": (FORM, (I,)),
    "admin/sftp/<uuid:transfer_id>/host-key/": (FORM, (I,)),
    "admin/sftp/<uuid:transfer_id>/password/": (ACT, (I,)),
    "admin/sftp/<uuid:transfer_id>/key/": (ACT, (I,)),
    "admin/sftp/<uuid:transfer_id>/test/": (ACT, (I,)),
    "admin/sftp/<uuid:transfer_id>/use/": (ACT, (I,)),
    "admin/sftp/<uuid:transfer_id>/stop/": (ACT, (I,)),
    "admin/enterprises/": (READ, (O, A, I, D, U)),
    "admin/enterprises/new/": (FORM, (I,)),
    "admin/enterprises/<int:enterprise_id>/": (READ, (O, A, I, D, U)),
    "admin/enterprises/<int:enterprise_id>/change/": (FORM, (I,)),
    "admin/enterprises/<int:enterprise_id>/opt-outs/": (ACT, (I,)),
    "admin/enterprises/<int:enterprise_id>/units/new/": (FORM, (I,)),
    "admin/enterprises/<int:enterprise_id>/units/<int:unit_id>/": (FORM, (I,)),
    "admin/approvals/": (READ, (O, A, I, D, U)),
    "admin/approvals/<uuid:approval_id>/": (READ, (O, A, I, D, U)),
    "admin/approvals/<uuid:approval_id>/decide/": (ACT, (O, I, D, U)),
    "admin/approvals/<uuid:approval_id>/withdraw/": (ACT, (O, A, I, D, U)),
    "admin/users/": (READ, (O, A, U)),
    "admin/users/new/": (FORM, (U,)),
    "admin/users/<int:user_id>/": (READ, (O, A, U)),
    "admin/users/<int:user_id>/grant/": (ACT, (U,)),
    "admin/users/<int:user_id>/roles/<int:membership_id>/revoke/": (ACT, (U,)),
    "admin/users/<int:user_id>/link/": (ACT, (U,)),
    "admin/users/<int:user_id>/off/": (ACT, (U,)),
    "admin/users/<int:user_id>/on/": (ACT, (U,)),
}
# For whoever has a role, whichever it is.
OWN_ACCOUNT = {
    "admin/password_change/": FORM,
    "admin/password_change/done/": READ,
    "admin/second-factor/": READ,
    "admin/second-factor/app/": FORM,
    "admin/second-factor/passkey/": FORM,
    "admin/second-factor/confirm/": FORM,
    "admin/second-factor/codes/": ACT,
    "admin/second-factor/<int:factor_id>/remove/": ACT,
}
WITH_PROVIDER = {
    "admin/login/with/<str:provider_id>/",
    "admin/login/with/<str:provider_id>/callback/",
}
# For everybody, signed in or not; none of these shows or changes anything of an enterprise.
OPEN = {
    "",
    "admin",
    "admin/login/",
    "admin/login/code/",
    "admin/set-up/",
    "admin/set-up/finish/",
    *WITH_PROVIDER,
    "admin/logout/",
    "api/schema/",
    "api/docs/",
    "healthz",
    "readyz",
}
# API clients and Marketing Cloud only: a person's session opens nothing here.
API = {
    "api/v1/tokens/resolve",
    "api/v1/tokens/get",
    "api/v1/opt-outs",
    "oauth2/token",
    "api/v1/marketing-cloud/events",
}


def _routes(patterns: list[Any], prefix: str = "") -> Iterator[str]:
    for pattern in patterns:
        route = prefix + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from _routes(pattern.url_patterns, route)
        elif isinstance(pattern, URLPattern):
            yield route


ROUTES = list(_routes(get_resolver().url_patterns))


def test_every_address_has_a_row() -> None:
    assert sorted(ROUTES) == sorted([*DESK, *OWN_ACCOUNT, *OPEN, *API])


@pytest.fixture
def addresses(acme: Enterprise, ana: Mapping, caller: api_cast.MarketingCloud) -> dict[str, str]:
    """A real address for each route."""
    entry = api_cast.entry_of(caller.resolve(api_cast.ask(ana.token)))
    event = record_opt_out(
        acme,
        kind=Kind.EMAIL,
        mapping=ana,
        source=ConsentEvent.Source.OFFICER,
        source_id="1",
        occurred_at=entry.at,
        actor=SYSTEM,
    )
    unit = create_business_unit(acme, mid="1", name="Shop", actor=SYSTEM)
    secret = caller.client.secrets.get()
    job = plan.load(acme, [b"Key,Email\n1,ana@mail.example\n"], name="list.csv", actor=SYSTEM)
    colleague = cast.somebody(Role.AUDITOR, enterprise=acme, name="colleague")
    asked = asking.a_request(acme)
    hold = holds.place(
        enterprise_id=acme.pk,
        scope=holds.Scope.ENTRY,
        entry_id=entry.pk,
        case="C-1",
        reason="x",
        actor=SYSTEM,
    )
    export = requests.ask(acme, what=Export.What.LOG, form=Export.Form.CSV, only={}, case="C-1", actor=SYSTEM)
    queue = imported(acme, csv_of(POLITE, ("hello", "1", "STOP", "11/20/2024")))
    erasure = Erasure.objects.create(
        id=uuid.uuid4(), enterprise=acme, mapping=ana, case="C-1", requested_by_id="1", requested_by_name="x"
    )
    known = {
        "<uuid:erasure_id>": erasure.pk,
        "<uuid:approval_id>": asked.pk,
        "<uuid:grant_id>": uuid.uuid4(),
        "<int:user_id>": colleague.pk,
        "<int:membership_id>": colleague.memberships.get().pk,
        "<uuid:job_id>": job.pk,
        "<uuid:pack_id>": packs.make(ana, case="C-1", actor=SYSTEM).pk,
        "<uuid:hold_id>": hold.pk,
        "<uuid:export_id>": export.pk,
        "<uuid:entry_id>": entry.pk,
        "<int:mapping_id>": ana.pk,
        "<uuid:event_id>": event.pk,
        "<uuid:connection_id>": create_connection(
            acme, name="c", subdomain="mc" + "x" * 26, client_id="c", client_secret="s", actor=SYSTEM
        ).pk,
        "<uuid:transfer_id>": create_transfer(
            acme, host="a..example", port=22, username="u", actor=SYSTEM
        ).pk,
        "<str:client_id>": caller.client.client_id,
        "<int:secret_id>": secret.pk,
        "<int:network_id>": 1,
        "<int:enterprise_id>": acme.pk,
        "<int:unit_id>": unit.pk,
        "<int:factor_id>": 1,
        "<int:day_id>": 1,
        "<uuid:org_id>": uuid.uuid4(),
        "<uuid:set_id>": uuid.uuid4(),
        "<int:position>": 0,
        "<str:side>": "request",
        "<uuid:message_id>": QueueMessage.objects.get().pk,
        "<uuid:line_id>": QueueBadLine.objects.get().pk,
        "<uuid:extract_id>": queue.pk,
        "<uuid:file_id>": opt_outs.loaded(acme, opt_outs.csv_of(("ana@mail.example", "2024-11-18", ""))).pk,
        "<str:part>": "text",
        "<int:number>": 0,
    }
    filled = {}
    for route in [*DESK, *OWN_ACCOUNT]:
        address = "/" + route
        for name, value in known.items():
            address = address.replace(name, str(value))
        filled[route] = address
    assert not any("<" in address for address in filled.values())
    return filled


@pytest.fixture(autouse=True)
def _refusals_are_plain(monkeypatch: pytest.MonkeyPatch) -> None:
    """Most of these thousands of answers are refusals, and drawing their page would take longest."""
    monkeypatch.setattr("portal.urls.handler403", _refuse, raising=False)


def _refuse(request: HttpRequest, exception: Exception) -> HttpResponseForbidden:
    return HttpResponseForbidden()


def _answer(browser: Client, method: str, address: str) -> str:
    """What the answer means: `in`, `forbidden`, `sign in`, `wrong method`, or the status."""
    response = browser.generic(method, address)
    if response.status_code == 302 and response["Location"].startswith("/admin/login/"):
        return "sign in"
    return {200: "in", 302: "in", 404: "in", 403: "forbidden", 405: "wrong method"}.get(
        response.status_code, str(response.status_code)
    )


@pytest.mark.parametrize("role", list(Role))
def test_each_role_opens_its_pages_and_no_other(
    role: Role, addresses: dict[str, str], acme: Enterprise
) -> None:
    browser = cast.browser_of(cast.somebody(role))
    wrong = []
    for route, (methods, roles) in DESK.items():
        for method in METHODS:
            expected = "forbidden" if role not in roles else "in" if method in methods else "wrong method"
            answer = _answer(browser, method, addresses[route])
            if answer != expected:
                wrong.append((method, route, answer, f"expected {expected}"))
    assert not wrong


def test_a_page_that_asks_for_too_little_would_be_noticed(
    addresses: dict[str, str], acme: Enterprise
) -> None:
    """The known-bad twin of the test above."""
    [page] = [page for page in PAGES if page.name == "log"]
    browser = cast.browser_of(cast.somebody(D))
    assert _answer(browser, "GET", addresses["admin/log/"]) == "forbidden"
    object.__setattr__(page, "permission", Permission.VIEW_DASHBOARD)
    try:
        assert _answer(browser, "GET", addresses["admin/log/"]) == "in"
    finally:
        object.__setattr__(page, "permission", Permission.VIEW_LOG)


@pytest.mark.parametrize("flags", [{}, {"is_staff": True, "is_superuser": True}])
def test_without_a_role_nothing_opens_not_even_to_a_superuser(flags: Any, addresses: dict[str, str]) -> None:
    browser = cast.browser_of(cast.a_user("nobody", **flags))
    answers = {
        _answer(browser, method, addresses[route])
        for route in [*DESK, *OWN_ACCOUNT]
        for method in ("GET", "POST")
    }
    assert answers <= {"forbidden", "sign in"}


def test_who_is_not_signed_in_is_asked_to(addresses: dict[str, str]) -> None:
    answers = {
        _answer(Client(), method, addresses[route])
        for route in [*DESK, *OWN_ACCOUNT]
        for method in ("GET", "POST")
    }
    assert answers == {"sign in"}


def test_who_is_inactive_is_asked_to_sign_in(addresses: dict[str, str], acme: Enterprise) -> None:
    user = cast.somebody(O)
    browser = cast.browser_of(user)
    User.objects.filter(pk=user.pk).update(is_active=False)
    assert {_answer(browser, "GET", addresses[route]) for route in DESK} == {"sign in"}


@pytest.mark.parametrize("role", list(Role))
def test_a_role_in_another_enterprise_opens_nothing_of_this_one(
    role: Role, addresses: dict[str, str], rival: Enterprise
) -> None:
    browser = cast.browser_of(cast.somebody(role, enterprise=rival))
    for route, (methods, roles) in DESK.items():
        if "<" in route and role in roles:
            for method in methods:
                assert browser.generic(method, addresses[route]).status_code == 404, (method, route)


@pytest.mark.parametrize("route", sorted(API))
def test_a_session_is_worth_nothing_at_the_api(route: str, acme: Enterprise) -> None:
    browser = cast.browser_of(cast.somebody(*Role, name="everything"))
    for method in METHODS:
        response = browser.generic(method, "/" + route, "{}", content_type="application/json")
        assert response.status_code in (400, 401, 405), method


def test_forms_without_a_token_are_refused(acme: Enterprise) -> None:
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(cast.somebody(O))
    assert browser.post("/admin/people/", {"what": "x"}).status_code == 403
