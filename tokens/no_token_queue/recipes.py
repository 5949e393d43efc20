"""Which column of an extract holds what: proposed from names and first rows, decided by people, saved as a recipe.

The columns of Marketing Cloud's extract are not public [assumed]: nothing here may be a constant.
"""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final

import phonenumbers

from audit import trail
from audit.trail import Actor, Target
from audit.vocabulary import Action
from tokens.bulk.guess import are_numbers, holds
from tokens.formats.mask import mask_attribute, mask_mobile
from tokens.models import Enterprise, ExtractRecipe
from tokens.no_token_queue import dates
from tokens.no_token_queue.errors import BadRecipe, MissingColumn, NoRecipeFits
from tokens.no_token_queue.reading import Sheet
from tokens.no_token_queue.wording import masked_text

# (code, words) of what a column can hold.
HOLDS: Final = (
    ("number", "number of the person"),
    ("text", "text of the message"),
    ("code", "short or long code"),
    ("received", "when it was received"),
    ("id", "id of the message"),
)
TARGETS: Final = tuple(code for code, _ in HOLDS)
_NAMES: Final[dict[str, tuple[str, ...]]] = {
    "id": ("messageid", "moid", "guid", "uniqueid", "requestid", "queueid"),
    "code": ("shortcode", "longcode", "privatecode", "code", "destination", "recipient"),
    "number": (
        "mobile",
        "phone",
        "cell",
        "msisdn",
        "sender",
        "from",
        "originator",
        "sourceaddress",
        "number",
    ),
    "received": ("received", "date", "time", "created", "timestamp", "queued"),
    "text": ("message", "text", "body", "content", "keyword"),
}
_SAMPLES: Final = 3
QUEUE: Final = ExtractRecipe.What.QUEUE
_ROWS_READ: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """How an extract is read: `columns` by what they hold, and what its dates and bare numbers mean."""

    columns: dict[str, str] = field(default_factory=dict)
    order: str = "mdy"
    zone: str = "UTC"
    region: str = ""
    encoding: str = ""
    delimiter: str = ""

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
        if unknown := columns.keys() - set(TARGETS):
            raise BadRecipe(f"{min(unknown)!r} is none of {', '.join(TARGETS)}")
        if "number" not in columns:
            raise BadRecipe("say which column holds the number of the person")
        if not columns.keys() & {"received", "id"}:
            raise BadRecipe("without a date or an id two messages of a person can't be told apart: map one")
        if len(set(columns.values())) < len(columns):
            raise BadRecipe("one column can't hold two things")
        if self.order not in dict(dates.ORDERS):
            raise BadRecipe("dates are mdy, dmy or iso")
        if not dates.is_zone(self.zone):
            raise BadRecipe("there is no such time zone: write UTC or Europe/Berlin")
        region = self.region.upper()
        if region and region not in phonenumbers.SUPPORTED_REGIONS:
            raise BadRecipe("there is no such country: write two letters such as DE")
        for column in columns.values():
            if header is not None and column not in header:
                raise MissingColumn(f"{column!r}; there are {', '.join(map(repr, header))}")
        return replace(self, columns=columns, region=region)


def one_column_each(said: Iterable[tuple[str, str]]) -> dict[str, str]:
    """The column of each (what it holds, column); what holds nothing is left out. Raises BadRecipe.

    Of two columns of people's addresses the first would be left out unseen.
    """
    columns: dict[str, str] = {}
    for target, column in said:
        if target and columns.setdefault(target, column) != column:
            raise BadRecipe(
                f"{columns[target]!r} and {column!r} can't both hold that: bring the file once for each"
            )
    return columns


@dataclass(frozen=True, slots=True)
class Column:
    """What a column probably holds ("" for nothing we need); `samples` are masked."""

    name: str
    holds: str
    samples: tuple[str, ...]


def propose(sheet: Sheet, enterprise: Enterprise) -> tuple[Reading, list[Column]]:
    """A reading to begin with, and what speaks for it, column by column."""
    rows = [record.cells for record in sheet.records if record.cells][:_ROWS_READ]
    columns = {name: [row[place].strip() for row in rows] for place, name in enumerate(sheet.header)}
    chosen: dict[str, str] = {}
    for target in _NAMES:
        taken = chosen.values()
        named = sorted(
            (name for name in columns if name not in taken and holds(name, _NAMES[target])),
            key=lambda name: next(place for place, part in enumerate(_NAMES[target]) if holds(name, (part,))),
        )
        fitting = [name for name in named if _fits(target, name, columns[name], enterprise.default_region)]
        if fitting:
            chosen[target] = fitting[0]
    if "number" not in chosen:
        by_content = [
            name
            for name, cells in columns.items()
            if name not in chosen.values() and are_numbers(name, cells, enterprise.default_region)
        ]
        chosen |= {"number": by_content[0]} if by_content else {}
    order = dates.likely_order(columns[chosen["received"]])[0] if "received" in chosen else "mdy"
    held = {column: target for target, column in chosen.items()}
    return Reading(columns=chosen, order=order), [
        Column(
            name, held.get(name, ""), tuple(_sample(held.get(name, ""), cell) for cell in cells[:_SAMPLES])
        )
        for name, cells in columns.items()
    ]


def fitting(enterprise: Enterprise, header: Sequence[str]) -> ExtractRecipe | None:
    """The saved recipe whose columns are all there; of several the one that names most of them, then the newest."""
    recipes = [
        recipe
        for recipe in ExtractRecipe.objects.filter(enterprise=enterprise, what=QUEUE)
        if set(recipe.reading["columns"].values()) <= set(header)
    ]
    return max(recipes, key=lambda one: (len(one.reading["columns"]), one.saved_at), default=None)


def named(enterprise: Enterprise, name: str) -> Reading:
    """The reading of a saved recipe. Raises NoRecipeFits."""
    recipe = ExtractRecipe.objects.filter(enterprise=enterprise, what=QUEUE, name=name).first()
    if recipe is None:
        raise NoRecipeFits(f"there is no recipe {name!r}")
    return Reading.from_stored(recipe.reading)


def save(enterprise: Enterprise, name: str, reading: Reading, *, actor: Actor) -> ExtractRecipe:
    """Keep a reading under a name; one of that name is replaced. Raises BadRecipe."""
    name = name.strip()
    if not name or len(name) > 100 or not name.isprintable():
        raise BadRecipe("give the recipe a name of at most 100 characters")
    reading = reading.checked()
    recipe, _ = ExtractRecipe.objects.update_or_create(
        enterprise=enterprise,
        what=QUEUE,
        name=name,
        defaults={"reading": reading.stored(), "saved_by_name": actor.name},
    )
    trail.record(
        Action.QUEUE_CHANGED,
        actor=actor,
        enterprise_id=enterprise.pk,
        target=Target("queue-recipe", str(recipe.pk), name),
        details=reading.stored(),
    )
    return recipe


def _fits(target: str, name: str, cells: Sequence[str], region: str) -> bool:
    """Whether the cells of a column that is named so can hold that; a column without cells is taken at its name."""
    filled = [cell for cell in cells if cell]
    if not filled:
        return True
    if target == "number":
        return are_numbers(f"{name} mobile", filled, region)
    if target == "received":
        return dates.likely_order(filled)[1] > 0.5
    if target == "code":
        return sum(cell.isdigit() and len(cell) <= 15 for cell in filled) > len(filled) / 2
    return True


def _sample(target: str, cell: str) -> str:
    if target == "number":
        return mask_mobile(cell)
    if target == "text":
        return masked_text(cell)
    if target == "code":
        return cell if len(cell) <= 6 else mask_mobile(cell)
    if target == "received" and any(dates.read_date(cell, order=one, zone="UTC") for one, _ in dates.ORDERS):
        return cell
    return mask_attribute(cell)


def of_enterprises(enterprise_ids: Sequence[int]) -> list[ExtractRecipe]:
    """Their saved recipes, by enterprise and name."""
    rows = ExtractRecipe.objects.filter(enterprise__in=enterprise_ids, what=QUEUE).select_related(
        "enterprise"
    )
    return list(rows.order_by("enterprise__name", "name"))
