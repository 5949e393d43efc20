"""Access by the refresh token that a user's sign-in left (tokens.connections.user_sign_in).

A refresh token is good once [assumed], and several processes work through a connection: each fetch of an access token
is alone, reads the newest refresh token, and stores the next one before anything else is done with the answer.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection as database

from tokens.crypto.fields import Clear
from tokens.errors import NotSignedIn
from tokens.marketing_cloud import RefreshToken
from tokens.models import Connection


@contextmanager
def in_turn(connection: Connection) -> Iterator[RefreshToken]:
    """The grant of the newest refresh token, alone among all processes. Raises NotSignedIn or CryptoError."""
    with _alone(connection):
        yield grant_of(Connection.objects.get(pk=connection.pk))


def grant_of(connection: Connection) -> RefreshToken:
    """The grant of the refresh token that is stored. Raises NotSignedIn or CryptoError."""
    if connection.refresh_token is None:
        raise NotSignedIn(connection.name)
    secret = connection.client_secret.open() if connection.client_secret else None
    return RefreshToken(connection.client_id, connection.refresh_token.open(), secret)


def keep(connection: Connection, refresh_token: str) -> None:
    """Store the next refresh token: the one before may be void already."""
    row = Connection.objects.get(pk=connection.pk)
    row.refresh_token = Clear(refresh_token)
    row.save(update_fields=["refresh_token"])


@contextmanager
def _alone(connection: Connection) -> Iterator[None]:
    # Of the session and not of a transaction: each exchange commits its own log entry meanwhile.
    key = [int.from_bytes(connection.pk.bytes[8:], signed=True)]
    with database.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s)", key)
    try:
        yield
    finally:
        with database.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_unlock(%s)", key)
