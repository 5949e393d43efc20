"""The databases of the tests themselves."""

import os
import subprocess
import sys

import psycopg

from tests import cluster


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
