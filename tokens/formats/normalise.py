"""Normalisation: the one form that all spellings of an address or a number share, by version.

The blind index of a mapping is computed from this form, so a change of the form orphans every row. Versions
are therefore frozen: `tests/tokens/formats/vectors_v1.json` and its pinned hash hold version 1 still, and
rows name the version that they were indexed under. To change a rule, write `email_v2.py` or `phone_v2.py`
beside the old one, enter version 2 below with vectors of its own, and let a rotation fill the other index
column; version 1 stays as long as rows need it.

Every version is idempotent: the form of a form is itself.
"""

from __future__ import annotations

from collections.abc import Callable

from tokens.formats.email_v1 import normalise_email
from tokens.formats.kinds import Kind
from tokens.formats.phone_v1 import normalise_phone
from tokens.formats.reasons import InvalidValue, Reason

__all__ = ["CURRENT", "VERSIONS", "InvalidValue", "Reason", "normalise", "normaliser"]

CURRENT = 1
"""The version that new rows are indexed under."""

_EMAIL: dict[int, Callable[[str], str]] = {1: normalise_email}
_PHONE: dict[int, Callable[[str, str], str]] = {1: normalise_phone}

VERSIONS = tuple(_EMAIL)
"""Every version that rows may name, oldest first."""


def normalise(kind: Kind, raw: str, *, version: int = CURRENT, default_region: str = "") -> str:
    """The normalised form of `raw`.

    `default_region` (two capital letters) is the country in which a file wrote numbers without plus; the API
    leaves it out, since Marketing Cloud sends the country calling code. It does not touch e-mail addresses.
    Raises InvalidValue with a reason, KeyError for an unknown version and ValueError for an unknown region.
    """
    if kind == Kind.EMAIL:
        return _EMAIL[version](raw)
    return _PHONE[version](raw, default_region)


def normaliser(kind: Kind, *, version: int = CURRENT, default_region: str = "") -> Callable[[str], str]:
    """`normalise` with all but the value bound: for loops over a column."""
    if kind == Kind.EMAIL:
        return _EMAIL[version]
    read = _PHONE[version]
    return lambda raw: read(raw, default_region)
