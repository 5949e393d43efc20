"""Extracts are fetched once each, whole, and nothing is changed on the server."""

import datetime
import os
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from audit.models import AuditEvent
from tests.tokens.cast import IVAN, an_enterprise
from tests.tokens.file_transfer.server import KEYS, SftpServer
from tests.tokens.no_token_queue.cast import HEADER, POLITE, READING, STOP, csv_of
from tokens.file_transfer import fetching, tasks, verbs
from tokens.models import Enterprise, FileTransfer, QueueExtract, QueueMessage, RemoteFile
from tokens.no_token_queue import recipes, rules

WRITTEN = datetime.datetime(2024, 11, 20, 18, 0, tzinfo=datetime.UTC)
State = RemoteFile.State


@pytest.fixture(autouse=True)
def _recipe(acme: Enterprise) -> None:
    recipes.save(acme, "daily", READING, actor=IVAN)


def put(folder: Path, name: str, content: bytes, *, at: datetime.datetime = WRITTEN) -> Path:
    file = folder / name
    file.write_bytes(content)
    os.utime(file, (at.timestamp(), at.timestamp()))
    return file


def look(transfer: FileTransfer) -> FileTransfer:
    """A look, as long after the last as is enough for a file to be steady."""
    assert fetching.look(transfer.pk, steady_after=datetime.timedelta(0))
    transfer.refresh_from_db()
    return transfer


def states() -> dict[str, str]:
    return dict(RemoteFile.objects.values_list("name", "state"))


def told() -> list[Any]:
    return list(
        AuditEvent.objects.filter(
            action__startswith="transfer.", actor_id="system"
        ).order_by("id").values_list("action", flat=True)
    )  # fmt: skip


def test_a_steady_file_is_taken_once_and_stays_where_it_is(
    in_use: FileTransfer, server: SftpServer, folder: Path
) -> None:
    file = put(folder, "queue.csv", csv_of(STOP, POLITE))
    (folder / "readme.md").write_text("not one of ours")
    look(in_use)
    assert states() == {"queue.csv": State.SEEN}
    assert not QueueExtract.objects.exists()
    look(in_use)
    assert states() == {"queue.csv": State.TAKEN}
    extract = QueueExtract.objects.get()
    assert (extract.extracted_at, extract.blocked, extract.new) == (WRITTEN, 1, 2)
    assert extract.loaded_by_name == "SFTP 127.0.0.1"
    server.cut_after = 0  # whoever reads it again loses the line
    assert look(in_use).trouble == ""
    assert in_use.succeeded_at
    assert QueueMessage.objects.count() == 2
    assert file.read_bytes() == csv_of(STOP, POLITE)
    assert len(list(folder.iterdir())) == 2
    assert told() == []


def test_a_file_that_grows_between_two_looks_waits(in_use: FileTransfer, folder: Path) -> None:
    put(folder, "queue.csv", csv_of(STOP)[:-20])
    look(in_use)
    put(folder, "queue.csv", csv_of(STOP))
    look(in_use)
    assert states() == {"queue.csv": State.SEEN}
    look(in_use)
    assert QueueExtract.objects.get().lines == 1


def test_two_looks_in_a_row_do_not_make_a_file_steady(in_use: FileTransfer, folder: Path) -> None:
    put(folder, "queue.csv", csv_of(STOP))
    for _ in range(2):
        assert fetching.look(in_use.pk)
    assert states() == {"queue.csv": State.SEEN}
    RemoteFile.objects.update(seen_at=timezone.now() - fetching.STEADY_AFTER)
    assert fetching.look(in_use.pk)
    assert states() == {"queue.csv": State.TAKEN}


def test_a_file_that_is_replaced_is_taken_again(in_use: FileTransfer, folder: Path) -> None:
    put(folder, "queue.csv", csv_of(STOP))
    look(look(in_use))
    later = WRITTEN + datetime.timedelta(days=1)
    put(folder, "queue.csv", csv_of(STOP, POLITE), at=later)
    look(look(in_use))
    assert [one.new for one in QueueExtract.objects.order_by("extracted_at")] == [1, 1]
    assert QueueExtract.objects.latest("extracted_at").extracted_at == later


def test_a_line_that_is_cut_leaves_nothing_half_done_and_is_told_once(
    in_use: FileTransfer, acme: Enterprise, server: SftpServer, folder: Path
) -> None:
    put(folder, "queue.csv", csv_of(STOP, *[POLITE] * 1000))
    look(in_use)
    server.cut_after = 40_000
    for _ in range(2):
        assert "in the middle" in look(in_use).trouble
    assert in_use.failing_since
    assert in_use.succeeded_at < in_use.looked_at
    assert not QueueExtract.objects.exists()
    assert rules.freshness(acme).is_stale
    server.cut_after = None
    assert look(in_use).trouble == ""
    assert in_use.failing_since is None
    assert QueueExtract.objects.get().new == 2
    assert told() == ["transfer.failed", "transfer.recovered"]


def test_a_changed_host_key_stops_fetching_before_anything_is_sent(
    in_use: FileTransfer, server: SftpServer
) -> None:
    server.key = KEYS[1]
    assert "another host key" in look(in_use).trouble
    assert server.tried == []


def test_a_bad_file_holds_up_no_other(in_use: FileTransfer, folder: Path) -> None:
    put(folder, "a.csv", b"\x1f\x8b packed")
    put(folder, "b.csv", b"")
    put(folder, "c.csv", csv_of(STOP))
    with (folder / "huge.csv").open("wb") as huge:
        huge.truncate(1 << 30)
    look(look(in_use))
    assert states() == {
        "a.csv": State.REFUSED, "b.csv": State.REFUSED, "c.csv": State.TAKEN, "huge.csv": State.REFUSED,
    }  # fmt: skip
    assert in_use.trouble == ""
    troubles = dict(RemoteFile.objects.values_list("name", "trouble"))
    assert "unpack it" in troubles["a.csv"]
    assert "export it in parts" in troubles["huge.csv"]


def test_names_that_lead_elsewhere_are_told_and_the_others_taken(
    in_use: FileTransfer, server: SftpServer, folder: Path
) -> None:
    put(folder, "queue.csv", csv_of(STOP))
    server.planted = ["../queue.csv", "a\nb.csv"]
    assert look(look(in_use)).trouble.startswith("2 files were left")
    assert states() == {"queue.csv": State.TAKEN}


def test_a_file_of_unknown_columns_is_kept_and_taken_when_its_recipe_comes(
    in_use: FileTransfer, acme: Enterprise, server: SftpServer, folder: Path
) -> None:
    put(folder, "queue.csv", csv_of(STOP, header=[f"The{name}" for name in HEADER]))
    look(look(in_use))
    assert states() == {"queue.csv": State.COLUMNS}
    assert "save that as a recipe" in RemoteFile.objects.get().trouble
    columns = {target: f"The{column}" for target, column in READING.columns.items()}
    recipes.save(acme, "theirs", recipes.Reading(columns=columns), actor=IVAN)
    server.cut_after = 0
    look(in_use)
    assert states() == {"queue.csv": State.TAKEN}
    assert QueueExtract.objects.get().blocked == 1


def test_a_servers_clock_that_is_ahead_makes_no_extract_of_the_future(
    in_use: FileTransfer, folder: Path
) -> None:
    put(folder, "queue.csv", csv_of(STOP), at=timezone.now() + datetime.timedelta(hours=3))
    look(look(in_use))
    assert QueueExtract.objects.get().extracted_at == RemoteFile.objects.get().seen_at


def test_one_worker_looks_at_a_time_and_nobody_when_it_is_out_of_use(in_use: FileTransfer) -> None:
    FileTransfer.objects.update(lease_until=timezone.now() + datetime.timedelta(minutes=1))
    assert not fetching.look(in_use.pk)
    FileTransfer.objects.update(lease_until=timezone.now() - datetime.timedelta(minutes=1))  # its worker died
    assert fetching.look(in_use.pk)
    verbs.stop_using(in_use, actor=IVAN)
    assert not fetching.look(in_use.pk)


def test_each_server_has_a_task_of_its_own(in_use: FileTransfer, monkeypatch: pytest.MonkeyPatch) -> None:
    rival = verbs.create_transfer(
        an_enterprise("Rival"), host="files.example", port=22, username="r", actor=IVAN
    )
    sent: list[list[str]] = []
    monkeypatch.setattr(tasks.look, "apply_async", lambda args, **options: sent.append(args))
    tasks.sweep()
    assert sent == [[str(in_use.pk)]]
    FileTransfer.objects.update(in_use_since=timezone.now())
    tasks.sweep()
    assert sorted(sent[1:]) == sorted([[str(in_use.pk)], [str(rival.pk)]])
    tasks.look(str(rival.pk))  # lacks everything: that is told with it, and raises nothing
    rival.refresh_from_db()
    assert "No host key is pinned" in rival.trouble
