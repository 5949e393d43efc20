"""Tokens that the vault does not know: somebody may have sent clear values in their place."""

from collections.abc import Iterable

from tokens.api.call import Call
from tokens.crypto.keyring import keyring
from tokens.formats.kinds import Kind
from tokens.formats.normalise import InvalidValue, normalise
from tokens.formats.token_email import looks_like_email_token
from tokens.formats.token_mobile import is_valid_number
from tokens.log.recording import Anomaly


def clear_values_among(call: Call, unknown: Iterable[tuple[int, str]]) -> list[bytes]:
    """The blind indexes of clear values among unknown tokens, so that the log can be searched for these persons.

    `unknown` are (index of the item, token as it was sent). A valid number is none of our tokens, which are drawn
    so that no country has them; other numbers are indexed too but are no anomaly: a token with a slip looks so.
    """
    ring = keyring(call.proven.enterprise_id)
    indexes: dict[bytes, None] = {}
    for position, text in unknown:
        kind = Kind.EMAIL if "@" in text else Kind.MOBILE
        if kind == Kind.EMAIL and looks_like_email_token(text, call.proven.token_domain):
            continue
        try:
            normalised = normalise(kind, text)
        except InvalidValue:
            continue
        indexes[ring.blind_index(kind, normalised)] = None
        if kind == Kind.EMAIL or is_valid_number(normalised):
            call.anomalies.append((position, Anomaly.CLEAR_VALUE_AS_TOKEN))
    return list(indexes)
