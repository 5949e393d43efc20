"""The embedded Valkey: Celery's broker and Django's cache on one Unix socket, with an append-only file."""

import contextlib
import json
import shutil
import socket
from pathlib import Path

from portal.embedded.account import Account
from portal.embedded.errors import EmbeddedError
from portal.embedded.home import Home
from portal.embedded.service import Service
from portal.embedded.state import Secrets


class Valkey(Service):
    name = "Valkey"

    def __init__(self, home: Home, log: Path, server: Path, secrets: Secrets) -> None:
        super().__init__(home, log)
        self.secrets = secrets
        self.server = usable_server(server, home)

    def command(self) -> list[str]:
        return [str(self.server), "-"]

    def configuration(self) -> bytes:
        lines = {
            "port": "0",
            "unixsocket": str(self.home.valkey_socket),
            "unixsocketperm": "700",
            "dir": str(self.home.valkey),
            "appendonly": "yes",
            "appendfsync": "everysec",
            "save": "",
            "databases": "256",
            "maxmemory-policy": "noeviction",
            "requirepass": self.secrets.valkey,
        }
        # JSON quotes as the server's own parser reads: double quotes and backslashes.
        quoted = (f"{name} {json.dumps(value, ensure_ascii=False)}\n" for name, value in lines.items())
        return "".join(quoted).encode()

    def is_ready(self) -> bool:
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as client:
            client.settimeout(2)
            client.connect(str(self.home.valkey_socket))
            client.sendall(f"AUTH {self.secrets.valkey}\r\nPING\r\n".encode())
            answer = b""
            while answer.count(b"\r\n") < 2 and (part := client.recv(1000)):
                answer += part
            return answer.endswith(b"+PONG\r\n")
        return False


def usable_server(server: Path, home: Home) -> Path:
    """The program where it is if the servers' account can run it, else a copy in the home."""
    if _runs(server, home.account):
        return server
    copy = home.install.with_name("valkey-server")
    if not copy.is_file():
        partial = copy.with_name(".valkey-server")
        partial.unlink(missing_ok=True)
        shutil.copyfile(server, partial)
        partial.chmod(0o755)
        partial.rename(copy)
    if not _runs(copy, home.account):
        raise EmbeddedError(f"{server} cannot be run here: set CELERY_BROKER_URL and CACHE_URL.")
    return copy


def _runs(server: Path, account: Account) -> bool:
    with contextlib.suppress(OSError):
        return account.run([server, "--version"]).returncode == 0
    return False
