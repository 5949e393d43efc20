"""Two database roles (decision 8): the owner migrates and maintains, the app can't change evidence.

Grants are given again after every migration, from the lists here, so that a new table is never wider than this.
"""

import re
from typing import Any

from django.conf import settings
from django.db import connections
from psycopg import sql

OWNER = "owner"

# Tables by what the app's role may do with them; every table not named here gets EVERYDAY.
EVERYDAY = "SELECT, INSERT, UPDATE, DELETE"
# Some columns are fixed when their row is made. Triggers hold them too, but any session can tell pgtrigger's triggers
# to stand aside (`SET pgtrigger.ignore`), so the app has no right to them either. A new column that may change is
# added here.
MAPPING_CHANGES = "state, value, index_version_0, index_version_1, blind_index_0, blind_index_1"
ENTERPRISE_CHANGES = (
    "name, default_region, mobile_token_digits, optout_blocks_resolve, identifier_keys_allowed, residue_days"
)
# What is asked, and by whom, is never changed; the database's own triggers set the times.
APPROVAL_CHANGES = "state, decided_by_id, decided_by_name, decided_by_delay, decided_at, comment, failure"
REVIEW_CHANGES = "reviewed_by_id, reviewed_by_name, reviewed_at, was_justified, comment"
# Whose export it is and whether it is in clear tells who saw a person: only the run of it changes.
EXPORT_CHANGES = (
    "after, state, failure, failures, epoch, lease_until, slices, rows, finished_at, expires_at, taken"
)
UNSUBSCRIBE_CHANGES = (
    "state, proof, written_by_id, owner_id, owner_name, target_at, due_at, paused_at, alarmed, closed_at, "
    "to_tell"
)
# Whose connection it is stays as it is: another enterprise's data must not leave through it.
CONNECTION_CHANGES = (
    "name, subdomain, grant_kind, client_id, subject, client_secret, signing_key, certificate, in_use_since,"
    " tested_at, test, granted, refresh_token, signed_in_at"
)
# The same for a server that files come from.
TRANSFER_CHANGES = (
    "host, port, username, host_key, password, private_key, public_key, extracts_folder, recipe_id, in_use_since,"
    " tested_at, test, lease_until, looked_at, succeeded_at, failing_since, trouble"
)
REMOTE_FILE_CHANGES = "size, mtime, seen_at, state, trouble, extract_id"
CALLBACK_CHANGES = "callback_id, signature_key, verification_key, verified_at"
WRITE_BACK_CHANGES = "state, tries, next_try_at, epoch, lease_until, trouble, done_at"
# Whom an erasure is about, who asked and what the ledger has of it stay as they are; the owner notes `recorded_at`.
ERASURE_CHANGES = (
    "state, deleted_at, destroyed_at, verify_from, done_at, left_to_customer, destroyed, verified, lives_until,"
    " swept_to, replayed_at, tries, next_try_at, epoch, lease_until, trouble"
)
DELETE_CHANGES = "state, operation, proof, begun_at, deleted_at, evidence, said_by_id, said_by_name"
HOLD_CHANGES = "released_at, released_by_id, released_by_name, released_with"
# What an extract said stays as it was found; what was decided of it changes, and values go with an erasure.
EXTRACT_CHANGES = "state, content, reading, lines, new, known, bad, blocked, imported_at"
QUEUE_CHANGES = (
    "state, number, text, consent_event, decided_by_id, decided_by_name, decided_at, decision_reason"
)
BAD_LINE_CHANGES = "state, content, settled_by_id, settled_by_name, settled_at, settled_how"
NARROWER = {
    "audit_payloadentry": "SELECT, INSERT",
    "audit_auditevent": "SELECT, INSERT",
    "audit_sealqueueentry": "INSERT",
    "audit_approvalrequest": f"SELECT, INSERT, UPDATE ({APPROVAL_CHANGES})",
    "audit_installation": "SELECT",
    "audit_sealedleaf": "SELECT",
    "audit_checkpoint": "SELECT",
    "audit_legalhold": f"SELECT, INSERT, UPDATE ({HOLD_CHANGES})",
    "audit_retentionpolicy": "SELECT, INSERT",  # a trigger asks for the approval
    "audit_heldcopy": "SELECT",
    "tokens_accesspack": "SELECT, INSERT",
    "tokens_consentevent": "SELECT, INSERT",
    "tokens_mapping": f"SELECT, INSERT, UPDATE ({MAPPING_CHANGES})",
    "tokens_contactmapping": "SELECT, INSERT, UPDATE",
    "tokens_contact": "SELECT, INSERT, UPDATE",
    "tokens_attributeset": "SELECT, INSERT, UPDATE",
    "tokens_datakey": "SELECT, INSERT, UPDATE",
    "tokens_indexversion": "SELECT, INSERT, UPDATE",
    "tokens_enterprise": f"SELECT, INSERT, UPDATE ({ENTERPRISE_CHANGES})",
    # A trigger lets a suppression go only when no opt-out of that blind index is in force (tokens.consent.triggers).
    "tokens_suppression": "SELECT, INSERT, UPDATE (index_version), DELETE",
    "tokens_closingday": "SELECT, INSERT, DELETE",
    "tokens_unsubscribe": f"SELECT, INSERT, UPDATE ({UNSUBSCRIBE_CHANGES})",
    "tokens_writeback": f"SELECT, INSERT, UPDATE ({WRITE_BACK_CHANGES})",
    "tokens_erasure": f"SELECT, INSERT, UPDATE ({ERASURE_CHANGES})",
    "tokens_contactdelete": f"SELECT, INSERT, UPDATE ({DELETE_CHANGES})",
    "tokens_ledgerline": "SELECT, INSERT",  # maintenance deletes what the ledger has
    "tokens_budgetuse": "SELECT, INSERT",
    "tokens_connection": f"SELECT, INSERT, UPDATE ({CONNECTION_CHANGES})",
    "tokens_coreorg": "SELECT, INSERT, UPDATE (signing_key, certificate, tested_at, has_passed, said)",
    "tokens_filetransfer": f"SELECT, INSERT, UPDATE ({TRANSFER_CHANGES})",
    "tokens_remotefile": f"SELECT, INSERT, UPDATE ({REMOTE_FILE_CHANGES})",
    "tokens_eventcallback": f"SELECT, INSERT, UPDATE ({CALLBACK_CHANGES})",
    "tokens_cloudevent": "SELECT, INSERT, UPDATE (event, worked_at, tries)",
    "tokens_bulkjob": "SELECT, INSERT, UPDATE",
    "tokens_bulkchunk": "SELECT, INSERT, UPDATE",
    "tokens_bulkreject": "SELECT, INSERT",
    "portal_breakglass": f"SELECT, INSERT, UPDATE ({REVIEW_CHANGES})",
    "portal_revealgrant": "SELECT, INSERT, UPDATE (opened_at)",
    "portal_alarmnotice": "SELECT, INSERT",
    "portal_setuplink": "SELECT, INSERT, UPDATE (used_at, used_from)",
    "tokens_export": f"SELECT, INSERT, UPDATE ({EXPORT_CHANGES})",
    "tokens_exportslice": "SELECT, INSERT, UPDATE (sealed)",
    "tokens_queueextract": f"SELECT, INSERT, UPDATE ({EXTRACT_CHANGES})",
    "tokens_queuemessage": f"SELECT, INSERT, UPDATE ({QUEUE_CHANGES})",
    "tokens_queuebadline": f"SELECT, INSERT, UPDATE ({BAD_LINE_CHANGES})",
    "tokens_queuereconciliation": "SELECT, INSERT",
    "tokens_queueexplanation": "SELECT, INSERT",
    "tokens_queuesettings": "SELECT, INSERT, UPDATE",
    "tokens_tokenchain": "SELECT, INSERT, UPDATE",
    "django_migrations": "SELECT",
}

# Evidence of which some columns change or which other apps own: what was asked, held, consented to, and who saw or took
# whose values. `doctor` and `check --deploy` verify that the rights above are all that the app has.
EVIDENCE = (
    "audit_approvalrequest", "audit_legalhold", "tokens_consentevent", "tokens_accesspack", "tokens_export",
    "tokens_exportslice", "portal_breakglass", "portal_revealgrant", "portal_setuplink",
)  # fmt: skip
# Plain triggers among them (`portal/evidence_triggers.py`).
TRIGGERS = {
    "portal_breakglass": ("is_reviewed",),
    "portal_revealgrant": ("is_opened",),
    "tokens_consentevent": ("opt_in_is_approved", "goes_to_ledger"),
    "tokens_suppression": ("stays_while_in_force",),
}


def forbidden() -> dict[str, tuple[str, ...]]:
    """The verbs that the app must not have on each table of EVIDENCE."""
    verbs = ("UPDATE", "DELETE", "TRUNCATE")
    return {table: tuple(verb for verb in verbs if verb not in NARROWER[table]) for table in EVIDENCE}


def changeable() -> dict[str, tuple[str, ...]]:
    """Of the tables in which the app may change some columns: which."""
    found = {table: re.search(r"UPDATE \((.*)\)", NARROWER[table]) for table in EVIDENCE}
    return {table: tuple(part[1].replace(" ", "").split(",")) for table, part in found.items() if part}


# Those of pgtrigger ask no table.
PLAIN_FUNCTIONS = """
SELECT oid::regprocedure::text FROM pg_proc
WHERE pronamespace = 'public'::regnamespace AND prorettype = 'trigger'::regtype
  AND (proname LIKE 'audit\\_%' OR proname LIKE 'tokens\\_%' OR proname LIKE 'portal\\_%')
"""
PINNED = sql.SQL("pg_catalog, public, pg_temp")


class OwnerMigrates:
    """Database router: the schema changes through the alias `owner` only."""

    def allow_migrate(self, db: str, app_label: str, **hints: Any) -> bool:
        return db == OWNER


def grant_after_migrate(sender: Any, using: str, **kwargs: Any) -> None:
    """Signal handler of post_migrate."""
    if using == OWNER:
        pin_functions()
        grant(str(settings.DATABASES["default"]["USER"]))


def pin_functions() -> None:
    """Let our triggers look up their tables in `public` before a session's own temporary ones.

    Otherwise whoever makes a temporary table of the same name decides what a trigger sees.
    """
    with connections[OWNER].cursor() as cursor:
        cursor.execute(PLAIN_FUNCTIONS)
        for (function,) in cursor.fetchall():
            name = sql.SQL(function)  # written by regprocedure, quoted where it must be
            cursor.execute(sql.SQL("ALTER FUNCTION {} SET search_path = {}").format(name, PINNED))


def grant(role: str) -> None:
    """Give `role` exactly what the app needs on every table and sequence of the schema `public`.

    Partitions get nothing of their own: rows are reached through their parent table.
    """
    app = sql.Identifier(role)
    with connections[OWNER].cursor() as cursor:
        cursor.execute(
            "SELECT c.relname, c.relispartition FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
            " WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p')"
        )
        tables = cursor.fetchall()
        cursor.execute(sql.SQL("GRANT USAGE ON SCHEMA public TO {}").format(app))
        for table, is_partition in tables:
            name = sql.Identifier(table)
            cursor.execute(sql.SQL("REVOKE ALL ON {} FROM {}").format(name, app))
            if not is_partition:
                rights = sql.SQL(NARROWER.get(table, EVERYDAY))
                cursor.execute(sql.SQL("GRANT {} ON {} TO {}").format(rights, name, app))
        cursor.execute(sql.SQL("GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO {}").format(app))
