"""Where this installation keeps the signing key and the head of its log, and the job that seals."""

import secrets
from functools import cache
from pathlib import Path

from django.conf import settings

from audit.models import Checkpoint
from audit.seals import signing
from audit.seals.errors import SealError, SigningKeyMalformed, SigningKeyMissing
from audit.seals.head import FileHead
from audit.seals.sequencer import Sequencer
from audit.seals.signing import SigningKey
from portal.settings_errors import refuse


def key_path() -> Path:
    """The file of the signing key, which only the maintenance process reads."""
    return Path(settings.AUDIT_SIGNING_KEY_PATH)


def head() -> FileHead:
    """The head of the log outside the database."""
    return FileHead(Path(settings.AUDIT_HEAD_PATH))


def signing_key() -> SigningKey:
    """The key of this log. One is made for a trial that has sealed nothing yet; never in production."""
    path = key_path()
    if not path.exists() and not settings.PRODUCTION and not Checkpoint.objects.using("owner").exists():
        signing.store(SigningKey.make(f"localhost/token-portal-{secrets.token_hex(4)}"), path)
    return load_key()


def load_key() -> SigningKey:
    """The key that is there. Raises SigningKeyMissing or SigningKeyMalformed."""
    return signing.load(key_path())


def check_signing_key() -> None:
    """Ends the start of a process that must sign and could not."""
    path = key_path()
    try:
        signing_key()
    except SigningKeyMissing as error:
        refuse(
            str(error).rstrip("."),
            "run manage.py make_signing_key once, or restore it from its backup; AUDIT_SIGNING_KEY_PATH names the file",
        )
    except SigningKeyMalformed as error:
        refuse(
            f"{path}: {str(error).rstrip('.')}",
            "restore it from its backup; AUDIT_SIGNING_KEY_PATH names the file",
        )
    except (SealError, OSError) as error:
        refuse(
            f"no signing key could be made at {path} ({error})", "mend that, or set AUDIT_SIGNING_KEY_PATH"
        )


@cache
def sequencer() -> Sequencer:
    """The sequencer of this process; it remembers the tree from one turn to the next."""
    return Sequencer(signing_key(), head())


def seal() -> int:
    """The job of the maintenance process."""
    return sequencer().run()
