"""The test of an SFTP server: DNS → TCP → host key → sign-in → folder, by the very calls that fetching makes.

Which step failed is told by the error of the client: nothing is tried in another way than it will be used.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from tokens.crypto.errors import CryptoError
from tokens.file_transfer import errors, sftp
from tokens.file_transfer.errors import TransferError
from tokens.file_transfer.host_keys import HostKey
from tokens.models import FileTransfer

# Somebody waits for it.
ANSWER_WITHIN: Final = 10.0
WORK_WITHIN: Final = 20.0


class Step(StrEnum):
    """What is walked, in this order."""

    DNS = "DNS"
    TCP = "TCP"
    HOST_KEY = "Host key"
    SIGN_IN = "Sign-in"
    FOLDER = "Folder"


class State(StrEnum):
    """How a step went."""

    PASSED = "passed"
    FAILED = "failed"
    NOT_REACHED = "not reached"


@dataclass(frozen=True, slots=True)
class Walked:
    """A step, how it went, and a sentence about it."""

    step: Step
    state: State
    said: str = ""


@dataclass(frozen=True, slots=True)
class Walk:
    """The whole test: every step once."""

    steps: tuple[Walked, ...]

    @property
    def failed(self) -> Walked | None:
        """The step that failed."""
        return next((one for one in self.steps if one.state is State.FAILED), None)


class NoHostKey(TransferError):
    """No host key is pinned, so nothing is sent to the server: compare the one that it shows, and pin it."""


class NoSecret(TransferError):
    """There is nothing to sign in with: enter a password, or make a key."""


def walk(transfer: FileTransfer) -> Walk:
    """Test a server, outside of transactions."""
    failure: tuple[Step, str] | None = None
    listing = None
    try:
        with sftp.connect(
            server_of(transfer), answer_within=ANSWER_WITHIN, work_within=WORK_WITHIN
        ) as session:
            listing = session.list(transfer.extracts_folder)
    except NoHostKey as error:
        failure = _without_key(transfer, str(error))
    except TransferError as error:
        failure = (_step_of(error), str(error))
    except CryptoError as error:
        failure = (Step.SIGN_IN, str(error))
    return Walk(tuple(_steps(transfer, listing, failure)))


def server_of(transfer: FileTransfer) -> sftp.Server:
    """Where to go and as whom. Raises NoHostKey, NoSecret, CryptoError."""
    if not transfer.host_key:
        raise NoHostKey
    if transfer.password is None and transfer.private_key is None:
        raise NoSecret
    return sftp.Server(
        transfer.host,
        transfer.port,
        transfer.username,
        HostKey.parse(transfer.host_key),
        password=transfer.password.open() if transfer.password else "",
        private_key=transfer.private_key.open() if transfer.private_key else "",
    )


def _without_key(transfer: FileTransfer, said: str) -> tuple[Step, str]:
    """Without a pinned key the walk goes as far as asking which one there is."""
    try:
        shown = sftp.offered_key(transfer.host, transfer.port)
    except TransferError as error:
        return _step_of(error), str(error)
    return Step.HOST_KEY, f"{said} (it shows {shown.fingerprint})"


def _step_of(error: TransferError) -> Step:
    if isinstance(error, errors.NameUnknown):
        return Step.DNS
    if isinstance(error, errors.Unreachable):
        return Step.TCP
    if isinstance(error, errors.HandshakeFailed | errors.HostKeyChanged | errors.BadHostKey):
        return Step.HOST_KEY
    if isinstance(error, errors.SignInRefused | NoSecret):
        return Step.SIGN_IN
    return Step.FOLDER


def _steps(
    transfer: FileTransfer, listing: sftp.Listing | None, failure: tuple[Step, str] | None
) -> Iterator[Walked]:
    order = list(Step)
    reached = order.index(failure[0]) if failure else len(order)
    files = len(listing.files) if listing else 0
    said = {
        Step.DNS: f"The name of {transfer.host} is known.",
        Step.TCP: f"Port {transfer.port} answers.",
        Step.HOST_KEY: "The server proved that it has the pinned key.",
        Step.SIGN_IN: f"{transfer.username} is let in.",
        Step.FOLDER: f"{transfer.extracts_folder or 'The folder of the user'} was read: {files:,} files.",
    }
    for place, step in enumerate(order):
        if failure and place == reached:
            yield Walked(step, State.FAILED, failure[1])
        elif place < reached:
            yield Walked(step, State.PASSED, said[step])
        else:
            yield Walked(step, State.NOT_REACHED)
