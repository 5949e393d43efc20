"""Addresses of the embedded servers, as settings and `psql` take them."""

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlencode

from portal.embedded.home import Home, recorded_home
from portal.embedded.postgres import ADMIN, APP, DATABASE, OWNER
from portal.embedded.state import Secrets, read_secrets, state_dir


@dataclass(frozen=True)
class Urls:
    """`app` and `owner` are the two database roles; `admin` is the superuser, for tests and repairs."""

    app: str
    owner: str
    admin: str
    broker: str
    cache: str


def urls(state: Path | None = None) -> Urls:
    """Addresses of this checkout's servers, running or not; before the first start they lead nowhere."""
    state = state or state_dir()
    home, secrets = recorded_home(state), read_secrets(state)
    if home is None or secrets is None:
        nowhere = "postgresql:///not-started?host=/nonexistent"
        return Urls(nowhere, nowhere, nowhere, "redis+socket:///nonexistent", "unix:///nonexistent")
    return urls_of(home, secrets)


def urls_of(home: Home, secrets: Secrets, database: str = DATABASE) -> Urls:
    # The socket's folder is a parameter: in the host's place it would be lower-cased by URL parsers.
    where = urlencode({"host": home.sockets}, quote_via=quote, safe="/")
    socket = quote(str(home.valkey_socket))
    return Urls(
        app=f"postgresql://{APP}:{secrets.postgres_app}@/{database}?{where}",
        owner=f"postgresql://{OWNER}:{secrets.postgres_owner}@/{database}?{where}",
        admin=f"postgresql://{ADMIN}:{secrets.postgres_admin}@/{database}?{where}",
        broker=f"redis+socket://:{secrets.valkey}@{socket}?virtual_host=0",
        cache=f"unix://:{secrets.valkey}@{socket}?db=1",
    )
