"""As whom the embedded servers run: as ourselves; as `nobody` when we are root, which PostgreSQL refuses."""

import contextlib
import os
import pwd
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from portal.embedded.errors import EmbeddedError

# Accounts without rights, one of which every system has. PostgreSQL wants one that has a name.
UNPRIVILEGED: Final = ("nobody", "daemon", "bin")


@dataclass(frozen=True)
class Account:
    uid: int
    gid: int

    @classmethod
    def for_servers(cls) -> "Account":
        if os.geteuid() != 0:
            return cls.ours()
        for name in UNPRIVILEGED:
            with contextlib.suppress(KeyError):
                found = pwd.getpwnam(name)
                return cls(found.pw_uid, found.pw_gid)
        raise EmbeddedError(
            f"Root has no account to run PostgreSQL as: add one of {', '.join(UNPRIVILEGED)}."
        )

    @classmethod
    def ours(cls) -> "Account":
        return cls(os.geteuid(), os.getegid())

    @property
    def is_ours(self) -> bool:
        return self.uid == os.geteuid()

    def run(self, command: Sequence[str | Path], **options: Any) -> subprocess.CompletedProcess[str]:
        """Runs a command as this account, with its output as text and an environment that holds no secret."""
        if not self.is_ours:
            options |= {"user": self.uid, "group": self.gid, "extra_groups": []}
        return subprocess.run(  # noqa: PLW1510 - callers judge the return code, or pass check=True
            [str(part) for part in command],
            capture_output=True,
            text=True,
            cwd="/",
            env=server_environment(),
            umask=0o077,
            **options,
        )

    def can_enter(self, folder: Path) -> bool:
        """Asked of the kernel, as that account: mode bits alone say nothing of ACLs and mounts."""
        return self.is_ours or self.run(["/bin/sh", "-c", 'test -x "$0"', folder]).returncode == 0

    def make_folder(self, folder: Path) -> None:
        """Makes a folder that only this account (and root) can enter."""
        if not folder.is_dir():
            folder.mkdir(mode=0o700)
            os.chown(folder, self.uid, self.gid)


def server_environment() -> dict[str, str]:
    """The servers inherit nothing from us: our environment may hold keys and passwords."""
    return {"PATH": "/usr/local/bin:/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}
