"""Whether somebody is about to look at themselves, or at a person of their own surname.

Most such looks are innocent, and the others begin like them: whoever looks is asked once more, and that they went on
stands in the ledger.
"""

from contextlib import suppress
from typing import Final

from audit.trail import Actor
from portal.models import User
from portal.reveals.subjects import Subject, attribute_values
from tokens.formats.kinds import Kind
from tokens.formats.reasons import InvalidValue
from tokens.models import Mapping
from tokens.vault import find

RECORD: Final = "record"
SURNAME: Final = "surname"
# Names of attributes that hold a surname, without case and marks between.
SURNAMES: Final = frozenset({"lastname", "surname", "familyname", "name2", "nachname"})


def own(subject: Subject, actor: Actor) -> str:
    """RECORD when the person's own address is behind it, SURNAME when a contact has their surname, "" otherwise."""
    user, mapping = _user(actor), _mapping(subject)
    if user is None or mapping is None:
        return ""
    if any(_is_value_of(mapping, address) for address in (user.email, user.username)):
        return RECORD
    surname = _plain(user.last_name)
    values = attribute_values(mapping, lambda name: _plain(name) in SURNAMES) if surname else []
    return SURNAME if surname in map(_plain, values) else ""


def _user(actor: Actor) -> User | None:
    kind, _, number = actor.id.partition(":")
    return User.objects.filter(pk=int(number)).first() if kind == "user" and number.isdecimal() else None


def _mapping(subject: Subject) -> Mapping | None:
    if subject.target.type != "mapping":
        return None
    rows = Mapping.objects.select_related("enterprise").filter(enterprise=subject.enterprise_id)
    return rows.filter(pk=int(subject.target.id)).first()


def _is_value_of(mapping: Mapping, address: str) -> bool:
    if "@" not in address or mapping.kind != Kind.EMAIL:
        return False
    with suppress(InvalidValue):
        return find.by_value(mapping.enterprise, Kind.EMAIL, address).mapping == mapping
    return False


def _plain(text: str) -> str:
    return "".join(filter(str.isalnum, text.casefold()))
