"""SFTP towards a real server: the host key first, then the sign-in; what the server says is not trusted."""

import base64
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.tokens.file_transfer.server import KEYS, PASSWORD, USER, SftpServer, host_key
from tokens.crypto import ssh_keys
from tokens.file_transfer import errors, sftp
from tokens.file_transfer.host_keys import HostKey
from tokens.file_transfer.sftp import Listed, Listing, Server

MOST = 50_000_000


def door(server: SftpServer, **changes: Any) -> Server:
    facts = {"host": "127.0.0.1", "port": server.port, "username": USER, "host_key": host_key()}
    return Server(**(facts | {"password": PASSWORD} | changes))  # type: ignore[arg-type]


def listed(server: SftpServer, where: str = "/Export") -> Listing:
    with sftp.connect(door(server)) as session:
        return session.list(where)


def content_of(server: SftpServer, file: Listed) -> bytes:
    with sftp.connect(door(server)) as session:
        return b"".join(session.read("/Export", file, most=MOST))


def test_files_are_listed_oldest_first_and_read_whole(server: SftpServer, folder: Path) -> None:
    content = bytes(range(256)) * 400  # of several blocks
    for name, mtime in (("b.csv", 1_700_000_000), ("a.csv", 1_700_000_060)):
        (folder / name).write_bytes(content)
        os.utime(folder / name, (mtime, mtime))
    (folder / "folder.csv").mkdir()
    (folder / "link.csv").symlink_to(folder / "a.csv")
    found = listed(server).files
    assert found == (Listed("b.csv", 102_400, 1_700_000_000), Listed("a.csv", 102_400, 1_700_000_060))
    assert content_of(server, found[0]) == content


def test_a_changed_host_key_is_refused_before_anything_is_sent(server: SftpServer) -> None:
    server.key = KEYS[1]
    with pytest.raises(errors.HostKeyChanged) as raised, sftp.connect(door(server)):
        pass
    assert host_key(KEYS[1]).fingerprint in str(raised.value)
    assert server.tried == []
    with sftp.connect(door(server, host_key=host_key(KEYS[1]))):
        assert server.tried == ["password"]  # what a client that learns keys would have sent


def test_the_offered_key_is_shown_without_a_sign_in(server: SftpServer) -> None:
    offered = sftp.offered_key("127.0.0.1", server.port)
    assert offered == host_key()
    assert offered.fingerprint == KEYS[0].fingerprint
    assert HostKey.parse(f"files.example,192.0.2.1 {offered.line} a comment") == offered
    assert server.tried == []


@pytest.mark.parametrize(
    "line",
    [
        "",
        "ssh-ed25519",
        "ssh-dss AAAAB3NzaC1kc3M=",
        "ssh-ed25519 no-base64!",
        f"ssh-ed25519 {base64.b64encode(b'short').decode()}",
        f"ssh-rsa {host_key().line.split()[1]}",  # of another kind than it says
        f"@revoked files.example {host_key().line}",
        f"{host_key().line}\n{host_key(KEYS[1]).line}",
    ],
)
def test_what_is_no_host_key_is_not_pinned(line: str) -> None:
    with pytest.raises(errors.BadHostKey):
        HostKey.parse(line)


def test_a_wrong_password_is_refused_and_not_told(server: SftpServer) -> None:
    with pytest.raises(errors.SignInRefused) as raised, sftp.connect(door(server, password="guess-4711")):
        pass
    assert "guess-4711" not in str(raised.value) + repr(door(server, password="guess-4711"))
    assert raised.value.__suppress_context__


def test_a_key_that_the_portal_made_signs_in(server: SftpServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ssh_keys, "BITS", 2048)  # a second of CPU less
    private, server.public_key = ssh_keys.make_ssh_key("token portal 1")
    assert server.public_key.endswith(" token-portal-1")
    with sftp.connect(door(server, password="", private_key=private)) as session:
        assert session.list("/Export").files == ()
    assert "password" not in server.tried


def test_a_folder_that_is_missing_is_named_as_such(server: SftpServer) -> None:
    with pytest.raises(errors.FolderMissing):
        listed(server, "/Exports")


@pytest.mark.parametrize("name", ["../../etc/passwd.csv", "a\nb.csv", "a\\b.csv", "\x1b[2J.csv", "x" * 201])
def test_a_name_that_leads_elsewhere_is_left(server: SftpServer, folder: Path, name: str) -> None:
    (folder / "a.csv").write_bytes(b"a")
    server.planted = [name]
    found = listed(server)
    assert [file.name for file in found.files] == ["a.csv"]
    assert found.unnamed == 1
    assert not sftp.is_name("..")


def test_a_file_of_a_gigabyte_is_refused_unread(server: SftpServer, folder: Path) -> None:
    with (folder / "huge.csv").open("wb") as file:
        file.truncate(1 << 30)
    [huge] = listed(server).files
    server.cut_after = 0  # reading it would end the connection
    with pytest.raises(errors.FileTooLarge):
        content_of(server, huge)


def test_a_file_that_is_larger_than_the_server_said_is_read_no_further(
    server: SftpServer, folder: Path
) -> None:
    with (folder / "huge.csv").open("wb") as file:
        file.truncate(1 << 30)
    server.sizes["huge.csv"] = 100
    server.cut_after = 1 << 20
    [huge] = listed(server).files
    with pytest.raises(errors.FileChanged):
        content_of(server, huge)


def test_a_file_that_grows_while_it_is_read_is_not_taken_for_whole(server: SftpServer, folder: Path) -> None:
    (folder / "a.csv").write_bytes(b"a" * 100_000)
    [file] = listed(server).files
    server.grows = folder / "a.csv"
    with pytest.raises(errors.FileChanged):
        content_of(server, file)


def test_a_line_that_is_cut_in_the_middle_is_told(server: SftpServer, folder: Path) -> None:
    (folder / "a.csv").write_bytes(b"a" * 100_000)
    [file] = listed(server).files
    server.cut_after = 70_000
    with pytest.raises(errors.Cut):
        content_of(server, file)


def _nobody_listens(server: SftpServer) -> Server:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    return door(server, port=port)


@pytest.mark.parametrize(
    ("where", "error"),
    [
        (lambda server: door(server, host="files..example"), errors.NameUnknown),
        (_nobody_listens, errors.Unreachable),
    ],
)
def test_who_is_not_there_is_told_by_step(
    server: SftpServer, where: Callable[[SftpServer], Server], error: type[Exception]
) -> None:
    with pytest.raises(error), sftp.connect(where(server)):
        pass


def test_a_server_that_says_nothing_holds_nobody_up(server: SftpServer) -> None:
    server.is_silent = True
    with pytest.raises(errors.HandshakeFailed), sftp.connect(door(server), answer_within=0.2):
        pass


def test_the_line_is_cut_when_everything_takes_too_long(server: SftpServer, folder: Path) -> None:
    (folder / "a.csv").write_bytes(b"a")

    def dawdle() -> None:
        with sftp.connect(door(server), work_within=0.2) as session:
            while True:
                session.list("/Export")

    with pytest.raises(errors.TooSlow):
        dawdle()
