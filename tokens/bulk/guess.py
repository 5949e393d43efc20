"""What the columns of a loaded file probably hold, from their names and first rows; people decide."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from tokens.bulk import slices
from tokens.bulk.dialects import Dialect
from tokens.formats.kinds import Kind
from tokens.formats.lookalikes import looks_like_identifier
from tokens.formats.mask import mask, mask_attribute
from tokens.formats.normalise import InvalidValue, normalise
from tokens.models import BulkJob

ROWS_READ: Final = 500
SAMPLES: Final = 3
ATTRIBUTE: Final = "attribute"

_KEY_NAMES: Final = ("subscriberkey", "contactkey", "customerid", "contactid", "personid", "key", "id")
_MOBILE_NAMES: Final = ("mobile", "phone", "cell", "msisdn", "sms")
_ATTRIBUTE_NAMES: Final = (
    "name",
    "city",
    "town",
    "street",
    "zip",
    "postal",
    "birth",
    "gender",
    "language",
    "salutation",
)


@dataclass(frozen=True, slots=True)
class ColumnGuess:
    """`target` is email, mobile, subscriber_key, attribute, or "" for a column to be left as it is.

    `likeness` is the share of filled cells that look so (None where only the name speaks), `filled` the share of
    cells that are not blank; `samples` are masked. `national` numbers look so only as numbers of the enterprise's
    own country.
    """

    column: str
    target: str
    likeness: float | None
    filled: float
    samples: tuple[str, ...]
    national: bool = False


def guess(job: BulkJob, *, rows: int = ROWS_READ) -> list[ColumnGuess]:
    """A guess for each column of the header. Raises CannotOpen when the stored rows were altered."""
    first = job.chunk_set.order_by("number")[0]
    if first.source is None:
        return [ColumnGuess(column, "", None, 0.0, ()) for column in job.header]
    text = slices.unseal(job.enterprise_id, job.pk, first.number, "source", bytes(first.source))
    read = Dialect(**job.dialect).rows(text)[:rows]
    region, keys = job.enterprise.default_region, 0
    found = []
    for place, column in enumerate(job.header):
        cells = [cell for row in read if (cell := row[place].strip())]
        guessed = _guess(column, cells, len(read), region)
        if guessed.target == "subscriber_key":
            keys += 1
            if keys > 1:
                guessed = ColumnGuess(column, "", None, guessed.filled, guessed.samples)
        found.append(guessed)
    return found


def _guess(column: str, cells: Sequence[str], rows: int, region: str) -> ColumnGuess:
    filled = len(cells) / rows if rows else 0.0
    if (likeness := _share(cells, Kind.EMAIL, "")) > 0.5:
        return ColumnGuess(column, "email", likeness, filled, _masked(Kind.EMAIL, cells))
    # Customer numbers happen to be telephone numbers, so a column of keys is taken at its name.
    if not _is_named(column, _KEY_NAMES) and are_numbers(column, cells, region):
        national = _possible(cells, "") <= 0.5
        likeness = _possible(cells, region if national else "")
        return ColumnGuess(column, "mobile", likeness, filled, _masked(Kind.MOBILE, cells), national)
    hidden = tuple(mask_attribute(cell) for cell in cells[:SAMPLES])
    if _is_named(column, _KEY_NAMES):
        return ColumnGuess(column, "subscriber_key", None, filled, hidden)
    return ColumnGuess(column, ATTRIBUTE if holds(column, _ATTRIBUTE_NAMES) else "", None, filled, hidden)


def _share(cells: Sequence[str], kind: Kind, region: str) -> float:
    alike = sum(looks_like_identifier(cell, default_region=region) is kind for cell in cells)
    return alike / len(cells) if cells else 0.0


def are_numbers(column: str, cells: Sequence[str], region: str) -> bool:
    """Assigned numbers speak for themselves; others, such as those kept for fiction, need a name that says so."""
    named = holds(column, _MOBILE_NAMES) and _possible(cells, region) > 0.5
    return named or max(_share(cells, Kind.MOBILE, ""), _share(cells, Kind.MOBILE, region)) > 0.5


def _possible(cells: Sequence[str], region: str) -> float:
    """The share of cells that a number could be read from."""
    possible = 0
    for cell in cells:
        with suppress(InvalidValue):
            normalise(Kind.MOBILE, cell, default_region=region)
            possible += 1
    return possible / len(cells) if cells else 0.0


def _masked(kind: Kind, cells: Sequence[str]) -> tuple[str, ...]:
    return tuple(mask(kind, cell) for cell in cells[:SAMPLES])


def _plain(column: str) -> str:
    return "".join(char for char in column.casefold() if char.isalnum())


def _is_named(column: str, names: Sequence[str]) -> bool:
    return _plain(column) in names


def holds(column: str, parts: Sequence[str]) -> bool:
    """Whether the name of a column holds one of `parts`, blanks and case aside."""
    return any(part in _plain(column) for part in parts)
