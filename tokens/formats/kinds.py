"""The two kinds of identifier that tokenized sending knows."""

from __future__ import annotations

from enum import IntEnum


class Kind(IntEnum):
    """Kind of a clear value and of its token; stored as a small integer."""

    EMAIL = 1
    MOBILE = 2

    @property
    def label(self) -> str:
        """How people read it."""
        return "e-mail" if self is Kind.EMAIL else "mobile"

    @property
    def wire_name(self) -> str:
        """The `tokenType` of the Get Token API: `Email` or `MobileNumber`."""
        return _WIRE_NAMES[self]

    @property
    def channel(self) -> str:
        """The channel that an opt-out of this kind closes: `email` or `sms`."""
        return _CHANNELS[self]

    @classmethod
    def from_wire(cls, name: object) -> Kind | None:
        """The kind for a `tokenType`, spelled exactly as Salesforce spells it; None for anything else."""
        return _BY_WIRE_NAME.get(name) if isinstance(name, str) else None

    @classmethod
    def from_channel(cls, name: object) -> Kind | None:
        """The kind behind a channel name (`email`, `sms`); None for anything else."""
        return _BY_CHANNEL.get(name) if isinstance(name, str) else None


_WIRE_NAMES = {Kind.EMAIL: "Email", Kind.MOBILE: "MobileNumber"}
_CHANNELS = {Kind.EMAIL: "email", Kind.MOBILE: "sms"}
_BY_WIRE_NAME = {name: kind for kind, name in _WIRE_NAMES.items()}
_BY_CHANNEL = {name: kind for kind, name in _CHANNELS.items()}
