"""From what the vault holds to the text of the output, in which nothing clear is left in the mapped columns."""

import re
from collections.abc import Sequence
from typing import Final

from tokens.bulk.errors import UnsafeOutput
from tokens.bulk.holding import Holding
from tokens.bulk.reading import Reader, Reading
from tokens.formats.kinds import Kind

_MOBILE_TOKEN: Final = r"[1-9][0-9]{7,14}"  # noqa: S105
_EMAIL_LOCAL_PART: Final = r"[a-z2-7]{26}"


def token_patterns(token_domain: str) -> dict[Kind, re.Pattern[str]]:
    """What a cell that holds a token must look like, whole."""
    return {
        Kind.EMAIL: re.compile(f"{_EMAIL_LOCAL_PART}@{re.escape(token_domain)}"),
        Kind.MOBILE: re.compile(_MOBILE_TOKEN),
    }


class Writer:
    """Writes the rows of one job."""

    def __init__(self, reader: Reader) -> None:
        self.reader = reader
        self.patterns = token_patterns(reader.token_domain)
        columns = reader.map
        self.emptied = [
            reader.header.index(column)
            for name, column in columns.attributes.items()
            if name not in columns.kept
        ]

    def text(self, reading: Reading, holding: Holding) -> str:
        """The rows of `reading` in their order and dialect. Raises UnsafeOutput."""
        columns: list[Sequence[str]] = list(reading.columns)
        place = self.reader.header.index
        for column, held in zip(reading.identifiers, holding.columns, strict=True):
            columns[place(column.name)] = [
                self._checked(column.kind, one.token) if one else "" for one in held
            ]
        if self.reader.map.subscriber_key:
            columns[place(self.reader.map.subscriber_key)] = [key or "" for key in holding.keys]
        for position in self.emptied:
            columns[position] = [""] * reading.rows
        return self.reader.dialect.text(zip(*columns, strict=True))

    def _checked(self, kind: Kind, token: str) -> str:
        if self.patterns[kind].fullmatch(token) is None:
            raise UnsafeOutput
        return token
