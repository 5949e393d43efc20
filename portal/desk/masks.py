"""What the pages show of a clear value: a mask made on the server, or the word for why there is none."""

from tokens.crypto.errors import CannotOpen
from tokens.formats.kinds import Kind
from tokens.formats.mask import mask
from tokens.models import Mapping
from tokens.models.mappings import State


def masked(mapping: Mapping) -> str:
    """The mask of a mapping's clear value (`j•••@e•••.com`)."""
    if mapping.state == State.ERASED or mapping.value is None:
        return "erased"
    try:
        return mask(Kind(mapping.kind), mapping.value.open())
    except CannotOpen:
        return "does not open"
