"""Acme has an SFTP server with a folder of extracts."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from django.utils import timezone

from tests.tokens.cast import IVAN, an_enterprise
from tests.tokens.file_transfer.server import PASSWORD, USER, SftpServer, host_key, running
from tokens.file_transfer import verbs
from tokens.models import Enterprise, FileTransfer


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder of extracts, as the server has it on its disk."""
    extracts = tmp_path / "Export"
    extracts.mkdir()
    return extracts


@pytest.fixture
def server(tmp_path: Path, folder: Path) -> Iterator[SftpServer]:
    with running(tmp_path) as server:
        yield server


@pytest.fixture
def acme(db: None) -> Enterprise:
    return an_enterprise()


@pytest.fixture
def transfer(acme: Enterprise, server: SftpServer) -> FileTransfer:
    """Entered, its key pinned, its password given; not in use."""
    made = verbs.create_transfer(
        acme, host="127.0.0.1", port=server.port, username=USER, extracts_folder="/Export", actor=IVAN
    )
    verbs.change_password(made, password=PASSWORD, actor=IVAN)
    return verbs.pin(made, line=host_key().line, actor=IVAN)


@pytest.fixture
def in_use(transfer: FileTransfer) -> FileTransfer:
    """As if two people had agreed to it."""
    transfer.in_use_since = timezone.now()
    transfer.save(update_fields=["in_use_since"])
    return transfer
