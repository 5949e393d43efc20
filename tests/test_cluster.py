"""The databases of the tests themselves."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import psycopg
import pytest

from tests import cluster, memory


def names() -> set[str]:
    with psycopg.connect(cluster.main().urls("postgres").admin) as admin:
        return {name for (name,) in admin.execute("SELECT datname FROM pg_database")}


def pid_of_the_dead() -> int:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    return ended.pid


def test_databases_of_killed_test_runs_are_dropped_and_those_of_living_ones_kept() -> None:
    main = cluster.main()
    dead, alive = f"test_{pid_of_the_dead()}_gw0", f"test_{os.getpid()}_alive"
    for name in (dead, alive):
        main.make_clone(name)
    main.prepare_template()
    assert dead not in names()
    assert alive in names()
    main.drop(alive)


def test_the_template_is_named_by_what_it_was_made_from() -> None:
    assert cluster.main().template() == f"template_{cluster.schema_fingerprint()}"
    assert cluster.main().template() in names()


def test_each_clone_is_fresh() -> None:
    main = cluster.main()
    for _ in range(2):
        name = cluster.fresh_name()
        main.make_clone(name)
        with psycopg.connect(main.urls(name).owner) as session:
            assert session.execute("SELECT count(*) FROM django_session").fetchone() == (0,)
            session.execute("INSERT INTO django_session VALUES ('key', '', now())")
        main.drop(name)


def test_what_was_in_memory_when_the_machine_stopped_is_forgotten_and_made_anew(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Of a cluster of its own: others use theirs."""
    where = cluster.Cluster(f"test-{cluster.fresh_name()}")
    monkeypatch.setattr(memory, "MEMORY", tmp_path)
    monkeypatch.setattr(memory, "ROOM_BYTES", 0)
    tmp_path.chmod(0o755)
    for parent in tmp_path.parents:
        if parent.stat().st_uid == os.getuid() and parent.is_relative_to(tempfile.gettempdir()):
            parent.chmod(0o755)
    try:
        with psycopg.connect(where.urls("postgres").admin, autocommit=True) as admin:
            assert memory.tablespace(admin, where.state) == memory.NAME
            admin.execute(f"CREATE DATABASE lost TABLESPACE {memory.NAME}")
            shutil.rmtree(next(tmp_path.iterdir()))
            assert memory.tablespace(admin, where.state) == memory.NAME
            assert not admin.execute("SELECT FROM pg_database WHERE datname = 'lost'").fetchone()
            admin.execute(f"CREATE DATABASE found TABLESPACE {memory.NAME}")
            monkeypatch.setattr(memory, "ROOM_BYTES", 2**62)
            assert memory.tablespace(admin, where.state) == memory.NAME, "what is there is used"
    finally:
        where.services.destroy()
