"""The sandbox enterprise of `make run`: synthetic people, somebody for each role, two API clients.

Everything goes through the verbs that real data goes through. Sign-ins and secrets are random; they are kept in
`sample-access.json` of the state folder (0600), since a hash can't be shown again at the next start.
"""

import json
import secrets
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from audit.trail import SYSTEM
from portal.embedded.state import write_private
from portal.models import Membership, User
from portal.roles import Role
from portal.synthetic_people import people
from tokens import clients
from tokens.consent.opt_outs import record_opt_out
from tokens.enterprises import create_business_unit, create_enterprise
from tokens.formats.kinds import Kind
from tokens.models import ApiClient, ConsentEvent, Enterprise
from tokens.models.clients import AuthMethod
from tokens.vault import contacts, mint

EID: Final = "500000001"
PEOPLE: Final = 300
OPTED_OUT: Final = 3
ADMIN: Final = "admin"
USERNAMES: Final = {
    "officer": Role.COMPLIANCE_OFFICER,
    "auditor": Role.AUDITOR,
    "integration": Role.INTEGRATION_ADMIN,
    "engineer": Role.DATA_ENGINEER,
    "users": Role.ADMINISTRATOR,
}


@dataclass(frozen=True, slots=True)
class SampleAccess:
    """How to get in: the admin, the Basic client, a token that resolves; then the others, by name."""

    username: str
    password: str
    client_id: str
    client_secret: str
    token: str
    oauth_client_id: str
    oauth_client_secret: str
    passwords: dict[str, str]

    @property
    def roles(self) -> dict[str, str]:
        """What each of the sample users is, in words."""
        return {self.username: "every role, everywhere"} | {
            name: role.label.lower() for name, role in USERNAMES.items()
        }

    def __repr__(self) -> str:
        return f"SampleAccess({self.username})"


def create() -> SampleAccess:
    """Make the sample data, or find it as an earlier start left it. Prints nothing."""
    enterprise = Enterprise.objects.filter(eid=EID).first()
    if enterprise is not None:
        return _stored() or _renewed(enterprise)
    with transaction.atomic():
        enterprise = create_enterprise(
            eid=EID,
            name="Sample enterprise",
            token_domain="tok.sample.example",  # noqa: S106 - a domain
            sandbox=True,
            actor=SYSTEM,
        )
        parent = create_business_unit(enterprise, mid=EID, name="Headquarters", actor=SYSTEM)
        create_business_unit(enterprise, mid="500000002", name="Loyalty club", parent=parent, actor=SYSTEM)
        _convert_people(enterprise)
        access = _give_access(enterprise)
        # The last act before the commit: data that was committed always has its file.
        write_private(_file(), json.dumps(asdict(access), indent=1) + "\n")
    return access


def _file() -> Path:
    return Path(settings.STATE_DIR) / "sample-access.json"


def _stored() -> SampleAccess | None:
    try:
        return SampleAccess(**json.loads(_file().read_text()))
    except (FileNotFoundError, ValueError, TypeError):
        return None


@transaction.atomic
def _renewed(enterprise: Enterprise) -> SampleAccess:
    """The file is gone or damaged: new passwords and new clients, and the old clients end."""
    for client in ApiClient.objects.filter(enterprise=enterprise, name__in=_client_names()):
        clients.switch_off(client, actor=SYSTEM)
    access = _give_access(enterprise)
    write_private(_file(), json.dumps(asdict(access), indent=1) + "\n")
    return access


def _convert_people(enterprise: Enterprise) -> None:
    sample = list(people(PEOPLE))
    emails = mint.get_or_create(enterprise, [mint.Wanted(Kind.EMAIL, one.email, one.email) for one in sample])
    mobiles = mint.get_or_create(
        enterprise, [mint.Wanted(Kind.MOBILE, one.mobile, one.mobile) for one in sample]
    )
    known = contacts.upsert(
        enterprise,
        [
            contacts.Person(
                one.subscriber_key,
                (("FirstName", one.first_name), ("LastName", one.last_name), ("City", one.city)),
            )
            for one in sample
        ],
    )
    pairs = [
        (held.mapping_id, contact.contact_id)
        for values in (emails, mobiles)
        for held, contact in zip(values, known, strict=True)
    ]
    contacts.link(enterprise, pairs)
    for number, one in enumerate(sample[-OPTED_OUT:], start=1):
        record_opt_out(
            enterprise,
            kind=Kind.EMAIL,
            raw_value=one.email,
            source=ConsentEvent.Source.OFFICER,
            source_id=f"sample-{number}",
            occurred_at=timezone.now(),
            evidence="Letter of a synthetic person.",
            actor=SYSTEM,
        )


def _give_access(enterprise: Enterprise) -> SampleAccess:
    passwords = {name: _user(name, [role], enterprise) for name, role in USERNAMES.items()}
    # All roles in all enterprises, and no superuser: what the admin may do is in the memberships like anybody's.
    admin_password = _user(ADMIN, list(Role), None)
    basic_name, oauth_name = _client_names()
    basic, basic_secret = clients.create_client(
        enterprise, name=basic_name, auth=AuthMethod.BASIC, actor=SYSTEM
    )
    oauth, oauth_secret = clients.create_client(
        enterprise, name=oauth_name, auth=AuthMethod.OAUTH, actor=SYSTEM
    )
    first = next(iter(people(1)))
    token = mint.known(enterprise, [(Kind.EMAIL, first.email)])[Kind.EMAIL, first.email].token
    return SampleAccess(
        ADMIN,
        admin_password,
        basic.client_id,
        basic_secret,
        token,
        oauth.client_id,
        oauth_secret,
        passwords,
    )


def _user(name: str, roles: Iterable[Role], enterprise: Enterprise | None) -> str:
    """The user of that name, with a new password, which is returned."""
    password = secrets.token_urlsafe(16)
    user, _ = User.objects.get_or_create(username=name, defaults={"is_staff": True})
    user.set_password(password)
    user.save()
    for role in roles:
        Membership.objects.get_or_create(user=user, enterprise=enterprise, role=role)
    return password


def _client_names() -> tuple[str, str]:
    return "Marketing Cloud sample (Basic)", "Marketing Cloud sample (OAuth)"
