"""The people and companies of these tests. All of them are made up."""

import itertools

from audit.trail import Actor
from tokens.enterprises import create_enterprise
from tokens.formats.kinds import Kind
from tokens.formats.normalise import normalise
from tokens.models import Enterprise, Mapping
from tokens.vault import mint
from tokens.vault.mint import Held, Wanted

OLGA = Actor("person:7", "Olga Officer", "192.0.2.7")
IVAN = Actor("person:8", "Ivan Integrator")

ANA = "Ana@Mail.example"
BORIS = "boris@post.example"
ANAS_PHONE = "13175550101"
BORIS_PHONE = "498920180123"

_numbers = itertools.count(1)


def an_enterprise(name: str = "Acme", **fields: object) -> Enterprise:
    """A new enterprise with its keys; each call makes another."""
    number = next(_numbers)
    named = {"eid": f"{7_000_000 + number}", "token_domain": f"tok{number}.{name.lower()}.example"}
    return create_enterprise(name=name, actor=IVAN, **(named | fields))  # type: ignore[arg-type]


def let_through(enterprise: Enterprise) -> None:
    """Opt-outs block at Resolve no longer, as if two people had agreed to that."""
    Enterprise.objects.filter(pk=enterprise.pk).update(optout_blocks_resolve=False)


def email(spelling: str) -> Wanted:
    return Wanted(Kind.EMAIL, normalise(Kind.EMAIL, spelling), spelling)


def mobile(spelling: str) -> Wanted:
    digits = normalise(Kind.MOBILE, spelling)
    return Wanted(Kind.MOBILE, digits, digits)


def hold(enterprise: Enterprise, *wanted: Wanted) -> list[Held]:
    return mint.get_or_create(enterprise, wanted)


def mapping_of(enterprise: Enterprise, spelling: str) -> Mapping:
    want = email(spelling) if "@" in spelling else mobile(spelling)
    return Mapping.objects.get(pk=hold(enterprise, want)[0].mapping_id)
