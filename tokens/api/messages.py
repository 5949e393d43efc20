"""Why a token is not resolved: the closed list of what Marketing Cloud reads. docs/errors.md explains each."""

from typing import Final

CANNOT_OPEN: Final = "cannot_open"

UNRESOLVED: Final = {
    "unknown": "Invalid token; token does not exist.",
    "retired": "Retired token; its value was erased.",
    "contact_erased": "Erased contact; nothing is sent to it.",
    "opted_out": "Opted out; this channel is closed by the person.",
    CANNOT_OPEN: "Unavailable; the stored value failed its integrity check.",
}
"""Texts by reason. None holds anything of the request."""
