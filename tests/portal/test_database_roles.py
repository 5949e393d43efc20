"""The tests themselves run as the role that web servers and workers run as."""

import pytest
from django.db import DatabaseError, connection, connections, transaction

from tests.conftest import OwnDatabase

EVIDENCE = ["audit_payloadentry", "audit_auditevent", "tokens_consentevent"]


@pytest.mark.django_db
def test_the_app_is_not_the_owner() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_user")
        assert cursor.fetchone() == ("portal_app",)


@pytest.mark.django_db
@pytest.mark.parametrize("table", EVIDENCE)
@pytest.mark.parametrize("verb", ["DELETE FROM {}", "TRUNCATE {}", "UPDATE {} SET id = id", "DROP TABLE {}"])
def test_the_app_cannot_change_evidence(table: str, verb: str) -> None:
    with pytest.raises(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(verb.format(table))


def test_what_a_test_commits_in_its_own_database_is_seen_by_the_owner(own_database: OwnDatabase) -> None:
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO django_session VALUES ('key', '', now())")
    with connections["owner"].cursor() as cursor:
        cursor.execute("SELECT session_key, current_user, current_database() FROM django_session")
        assert cursor.fetchone() == ("key", "portal_owner", own_database.name)


def test_the_schema_works_on_postgresql_15(own_database_on_15: OwnDatabase) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SHOW server_version")
        version = cursor.fetchone()
        assert version is not None
        assert version[0].startswith("15.")


@pytest.mark.django_db
@pytest.mark.parametrize(
    "change",
    [
        "UPDATE tokens_enterprise SET sandbox = NOT sandbox",
        "UPDATE tokens_enterprise SET token_domain = 'tok.other.example'",
        "UPDATE tokens_mapping SET token = 'another'",
        "UPDATE tokens_mapping SET enterprise_id = enterprise_id + 1",
        "UPDATE tokens_export SET clear = true",
        "UPDATE tokens_export SET requested_by_id = 'user:1'",
        'UPDATE tokens_export SET "only" = DEFAULT',
    ],
)
def test_what_is_fixed_at_birth_stays_so_when_the_triggers_are_told_to_stand_aside(change: str) -> None:
    everything = """
        SELECT set_config('pgtrigger.ignore', array_agg(tgname)::text, true)
        FROM pg_trigger WHERE NOT tgisinternal
    """
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(everything)
        with pytest.raises(DatabaseError, match="permission denied"):
            cursor.execute(change)
        transaction.set_rollback(True)


@pytest.mark.django_db
def test_no_trigger_can_be_blinded_by_a_temporary_table() -> None:
    """Each of our plain functions looks into `public` first; one that does not would be named here."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT proname, proconfig FROM pg_proc WHERE pronamespace = 'public'::regnamespace"
            " AND prorettype = 'trigger'::regtype AND proname !~ '^pgtrigger_'"
        )
        found = dict(cursor.fetchall())
    assert len(found) >= 8
    assert [
        name for name, config in found.items() if config != ["search_path=pg_catalog, public, pg_temp"]
    ] == []
