"""A real SFTP server over a folder: paramiko's own server side in threads, with faults on demand."""

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import paramiko
from paramiko import SFTPAttributes

from tokens.file_transfer.host_keys import HostKey

KEYS: Final = [paramiko.ECDSAKey.generate() for _ in range(2)]
USER, PASSWORD = "acme", "correct horse battery"


def host_key(key: Any = KEYS[0]) -> HostKey:
    return HostKey(key.get_name(), key.asbytes())


class SftpServer:
    """`folder` is the root of the user. What was tried to sign in with stands in `tried`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.key = KEYS[0]
        self.public_key = ""  # of a user who may sign in with it
        self.tried: list[str] = []
        self.sizes: dict[str, int] = {}  # what it says of a file, against the truth
        self.planted: list[str] = []  # names that no file has
        self.cut_after: int | None = None  # bytes of a file, then the line is cut
        self.grows: Path | None = None  # a file that somebody writes to while it is read
        self.is_silent = False
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self._open: list[Any] = []

    def serve(self) -> None:
        while True:
            try:
                line, _ = self._socket.accept()
            except OSError:
                return
            self._open.append(line)
            if self.is_silent:
                continue
            transport = paramiko.Transport(line)
            self._open.append(transport)
            transport.add_server_key(self.key)
            transport.set_subsystem_handler("sftp", paramiko.SFTPServer, _Files, self, transport)
            try:
                transport.start_server(server=_Door(self))
            except (paramiko.SSHException, EOFError, OSError):
                continue  # the client did not like the key

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        for one in self._open:
            one.close()


@contextmanager
def running(folder: Path) -> Iterator[SftpServer]:
    server = SftpServer(folder)
    thread = threading.Thread(target=server.serve)
    thread.start()
    try:
        yield server
    finally:
        server.close()
        thread.join()


class _Door(paramiko.ServerInterface):
    def __init__(self, server: SftpServer) -> None:
        self.server = server

    def get_allowed_auths(self, username: str) -> str:
        return "password,publickey"

    def check_auth_password(self, username: str, password: str) -> int:
        self.server.tried.append("password")
        return self._judged((username, password) == (USER, PASSWORD))

    def check_auth_publickey(self, username: str, key: Any) -> int:
        self.server.tried.append("publickey")
        return self._judged(username == USER and key.get_base64() in self.server.public_key)

    def check_channel_request(self, kind: str, chanid: int) -> int:
        return int(paramiko.OPEN_SUCCEEDED)

    @staticmethod
    def _judged(is_right: bool) -> int:
        return int(paramiko.AUTH_SUCCESSFUL if is_right else paramiko.AUTH_FAILED)


class _Files(paramiko.SFTPServerInterface):
    def __init__(self, door: Any, server: SftpServer, transport: Any) -> None:
        super().__init__(door)
        self.server, self.transport = server, transport

    def attributes(self, path: Path) -> Any:
        found = SFTPAttributes.from_stat(path.lstat(), path.name)
        found.st_size = self.server.sizes.get(path.name, found.st_size)
        return found

    def list_folder(self, path: str) -> Any:
        folder = self.server.folder / path.lstrip("/")
        try:
            found = [self.attributes(one) for one in folder.iterdir()]
        except OSError as error:
            return paramiko.SFTPServer.convert_errno(error.errno)
        for name in self.server.planted:
            planted = SFTPAttributes.from_stat(folder.stat(), name)
            planted.st_mode = 0o100644
            found.append(planted)
        return found

    def stat(self, path: str) -> Any:
        return self.attributes(self.server.folder / path.lstrip("/"))

    lstat = stat

    def open(self, path: str, flags: int, attr: Any) -> Any:
        file = self.server.folder / path.lstrip("/")
        try:
            stream = os.fdopen(os.open(file, os.O_RDONLY), "rb")
        except OSError as error:
            return paramiko.SFTPServer.convert_errno(error.errno)
        return _File(self, file, stream)


class _File(paramiko.SFTPHandle):
    def __init__(self, files: _Files, path: Path, stream: Any) -> None:
        super().__init__()
        self.files, self.path, self.readfile = files, path, stream

    def read(self, offset: int, length: int) -> Any:
        server = self.files.server
        if server.cut_after is not None and offset + length > server.cut_after:
            self.files.transport.close()
            return paramiko.SFTP_FAILURE
        if server.grows == self.path:
            server.grows = None
            with self.path.open("ab") as more:
                more.write(b"one more line\n")
        return super().read(offset, length)

    def stat(self) -> Any:
        return self.files.attributes(self.path)
