"""A file comes in: it is read whole, kept sealed in chunks, its columns are said, and workers take it over."""

import datetime
import uuid
from collections.abc import Iterable
from typing import Any, Final

import uuid_utils.compat
from django.db import transaction
from django.utils import timezone

from audit import trail
from audit.trail import SYSTEM, Actor, Target
from audit.vocabulary import Action
from tokens.bulk import doorbell
from tokens.crypto.keyring import keyring
from tokens.models import Enterprise, OptOutChunk, OptOutFile
from tokens.no_token_queue import dates, digests, reading
from tokens.no_token_queue.errors import BadExtract, WrongState
from tokens.no_token_queue.extracts import clean_name
from tokens.opt_out_files import chunks
from tokens.opt_out_files.columns import Column, Reading, propose

State = OptOutFile.State
# A million lines of an address, a date and an id fit.
LARGEST_BYTES: Final = 100_000_000
WORK: Final = "tokens.opt_out_files.work"
WORKERS: Final = 2
_ROWS_LOOKED_AT: Final = 200


@transaction.atomic
def load(
    enterprise: Enterprise,
    blocks: Iterable[bytes],
    *,
    what: OptOutFile.What,
    name: str,
    written_at: datetime.datetime,
    actor: Actor,
    encoding: str = "",
    delimiter: str = "",
) -> OptOutFile:
    """Keep a file, sealed, until its columns are said; one that waits or runs already is returned as it stands.

    `written_at` is when the file was written. Raises BadExtract, and then nothing is kept.
    """
    if written_at > timezone.now() + dates.AHEAD:
        raise BadExtract("it was written in the future")
    if written_at < dates.EARLIEST:
        raise BadExtract("say when it was written: that is before the year 2000")
    content = reading.collect(blocks, most=LARGEST_BYTES)
    found = reading.scan(content, encoding=encoding, delimiter=delimiter)
    # As it was read: one that was cut at the wrong sign is brought again, and must not come back as it stood.
    mark = digests.mark(keyring(enterprise.pk), "opt-out file", what, found.written_as, content)
    unfinished = OptOutFile.objects.filter(enterprise=enterprise, what=what).exclude(state=State.FINISHED)
    if known := unfinished.filter(digest__in=mark.all).order_by("-id").first():
        return known
    file = OptOutFile.objects.create(
        id=uuid_utils.compat.uuid7(),
        enterprise=enterprise,
        what=what,
        name=clean_name(name),
        digest=mark.digest,
        written_at=written_at,
        header=list(found.header),
        written_as=found.written_as,
        loaded_by_id=actor.id,
        loaded_by_name=actor.name,
    )
    file.lines = chunks.cut(file, found.records)
    file.save(update_fields=["lines"])
    return file


def proposed(file: OptOutFile) -> tuple[Reading, list[Column]]:
    """What the columns of a loaded file probably hold. Raises WrongState."""
    if file.state != State.LOADED:
        raise WrongState
    first = OptOutChunk.objects.filter(file=file, number=1).first()
    rows = chunks.records_of(file, 1, bytes(first.source or b"")) if first else []
    return propose(file.header, [one.cells for one in rows if one.cells][:_ROWS_LOOKED_AT], file.enterprise)


@transaction.atomic
def begin(file: OptOutFile, how: Reading, *, actor: Actor) -> OptOutFile:
    """Say what the columns hold; workers take the lines over then. Raises BadRecipe, WrongState."""
    how = how.checked(file.header)
    mine = OptOutFile.objects.filter(pk=file.pk, state=State.LOADED)
    if not mine.update(state=State.RUNNING, reading=how.stored(), begun_at=timezone.now()):
        raise WrongState
    _record(Action.OPT_OUTS_BEGUN, file, actor, lines=file.lines, **how.stored())
    transaction.on_commit(lambda: ring(file.pk))
    file.refresh_from_db()
    return file


@transaction.atomic
def resume(file: OptOutFile, *, actor: Actor) -> OptOutFile:
    """Have one that failed tried again, once what was wrong is mended. Raises WrongState."""
    if not OptOutFile.objects.filter(pk=file.pk, state=State.FAILED).update(state=State.RUNNING, failure=""):
        raise WrongState
    OptOutChunk.objects.filter(file=file, state=OptOutChunk.State.PENDING).update(
        failures=0, lease_until=None
    )
    _record(Action.OPT_OUTS_BEGUN, file, actor, lines=file.lines)
    transaction.on_commit(lambda: ring(file.pk))
    file.refresh_from_db()
    return file


@transaction.atomic
def close_if_done(file: OptOutFile) -> bool:
    """Finish a running file whose chunks are all taken over; whether it is finished."""
    file = OptOutFile.objects.select_for_update().get(pk=file.pk)
    found = chunks.progress(file)
    if file.state != State.RUNNING or found.pending:
        return file.state == State.FINISHED
    file.state, file.finished_at = State.FINISHED, timezone.now()
    file.new, file.known, file.skipped, file.refused = found.new, found.known, found.skipped, found.refused
    file.save(update_fields=["state", "finished_at", "new", "known", "skipped", "refused"])
    counts = {name: getattr(file, name) for name in ("lines", "new", "known", "skipped", "refused")}
    _record(Action.OPT_OUTS_IMPORTED, file, SYSTEM, **counts)
    return True


@transaction.atomic
def fail(file: OptOutFile, code: str) -> None:
    """Stop a file one of whose chunks can't be taken over; the others stay as they are."""
    if OptOutFile.objects.filter(pk=file.pk, state=State.RUNNING).update(
        state=State.FAILED, failure=code[:64]
    ):
        _record(Action.OPT_OUTS_FAILED, file, SYSTEM, code=code[:64])


def ring(file_id: uuid.UUID) -> None:
    """Wake workers; a lost message costs seconds."""
    doorbell.ring(file_id, WORKERS, task=WORK)


def _record(action: Action, file: OptOutFile, actor: Actor, **details: Any) -> None:
    trail.record(
        action,
        actor=actor,
        enterprise_id=file.enterprise_id,
        target=Target("opt-out-file", str(file.pk), file.name),
        details={"what": file.what} | details,
    )
