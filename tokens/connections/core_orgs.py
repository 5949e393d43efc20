"""Salesforce core orgs: the portal proves itself there by an assertion that it signs (JWT bearer, RFC 7523).

Nothing in the portal calls a core org yet; the connection, its certificate and its test are what the flow needs.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final
from urllib.parse import urlsplit

import uuid_utils.compat
from django.conf import settings
from django.db import transaction
from django.utils import timezone

from audit import trail
from audit.trail import Actor, Target
from audit.vocabulary import Action
from tokens.connections.recording import recorder
from tokens.crypto import key_making
from tokens.crypto.certificates import make_signing_key
from tokens.crypto.errors import CryptoError
from tokens.crypto.fields import Clear
from tokens.crypto.keyset import Purpose
from tokens.errors import BadConnection
from tokens.log.recording import NotRecorded
from tokens.marketing_cloud import JwtBearer, MarketingCloudError
from tokens.marketing_cloud.access import CoreAccess, core_access
from tokens.marketing_cloud.tenant import Api, Tenant
from tokens.marketing_cloud.transport import Transport
from tokens.models import CoreOrg, Enterprise

_HOST: Final = re.compile(
    r"(?:[a-z0-9-]+\.)+(?:my\.salesforce\.com|my\.salesforce\.mil)|(?:login|test)\.salesforce\.com"
)
_ANSWER_WITHIN: Final = 20.0


@transaction.atomic
def create(
    enterprise: Enterprise, *, name: str, login_url: str, client_id: str, subject: str, actor: Actor
) -> CoreOrg:
    """A core org with a signing key of its own. Raises BadConnection."""
    if not all(text.strip() for text in (name, client_id, subject)):
        raise BadConnection("a name, the consumer key and the user are needed")
    key_making.ensure_key(enterprise.pk, Purpose.CONNECTION)
    made = CoreOrg(
        id=uuid_utils.compat.uuid7(),
        enterprise=enterprise,
        name=name.strip(),
        login_url=checked_url(login_url),
        client_id=client_id.strip(),
        subject=subject.strip(),
    )
    made.signing_key, made.certificate = _new_key(enterprise)
    made.save(force_insert=True)
    _record(Action.CORE_ORG_CREATED, made, actor, {"login_url": made.login_url, "client_id": made.client_id})
    return made


@transaction.atomic
def change_key(org: CoreOrg, *, actor: Actor) -> None:
    """Make another signing key: from now on only its certificate is good, so upload it at once."""
    row = CoreOrg.objects.select_for_update(of=("self",)).select_related("enterprise").get(pk=org.pk)
    row.signing_key, row.certificate = _new_key(row.enterprise)
    row.tested_at, row.has_passed, row.said = None, False, ""
    row.save(update_fields=["signing_key", "certificate", "tested_at", "has_passed", "said"])
    _record(Action.CORE_ORG_KEY_CHANGED, row, actor, {})


def test(org: CoreOrg, *, actor: Actor) -> CoreOrg:
    """Fetch an access token, outside of transactions, and keep what came of it; the token itself is forgotten."""
    certificate = org.certificate
    try:
        with access(org) as found:
            passed, said = True, f"An access token came, for {urlsplit(found.instance_url).netloc}."
    except (MarketingCloudError, CryptoError) as error:
        passed, said = False, str(error)
    except NotRecorded:
        passed, said = False, "The payload log can't be written, and without it nothing is exchanged."
    with transaction.atomic():
        row = CoreOrg.objects.select_for_update().get(pk=org.pk)
        if row.certificate != certificate:
            raise BadConnection("its key was changed while it was tested: test it again")
        row.tested_at, row.has_passed, row.said = timezone.now(), passed, said[:300]
        row.save(update_fields=["tested_at", "has_passed", "said"])
        _record(Action.CORE_ORG_TESTED, row, actor, {"passed": passed})
    return row


@contextmanager
def access(org: CoreOrg) -> Iterator[CoreAccess]:
    """Access to it, outside of transactions: the exchange is logged first. Raises MarketingCloudError, CryptoError."""
    grant = JwtBearer(org.client_id, org.subject, org.login_url, org.signing_key.open())
    transport = Transport(recorder(org), answer_within=_ANSWER_WITHIN, trust_env=not _is_simulated())
    try:
        yield core_access(transport, org.login_url, grant)
    finally:
        transport.close()


def checked_url(text: str) -> str:
    """The address of an org's sign-in, without a path. Raises BadConnection: an assertion goes to Salesforce only."""
    try:
        where = urlsplit(text.strip().lower() if "://" in text else f"https://{text.strip().lower()}")
        simulated = _is_simulated() and where.netloc == urlsplit(_hosts().url(Api.AUTH)).netloc
        is_salesforce = where.scheme == "https" and bool(_HOST.fullmatch(where.netloc))
    except ValueError:
        simulated = is_salesforce = False
    if not simulated and not is_salesforce:
        raise BadConnection(
            "give https://login.salesforce.com, https://test.salesforce.com or the My Domain address of the org"
        )
    return f"{where.scheme}://{where.netloc}"


def _hosts() -> Tenant:
    return Tenant("mc" + "x" * 26, settings.MARKETING_CLOUD_HOSTS)


def _is_simulated() -> bool:
    return _hosts().is_simulated


def _new_key(enterprise: Enterprise) -> tuple[Clear, str]:
    private, certificate = make_signing_key(f"Token portal, {enterprise.eid}")
    return Clear(private), certificate


def _record(action: Action, org: CoreOrg, actor: Actor, details: dict[str, Any]) -> None:
    target = Target("core-org", str(org.pk), org.name)
    trail.record(action, actor=actor, enterprise_id=org.enterprise_id, target=target, details=details)
