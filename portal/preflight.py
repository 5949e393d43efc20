"""What is checked before anything is served: each failure is one line that says how to mend it, and exit 2."""

import ssl

from django.conf import settings
from django.db import OperationalError, connections

from portal import health
from portal.settings_errors import refuse
from tokens.crypto.errors import RootKeyMalformed, RootKeyMissing
from tokens.crypto.root_keys import provider

OLDEST_POSTGRES = 15
VARIABLES = {"default": "DATABASE_URL", "owner": "DATABASE_OWNER_URL"}


def check_databases() -> None:
    """Both roles can connect, to a server that is new enough, and the app's role is bound by its grants."""
    for alias, variable in VARIABLES.items():
        try:
            with connections[alias].cursor() as cursor:
                cursor.execute(
                    "SELECT current_setting('server_version_num')::int / 10000, rolsuper, current_user"
                    " FROM pg_roles WHERE rolname = current_user"
                )
                version, is_superuser, role = cursor.fetchone()
        except OperationalError as error:
            said = str(error).strip().splitlines()[0].rstrip(".")
            refuse(
                f"the database of {variable} cannot be reached ({said})", f"start it, or correct {variable}"
            )
        if version < OLDEST_POSTGRES:
            refuse(f"the database is PostgreSQL {version}", f"upgrade it to {OLDEST_POSTGRES} or newer")
        if alias == "default" and (is_superuser or role == settings.DATABASES["owner"]["USER"]):
            refuse(
                f"DATABASE_URL names the role {role}, which could change evidence",
                "give the app a role that is neither superuser nor the owner of the tables",
            )


def check_keys() -> None:
    """The root keys open every data key that is stored; made-up keys beside existing data would open none."""
    try:
        provider()
    except (RootKeyMalformed, RootKeyMissing) as error:
        refuse(
            f"FIELD_ENCRYPTION_KEY is missing or malformed ({error})", "give root keys of 32 bytes in base64"
        )
    if reason := health.keyring():
        refuse(
            reason,
            "give the FIELD_ENCRYPTION_KEY that this database was made with (older keys may follow the first)"
            if not settings.EMBEDDED
            else f"restore {settings.STATE_DIR / 'root-keys'} from a backup, or give FIELD_ENCRYPTION_KEY",
        )


def check_tls() -> None:
    """Certificate and key can be read and belong together."""
    if not settings.TLS_CERT and not settings.TLS_KEY:
        return
    if not settings.TLS_CERT or not settings.TLS_KEY:
        refuse("only one of TLS_CERT and TLS_KEY is set", "set both, or neither to serve plain HTTP")
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(settings.TLS_CERT, settings.TLS_KEY)
    except OSError as error:
        refuse(
            f"TLS_CERT and TLS_KEY cannot be used ({error.strerror or error})",
            "give the paths of a PEM certificate and of its key without a passphrase",
        )
