"""Fills the twin's database with the people of the benchmark; a process of its own: `python -m bench.plain_twin.load`.

Tokens come on stdin, one line for each mapping in the order of their ids, so that both servers know the same ones.
"""

import os
import sys
from collections.abc import Iterator
from typing import Any

import django
from django.core.management import call_command
from django.db import connection

from bench import people

CHUNK = 20_000


def main() -> None:
    os.environ["DJANGO_SETTINGS_MODULE"] = "bench.plain_twin.settings"
    django.setup()
    call_command("migrate", run_syncdb=True, verbosity=0)
    token = _make_user()
    tokens = [line.strip() for line in sys.stdin]
    for first in range(0, len(tokens) // 2, CHUNK):
        batch = range(first, min(first + CHUNK, len(tokens) // 2))
        _copy("twin_contact (id, subscriber_key, attributes)", _contacts(batch))
        _copy("twin_mapping (id, token, value, contact_id)", _mappings(batch, tokens))
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")
    print(token)


def _make_user() -> str:
    from django.contrib.auth.models import User
    from rest_framework.authtoken.models import Token

    user = User.objects.create(username="marketing-cloud")
    return str(Token.objects.create(user=user).key)


def _contacts(batch: range) -> Iterator[tuple[Any, ...]]:
    from encrypted_model_fields.fields import encrypt_str

    for i in batch:
        yield i + 1, people.key(i), encrypt_str(people.wire_attributes(i).decode()).decode()


def _mappings(batch: range, tokens: list[str]) -> Iterator[tuple[Any, ...]]:
    from encrypted_model_fields.fields import encrypt_str

    for i in batch:
        for n, value in ((1, people.email(i)), (2, people.mobile(i))):
            yield 2 * i + n, tokens[2 * i + n - 1], encrypt_str(value).decode(), i + 1


def _copy(target: str, rows: Iterator[tuple[Any, ...]]) -> None:
    with connection.cursor() as cursor, cursor.copy(f"COPY {target} FROM STDIN") as copy:
        for row in rows:
            copy.write_row(row)


if __name__ == "__main__":
    main()
