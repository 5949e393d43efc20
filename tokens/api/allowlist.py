"""The addresses from which anybody may call, checked before a body is read (decision 12).

Once a client is known, its own list decides; the union only keeps strangers from making us work. A client
without networks may call from anywhere, and so opens the union. Without any client that could call there is
nothing to keep out, and credentials decide.
"""

import threading
import time
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

from django.db import connection

from tokens.api.caller import Address, Network, parse_network

MAX_AGE_SECONDS: Final = 2.0

# One row for each network of a client that may call; NULL for a client that has none and may call from anywhere.
NETWORKS = """
SELECT DISTINCT network.cidr
FROM tokens_apiclient client LEFT JOIN tokens_allowednetwork network ON network.client_id = client.id
WHERE client.switched_off_at IS NULL
"""


class Union:
    """The union of all active allowlists, as it was at most MAX_AGE_SECONDS ago."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._read_at = -MAX_AGE_SECONDS
        self._networks: tuple[Network, ...] | None = None

    def holds(self, address: Address | None) -> bool:
        """Whether some client may call from `address`. Raises django.db.Error when the list can't be read."""
        if self._is_old():
            self._read()
        return self._networks is None or in_networks(address, self._networks)

    def forget(self) -> None:
        """Read the list again at the next call."""
        self._read_at = -MAX_AGE_SECONDS

    def _is_old(self) -> bool:
        return time.monotonic() - self._read_at >= MAX_AGE_SECONDS

    def _read(self) -> None:
        with self._lock:
            if not self._is_old():
                return
            began = time.monotonic()
            with connection.cursor() as cursor:
                cursor.execute(NETWORKS)
                cidrs = [cidr for (cidr,) in cursor.fetchall()]
            self._networks = parsed(tuple(cidrs)) if cidrs and None not in cidrs else None
            self._read_at = began


def in_networks(address: Address | None, networks: Iterable[Network]) -> bool:
    """Whether one of `networks` holds `address`; an unknown address is in none."""
    return address is not None and any(address in network for network in networks)


@lru_cache(maxsize=1024)
def parsed(cidrs: tuple[str, ...]) -> tuple[Network, ...]:
    """The networks of a stored list, parsed once."""
    return tuple(parse_network(cidr) for cidr in cidrs)


union = Union()
"""The union that this process checks."""
