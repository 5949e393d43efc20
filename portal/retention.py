"""Carrying out what was approved: the job of the maintenance process, and the command (docs/retention.md).

It runs as the owner and reads the signing key, as the sequencer does, and with a sequencer of its own.
"""

from collections.abc import Callable, Collection, Iterator
from typing import Final

import structlog

from audit import trail
from audit.retention import dropping, orders
from audit.retention.dropping import Dropped
from audit.retention.errors import Busy, RetentionError
from audit.retention.months import Month
from audit.retention.orders import Order
from audit.seals.sequencer import Sequencer
from audit.trail import SYSTEM, Target
from audit.vocabulary import Action
from portal import sealing
from tokens.crypto import key_destruction

_log = structlog.get_logger(__name__)
# What was refused and told already, by approval and month: one event each, not one a minute.
_told: Final[dict[tuple[str, Month], str]] = {}


def carry_out() -> None:
    """Drop what was approved and is not dropped yet. A job of maintenance."""
    for _ in each(refused=tell_once):
        pass


def each(
    *, refused: Callable[[Order, Month, RetentionError], None], only: Collection[Month] | None = None
) -> Iterator[Dropped]:
    """The same, one month at a time; `refused` is told what could not be dropped and why. Raises SealError."""
    approved = orders.open_orders(using="owner")
    if not approved:
        return
    seals, done = Sequencer(sealing.load_key(), sealing.head()), 0
    for order in approved:
        for month in order.months:
            if only is not None and month not in only:
                continue
            try:
                dropped = dropping.drop(month, order, sequencer=seals)
            except RetentionError as error:
                refused(order, month, error)
                continue
            done += 1
            _log.info("retention.dropped", month=month.name, rows=dropped.rows, kept=dropped.kept)
            yield dropped
    if done:
        # The keys of what is gone go with it; what is held keeps its own.
        key_destruction.destroy_day_keys_of_dropped_months()


def tell_once(order: Order, month: Month, error: RetentionError) -> None:
    """An event, so that who approved learns why nothing happens. What passes by itself is only logged."""
    _log.warning("retention.refused", month=month.name, reason=str(error))
    place, said = (str(order.approval.pk), month), str(error)
    if isinstance(error, Busy) or _told.get(place) == said:
        return
    trail.record(
        Action.DROP_REFUSED,
        actor=SYSTEM,
        enterprise_id=None,
        target=Target("month", f"{month.kind.value} {month.label}", month.name),
        details={"reason": said, "approval": str(order.approval.pk)},
        using="owner",
    )
    _told[place] = said
