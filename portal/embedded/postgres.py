"""The embedded PostgreSQL: SCRAM, data checksums, locale C, UTF-8; reached by its socket only."""

import contextlib
import os
import re
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

from portal.embedded.account import Account
from portal.embedded.binaries import OLDEST_POSTGRES, PostgresBinaries
from portal.embedded.errors import EmbeddedError
from portal.embedded.home import Home
from portal.embedded.service import Service, command_of, end_orphan
from portal.embedded.state import Secrets

ADMIN, OWNER, APP, DATABASE = "postgres", "portal_owner", "portal_app", "portal"


class Postgres(Service):
    name = "PostgreSQL"
    stop_signal = signal.SIGINT  # "fast": sessions are ended, the data is checkpointed
    kill_signal = signal.SIGQUIT

    def __init__(
        self, home: Home, log: Path, binaries: PostgresBinaries, secrets: Secrets, *, durable: bool
    ) -> None:
        super().__init__(home, log)
        self.secrets = secrets
        self.durable = durable
        self.bin = usable_bin(binaries, home)

    def command(self) -> list[str]:
        options = settings(self.home, durable=self.durable)
        arguments = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        return [str(self.bin / "postgres"), "-D", str(self.home.data), *arguments]

    def is_ready(self) -> bool:
        # The postmaster writes its state into the eighth line of its pid file.
        lines = self._pid_file_lines()
        return (
            self.process is not None
            and len(lines) >= 8
            and lines[0] == str(self.process.pid)
            and lines[7].strip() == "ready"
        )

    def clear_remains(self) -> None:
        lines = self._pid_file_lines()
        if not lines or not lines[0].isdigit():
            return
        end_orphan(int(lines[0]), self.home.data)
        if str(self.home.data) not in command_of(int(lines[0])):
            # After a reboot the number may belong to a stranger, for which PostgreSQL would refuse to start.
            (self.home.data / "postmaster.pid").unlink(missing_ok=True)

    def make_database(self) -> None:
        """Makes the cluster with its two roles, whole or not at all; does nothing when it is there."""
        data = self.home.data
        if data.is_dir():
            self._check_version()
            return
        partial = data.with_name("postgres.partial")
        shutil.rmtree(partial, ignore_errors=True)
        self.home.account.make_folder(partial)
        with _readable_by(self.home.account, self.secrets.postgres_admin) as password_file:
            self._run(
                *("initdb", "-D", str(partial), "-U", ADMIN, f"--pwfile={password_file}"),
                *("--auth=scram-sha-256", "--data-checksums", "--locale=C", "--encoding=UTF8"),
                *(() if self.durable else ("--no-sync",)),
            )
        # Single-user mode: the roles exist before the server is reachable for the first time.
        self._run("postgres", "--single", "-D", str(partial), "postgres", stdin=self._first_statements())
        partial.rename(data)

    def _first_statements(self) -> str:
        owner, app = self.secrets.postgres_owner, self.secrets.postgres_app
        return "\n".join(
            (
                f"CREATE ROLE {OWNER} LOGIN PASSWORD '{owner}'",
                f"CREATE ROLE {APP} LOGIN PASSWORD '{app}'",
                f"CREATE DATABASE {DATABASE} OWNER {OWNER}",
                f"REVOKE ALL ON DATABASE {DATABASE} FROM PUBLIC",
                f"GRANT CONNECT ON DATABASE {DATABASE} TO {APP}",
                "",
            )
        )

    def _check_version(self) -> None:
        made_by = (self.home.data / "PG_VERSION").read_text().strip()
        version = postgres_version(self.bin, self.home.account)
        if made_by != str(version):
            raise EmbeddedError(
                f"{self.home.data} was made by PostgreSQL {made_by}, but {self.bin} is {version}: "
                "set POSTGRES_BIN to the programs of the version that made it, or dump and restore."
            )

    def _run(self, program: str, *arguments: str, stdin: str | None = None) -> None:
        done = self.home.account.run([self.bin / program, *arguments], input=stdin)
        # Single-user mode exits 0 whatever its statements did.
        if done.returncode or "ERROR:" in done.stderr or "FATAL:" in done.stderr:
            line = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
            raise EmbeddedError(f"{program} could not make the database in {self.home.data}: {line}")

    def _pid_file_lines(self) -> list[str]:
        with contextlib.suppress(FileNotFoundError):
            return (self.home.data / "postmaster.pid").read_text().splitlines()
        return []


def settings(home: Home, *, durable: bool) -> dict[str, str]:
    """Server settings. Statements and their parameters stay out of the log: they can hold personal values."""
    megabytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20
    chosen = {
        "listen_addresses": "",
        "unix_socket_directories": _quoted_list_item(home.sockets),
        "unix_socket_permissions": "0700",
        "max_connections": "200",
        "shared_buffers": f"{min(max(megabytes // 8, 64), 1024)}MB",
        "effective_cache_size": f"{max(megabytes // 2, 128)}MB",
        "maintenance_work_mem": f"{min(max(megabytes // 32, 32), 256)}MB",
        "work_mem": "8MB",
        "max_wal_size": "4GB",
        "min_wal_size": "256MB",
        "checkpoint_timeout": "15min",
        "wal_compression": "on",
        "random_page_cost": "1.1",
        "jit": "off",
        "log_min_error_statement": "panic",
        "log_error_verbosity": "terse",
        "log_parameter_max_length": "0",
        "log_parameter_max_length_on_error": "0",
        "log_checkpoints": "off",
        "log_line_prefix": "%m [%p] %q%u@%d ",
    }
    if not durable:
        chosen |= {
            "fsync": "off",
            "full_page_writes": "off",
            "synchronous_commit": "off",
            "shared_buffers": "128MB",
            "max_wal_size": "1GB",
            "autovacuum": "off",
        }
    return chosen


def usable_bin(binaries: PostgresBinaries, home: Home) -> Path:
    """The folder of programs that the servers' account can run: where they are, else a copy in the home."""
    try:
        postgres_version(binaries.bin, home.account)
        return binaries.bin
    except EmbeddedError:
        if not binaries.relocatable:
            raise
    package = binaries.tree.parent.name
    copy = home.install / package / binaries.tree.name / "bin"
    if not (copy / "postgres").is_file():
        _copy_tree(binaries, home.install)
    postgres_version(copy, home.account)
    return copy


def postgres_version(folder: Path, account: Account) -> int:
    """Major version, learnt by running the server program as the account that will run it."""
    try:
        said = account.run([folder / "postgres", "--version"])
    except OSError as error:
        raise EmbeddedError(f"PostgreSQL in {folder} cannot be run: {error.strerror}.") from None
    version = re.search(r"\(PostgreSQL\) (\d+)", said.stdout)
    if said.returncode or version is None:
        raise EmbeddedError(f"PostgreSQL in {folder} cannot be run: {said.stderr.strip() or said.stdout}.")
    if int(version[1]) < OLDEST_POSTGRES:
        raise EmbeddedError(
            f"PostgreSQL {version[1]} in {folder} is too old: take {OLDEST_POSTGRES} or newer."
        )
    return int(version[1])


def _copy_tree(binaries: PostgresBinaries, install: Path) -> None:
    """Copies the installation with its sibling `.libs`, which the programs find by a relative path."""
    assert binaries.libs is not None
    partial = Path(tempfile.mkdtemp(prefix=".install-", dir=install.parent))
    package = binaries.tree.parent.name
    ignore = shutil.ignore_patterns("include", "*.a", "pgxs")
    shutil.copytree(binaries.tree, partial / package / binaries.tree.name, symlinks=True, ignore=ignore)
    shutil.copytree(binaries.libs, partial / binaries.libs.name, symlinks=True)
    for path in (partial, *partial.rglob("*")):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or os.access(path, os.X_OK) else 0o644)
    shutil.rmtree(install, ignore_errors=True)
    partial.rename(install)


@contextlib.contextmanager
def _readable_by(account: Account, secret: str) -> Iterator[str]:
    descriptor, name = tempfile.mkstemp(prefix="token-portal-")
    try:
        os.write(descriptor, secret.encode())
        os.fchown(descriptor, account.uid, account.gid)
        os.close(descriptor)
        yield name
    finally:
        Path(name).unlink(missing_ok=True)


def _quoted_list_item(path: Path) -> str:
    doubled = str(path).replace('"', '""')
    return f'"{doubled}"'
