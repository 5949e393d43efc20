"""Moves erasures on, state by state: deleted in Marketing Cloud, known to the ledger, destroyed, looked for again."""

import time
from collections.abc import Callable
from typing import Final

import structlog
from django.conf import settings
from django.db import transaction
from django.utils import timezone

from audit.approvals.errors import CannotBeDone
from audit.trail import SYSTEM
from audit.vocabulary import Action
from tokens.erasure import asking, bulk_files, deletes, destroying, held, work
from tokens.erasure import scope as scopes
from tokens.erasure.deletes import NotYet
from tokens.erasure.scope import Scope
from tokens.erasure.work import Claim, TakenOver
from tokens.marketing_cloud.errors import TooManyCalls
from tokens.models import Erasure

SOON, MOMENT = 2.0, 0.001
State = Erasure.State
_log = structlog.get_logger(__name__)


def work_for(*, seconds: float) -> bool:
    """Move erasures on for about `seconds`; whether there may be more."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        claimed = work.claim()
        if claimed is None:
            return False
        carry_out(claimed)
    return True


def carry_out(claimed: Claim) -> None:
    """Try one step, and note what came of it: whatever goes wrong with one erasure holds up no other."""
    try:
        _try(claimed)
        work.go_on(claimed)
    except TakenOver:
        _log.warning("erasure.taken_over", erasure=str(claimed.erasure_id), tries=claimed.tries)
    except NotYet as why:
        code, seconds = why.args
        work.wait(claimed, code, seconds=seconds)
    except TooManyCalls as error:
        work.wait(claimed, type(error).__name__, seconds=error.retry_after)
    except CannotBeDone:
        work.wait(claimed, "held")
    except Exception as error:  # noqa: BLE001 - what is not noted would be tried unseen for ever
        code = type(error).__name__
        _log.warning("erasure.failed", erasure=str(claimed.erasure_id), tries=claimed.tries, code=code)
        work.wait(claimed, code)


def _try(claimed: Claim) -> None:
    found = Erasure.objects.select_related("enterprise", "mapping")
    erasure = found.filter(pk=claimed.erasure_id, epoch=claimed.epoch).first()
    if erasure is None:
        raise TakenOver
    if erasure.state in STEPS:  # a claim of one that is done has nothing to do
        STEPS[State(erasure.state)](erasure)


# -- steps: each returns when its state is done, and raises when it has to wait --------------------------------
def _delete(erasure: Erasure) -> None:
    """Contacts go in Marketing Cloud first: while it sends, their tokens must be known here."""
    scope = scopes.of_erasure(erasure)
    with transaction.atomic():
        held.refuse_if_held(scope)
    deletes.go_on(erasure, scope)
    deletes.finish(erasure)


def _destroy(erasure: Erasure) -> None:
    """Nothing is destroyed before the ledger has it: a backup restored later must not bring the person back."""
    if erasure.recorded_at is None:
        raise NotYet("ledger", SOON)
    scope = scopes.of_erasure(erasure)
    with transaction.atomic():
        held.refuse_if_held(scope)
    _sweep_files(erasure, scope, "destroyed")
    destroying.destroy(erasure)


def _verify(erasure: Erasure) -> None:
    """Once nobody can still write what they read before, everything is searched again; what is found goes too."""
    if erasure.verify_from is None:
        erasure.verify_from = destroying.moment()
        work.note(erasure, "verify_from")
    if destroying.others_may_still_write(erasure.verify_from):
        raise NotYet("older_transactions", SOON)
    scope = scopes.of_erasure(erasure)
    _sweep_files(erasure, scope, "verified")
    with transaction.atomic():
        again = destroying.everything(scopes.of_erasure(erasure, lock=True))
        again[destroying.BULK_ROWS] = erasure.verified.get(destroying.BULK_ROWS, 0)
        if any(again.values()):
            _destroyed_more(erasure, again)
        else:
            erasure.lives_until |= {
                "files": destroying.waiting_files(scope),
                "lines": destroying.unread_lines(scope),
            }
            _done(erasure, again)
    if erasure.state != State.DONE:
        raise NotYet("found_more", SOON)


def _destroyed_more(erasure: Erasure, again: dict[str, int]) -> None:
    """Somebody wrote it while it was destroyed: it is gone as well, and searched for once more."""
    erasure.destroyed = {name: count + erasure.destroyed.get(name, 0) for name, count in again.items()}
    erasure.destroyed_at, erasure.verify_from, erasure.verified = timezone.now(), None, {}
    work.note(erasure, "destroyed", "destroyed_at", "verify_from", "verified")


def _done(erasure: Erasure, again: dict[str, int]) -> None:
    erasure.state, erasure.done_at, erasure.verified = State.DONE, timezone.now(), again
    work.note(erasure, "state", "done_at", "verified", "lives_until", was=State.DESTROYED)
    asking.record(
        Action.ERASURE_VERIFIED, erasure, SYSTEM, found_again=again, lives_until=erasure.lives_until
    )


def _sweep_files(erasure: Erasure, scope: Scope, counts: str) -> None:
    """One pass through the bulk files, some seconds at a time; `counts` is the column that adds up its rows."""
    swept = bulk_files.sweep(scope, after=erasure.swept_to, seconds=settings.BULK_TASK_SECONDS)
    told: dict[str, int] = getattr(erasure, counts)
    told[destroying.BULK_ROWS] = told.get(destroying.BULK_ROWS, 0) + swept.rows
    erasure.swept_to = swept.chunk
    work.note(erasure, counts, "swept_to")
    if swept.chunk:
        raise NotYet("files", MOMENT)


STEPS: Final[dict[State, Callable[[Erasure], None]]] = {
    State.BLOCKED: _delete,
    State.DELETED: _destroy,
    State.DESTROYED: _verify,
}
