"""From nothing to a fixture: database, enterprise, clients, rows and the twin's copy of them."""

import os
import subprocess
import sys
from typing import Any

import psycopg
from cryptography.fernet import Fernet
from psycopg import sql

from bench import fixture, seals
from bench.fixture import CHECKOUT, STATE, Fixture
from bench.floor import Keys
from portal.embedded import Urls

TWIN_DATABASE = "plain_twin"


def django_up() -> None:
    """Point Django at the benchmark's servers, which must run, and set it up in this process."""
    import django

    os.environ["PORTAL_STATE_DIR"] = str(STATE)
    os.environ["DJANGO_SETTINGS_MODULE"] = "portal.settings"
    django.setup()


def prepare(rows: int, urls: Urls, log: Any) -> Fixture:
    """The stored fixture if it fits, else a new one. Django must be up and the database new in that case."""
    found = fixture.stored()
    if found is not None:
        _forget_earlier_runs(urls, found)
        return found
    from django.core.management import call_command

    log(f"Loading {rows:,} mappings (kept for the next run in {STATE.relative_to(CHECKOUT)}/) ...")
    call_command("migrate", verbosity=0)
    made = _make_enterprise(rows)
    fixture.load(rows, urls, made.enterprise_id, log)
    made = _make_twin(made, urls, log)
    fixture.save(made)
    return made


def _make_enterprise(rows: int) -> Fixture:
    from audit.trail import SYSTEM
    from tokens.clients import create_client
    from tokens.enterprises import create_enterprise

    enterprise = create_enterprise(
        eid="100001", name="Benchmark", token_domain=fixture.TOKEN_DOMAIN, sandbox=True, actor=SYSTEM
    )
    credentials = {}
    for auth in ("basic", "oauth"):
        client, secret = create_client(enterprise, name=f"bench {auth}", auth=auth, actor=SYSTEM)
        credentials[auth] = (client.client_id, secret)
    return Fixture(
        rows=rows,
        enterprise_id=enterprise.pk,
        basic=credentials["basic"],
        oauth=credentials["oauth"],
        twin_key=Fernet.generate_key().decode(),
        twin_token="",
        version=fixture.version(),
    )


def twin_url(urls: Urls) -> str:
    """The twin's database, as its owner."""
    return urls.owner.replace("/portal?", f"/{TWIN_DATABASE}?")


def twin_environment(found: Fixture, urls: Urls) -> dict[str, str]:
    """What the twin's processes need."""
    return os.environ | {
        "DJANGO_SETTINGS_MODULE": "bench.plain_twin.settings",
        "TWIN_DATABASE_URL": twin_url(urls),
        "TWIN_FERNET_KEY": found.twin_key,
    }


def _make_twin(found: Fixture, urls: Urls, log: Any) -> Fixture:
    log("Loading the same rows for the plain-Django twin ...")
    with psycopg.connect(urls.admin, autocommit=True) as connection:
        name = sql.Identifier(TWIN_DATABASE)
        connection.execute(sql.SQL("DROP DATABASE IF EXISTS {}").format(name))
        connection.execute(sql.SQL("CREATE DATABASE {} OWNER portal_owner").format(name))
        tokens = connection.execute("SELECT token FROM tokens_mapping ORDER BY id").fetchall()
    done = subprocess.run(
        [sys.executable, "-m", "bench.plain_twin.load"],
        input="\n".join(token for (token,) in tokens),
        env=twin_environment(found, urls),
        cwd=CHECKOUT,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return Fixture(**vars(found) | {"twin_token": done.stdout.strip()})


def _forget_earlier_runs(urls: Urls, found: Fixture) -> None:
    """Take back what an earlier run minted and logged, so that each run meets the same tables."""
    seals.forget(urls)
    with psycopg.connect(urls.admin, autocommit=True) as connection:
        connection.execute("SET session_replication_role = replica")  # passes the append-only triggers
        connection.execute("TRUNCATE tokens_budgetuse")
        connection.execute("DELETE FROM tokens_mapping WHERE id > %s", [found.rows])
        connection.execute("DELETE FROM tokens_contactmapping WHERE id > %s", [found.rows])
        connection.execute("DELETE FROM tokens_contact WHERE id > %s", [found.people])
        connection.execute("VACUUM ANALYZE")
        connection.execute("CHECKPOINT")


def floor_keys(found: Fixture) -> Keys:
    """The raw keys of the benchmark's enterprise."""
    return keys_of(found.enterprise_id, fixture.TOKEN_DOMAIN)


def keys_of(enterprise_id: int, token_domain: str) -> Keys:
    """The raw keys of an enterprise."""
    from tokens.crypto import root_keys
    from tokens.crypto.keyring import keyring
    from tokens.crypto.keyset import DataKey, Purpose

    stored = list(DataKey.objects.filter(enterprise_id=enterprise_id, wrapped__isnull=False))
    raw = {key.pk: root_keys.provider().unwrap(bytes(key.wrapped or b""), key.context()) for key in stored}
    value_key = next(key.pk for key in stored if key.purpose == Purpose.VALUE and key.is_primary)
    index_key = keyring(enterprise_id).live_versions()[-1].key
    return Keys(enterprise_id, token_domain, raw, value_key, index_key)
