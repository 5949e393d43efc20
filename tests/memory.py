"""A tablespace in memory for the databases of the tests, which nobody needs any more when the machine stops."""

import hashlib
import os
import shutil
from pathlib import Path
from typing import Final

import psycopg
from psycopg import sql

MEMORY: Final = Path("/dev/shm")  # each cluster has a folder of its own there
# Some dozens of databases of 15 MB, and what tests write into them. Containers have 64 MB there.
ROOM_BYTES: Final = 2 * 1024**3
NAME: Final = "in_memory"
ON_DISK: Final = "pg_default"
PREFIX: Final = "portal-tests-"


def tablespace(admin: "psycopg.Connection[tuple[str]]", state: Path) -> str:
    """The name of the cluster's tablespace in memory, made if need be; where there is no room, of that on the disk."""
    location = MEMORY / (PREFIX + hashlib.sha256(str(state).encode()).hexdigest()[:16]) / "space"
    if any(location.glob("PG_*")) and _is_there(admin):
        return NAME
    _forget(admin)  # the machine was restarted, or somebody tidied up
    if not _has_room():
        return ON_DISK
    _sweep()
    shutil.rmtree(location.parent, ignore_errors=True)
    location.mkdir(parents=True, mode=0o700)
    (location.parent / "of").write_text(str(state))
    _give_to_server(admin, location)
    admin.execute(
        sql.SQL("CREATE TABLESPACE {} LOCATION {}").format(sql.Identifier(NAME), sql.Literal(str(location)))
    )
    return NAME


def _has_room() -> bool:
    return os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free >= ROOM_BYTES


def _is_there(admin: "psycopg.Connection[tuple[str]]") -> bool:
    return bool(admin.execute("SELECT spcname FROM pg_tablespace WHERE spcname = %s", [NAME]).fetchone())


def _forget(admin: "psycopg.Connection[tuple[str]]") -> None:
    lost = """
    SELECT datname FROM pg_database JOIN pg_tablespace space ON space.oid = dattablespace WHERE space.spcname = %s
    """
    for (name,) in admin.execute(lost, [NAME]).fetchall():
        admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))
    admin.execute(sql.SQL("DROP TABLESPACE IF EXISTS {}").format(sql.Identifier(NAME)))


def _give_to_server(admin: "psycopg.Connection[tuple[str]]", location: Path) -> None:
    """The server may run as another account than the tests, when they run as root."""
    row = admin.execute("SHOW data_directory").fetchone()
    assert row is not None
    owner = Path(row[0]).stat()
    if owner.st_uid != os.getuid():
        for folder in (location.parent, location):
            os.chown(folder, owner.st_uid, owner.st_gid)


def _sweep() -> None:
    """Removes what clusters left whose checkout is gone."""
    for folder in MEMORY.glob(f"{PREFIX}*"):
        said = folder / "of"
        if said.exists() and not Path(said.read_text()).exists():
            shutil.rmtree(folder, ignore_errors=True)
