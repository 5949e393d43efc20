"""Connections to Marketing Cloud: made, tested, put to use by two, and every exchange through them logged."""

from typing import Any

import pytest
from django.db import connection as database

from audit.approvals import requests
from audit.models import Api, ApprovalRequest, AuditEvent, Direction, PayloadEntry
from audit.vocabulary import Action
from portal.roles import Role
from portal.simulator import Simulator
from portal.simulator.world import Package
from tests.portal.desk import asking
from tests.portal.desk import cast as desk
from tests.tokens.cast import IVAN, OLGA, an_enterprise
from tokens.connections import approval, verbs
from tokens.connections.client import cloud
from tokens.connections.verbs import (
    change_connection,
    change_key,
    change_secret,
    create_connection,
    stop_using,
    test_connection,
)
from tokens.connections.walk import Step, Walk
from tokens.crypto.keyset import DataKey, Purpose
from tokens.errors import BadConnection, NoConnection, NotInUse, NotUnique, SimulatorInProduction
from tokens.log.rebuild import Proof, rebuild
from tokens.log.recording import NotRecorded
from tokens.marketing_cloud.subscribers import Done
from tokens.models import BusinessUnit, Connection, Enterprise
from tokens.models.connections import GrantKind

test_connection.__test__ = False  # type: ignore[attr-defined]


def reread(connection: Connection) -> Connection:
    return Connection.objects.select_related("enterprise", "business_unit").get(pk=connection.pk)


def failing_step(connection: Connection) -> tuple[Step, str]:
    walk = test_connection(connection, actor=IVAN)
    (failed,) = [one for one in walk.steps if one.state == "failed"]
    return failed.step, failed.said


def in_use(connection: Connection) -> Connection:
    Connection.objects.filter(pk=connection.pk).update(in_use_since=connection.made_at)
    return reread(connection)


def ines_asks(connection: Connection) -> ApprovalRequest:
    """Acme's integration admin asks to put it to use, after a test that passed."""
    ines = desk.somebody(Role.INTEGRATION_ADMIN, enterprise=connection.enterprise)
    test_connection(connection, actor=IVAN)
    asked = approval.use(reread(connection), reason="Go-live on Monday.", actor=asking.actor(ines)).waits_for
    assert asked is not None
    return asked


def olivia_approves(asked: ApprovalRequest) -> None:
    olivia = desk.somebody(Role.COMPLIANCE_OFFICER, enterprise=Enterprise.objects.get(pk=asked.enterprise_id))
    requests.approve(asked.pk, actor=asking.actor(olivia), comment="")


def with_facts(connection: Connection, **changes: Any) -> dict[str, Any]:
    facts = {
        name: getattr(connection, name)
        for name in ("name", "subdomain", "client_id", "grant_kind", "subject")
    }
    return {**facts, "actor": IVAN, **changes}


def test_a_test_walks_to_a_read_and_keeps_what_it_saw(connection: Connection) -> None:
    walk = test_connection(connection, actor=IVAN)
    assert walk.has_passed
    kept = reread(connection)
    assert [one["step"] for one in kept.test] == ["DNS", "TLS", "Token", "Scopes", "Read"]
    assert "data_extensions_read" in kept.granted
    event = AuditEvent.objects.get(action=Action.CONNECTION_TESTED)
    assert event.details == dict.fromkeys(["DNS", "TLS", "Token", "Scopes", "Read"], "passed")


@pytest.mark.parametrize("changed", ["client id", "secret", "nothing but the name"])
def test_a_test_says_nothing_of_a_connection_that_was_changed_meanwhile(
    connection: Connection, monkeypatch: pytest.MonkeyPatch, changed: str
) -> None:
    real = verbs.walk

    def somebody_changes_it(tested: Connection, *, mid: str | None) -> Walk:
        result = real(tested, mid=mid)
        if changed == "secret":
            change_secret(connection, client_secret="another", actor=OLGA)
        else:
            change = {"client_id": "another"} if changed == "client id" else {"name": "Acme"}
            change_connection(connection, **{**with_facts(connection, **change), "actor": OLGA})
        return result

    monkeypatch.setattr(verbs, "walk", somebody_changes_it)
    if changed == "nothing but the name":
        test_connection(reread(connection), actor=IVAN)
    else:
        with pytest.raises(BadConnection, match="changed while it was tested"):
            test_connection(reread(connection), actor=IVAN)
    kept = reread(connection)
    assert approval.has_passed(kept) == (kept.tested_at is not None) == (changed == "nothing but the name")


def test_a_signing_key_that_was_replaced_meanwhile_is_not_the_one_that_was_tested(
    acme: Enterprise, simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    facts = {"subdomain": simulator.world.subdomain, "client_id": "c", "subject": "portal@example.com"}
    made = create_connection(acme, name="By assertion", grant_kind=GrantKind.JWT, actor=IVAN, **facts)
    real = verbs.walk

    def somebody_replaces_it(tested: Connection, *, mid: str | None) -> Walk:
        result = real(tested, mid=mid)
        change_key(made, actor=OLGA)
        return result

    monkeypatch.setattr(verbs, "walk", somebody_replaces_it)
    with pytest.raises(BadConnection, match="changed while it was tested"):
        test_connection(reread(made), actor=IVAN)


def test_a_name_that_is_not_known_fails_at_dns(connection: Connection, settings: Any) -> None:
    settings.MARKETING_CLOUD_HOSTS = "https://{subdomain}.{api}.marketing-cloud.invalid"
    step, said = failing_step(connection)
    assert (step, "sub-domain" in said) == (Step.DNS, True)


def test_nobody_who_listens_fails_at_tls(connection: Connection, settings: Any) -> None:
    settings.MARKETING_CLOUD_HOSTS = "http://127.0.0.1:9/{subdomain}.{api}"
    assert failing_step(connection)[0] is Step.TLS


def test_a_wrong_secret_another_tenant_and_another_account_fail_at_the_token(
    connection: Connection, simulator: Simulator, acme: Enterprise
) -> None:
    change_secret(connection, client_secret="not the secret", actor=IVAN)
    step, said = failing_step(reread(connection))
    assert (step, "not the secret" in said) == (Step.TOKEN, False)
    simulator.world.subdomain = "mc" + "y" * 26
    step, said = failing_step(reread(connection))
    assert (step, "sub-domain" in said) == (Step.TOKEN, True)


def test_the_package_of_another_account_fails_at_the_token(
    simulator: Simulator, connection: Connection
) -> None:
    simulator.world.units = {"999": "Somebody else"}
    step, said = failing_step(connection)
    assert (step, "999" in said) == (Step.TOKEN, True)


def test_missing_scopes_are_named(simulator: Simulator, connection: Connection, package: Package) -> None:
    package.scopes -= {"sms_read"}
    step, said = failing_step(connection)
    assert (step, "sms_read" in said) == (Step.SCOPES, True)
    assert [one["state"] for one in reread(connection).test][-2:] == ["failed", "not reached"]


def test_a_read_that_fails_is_told_from_the_rest(simulator: Simulator, connection: Connection) -> None:
    simulator.faults.plan(kind="status", status=500, path="service.asmx", times=9)
    assert failing_step(connection)[0] is Step.READ


def test_putting_a_live_connection_to_use_takes_two_and_a_passed_test(
    connection: Connection, shop: BusinessUnit
) -> None:
    with pytest.raises(BadConnection, match="test it first"):
        approval.use(connection, reason="Go-live.", actor=IVAN)
    with pytest.raises(NotInUse):
        cloud(shop)
    asked = ines_asks(connection)
    assert reread(connection).in_use_since is None
    olivia_approves(asked)
    used = reread(connection)
    assert used.in_use_since is not None
    assert AuditEvent.objects.get(action=Action.CONNECTION_USED).details["client_id"] == used.client_id
    with cloud(shop) as client:
        assert client.whom().mid == shop.mid


def test_in_a_sandbox_one_person_is_enough(simulator: Simulator) -> None:
    sandbox = an_enterprise(sandbox=True)
    simulator.world.units = {sandbox.eid: "Sandbox"}
    package = simulator.world.add_package()
    made = create_connection(
        sandbox,
        name="Sandbox",
        subdomain=simulator.world.subdomain,
        client_id=package.client_id,
        client_secret=package.client_secret,
        actor=IVAN,
    )
    test_connection(made, actor=IVAN)
    ines = asking.actor(desk.somebody(Role.INTEGRATION_ADMIN, enterprise=sandbox))
    assert approval.use(reread(made), reason="", actor=ines).waits_for is None
    assert reread(made).in_use_since is not None


def test_in_production_a_simulator_proves_nothing_to_a_live_enterprise(
    connection: Connection, shop: BusinessUnit, settings: Any
) -> None:
    in_use(connection)
    with cloud(shop) as client:
        assert client.whom().mid == shop.mid
    settings.PRODUCTION = True
    with pytest.raises(SimulatorInProduction):
        cloud(shop)
    assert "sandboxes only" in failing_step(connection)[1]


def test_what_leads_to_another_package_takes_it_out_of_use_and_a_new_name_does_not(
    connection: Connection,
) -> None:
    test_connection(in_use(connection), actor=IVAN)
    change_connection(connection, **with_facts(connection, name="Acme"))
    assert reread(connection).in_use_since is not None
    change_connection(connection, **with_facts(connection, client_id="another"))
    changed = reread(connection)
    assert (changed.in_use_since, changed.test, changed.granted) == (None, [], [])
    assert AuditEvent.objects.filter(action=Action.CONNECTION_CHANGED).count() == 2


def test_an_approval_for_another_package_than_it_was_asked_for_does_nothing(connection: Connection) -> None:
    asked = ines_asks(connection)
    change_connection(connection, **with_facts(connection, client_id="another"))
    olivia_approves(asked)
    asked.refresh_from_db()
    assert "another tenant or package" in asked.failure
    assert reread(connection).in_use_since is None


def test_it_is_taken_out_of_use_by_one_person_at_once(connection: Connection, shop: BusinessUnit) -> None:
    in_use(connection)
    stop_using(connection, actor=OLGA)
    stop_using(connection, actor=OLGA)
    assert AuditEvent.objects.filter(action=Action.CONNECTION_STOPPED).count() == 1
    with pytest.raises(NotInUse):
        cloud(shop)


def test_a_units_own_connection_goes_before_that_of_all(
    connection: Connection, shop: BusinessUnit, acme: Enterprise, package: Package
) -> None:
    facts = {
        "subdomain": connection.subdomain,
        "client_id": package.client_id,
        "client_secret": "s",
        "actor": IVAN,
    }
    own = create_connection(acme, name="Shop's own", business_unit=shop, **facts)
    with pytest.raises(NotInUse, match="Shop's own"):
        cloud(shop)
    with pytest.raises(NotUnique):
        create_connection(acme, name="Again", business_unit=shop, **facts)
    Connection.objects.filter(pk=own.pk).update(in_use_since=own.made_at)
    with pytest.raises(BadConnection, match="another enterprise"):
        create_connection(an_enterprise("Rival"), name="x", business_unit=shop, **facts)


def test_an_enterprise_without_a_connection_is_told_so(shop: BusinessUnit) -> None:
    with pytest.raises(NoConnection, match="Shop"):
        cloud(shop)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"subdomain": "https://evil.example"}, "28 characters"),
        ({"client_secret": " "}, "client secret"),
        ({"client_id": ""}, "client id"),
        ({"grant_kind": "jwt-bearer"}, "whom it is for"),
        ({"grant_kind": "password"}, "GrantKind"),
    ],
)
def test_what_is_wrong_is_said(acme: Enterprise, wrong: dict[str, str], said: str) -> None:
    facts: dict[str, Any] = {
        "name": "x",
        "subdomain": "mc" + "x" * 26,
        "client_id": "c",
        "client_secret": "s",
    }
    with pytest.raises(BadConnection, match=said):
        create_connection(acme, **{**facts, **wrong}, actor=IVAN)


def test_an_assertion_is_signed_with_a_key_whose_certificate_is_shown(
    acme: Enterprise, simulator: Simulator
) -> None:
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    package = simulator.world.add_package()
    made = create_connection(
        acme,
        name="By assertion",
        subdomain=simulator.world.subdomain,
        client_id=package.client_id,
        grant_kind=GrantKind.JWT,
        subject="portal@example.com",
        actor=IVAN,
    )

    def upload() -> None:
        certificate = x509.load_pem_x509_certificate(reread(made).certificate.encode())
        pem = certificate.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        package.public_key = pem.decode()

    upload()
    assert test_connection(reread(made), actor=IVAN).has_passed
    change_key(made, actor=IVAN)
    assert failing_step(reread(made))[0] is Step.TOKEN
    upload()
    assert test_connection(reread(made), actor=IVAN).has_passed


def test_every_exchange_is_logged_with_sealed_bodies_and_rebuilt_byte_for_byte(
    connection: Connection, shop: BusinessUnit, package: Package, simulator: Simulator
) -> None:
    in_use(connection)
    with cloud(shop, links=[7]) as client:
        assert client.subscribers.unsubscribe("SUB-1", reason="STOP") is Done.NOW
        bearer = client.caller.access.token().value
    token, unsubscribe = PayloadEntry.objects.order_by("id")
    assert (token.api, unsubscribe.api) == (Api.CLOUD_AUTH, Api.CLOUD_SOAP)
    assert {token.direction, unsubscribe.direction} == {Direction.OUTBOUND}
    assert (token.request_skeleton, token.response_skeleton) == (None, None)
    assert (unsubscribe.user_agent, unsubscribe.links) == ("token-portal (LogUnsubEvent)", [7])
    bodies = rebuild(unsubscribe)
    assert (bodies.request.proof, bodies.response.proof) == (Proof.PROVEN, Proof.PROVEN)
    assert b"SUB-1" in (bodies.request.exact or b"")
    assert bearer.encode() not in (bodies.request.exact or b"")
    with database.cursor() as cursor:
        cursor.execute("SELECT string_agg(p::text, '') FROM audit_payloadentry p")
        rows = str(cursor.fetchone())
    for secret in ("SUB-1", b"SUB-1".hex(), bearer, package.client_secret):
        assert secret not in rows


def test_of_exchanges_that_hold_a_key_of_events_only_facts_are_logged(
    connection: Connection, shop: BusinessUnit, simulator: Simulator
) -> None:
    in_use(connection)
    with cloud(shop) as client:
        made = client.notifications.create_callback("portal", "http://127.0.0.1:9/nobody")
        client.notifications.callbacks()
        client.notifications.verify(made.id, simulator.world.callbacks[made.id].verification_key)
        client.notifications.subscribe(made.id, "unsubscribes", ["EngagementEvents.EmailUnsubscribe"])
    logged = PayloadEntry.objects.filter(api=Api.CLOUD_REST).order_by("id")
    bodies = {one.user_agent: one.request_skeleton is not None for one in logged}
    assert bodies == {
        "token-portal (create callback)": False,
        "token-portal (callbacks)": False,
        "token-portal (verify)": False,
        "token-portal (subscribe)": True,
    }
    for one in logged:
        kept = rebuild(one)
        held = (kept.request.exact or b"") + (kept.response.exact or b"")
        assert not {word for word in (b"signatureKey", b"verificationKey") if word in held}


def test_what_cannot_be_logged_is_not_used(
    connection: Connection, shop: BusinessUnit, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_use(connection)

    def away(*args: object) -> None:
        raise NotRecorded

    monkeypatch.setattr("tokens.connections.recording.recording.write", away)
    with cloud(shop) as client, pytest.raises(NotRecorded):
        client.whom()
    step, said = failing_step(reread(connection))
    assert (step, "payload log" in said) == (Step.TOKEN, True)


def test_no_secret_stands_in_a_row_or_an_event(connection: Connection, package: Package) -> None:
    test_connection(connection, actor=IVAN)
    with database.cursor() as cursor:
        cursor.execute("SELECT string_agg(c::text, '') FROM tokens_connection c")
        rows = str(cursor.fetchone())
        cursor.execute("SELECT string_agg(e::text, '') FROM audit_auditevent e")
        rows += str(cursor.fetchone())
    assert package.client_secret not in rows
    assert package.client_secret.encode().hex() not in rows
    assert package.client_id in rows  # the sweep would see it


def test_an_enterprise_that_is_older_than_connections_gets_its_key(acme: Enterprise) -> None:
    DataKey.objects.filter(enterprise=acme, purpose=Purpose.CONNECTION).update(is_primary=False)
    create_connection(acme, name="x", subdomain="mc" + "x" * 26, client_id="c", client_secret="s", actor=IVAN)
    assert DataKey.objects.filter(enterprise=acme, purpose=Purpose.CONNECTION, is_primary=True).count() == 1
