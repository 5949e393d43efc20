"""PostgreSQL and Valkey with nothing to install: the programs come from wheels, the state is in `var/`."""

from portal.embedded.errors import EmbeddedError
from portal.embedded.on_demand import held, hold_for_command
from portal.embedded.services import EmbeddedServices
from portal.embedded.state import root_keys_file, secret_key, state_dir
from portal.embedded.urls import Urls, urls

__all__ = [
    "EmbeddedError",
    "EmbeddedServices",
    "Urls",
    "held",
    "hold_for_command",
    "root_keys_file",
    "secret_key",
    "state_dir",
    "urls",
]
