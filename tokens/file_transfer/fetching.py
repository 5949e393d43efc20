"""Extracts are fetched: what is new in the folder is taken over, once, and nothing is changed on the server.

A file is read when its size and time were the same in two looks; until then it may still be written.
"""

import datetime
import time
import uuid
from typing import Final

from django.db.models import Q
from django.utils import timezone

from audit.trail import SYSTEM, Actor
from audit.vocabulary import Action
from tokens.crypto.errors import CryptoError
from tokens.file_transfer import errors, sftp, verbs
from tokens.file_transfer.errors import TransferError
from tokens.file_transfer.sftp import Listed, Session
from tokens.file_transfer.walk import server_of
from tokens.models import FileTransfer, QueueExtract, RemoteFile
from tokens.no_token_queue import extracts
from tokens.no_token_queue.errors import BadRecipe, QueueError, WrongState
from tokens.no_token_queue.reading import LARGEST_BYTES
from tokens.no_token_queue.recipes import Reading

SUFFIXES: Final = (".csv", ".tsv", ".txt", ".xlsx")
# Two looks in a row, of a task that was delivered twice, say nothing of a file.
STEADY_AFTER: Final = datetime.timedelta(seconds=30)
LEASE: Final = datetime.timedelta(minutes=5)
# Within the lease: how long files are begun, and when the line is cut. What is left over waits for the next look.
_BEGIN_SECONDS: Final = 90.0
_CUT_AFTER: Final = 180.0
State = RemoteFile.State


def look(transfer_id: uuid.UUID, *, steady_after: datetime.timedelta = STEADY_AFTER) -> bool:
    """Look at one server and take what is new; whether it was this worker's turn. What goes wrong is kept with it."""
    now = timezone.now()
    free = Q(lease_until=None) | Q(lease_until__lt=now)
    claimed = FileTransfer.objects.filter(free, pk=transfer_id, in_use_since__isnull=False)
    if not claimed.update(lease_until=now + LEASE):
        return False
    transfer = FileTransfer.objects.select_related("enterprise", "recipe").get(pk=transfer_id)
    try:
        trouble = _fetch(transfer, steady_after)
    except (TransferError, CryptoError) as error:
        trouble = str(error)
    finally:
        FileTransfer.objects.filter(pk=transfer_id).update(lease_until=None)
    _note(transfer, trouble)
    return True


def _fetch(transfer: FileTransfer, steady_after: datetime.timedelta) -> str:
    """Take over what is steady, oldest first; what is wrong with the folder, or ""."""
    deadline = time.monotonic() + _BEGIN_SECONDS
    _take_those_whose_recipe_came(transfer)
    with sftp.connect(server_of(transfer), work_within=_CUT_AFTER) as session:
        listing = session.list(transfer.extracts_folder)
        known = {row.name: row for row in RemoteFile.objects.filter(transfer=transfer)}
        for file in listing.files:
            if not file.name.lower().endswith(SUFFIXES):
                continue
            row = known.get(file.name)
            if row is None or (row.size, row.mtime) != (file.size, file.mtime):
                _begin(transfer, file)
            elif row.state == State.SEEN and timezone.now() - row.seen_at >= steady_after:
                if time.monotonic() > deadline:
                    break
                _take(transfer, session, file, row)
    if listing.unnamed:
        return (
            f"{listing.unnamed} files were left: their names hold a slash, a control character, or too much."
        )
    return ""


def _begin(transfer: FileTransfer, file: Listed) -> None:
    """Have a file that is new, or was changed since, wait for the next look."""
    RemoteFile.objects.update_or_create(
        transfer=transfer,
        name=file.name,
        defaults={
            "size": file.size,
            "mtime": file.mtime,
            "seen_at": timezone.now(),
            "state": State.SEEN,
            "trouble": "",
            "extract": None,
        },
    )


def _take(transfer: FileTransfer, session: Session, file: Listed, row: RemoteFile) -> None:
    """Read a steady file and take it over. What is wrong with the file is kept with it, and it holds up no other."""
    how = _reading(transfer)
    try:
        extract = extracts.load(
            transfer.enterprise,
            session.read(transfer.extracts_folder, file, most=LARGEST_BYTES),
            name=file.name,
            # A server's clock may be ahead; what was seen then had been written.
            extracted_at=min(datetime.datetime.fromtimestamp(file.mtime, datetime.UTC), row.seen_at),
            actor=_actor(transfer),
            encoding=how.encoding if how else "",
            delimiter=how.delimiter if how else "",
        )
    except (errors.FileChanged, errors.FileMissing):
        return  # the next look sees what became of it
    except (QueueError, errors.FileTooLarge) as error:
        _keep(row, State.REFUSED, str(error))
    else:
        _take_over(transfer, extract, row)


def _take_over(transfer: FileTransfer, extract: QueueExtract, row: RemoteFile) -> None:
    row.extract = extract
    try:
        if extract.state == QueueExtract.State.LOADED:
            how = _reading(transfer) or extracts.recipe_for(extract)
            extracts.take_over(extract, how, actor=_actor(transfer))
    except BadRecipe as error:
        _keep(row, State.COLUMNS, str(error))
    except WrongState:  # somebody said what its columns hold, meanwhile
        _keep(row, State.TAKEN)
    except QueueError as error:
        _keep(row, State.REFUSED, str(error))
    else:
        _keep(row, State.TAKEN)


def _take_those_whose_recipe_came(transfer: FileTransfer) -> None:
    """Files that came before anybody had said what their columns hold are here already, sealed."""
    for row in RemoteFile.objects.filter(transfer=transfer, state=State.COLUMNS).select_related("extract"):
        if row.extract is not None:
            _take_over(transfer, row.extract, row)


def _reading(transfer: FileTransfer) -> Reading | None:
    """How extracts are read, if that was said for this server."""
    return Reading.from_stored(transfer.recipe.reading) if transfer.recipe else None


def _keep(row: RemoteFile, state: RemoteFile.State, trouble: str = "") -> None:
    row.state, row.trouble = state, trouble[:500]
    row.save(update_fields=["state", "trouble", "extract"])


def _actor(transfer: FileTransfer) -> Actor:
    return Actor(SYSTEM.id, f"SFTP {transfer.host}"[:200])


def _note(transfer: FileTransfer, trouble: str) -> None:
    """Keep how the look went. Events tell when it begins to fail, fails otherwise, and goes again: not each minute."""
    now, before = timezone.now(), transfer.trouble
    transfer.looked_at, transfer.trouble = now, trouble[:500]
    if trouble:
        transfer.failing_since = transfer.failing_since or now
    else:
        transfer.succeeded_at, transfer.failing_since = now, None
    transfer.save(update_fields=["looked_at", "trouble", "failing_since", "succeeded_at"])
    if transfer.trouble and transfer.trouble != before:
        verbs.record(Action.TRANSFER_FAILED, transfer, SYSTEM, {"trouble": transfer.trouble})
    elif before and not transfer.trouble:
        verbs.record(Action.TRANSFER_RECOVERED, transfer, SYSTEM, {})
