"""SFTP servers at the desk: the host key is compared and pinned, the test names the step, use takes two."""

import datetime
import html
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from audit.models import ApprovalRequest
from tests.tokens.cast import IVAN
from tests.tokens.file_transfer.server import KEYS, PASSWORD, USER, SftpServer, host_key, running
from tests.tokens.no_token_queue.cast import READING, STOP, csv_of
from tokens.file_transfer import fetching
from tokens.file_transfer.verbs import create_transfer
from tokens.models import Enterprise, FileTransfer
from tokens.no_token_queue import recipes

NEW = "/admin/sftp/new/"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[SftpServer]:
    with running(tmp_path) as server:
        yield server


def text(response: Any) -> str:
    return html.unescape(response.content.decode())


def sent(acme: Enterprise, port: int = 22, **changes: Any) -> dict[str, Any]:
    facts = {"enterprise": acme.pk, "host": "127.0.0.1", "port": port, "username": USER}
    return facts | {"extracts_folder": "/", "recipe": ""} | changes


def test_a_server_is_entered_its_key_compared_and_pinned_tested_and_put_to_use_by_two(
    ines: Client, olivia: Client, acme: Enterprise, server: SftpServer
) -> None:
    assert "Nothing here yet" in text(ines.get("/admin/sftp/"))
    assert ines.post(NEW, sent(acme, server.port)).status_code == 302
    page = f"/admin/sftp/{FileTransfer.objects.get().pk}/"
    assert "Next: pin its host key" in text(ines.get(page))
    shown = text(ines.post(f"{page}host-key/", {"ask": "1"}))
    assert host_key().fingerprint in shown
    assert FileTransfer.objects.get().host_key == ""  # showing it pins nothing
    ines.post(f"{page}host-key/", {"line": host_key().line})
    assert "Next: enter its password" in text(ines.get(page))
    ines.post(f"{page}password/", {"password": "wrong"})
    assert "The test failed at Sign-in." in text(ines.post(f"{page}test/", follow=True))
    assert "Put to use" not in text(ines.get(page))
    ines.post(f"{page}password/", {"password": PASSWORD})
    assert "The test passed, from DNS to the folder." in text(ines.post(f"{page}test/", follow=True))

    ines.post(f"{page}use/", {"reason": "Go-live on Monday."})
    assert FileTransfer.objects.get().in_use_since is None
    request = ApprovalRequest.objects.get()
    assert host_key().fingerprint in text(olivia.get(f"/admin/approvals/{request.pk}/"))
    olivia.post(f"/admin/approvals/{request.pk}/decide/", {"decision": "approve", "comment": "as agreed"})
    assert "The first look comes within a minute." in text(ines.get(page))
    everything = "".join(text(ines.get(one)) for one in (page, "/admin/sftp/", "/admin/events/"))
    assert PASSWORD not in everything
    ines.post(f"{page}stop/")
    assert "nothing is fetched" in text(ines.get(page))


def test_what_is_fetched_and_what_fails_is_on_the_pages_of_server_and_queue(
    ines: Client, olivia: Client, acme: Enterprise, server: SftpServer
) -> None:
    recipes.save(acme, "daily", READING, actor=IVAN)
    ines.post(NEW, sent(acme, server.port))
    made = FileTransfer.objects.get()
    page, queue = f"/admin/sftp/{made.pk}/", "/admin/no-token-queue/extracts/"
    ines.post(f"{page}host-key/", {"line": host_key().line})
    ines.post(f"{page}password/", {"password": PASSWORD})
    FileTransfer.objects.update(in_use_since=timezone.now())
    (server.folder / "queue.csv").write_bytes(csv_of(STOP))
    for _ in range(2):
        fetching.look(made.pk, steady_after=datetime.timedelta(0))
    assert "taken over" in text(ines.get(page))
    assert "SFTP 127.0.0.1" in text(olivia.get(queue))
    assert "can't be fetched" not in text(olivia.get(queue))
    server.key = KEYS[1]
    fetching.look(made.pk)
    assert "another host key" in text(ines.get(page))
    assert "can't be fetched from 127.0.0.1" in text(olivia.get(queue))


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"host": "sftp://files.example"}, "the name of the host alone"),
        ({"port": 70_000}, "less than or equal to 65535"),
        ({"extracts_folder": "/a/../b"}, "without .."),
    ],
)
def test_what_is_wrong_is_said(ines: Client, acme: Enterprise, wrong: dict[str, Any], said: str) -> None:
    assert said in text(ines.post(NEW, sent(acme, **wrong)))
    assert not FileTransfer.objects.exists()


def test_what_is_no_host_key_is_not_pinned(ines: Client, acme: Enterprise) -> None:
    made = create_transfer(acme, host="a..example", port=22, username=USER, actor=IVAN)
    page = f"/admin/sftp/{made.pk}/host-key/"
    assert "That is no host key" in text(ines.post(page, {"line": "ssh-ed25519 nonsense"}))
    assert "check it for a slip" in text(ines.post(page, {"ask": "1"}))


def test_the_server_of_another_enterprise_is_nobodys_business(ines: Client, rival: Enterprise) -> None:
    theirs = create_transfer(rival, host="files.example", port=22, username="secret-user", actor=IVAN)
    assert "secret-user" not in text(ines.get("/admin/sftp/"))
    assert ines.get(f"/admin/sftp/{theirs.pk}/").status_code == 404
    assert ines.post(f"/admin/sftp/{theirs.pk}/stop/").status_code == 404
