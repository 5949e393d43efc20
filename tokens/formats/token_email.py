"""E-mail tokens: random local parts on the token domain of an enterprise."""

from __future__ import annotations

import os
import re

LOCAL_PART_LENGTH = 26
"""Characters of five random bits each: 130 bits."""

_ALPHABET = b"abcdefghijklmnopqrstuvwxyz234567"
# Every byte to one of 32 characters, each by eight bytes, so that all are equally likely.
_BASE32 = bytes(_ALPHABET[byte & 31] for byte in range(256))
_LOCAL_PART = re.compile(r"[a-z2-7]{26}")


def draw_email_tokens(count: int, token_domain: str) -> list[str]:
    """`count` new e-mail tokens, lower case, each `<26 base32 characters>@<token_domain>`.

    Random and never derived from a value, so that a token tells nothing about its person. 130 bits make a
    repetition impossible for all purposes; the unique constraint stands behind that.
    """
    text = os.urandom(LOCAL_PART_LENGTH * count).translate(_BASE32).decode("ascii")
    ending = "@" + token_domain
    return [text[i : i + LOCAL_PART_LENGTH] + ending for i in range(0, len(text), LOCAL_PART_LENGTH)]


def looks_like_email_token(text: str, token_domain: str) -> bool:
    """Whether `text`, in any case and with blanks around it, has the shape of a token on `token_domain`.

    The shape only: whether it was ever drawn is for the database to say.
    """
    local, _, domain = text.strip().lower().partition("@")
    return domain == token_domain.lower() and _LOCAL_PART.fullmatch(local) is not None
