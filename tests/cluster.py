"""The database servers of the tests, under `var/test*/`: one template, and a clone of it for everybody who writes.

All processes of all test runs of a checkout share one cluster, which runs while one of them lives. The template is
built by `migrate` as the owner, once for each state of the schema. A clone is 900 files: in memory, where there is
room, it takes 0.04 s; on a disk up to a second and a half.
"""

import base64
import hashlib
import itertools
import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import psycopg
from psycopg import sql

from portal.embedded import EmbeddedServices, Urls
from portal.embedded.binaries import find_postgres
from portal.embedded.home import recorded_home
from portal.embedded.locks import FileLock
from portal.embedded.postgres import OWNER
from portal.embedded.state import CHECKOUT, read_secrets
from portal.embedded.urls import urls_of
from tests import memory

POSTGRES_15 = Path("/usr/lib/postgresql/15/bin")
TEMPLATES_KEPT = 3
# What decides how a migrated database looks.
SCHEMA_SOURCES = (
    "*/migrations/*.py",
    "*/models.py",
    "*/models/*.py",
    "*/apps.py",
    "portal/roles.py",
    "portal/database_roles.py",
    "tokens/crypto/fields.py",
    "tokens/crypto/keyset.py",
    "audit/append_only.py",
    "*/*triggers.py",
    "*/*/triggers.py",
    "audit/partitions.py",
    "requirements.txt",
)
_numbers = itertools.count(1)


class Cluster:
    """A PostgreSQL for tests (with a Valkey beside it), held until this process ends."""

    def __init__(self, name: str, postgres_bin: Path | None = None, *, durable: bool = False) -> None:
        self.state = CHECKOUT / "var" / name
        self.services = EmbeddedServices(self.state, durable=durable, keys=False, postgres_bin=postgres_bin)
        self.services.start()

    def urls(self, database: str) -> Urls:
        home, secrets = recorded_home(self.state), read_secrets(self.state)
        assert home is not None
        assert secrets is not None
        return urls_of(home, secrets, database)

    def make_clone(self, name: str) -> None:
        """Makes a database with the schema and grants of a freshly migrated one."""
        statement = sql.SQL("CREATE DATABASE {} TEMPLATE {} OWNER {} TABLESPACE {} STRATEGY FILE_COPY")
        identifiers = (name, self.template(), OWNER, self._space())
        with self._admin() as admin:
            admin.execute(statement.format(*map(sql.Identifier, identifiers)))

    def drop(self, name: str) -> None:
        with self._admin() as admin:
            _drop(admin, name)

    @cache  # noqa: B019 - clusters live as long as the process
    def template(self) -> str:
        """The name of the migrated template; the first call of a process makes sure that it is there."""
        return self.prepare_template()

    @cache  # noqa: B019 - as above
    def _space(self) -> str:
        """The tablespace of clones. Servers that a test kills keep theirs on the disk, as in production."""
        if self.services.plan.durable:
            return memory.ON_DISK
        with FileLock(self.state / "lock" / "template").held(), self._admin() as admin:
            return memory.tablespace(admin, self.state)

    def prepare_template(self) -> str:
        """Builds the template if this schema was not seen before, and drops what nobody needs any more."""
        name = f"template_{schema_fingerprint()}"
        with FileLock(self.state / "lock" / "template").held(), self._admin() as admin:
            names = _names(admin, like="%")
            if name not in names:
                self._build(admin, name)
            for leftover in filter(_was_left_behind, names):
                _drop(admin, leftover)
            for old in _names(admin, like=r"template\_%")[:-TEMPLATES_KEPT]:
                if old != name:
                    _drop(admin, old)
        return name

    def _build(self, admin: "psycopg.Connection[tuple[str]]", name: str) -> None:
        building = f"building_{os.getpid()}"
        _drop(admin, building)
        identifiers = map(sql.Identifier, (building, OWNER))
        admin.execute(sql.SQL("CREATE DATABASE {} OWNER {} TEMPLATE template0").format(*identifiers))
        if self.services.plan.durable:
            self._restore(building)  # one of the clusters that a single test starts
        else:
            self._migrate(building)
        admin.execute(
            sql.SQL("ALTER DATABASE {} RENAME TO {}").format(*map(sql.Identifier, (building, name)))
        )

    def _migrate(self, database: str) -> None:
        migrated = subprocess.run(
            [sys.executable, "manage.py", "migrate", "--verbosity", "0"],
            cwd=CHECKOUT,
            env=os.environ | environment(self, database) | {"DJANGO_SETTINGS_MODULE": "portal.settings"},
            capture_output=True,
            text=True,
            check=False,
        )
        if migrated.returncode:
            raise RuntimeError(f"migrate failed for the tests' template:\n{migrated.stdout}{migrated.stderr}")

    def _restore(self, database: str) -> None:
        """Copies the template of the main cluster, owners and grants included: a tenth of the work of migrating."""
        programs = find_postgres().bin
        source = main().urls(main().template()).admin
        dumped = subprocess.run(
            [programs / "pg_dump", "--dbname", source], capture_output=True, text=True, check=True
        )
        into = [
            str(programs / "psql"),
            "--no-psqlrc",
            "--quiet",
            "--single-transaction",
            "--set=ON_ERROR_STOP=1",
        ]
        subprocess.run(
            [*into, "--dbname", self.urls(database).admin],
            input=dumped.stdout,
            stdout=subprocess.DEVNULL,
            text=True,
            check=True,
        )

    def _admin(self) -> "psycopg.Connection[tuple[str]]":
        return psycopg.connect(self.urls("postgres").admin, autocommit=True)


@cache
def main() -> Cluster:
    """The cluster of this run: PostgreSQL 18 of the wheel, or with TEST_POSTGRES=15 that of the system."""
    return on_postgres_15() if os.environ.get("TEST_POSTGRES") == "15" else Cluster("test")


@cache
def on_postgres_15() -> Cluster:
    return Cluster("test-15", POSTGRES_15)


def session_database() -> str:
    """The database of this test process; made when the first test asks for one."""
    return f"test_{os.getpid()}_{_worker()}"


def served_database() -> str:
    """The name of the database behind this test process's kept server; each test that it serves makes it anew."""
    return f"{session_database()}_served"


def fresh_name() -> str:
    """A name that no other test or process uses."""
    return f"test_{os.getpid()}_{_worker()}_{next(_numbers)}"


def environment(cluster: Cluster, database: str) -> dict[str, str]:
    """Environment variables that lead the portal to a database of the cluster, and to a broker and cache."""
    urls = cluster.urls(database)
    number = 2 * (int(_worker().removeprefix("gw")) + 1 if _worker().startswith("gw") else 0)
    return {
        "DATABASE_URL": urls.app,
        "DATABASE_OWNER_URL": urls.owner,
        "CELERY_BROKER_URL": urls.broker.replace("virtual_host=0", f"virtual_host={number}"),
        "CACHE_URL": urls.cache.replace("db=1", f"db={number + 1}"),
        "PORTAL_STATE_DIR": str(cluster.state),
        "PRODUCTION": "false",
        "SECRET_KEY": "the secret key of the tests, which signs nothing that lasts",
        "FIELD_ENCRYPTION_KEY": base64.urlsafe_b64encode(b"the tests' root key has 32 bytes").decode(),
        "ALLOWED_HOSTS": "testserver,127.0.0.1,localhost",
        # Nobody listens there: no test calls the real Marketing Cloud. Those with a simulator say where it is.
        "MARKETING_CLOUD_HOSTS": "http://127.0.0.1:9/{subdomain}.{api}",
    }


@cache
def schema_fingerprint() -> str:
    digest = hashlib.sha256()
    for path in sorted({path for pattern in SCHEMA_SOURCES for path in CHECKOUT.glob(pattern)}):
        digest.update(f"{path.relative_to(CHECKOUT)}\n".encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def _worker() -> str:
    return os.environ.get("PYTEST_XDIST_WORKER", "main")


def _names(admin: "psycopg.Connection[tuple[str]]", *, like: str) -> list[str]:
    found = admin.execute("SELECT datname FROM pg_database WHERE datname LIKE %s ORDER BY oid", [like])
    return [name for (name,) in found]


def _drop(admin: "psycopg.Connection[tuple[str]]", name: str) -> None:
    admin.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


def _was_left_behind(name: str) -> bool:
    """Whether a database belongs to a test process that was killed before it could drop it."""
    kind, _, rest = name.partition("_")
    pid = rest.partition("_")[0]
    if kind not in ("test", "building") or not pid.isdigit():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False
