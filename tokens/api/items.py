"""The items of a batch: each request id is answered exactly once."""

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

from audit.models import Outcome
from tokens.log.recording import Anomaly


class _HasId(Protocol):
    token_request_id: str


_I = TypeVar("_I", bound=_HasId)


def first_of_each_id(
    items: Sequence[_I], what: Callable[[_I], object], anomalies: list[tuple[int, str]]
) -> list[tuple[int, _I]]:
    """(index, item) of the first item of each request id; later ones that ask something else are anomalies."""
    numbered = list(enumerate(items))
    if len({item.token_request_id for item in items}) == len(items):
        return numbered
    first: dict[str, tuple[int, _I]] = {}
    for index, item in numbered:
        _, kept = first.setdefault(item.token_request_id, (index, item))
        if what(kept) != what(item):
            anomalies.append((index, Anomaly.REPEATED_ID_DIFFERS))
    return list(first.values())


def outcome_of(asked: int, answered: int) -> Outcome:
    """What came of a batch; an empty one is complete."""
    if answered == asked:
        return Outcome.COMPLETE
    return Outcome.PARTIAL if answered else Outcome.NONE
