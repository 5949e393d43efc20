"""Salesforce core orgs at the desk: the certificate is shown, the key is not, and the test is the very flow."""

import html
from collections.abc import Iterator
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from django.test import Client

from audit.models import Api, AuditEvent, PayloadEntry
from portal.simulator import Simulator, running
from tests.tokens.cast import IVAN
from tokens.connections import core_orgs
from tokens.errors import BadConnection
from tokens.models import CoreOrg, Enterprise

NEW = "/admin/connections/core/new/"


@pytest.fixture
def simulator(settings: Any) -> Iterator[Simulator]:
    with running() as simulator:
        settings.MARKETING_CLOUD_HOSTS = simulator.hosts
        yield simulator


def text(response: Any) -> str:
    return html.unescape(response.content.decode())


def upload(simulator: Simulator, org: CoreOrg) -> None:
    """What an admin of the org does with the certificate."""
    public = x509.load_pem_x509_certificate(org.certificate.encode()).public_key()
    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    simulator.world.packages.pop(org.client_id, None)
    simulator.world.add_package(client_id=org.client_id, public_key=pem)


def test_an_org_is_made_its_certificate_uploaded_and_the_test_passes(
    ines: Client, acme: Enterprise, simulator: Simulator
) -> None:
    given = {"enterprise": acme.pk, "name": "Sales org", "login_url": simulator.origin, "client_id": "app"}
    made = ines.post(NEW, given | {"subject": "portal@acme.example"}, follow=True)
    org = CoreOrg.objects.get()
    assert org.certificate in text(made)
    page = f"/admin/connections/core/{org.pk}/"
    assert "The code, refresh token or assertion is not valid" in text(ines.post(f"{page}test/", follow=True))
    upload(simulator, org)
    assert "An access token came" in text(ines.post(f"{page}test/", follow=True))
    assert "test passed" in text(ines.get("/admin/connections/"))
    assert CoreOrg.objects.get().signing_key.open() not in text(ines.get(page))
    said = list(
        AuditEvent.objects.filter(target_type="core-org").order_by("id").values_list("action", flat=True)
    )
    assert said == ["core-org.created", "core-org.tested", "core-org.tested"]
    entries = PayloadEntry.objects.filter(api=Api.CLOUD_AUTH)
    assert [(entry.client_name, entry.request_skeleton) for entry in entries] == [("Sales org", None)] * 2

    ines.post(f"{page}key/")
    assert org.certificate not in text(ines.get(page))
    assert "Not tested since" in text(ines.get(page))


@pytest.mark.parametrize(
    "address",
    [
        "http://login.salesforce.com", "https://login.salesforce.com.evil.example", "https://evil.example",
        "https://login.salesforce.com@evil.example", "https://salesforce.com:444", "http://127.0.0.1:1", "https://[",
    ],
)  # fmt: skip
@pytest.mark.django_db
def test_an_assertion_goes_to_salesforce_only(address: str) -> None:
    with pytest.raises(BadConnection, match="My Domain"):
        core_orgs.checked_url(address)


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("login.salesforce.com", "https://login.salesforce.com"),
        ("https://test.salesforce.com/", "https://test.salesforce.com"),
        (
            "https://Acme--uat.sandbox.my.salesforce.com/services",
            "https://acme--uat.sandbox.my.salesforce.com",
        ),
    ],
)
def test_what_was_pasted_becomes_an_address(typed: str, kept: str) -> None:
    assert core_orgs.checked_url(typed) == kept


def test_the_org_of_another_enterprise_is_not_there(ines: Client, rival: Enterprise) -> None:
    facts = {"login_url": "https://login.salesforce.com", "client_id": "app", "subject": "u@rival.example"}
    theirs = core_orgs.create(rival, name="Theirs", actor=IVAN, **facts)
    assert "Theirs" not in text(ines.get("/admin/connections/"))
    for act in ("", "test/", "key/"):
        page = f"/admin/connections/core/{theirs.pk}/{act}"
        assert (ines.post(page) if act else ines.get(page)).status_code == 404
