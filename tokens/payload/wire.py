"""The requests of the API as structs; limits of values and counts are the API's business.

Fields stand in the order of the contract. Optional ones are UNSET when absent, so that re-encoding a request
gives the members it came with (`is_plain` lives on that).
"""

import datetime
from typing import Annotated

import msgspec
from msgspec import UNSET, UnsetType


class _Wire(msgspec.Struct):
    def __repr__(self) -> str:
        # Requests hold clear values (an address sent as a token, too), and a repr ends up in tracebacks.
        return f"{type(self).__name__}(…)"


class ResolveItem(_Wire, rename="camel", gc=False):
    token_request_id: str
    token: str
    subscriber_key: str | UnsetType | None = UNSET


class ResolveRequest(_Wire, rename="camel", kw_only=True):
    send_key: str | UnsetType | None = UNSET
    tokens: list[ResolveItem]


class GetTokenItem(_Wire, rename="camel", gc=False):
    token_request_id: str
    token_value: str
    token_type: str
    private_code: str | UnsetType | None = UNSET


class GetTokenRequest(_Wire, rename="camel"):
    token_values: list[GetTokenItem]


class OptOutItem(_Wire, rename="camel"):
    """No call of Marketing Cloud's: what other systems of the customer say. `occurred_at` is when the person asked."""

    opt_out_id: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
    value: str
    value_type: str
    occurred_at: Annotated[datetime.datetime, msgspec.Meta(tz=True)]
    business_unit: str | UnsetType | None = UNSET
    short_code: str | UnsetType | None = UNSET
    law: str | UnsetType | None = UNSET
    evidence: Annotated[str, msgspec.Meta(max_length=4000)] | UnsetType | None = UNSET


class OptOutsRequest(_Wire, rename="camel"):
    opt_outs: list[OptOutItem]
