"""What a person means who types a number: with its country, as Marketing Cloud writes it, or as dialled at home.

Files name the country of their numbers and machines write E.164; people do now the one and now the other. Read with the
wrong country, a number is somebody else's.
"""

from __future__ import annotations

import phonenumbers

from tokens.formats.kinds import Kind
from tokens.formats.normalise import normalise
from tokens.formats.reasons import InvalidValue
from tokens.formats.token_mobile import is_valid_number


def readings(typed: str, home: str = "") -> list[str]:
    """The numbers that `typed` can stand for, as E.164 digits: one, unless nobody can tell.

    It is read as beginning with its country calling code, and as dialled in the country `home` (two capital letters).
    Of two readings the one that is a valid number counts. If both are, it is the international one where numbers at
    home are dialled with a zero in front and this has none; elsewhere both are given, the international one first.
    Raises InvalidValue if there is no reading, and ValueError for an unknown country.
    """
    found, refusal = list[str](), None
    for country in dict.fromkeys(("", home)):
        try:
            found.append(normalise(Kind.MOBILE, typed, default_region=country))
        except InvalidValue as error:
            refusal = error
    if refusal is not None and not found:
        raise refusal
    valid = [form for form in found if is_valid_number(form)]
    meant = list(dict.fromkeys(valid or found))
    return meant[:1] if len(meant) == 2 and valid and _dials_zero_first(home) else meant


def _dials_zero_first(country: str) -> bool:
    metadata = phonenumbers.PhoneMetadata.metadata_for_region(country)
    return metadata is not None and metadata.national_prefix == "0"
