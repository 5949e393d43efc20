"""Which column of a file holds what."""

import difflib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from audit.free_text import names_a_person
from tokens.bulk import errors
from tokens.formats.kinds import Kind

TARGETS: Final = ("email", "mobile", "subscriber_key")


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnMap:
    """Columns by what they hold. Several columns may hold addresses, or numbers, of the same contact.

    `attributes` are column names by the name of the attribute in Marketing Cloud. Their cells are sealed with the
    contact and emptied in the output, except those whose attribute is in `kept`.
    """

    email: tuple[str, ...] = ()
    mobile: tuple[str, ...] = ()
    subscriber_key: str = ""
    attributes: dict[str, str] = field(default_factory=dict)
    kept: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.email and not self.mobile:
            raise errors.BadColumnMap("map at least one column to email or mobile")
        for column, times in Counter(self.all()).items():
            if times > 1:
                raise errors.BadColumnMap(f"column {column!r} is mapped {times} times")
        for name in self.kept:
            if name not in self.attributes:
                raise errors.BadColumnMap(f"attribute {name!r} is to be kept, but not mapped")

    @classmethod
    def parse(
        cls, pairs: Iterable[str], attributes: Iterable[str] = (), kept: Iterable[str] = ()
    ) -> "ColumnMap":
        """From the form of the command line: `email=Column`, and `Name=Column` for attributes."""
        found: dict[str, list[str]] = {target: [] for target in TARGETS}
        for target, column in map(_split, pairs):
            if target not in found:
                raise errors.BadColumnMap(f"{target!r} is none of {', '.join(TARGETS)}")
            found[target].append(column)
        if len(found["subscriber_key"]) > 1:
            raise errors.BadColumnMap("a contact has one subscriber key")
        named = list(map(_split, attributes))
        if len({name for name, _ in named}) < len(named):
            raise errors.BadColumnMap("an attribute is named twice")
        return cls(
            email=tuple(found["email"]),
            mobile=tuple(found["mobile"]),
            subscriber_key="".join(found["subscriber_key"]),
            attributes=dict(named),
            kept=tuple(kept),
        )

    def stored(self) -> dict[str, Any]:
        """As it stands in the job's row."""
        return {
            "email": list(self.email),
            "mobile": list(self.mobile),
            "subscriber_key": self.subscriber_key,
            "attributes": self.attributes,
            "kept": list(self.kept),
        }

    @classmethod
    def from_stored(cls, stored: dict[str, Any]) -> "ColumnMap":
        """The inverse of `stored`."""
        return cls(
            email=tuple(stored["email"]),
            mobile=tuple(stored["mobile"]),
            subscriber_key=stored["subscriber_key"],
            attributes=stored["attributes"],
            kept=tuple(stored["kept"]),
        )

    def all(self) -> list[str]:
        """Every column that is mapped."""
        keys = [self.subscriber_key] if self.subscriber_key else []
        return [*self.email, *self.mobile, *keys, *self.attributes.values()]

    def identifiers(self) -> list[tuple[Kind, str]]:
        """The columns of addresses and numbers with their kinds, addresses first."""
        return [(Kind.EMAIL, column) for column in self.email] + [
            (Kind.MOBILE, column) for column in self.mobile
        ]

    def check(self, header: Sequence[str]) -> None:
        """Raises UnknownColumn, with what it may have been meant for."""
        for column in self.all():
            if column not in header:
                folded = {name.strip().casefold(): name for name in header}
                near = difflib.get_close_matches(column.strip().casefold(), folded, n=1)
                hint = (
                    f"did you mean {folded[near[0]]!r}?" if near else f"there are {', '.join(quoted(header))}"
                )
                raise errors.UnknownColumn(f"{column!r}; {hint}")


def quoted(header: Sequence[str]) -> list[str]:
    """Names of columns as messages quote them: of a file without a header they would be somebody's values."""
    return [
        f"column {number}" if names_a_person(name) else repr(name)
        for number, name in enumerate(header, start=1)
    ]


def _split(pair: str) -> tuple[str, str]:
    name, equals, column = pair.partition("=")
    if not (name and equals and column):
        raise errors.BadColumnMap(f"{pair!r} is no NAME=COLUMN")
    return name, column
