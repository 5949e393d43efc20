"""Which column of a file holds what: proposed from names and first cells, decided by people, kept as a recipe."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final

import phonenumbers

from audit import trail
from audit.free_text import names_a_person
from audit.trail import Actor, Target
from audit.vocabulary import Action
from tokens.bulk.guess import are_numbers, holds
from tokens.consent import clocks
from tokens.formats.kinds import Kind
from tokens.formats.mask import mask, mask_attribute
from tokens.models import Enterprise, ExtractRecipe, OptOutFile
from tokens.no_token_queue import dates
from tokens.no_token_queue.errors import BadRecipe, MissingColumn, NoRecipeFits

# (code, words) of what a column can hold.
HOLDS: Final = (
    ("person", "address, number or token of the person"),
    ("asked", "when they asked, or it was reported"),
    ("id", "id of the opt-out"),
    ("report", "kind of report: hard bounce, complaint …"),
    ("code", "short or long code that is meant"),
    ("evidence", "what was said; it is sealed"),
)
TARGETS: Final = tuple(code for code, _ in HOLDS)
# Reports after which nothing more may be sent. A soft bounce is none.
COUNTS: Final = ("hard", "complaint", "abuse")
_NAMES: Final[dict[str, tuple[str, ...]]] = {
    "person": ("email", "mail", "mobile", "phone", "msisdn", "cell", "recipient", "token", "number"),
    "asked": ("asked", "optout", "unsub", "date", "time", "created", "at"),
    "id": ("id", "guid", "key"),
    "report": ("bouncecategory", "category", "type", "bounce", "report"),
    "code": ("shortcode", "longcode", "code"),
    "evidence": ("evidence", "reason", "comment", "message", "text", "note"),
}
_SAMPLES: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """How a file is read: `columns` by what they hold, what its dates and bare numbers mean, and under which law."""

    columns: dict[str, str] = field(default_factory=dict)
    order: str = "iso"
    zone: str = "UTC"
    region: str = ""
    law: str = ""
    counts: list[str] = field(default_factory=lambda: list(COUNTS))

    def stored(self) -> dict[str, Any]:
        """As it stands in a row."""
        return asdict(self)

    @classmethod
    def from_stored(cls, stored: dict[str, Any]) -> "Reading":
        """The inverse of `stored`."""
        return cls(**stored)

    def checked(self, header: Sequence[str] | None = None) -> "Reading":
        """Itself, if it can be used, for a file of that header. Raises BadRecipe."""
        columns = {target: column for target, column in self.columns.items() if column}
        _check_columns(columns)
        if self.order not in dict(dates.ORDERS) or not dates.is_zone(self.zone):
            raise BadRecipe("dates are mdy, dmy or iso, of a zone such as UTC or Europe/Berlin")
        region = self.region.upper()
        if region and region not in phonenumbers.SUPPORTED_REGIONS:
            raise BadRecipe("there is no such country: write two letters such as DE")
        if self.law not in {law.code for law in clocks.LAWS}:
            raise BadRecipe(f"laws are {', '.join(law.code for law in clocks.LAWS if law.code)}")
        for column in columns.values():
            if header is not None and column not in header:
                raise MissingColumn(f"{column!r}; there are {', '.join(map(repr, header))}")
        words = [word.strip().casefold() for word in self.counts if word.strip()]
        return replace(self, columns=columns, region=region, counts=words or list(COUNTS))


def _check_columns(columns: dict[str, str]) -> None:
    if unknown := columns.keys() - set(TARGETS):
        raise BadRecipe(f"{min(unknown)!r} is none of {', '.join(TARGETS)}")
    if "person" not in columns:
        raise BadRecipe("say which column holds the address, number or token of the person")
    if not columns.keys() & {"asked", "id"}:
        raise BadRecipe("without a date or an id two opt-outs of a person can't be told apart: map one")
    if len(set(columns.values())) < len(columns):
        raise BadRecipe("one column can't hold two things")


@dataclass(frozen=True, slots=True)
class Column:
    """What a column probably holds ("" for nothing we need); `samples` are masked."""

    name: str
    holds: str
    samples: tuple[str, ...]


def propose(
    header: Sequence[str], rows: Sequence[Sequence[str]], enterprise: Enterprise
) -> tuple[Reading, list[Column]]:
    """A reading to begin with, and what speaks for it, column by column. `rows` are the first of the file."""
    columns = {name: [row[place].strip() for row in rows] for place, name in enumerate(header)}
    chosen: dict[str, str] = {}
    for target, parts in _NAMES.items():
        for name, cells in columns.items():
            if name not in chosen.values() and holds(name, parts) and _fits(target, name, cells, enterprise):
                chosen.setdefault(target, name)
    order = dates.likely_order(columns[chosen["asked"]])[0] if "asked" in chosen else "iso"
    held = {column: target for target, column in chosen.items()}
    return Reading(columns=chosen, order=order), [
        Column(
            name, held.get(name, ""), tuple(_sample(held.get(name, ""), cell) for cell in cells[:_SAMPLES])
        )
        for name, cells in columns.items()
    ]


def _fits(target: str, name: str, cells: Sequence[str], enterprise: Enterprise) -> bool:
    filled = [cell for cell in cells if cell]
    if not filled:
        return target != "person"
    if target == "person":
        addresses = sum("@" in cell for cell in filled)
        return addresses * 2 > len(filled) or are_numbers(f"{name} mobile", filled, enterprise.default_region)
    if target == "asked":
        return dates.likely_order(filled)[1] > 0.5
    if target == "code":
        return all(cell.isdigit() for cell in filled)
    return True


def _sample(target: str, cell: str) -> str:
    if target == "person":
        return mask(Kind.EMAIL if "@" in cell else Kind.MOBILE, cell)
    if target == "asked" and any(dates.read_date(cell, order=one, zone="UTC") for one, _ in dates.ORDERS):
        return cell
    if target == "report" and not any(char.isdigit() or char == "@" for char in cell):
        return cell[:40]
    return mask_attribute(cell)


# -- recipes ------------------------------------------------------------------------------------------------
def fitting(enterprise: Enterprise, what: OptOutFile.What | str, header: Sequence[str]) -> Reading:
    """The reading of the saved recipe whose columns are all there; of several the one that names most of them.

    Raises NoRecipeFits.
    """
    rows = ExtractRecipe.objects.filter(enterprise=enterprise, what=what)
    fits = [one for one in rows if set(one.reading["columns"].values()) <= set(header)]
    found = max(fits, key=lambda one: (len(one.reading["columns"]), one.saved_at), default=None)
    if found is None:
        raise NoRecipeFits(f"its columns are {', '.join(map(repr, header))}")
    return Reading.from_stored(found.reading)


def named(enterprise: Enterprise, what: OptOutFile.What | str, name: str) -> Reading:
    """The reading of a saved recipe. Raises NoRecipeFits."""
    found = ExtractRecipe.objects.filter(enterprise=enterprise, what=what, name=name).first()
    if found is None:
        raise NoRecipeFits(f"there is no recipe {name!r}")
    return Reading.from_stored(found.reading)


def save(
    enterprise: Enterprise, what: OptOutFile.What | str, name: str, reading: Reading, *, actor: Actor
) -> None:
    """Keep a reading under a name; one of that name is replaced. Raises BadRecipe."""
    name, reading = name.strip(), reading.checked()
    if not name or len(name) > 100 or not name.isprintable():
        raise BadRecipe("give the recipe a name of at most 100 characters")
    if names_a_person(name):
        raise BadRecipe("its name holds an address or a number of a person: leave it out")
    recipe, _ = ExtractRecipe.objects.update_or_create(
        enterprise=enterprise,
        what=what,
        name=name,
        defaults={"reading": reading.stored(), "saved_by_name": actor.name},
    )
    trail.record(
        Action.QUEUE_CHANGED,
        actor=actor,
        enterprise_id=enterprise.pk,
        target=Target("opt-out-recipe", str(recipe.pk), name),
        details=reading.stored(),
    )
