"""Entering, changing and testing an SFTP server, and taking it out of use. Events hold no secret."""

import re
from dataclasses import asdict
from typing import Any, Final

import uuid_utils.compat
from django.db import IntegrityError, transaction
from django.utils import timezone

from audit import trail
from audit.trail import Actor, Target
from audit.vocabulary import Action
from tokens.crypto import key_making
from tokens.crypto.fields import Clear
from tokens.crypto.keyset import Purpose
from tokens.crypto.ssh_keys import make_ssh_key
from tokens.errors import BadTransfer, NotUnique, TransferChanged
from tokens.file_transfer import sftp
from tokens.file_transfer.host_keys import HostKey
from tokens.file_transfer.walk import Walk, walk
from tokens.models import Enterprise, ExtractRecipe, FileTransfer

LONGEST_SECRET: Final = 1000
_HOST: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,253}[A-Za-z0-9])?|[0-9A-Fa-f:.]{2,45}")
# What another account or folder is reached by: changing it takes the server out of use.
IDENTITY: Final = ("host", "port", "username", "extracts_folder")
_FACTS: Final = (*IDENTITY, "recipe")


@transaction.atomic
def create_transfer(
    enterprise: Enterprise,
    *,
    host: str,
    port: int,
    username: str,
    extracts_folder: str = "",
    recipe: ExtractRecipe | None = None,
    actor: Actor,
) -> FileTransfer:
    """A server that is not in use yet. Raises BadTransfer, and NotUnique when the enterprise has one."""
    key_making.ensure_key(enterprise.pk, Purpose.CONNECTION)
    made = FileTransfer(id=uuid_utils.compat.uuid7(), enterprise=enterprise)
    _apply(made, _checked(enterprise, host, port, username, extracts_folder, recipe))
    try:
        with transaction.atomic():
            made.save(force_insert=True)
    except IntegrityError:
        raise NotUnique("the enterprise has an SFTP server") from None
    record(Action.TRANSFER_CREATED, made, actor, {name: _plain(getattr(made, name)) for name in _FACTS})
    return made


@transaction.atomic
def change_transfer(
    transfer: FileTransfer,
    *,
    host: str,
    port: int,
    username: str,
    extracts_folder: str,
    recipe: ExtractRecipe | None,
    actor: Actor,
) -> FileTransfer:
    """Change it; the event holds what was before. Raises BadTransfer.

    Another account or folder takes it out of use, another account forgets the password, another host the pinned key.
    """
    locked = locked_transfer(transfer)
    differing = _apply(locked, _checked(locked.enterprise, host, port, username, extracts_folder, recipe))
    if not differing:
        return locked
    if differing.keys() & {"host", "port"}:
        locked.host_key = ""
    if differing.keys() & {"host", "port", "username"}:
        locked.password = None  # it was given for another account, and goes to no other
    if differing.keys() & set(IDENTITY):
        differing |= _distrust(locked)
    locked.save(update_fields=[*_FACTS, "host_key", "password", "in_use_since", "tested_at", "test"])
    record(Action.TRANSFER_CHANGED, locked, actor, differing)
    return locked


@transaction.atomic
def pin(transfer: FileTransfer, *, line: str, actor: Actor) -> FileTransfer:
    """Pin the host key that a person compared. Another one takes the server out of use. Raises BadHostKey."""
    key = HostKey.parse(line)
    locked = locked_transfer(transfer)
    if locked.host_key != key.line:
        locked.host_key = key.line
        details = {"fingerprint": key.fingerprint} | _distrust(locked)
        locked.save(update_fields=["host_key", "in_use_since", "tested_at", "test"])
        record(Action.TRANSFER_KEY_PINNED, locked, actor, details)
    return locked


@transaction.atomic
def change_password(transfer: FileTransfer, *, password: str, actor: Actor) -> None:
    """Enter another password of the same user; "" signs in by key alone. Raises BadTransfer."""
    if len(password) > LONGEST_SECRET or not password.isprintable():
        raise BadTransfer("paste the password of the user")
    locked = locked_transfer(transfer)
    locked.password = Clear(password) if password else None
    _forget_test(locked)
    locked.save(update_fields=["password", "tested_at", "test"])
    record(Action.TRANSFER_SECRET_CHANGED, locked, actor, {"what": "password"})


@transaction.atomic
def change_key(transfer: FileTransfer, *, actor: Actor) -> None:
    """Make another pair of keys: its public half must be added to the server."""
    locked = locked_transfer(transfer)
    private, public = make_ssh_key(f"token-portal-{locked.enterprise.eid}")
    locked.private_key, locked.public_key = Clear(private), public
    _forget_test(locked)
    locked.save(update_fields=["private_key", "public_key", "tested_at", "test"])
    record(Action.TRANSFER_SECRET_CHANGED, locked, actor, {"what": "key pair"})


def test_transfer(transfer: FileTransfer, *, actor: Actor) -> Walk:
    """Walk from DNS to the folder, outside of transactions, and keep what came of it.

    Raises TransferChanged when another account, folder, key or password is entered than was tested.
    """
    tested = _tested(transfer)
    result = walk(transfer)
    with transaction.atomic():
        locked = locked_transfer(transfer)
        if _tested(locked) != tested:
            raise TransferChanged
        locked.tested_at = timezone.now()
        locked.test = [asdict(step) for step in result.steps]
        locked.save(update_fields=["tested_at", "test"])
        record(
            Action.TRANSFER_TESTED,
            locked,
            actor,
            {step.step.value: step.state.value for step in result.steps},
        )
    return result


@transaction.atomic
def stop_using(transfer: FileTransfer, *, actor: Actor) -> FileTransfer:
    """Nothing is fetched from now on. Idempotent."""
    locked = locked_transfer(transfer)
    if locked.in_use_since is not None:
        locked.in_use_since = None
        locked.save(update_fields=["in_use_since"])
        record(Action.TRANSFER_STOPPED, locked, actor, {})
    return locked


def offered_key(transfer: FileTransfer) -> HostKey:
    """What the server shows to anybody, for a person to compare; nothing is kept. Raises TransferError."""
    return sftp.offered_key(transfer.host, transfer.port)


def target_of(transfer: FileTransfer) -> Target:
    """An SFTP server as the target of an event."""
    return Target("file-transfer", str(transfer.pk), f"SFTP server of {transfer.enterprise.name}"[:200])


def locked_transfer(transfer: FileTransfer) -> FileTransfer:
    """Its row, locked until the transaction ends."""
    rows = FileTransfer.objects.select_for_update(of=("self",)).select_related("enterprise", "recipe")
    return rows.get(pk=transfer.pk)


def record(action: Action, transfer: FileTransfer, actor: Actor, details: dict[str, Any]) -> None:
    """An event about a server."""
    trail.record(
        action,
        actor=actor,
        enterprise_id=transfer.enterprise_id,
        target=target_of(transfer),
        details=details,
    )


def _checked(
    enterprise: Enterprise,
    host: str,
    port: int,
    username: str,
    folder: str,
    recipe: ExtractRecipe | None,
) -> dict[str, Any]:
    host, username, folder = host.strip().lower(), username.strip(), folder.strip()
    if not _HOST.fullmatch(host):
        raise BadTransfer("write the name of the host alone, such as ftp.example.com")
    if not 1 <= port <= 65_535:
        raise BadTransfer("a port is a number from 1 to 65535")
    if not username or len(username) > 100 or not username.isprintable():
        raise BadTransfer("say which user the portal signs in as")
    if len(folder) > 500 or not folder.isprintable() or ".." in folder.split("/"):
        raise BadTransfer("write the folder as the server names it, such as /Export/queue, without ..")
    if recipe is not None and (recipe.enterprise_id, recipe.what) != (
        enterprise.pk,
        ExtractRecipe.What.QUEUE,
    ):
        raise BadTransfer("that recipe is of another enterprise, or of other files")
    return {
        "host": host,
        "port": port,
        "username": username,
        "extracts_folder": folder,
        "recipe": recipe,
    }


def _apply(row: FileTransfer, wanted: dict[str, Any]) -> dict[str, Any]:
    """Set `wanted` on `row`; what differs is returned as {field: [before, after]}."""
    differing = {}
    for name, value in wanted.items():
        before = getattr(row, name)
        if before != value:
            differing[name] = [_plain(before), _plain(value)]
            setattr(row, name, value)
    return differing


def _plain(value: Any) -> Any:
    return value.name if isinstance(value, ExtractRecipe) else value


def _distrust(transfer: FileTransfer) -> dict[str, Any]:
    """It leads elsewhere, or somebody else may stand there: the caller saves. What that changes of its use."""
    _forget_test(transfer)
    if transfer.in_use_since is None:
        return {}
    transfer.in_use_since = None
    return {"in_use": [True, False]}


def _forget_test(transfer: FileTransfer) -> None:
    transfer.tested_at, transfer.test = None, []


def _tested(transfer: FileTransfer) -> tuple[object, ...]:
    """What a test speaks of. Each sealing differs from the one before, also of the same secret."""
    sealed = (transfer.password, transfer.private_key)
    return *(getattr(transfer, name) for name in (*IDENTITY, "host_key")), *(
        one and bytes(one.envelope) for one in sealed
    )
