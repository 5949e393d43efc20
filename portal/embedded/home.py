"""Which folder holds the files and sockets of the embedded servers, decided once for each state folder."""

import hashlib
import json
import os
import stat
from dataclasses import dataclass
from pathlib import Path

from portal.embedded.account import Account
from portal.embedded.errors import EmbeddedError
from portal.embedded.state import write_private

# sun_path of a Unix socket holds 108 bytes with its closing zero on Linux, 104 on macOS.
LONGEST_SOCKET_PATH = 107 if os.uname().sysname == "Linux" else 103
FALLBACK_ROOT = Path("/var/tmp")  # noqa: S108 - folders made here are checked for their owner and mode


@dataclass(frozen=True)
class Home:
    path: Path
    account: Account

    @property
    def data(self) -> Path:
        return self.path / "postgres"

    @property
    def valkey(self) -> Path:
        return self.path / "valkey"

    @property
    def sockets(self) -> Path:
        return self.path / "run"

    @property
    def install(self) -> Path:
        return self.path / "install"

    @property
    def valkey_socket(self) -> Path:
        return self.sockets / "valkey.sock"


def recorded_home(state: Path) -> Home | None:
    """The home that an earlier start settled on; None before the first start."""
    try:
        record = json.loads((state / "embedded.json").read_text())
        path, account = state / record["home"], Account(record["uid"], record["gid"])
    except FileNotFoundError:
        return None
    except PermissionError:
        raise EmbeddedError(
            f"{state} is another user's: run as its owner, or use another checkout."
        ) from None
    except (ValueError, KeyError):
        raise EmbeddedError(f"{state / 'embedded.json'} is damaged: restore it from a backup.") from None
    _refuse_a_copied_checkout(state, path, record["state"])
    return Home(path, account)


def settle_home(state: Path) -> Home:
    """The home of this state folder: what was recorded, else the folder itself, else one under /var/tmp."""
    home = recorded_home(state)
    if home is None or not home.data.exists():
        home = _choose_home(state)
        record = {
            "home": "." if home.path == state else str(home.path),
            "uid": home.account.uid,
            "gid": home.account.gid,
            "state": str(state),
        }
        write_private(state / "embedded.json", json.dumps(record) + "\n")
    _check_reachable(home)
    for folder in (home.sockets, home.valkey):
        home.account.make_folder(folder)
    return home


def prepare_state_folder(state: Path) -> None:
    """Makes the state folder: 0700; as root 0711, for the servers' account passes through it to its own."""
    try:
        state.mkdir(parents=True, exist_ok=True, mode=0o700 if os.geteuid() else 0o711)
        probe = state / "lock"
        probe.mkdir(exist_ok=True, mode=0o700)
    except OSError as error:
        raise EmbeddedError(f"Cannot write to {state} ({error.strerror}): set PORTAL_STATE_DIR.") from None


def _choose_home(state: Path) -> Home:
    account = Account.for_servers()
    if account.can_enter(state) and _sockets_fit(state):
        return Home(state, account)
    digest = hashlib.sha256(os.fsencode(state.resolve())).hexdigest()[:12]
    path = FALLBACK_ROOT / f"token-portal-{os.geteuid()}-{digest}"
    account.make_folder(path)
    _refuse_a_foreign_folder(path, account)
    if (path / "postgres").exists():
        raise EmbeddedError(
            f"{path} holds the database of an earlier {state}, whose keys are gone: restore that folder, "
            f"or delete {path} to start afresh."
        )
    return Home(path, account)


def _refuse_a_foreign_folder(path: Path, account: Account) -> None:
    # Anybody can make a folder of any name in /var/tmp: ours is a real folder, owned by us, closed to others.
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != account.uid or found.st_mode & 0o077:
        raise EmbeddedError(f"{path} is not ours with mode 0700: somebody else made it; delete it.")


def _check_reachable(home: Home) -> None:
    if not home.path.is_dir():
        raise EmbeddedError(f"The embedded database in {home.path} is gone: restore it from a backup.")
    if not home.account.is_ours and os.geteuid() != 0:
        raise EmbeddedError(
            f"The database in {home.path} was made by root: run as root, or use another checkout."
        )
    if not home.account.can_enter(home.path) or not _sockets_fit(home.path):
        raise EmbeddedError(
            f"The servers cannot work in {home.path} any more (path too long, or closed to their account): "
            "move the checkout back, or open the folder."
        )


def _refuse_a_copied_checkout(state: Path, home: Path, recorded_state: str) -> None:
    if home != state and recorded_state != str(state) and Path(recorded_state).exists():
        raise EmbeddedError(
            f"{state} is a copy of {recorded_state}, whose database is in {home}: "
            f"delete {state} to start afresh here."
        )


def _sockets_fit(folder: Path) -> bool:
    return len(os.fsencode(folder / "run" / ".s.PGSQL.5432")) <= LONGEST_SOCKET_PATH
