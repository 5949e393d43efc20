"""SFTP as a client, a stranger to Django and the only module that speaks it.

The server proves itself by the host key that was pinned before anything is sent to it; none is ever learned. What it
says of names and sizes is not trusted.
"""

import hmac
import io
import logging
import math
import socket
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Final

from tokens.file_transfer.errors import (
    Cut,
    FileChanged,
    FileMissing,
    FileTooLarge,
    FolderForbidden,
    FolderMissing,
    FolderTooFull,
    HandshakeFailed,
    HostKeyChanged,
    NameUnknown,
    SignInRefused,
    TooSlow,
    TransferError,
    Unreachable,
)
from tokens.file_transfer.host_keys import ALGORITHMS, HostKey

ANSWER_WITHIN: Final = 15.0
WORK_WITHIN: Final = 120.0
MOST_FILES: Final = 10_000
LONGEST_NAME: Final = 200
# What every server gives in one answer.
_BLOCK: Final = 32_768
_NEVER_A_NAME: Final = frozenset({"", ".", ".."})


@dataclass(frozen=True, slots=True)
class Server:
    """Where to go, how it is known, and as whom: by a password, a private key (PEM), or both."""

    host: str
    port: int
    username: str
    host_key: HostKey
    password: str = field(default="", repr=False)
    private_key: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Listed:
    """A plain file of a folder; `mtime` in seconds since 1970, UTC."""

    name: str
    size: int
    mtime: int


@dataclass(frozen=True, slots=True)
class Listing:
    """The plain files of a folder, oldest first; `unnamed` is how many have a name that can't be followed."""

    files: tuple[Listed, ...]
    unnamed: int


def offered_key(host: str, port: int) -> HostKey:
    """The host key that the server at this address shows to anybody, for a person to compare. Raises TransferError."""
    with _transport(host, port, ANSWER_WITHIN) as transport:
        return _handshake(transport, ANSWER_WITHIN)


@contextmanager
def connect(
    server: Server, *, answer_within: float = ANSWER_WITHIN, work_within: float = WORK_WITHIN
) -> Iterator["Session"]:
    """A session with a server that proved to be the pinned one. Raises TransferError.

    Each answer may take `answer_within` seconds, and everything together `work_within`; then the line is cut.
    """
    with _transport(server.host, server.port, work_within) as transport:
        transport.get_security_options().key_types = ALGORITHMS[server.host_key.kind]
        shown = _handshake(transport, answer_within)
        if not hmac.compare_digest(shown.blob, server.host_key.blob):
            raise HostKeyChanged(f"it shows {shown.fingerprint}")
        _sign_in(transport, server, answer_within)
        with _saying(FolderMissing, FolderForbidden):
            client = _paramiko().SFTPClient.from_transport(transport)
            client.get_channel().settimeout(answer_within)
        yield Session(client)


class Session:
    """What is done with a server. Nothing on it is ever deleted."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def list(self, folder: str) -> Listing:
        """The plain files of a folder, oldest first. Raises TransferError."""
        files, unnamed = [], 0
        with _saying(FolderMissing, FolderForbidden):
            for count, entry in enumerate(self._client.listdir_iter(folder or "."), start=1):
                if count > MOST_FILES:
                    raise FolderTooFull(f"more than {MOST_FILES:,}")
                if entry.st_mode is None or not stat.S_ISREG(entry.st_mode):
                    continue
                if is_name(entry.filename):
                    files.append(Listed(entry.filename, entry.st_size or 0, entry.st_mtime or 0))
                else:
                    unnamed += 1
        return Listing(tuple(sorted(files, key=lambda one: (one.mtime, one.name))), unnamed)

    def read(self, folder: str, file: Listed, *, most: int) -> Iterator[bytes]:
        """The bytes of a file, block by block, if it is as it was listed from the first to the last.

        Raises TransferError, FileTooLarge and FileChanged among them: who uses the blocks before the end undoes that.
        """
        if file.size > most:
            raise FileTooLarge(f"{file.size:,} bytes; {most:,} are the most")
        with _saying(FileMissing, FileMissing):
            read = 0
            with self._client.open(path_of(folder, file.name), "rb") as stream:
                while block := stream.read(_BLOCK):
                    read += len(block)
                    if read > file.size:
                        raise FileChanged
                    yield block
                facts = stream.stat()
            if (read, facts.st_size, facts.st_mtime) != (file.size, file.size, file.mtime):
                raise FileChanged


def is_name(name: str) -> bool:
    """Whether a name of the server's is one of a file in the folder, and of nothing else."""
    return (
        name not in _NEVER_A_NAME
        and len(name) <= LONGEST_NAME
        and name.isprintable()
        and not set(name) & {"/", "\\"}
    )


def path_of(folder: str, name: str) -> str:
    """The path of a file in a folder; "" is where the user is after signing in."""
    return name if not folder else f"{folder.rstrip('/')}/{name}"


def _paramiko() -> Any:
    """Loaded by whom uses it: it takes 0.3 s. What it logs quotes the server, and its errors are told by ours."""
    import paramiko

    logging.getLogger("paramiko").setLevel(logging.CRITICAL + 1)
    return paramiko


@contextmanager
def _transport(host: str, port: int, work_within: float) -> Iterator[Any]:
    try:
        line = socket.create_connection((host, port), timeout=ANSWER_WITHIN)
    except (socket.gaierror, UnicodeError):
        raise NameUnknown(host) from None
    except OSError:
        raise Unreachable(f"{host}:{port}") from None
    paramiko = _paramiko()
    try:
        transport = paramiko.Transport(line)
    except (OSError, EOFError, paramiko.SSHException):
        line.close()
        raise HandshakeFailed from None
    # A server that answers byte by byte is in time with each of them.
    is_late = threading.Event()

    def cut() -> None:
        is_late.set()
        transport.close()

    watch = threading.Timer(work_within, cut)
    watch.daemon = True
    watch.start()
    try:
        yield transport
    except TransferError:
        if is_late.is_set():
            raise TooSlow(f"{math.ceil(work_within)} s for all") from None
        raise
    finally:
        watch.cancel()
        transport.close()


def _handshake(transport: Any, answer_within: float) -> HostKey:
    """The key that the server proved to have; nothing of ours was sent yet."""
    transport.banner_timeout = transport.handshake_timeout = answer_within
    try:
        transport.start_client(timeout=answer_within)
        key = transport.get_remote_server_key()
    except (_paramiko().SSHException, OSError, EOFError, ValueError):
        raise HandshakeFailed from None
    return HostKey(key.get_name(), key.asbytes())


def _sign_in(transport: Any, server: Server, answer_within: float) -> None:
    paramiko = _paramiko()
    transport.auth_timeout = answer_within
    try:
        if server.private_key:
            key = paramiko.RSAKey.from_private_key(io.StringIO(server.private_key))
            with suppress(paramiko.AuthenticationException):
                transport.auth_publickey(server.username, key)
        if server.password and not transport.is_authenticated():
            transport.auth_password(server.username, server.password)
    except (paramiko.SSHException, OSError, EOFError, ValueError):
        raise SignInRefused from None
    if not transport.is_authenticated():
        raise SignInRefused


@contextmanager
def _saying(missing: type[TransferError], forbidden: type[TransferError]) -> Iterator[None]:
    """Our words for what goes wrong with an open session; those of the server are left out."""
    try:
        yield
    except FileNotFoundError:
        raise missing from None
    except PermissionError:
        raise forbidden from None
    except TimeoutError:
        raise TooSlow from None
    except (_paramiko().SSHException, OSError, EOFError, ValueError):
        raise Cut from None
