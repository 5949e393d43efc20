"""The state folder (`var/`): its secrets and keys. Asking for them starts and makes nothing."""

import base64
import json
import os
import secrets
from dataclasses import asdict, dataclass
from pathlib import Path

from portal.embedded.errors import EmbeddedError

CHECKOUT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Secrets:
    """Passwords of the embedded servers and Django's secret key. Made once, kept in `secrets.json` (0600)."""

    postgres_admin: str
    postgres_owner: str
    postgres_app: str
    valkey: str
    django: str


def state_dir() -> Path:
    """PORTAL_STATE_DIR, else `var/` of the checkout."""
    setting = os.environ.get("PORTAL_STATE_DIR")
    return Path(setting).absolute() if setting else CHECKOUT / "var"


def root_keys_file(state: Path | None = None) -> Path:
    """The root keys unless FIELD_ENCRYPTION_KEY is set: lines of `name:base64 of 32 bytes`, active first."""
    return (state or state_dir()) / "root-keys"


def secret_key(state: Path | None = None) -> str | None:
    """Django's SECRET_KEY of this checkout; None before the first start."""
    found = read_secrets(state or state_dir())
    return found.django if found else None


def read_secrets(state: Path) -> Secrets | None:
    """The secrets of this state folder; None before the first start."""
    path = secrets_file(state)
    try:
        return Secrets(**json.loads(path.read_text()))
    except FileNotFoundError:
        return None
    except PermissionError:
        raise EmbeddedError(f"{path} is another user's: run as its owner, or use another checkout.") from None
    except (ValueError, TypeError):
        raise EmbeddedError(f"{path} is damaged: restore it from a backup of {state}.") from None


def secrets_file(state: Path) -> Path:
    return state / "secrets.json"


def make_secrets(state: Path) -> Secrets:
    made = Secrets(*(secrets.token_urlsafe(32) for _ in Secrets.__dataclass_fields__))
    write_private(secrets_file(state), json.dumps(asdict(made), indent=1) + "\n")
    return made


def make_root_keys(state: Path) -> None:
    """Makes the first root key. Only where there is no database yet: a made-up key opens nothing in it."""
    key = base64.b64encode(secrets.token_bytes(32)).decode()
    write_private(root_keys_file(state), f"root-1:{key}\n")


def write_private(path: Path, text: str) -> None:
    """Writes a file of mode 0600 that is whole or absent, also after a power cut."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
