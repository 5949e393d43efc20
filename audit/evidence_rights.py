"""Whether a database role could change evidence after all: what `doctor` and `check --deploy` ask (decision 8).

PostgreSQL is asked for the rights of the role and of every role that it could become, and for what passes by rights:
ownership, superusers, switched-off triggers.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from django.db import connections

# Tables by the verbs that the app's role must not have. Their partitions are found here.
Forbidden = Mapping[str, tuple[str, ...]]
# Tables by their plain triggers.
Triggers = Mapping[str, tuple[str, ...]]
# Tables by the columns that the app may change.
Changes = Mapping[str, tuple[str, ...]]
EVIDENCE: Final[Forbidden] = {
    "audit_payloadentry": ("UPDATE", "DELETE", "TRUNCATE"),
    "audit_auditevent": ("UPDATE", "DELETE", "TRUNCATE"),
    "audit_sealedleaf": ("INSERT", "UPDATE", "DELETE", "TRUNCATE"),
    "audit_checkpoint": ("INSERT", "UPDATE", "DELETE", "TRUNCATE"),
    "audit_sealqueueentry": ("SELECT", "UPDATE", "DELETE", "TRUNCATE"),
    "audit_approvalrequest": ("DELETE", "TRUNCATE"),
    "audit_retentionpolicy": ("UPDATE", "DELETE", "TRUNCATE"),
    "audit_heldcopy": ("INSERT", "UPDATE", "DELETE", "TRUNCATE"),
    "audit_installation": ("INSERT", "UPDATE", "DELETE", "TRUNCATE"),
}
# Those that nobody changes, so that triggers stop the owner too.
APPEND_ONLY: Final = (
    "audit_payloadentry", "audit_auditevent", "audit_sealedleaf", "audit_checkpoint", "audit_retentionpolicy",
    "audit_heldcopy",
)  # fmt: skip

RIGHTS: Final = """
WITH becomes AS (SELECT * FROM pg_roles WHERE pg_has_role(current_user, oid, 'MEMBER')), evidence AS (
    SELECT c.oid, c.relname, c.relowner, wanted.name AS parent, wanted.verb
    FROM unnest(%s::text[], %s::text[]) AS wanted (name, verb)
    JOIN pg_class root ON root.relname = wanted.name AND root.relnamespace = 'public'::regnamespace
    JOIN pg_class c ON c.oid = root.oid OR c.oid IN (SELECT inhrelid FROM pg_inherits WHERE inhparent = root.oid)
)
SELECT DISTINCT becomes.rolname, evidence.relname, evidence.verb FROM becomes, evidence
WHERE has_table_privilege(becomes.oid, evidence.oid, evidence.verb)
OR (evidence.verb IN ('INSERT', 'UPDATE', 'SELECT')
    AND has_any_column_privilege(becomes.oid, evidence.oid, evidence.verb))
ORDER BY 2, 3, 1
"""
# Where some columns may be changed, every other one.
COLUMNS: Final = """
WITH becomes AS (SELECT * FROM pg_roles WHERE pg_has_role(current_user, oid, 'MEMBER'))
SELECT DISTINCT becomes.rolname, c.relname, a.attname
FROM becomes, pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE c.relnamespace = 'public'::regnamespace AND c.relname = ANY(%s)
AND c.relname || '.' || a.attname <> ALL(%s::text[])
AND has_column_privilege(becomes.oid, c.oid, a.attnum, 'UPDATE')
ORDER BY 2, 3, 1
"""
POWERS: Final = """
WITH becomes AS (SELECT * FROM pg_roles WHERE pg_has_role(current_user, oid, 'MEMBER'))
SELECT rolname, 'is a superuser' FROM becomes WHERE rolsuper
UNION ALL SELECT rolname, 'bypasses row security' FROM becomes WHERE rolbypassrls
UNION ALL SELECT rolname, 'may make and change roles' FROM becomes WHERE rolcreaterole
UNION ALL SELECT rolname, 'may replicate, and so read and copy everything' FROM becomes WHERE rolreplication
UNION ALL SELECT DISTINCT rolname, 'owns tables of evidence, and so may drop their triggers'
    FROM becomes JOIN pg_class ON relowner = becomes.oid WHERE relname = ANY(%s)
UNION ALL SELECT rolname, 'owns the database' FROM becomes JOIN pg_database ON datdba = becomes.oid
    WHERE datname = current_database()
UNION ALL SELECT rolname, 'may set session_replication_role, which switches triggers off' FROM becomes
    WHERE has_parameter_privilege(becomes.oid, 'session_replication_role', 'SET')
UNION ALL SELECT rolname, 'runs programs or writes files on the database server' FROM becomes
    WHERE rolname IN ('pg_execute_server_program', 'pg_write_server_files')
UNION ALL SELECT rolname, 'writes every table' FROM becomes WHERE rolname = 'pg_write_all_data'
"""
# Of a partitioned table the trigger stands on each partition too.
TRIGGERS: Final = """
SELECT c.relname FROM pg_class c JOIN pg_class root ON root.relname = ANY(%s)
    AND root.relnamespace = 'public'::regnamespace
    AND (c.oid = root.oid OR c.oid IN (SELECT inhrelid FROM pg_inherits WHERE inhparent = root.oid))
WHERE c.relkind = 'r' AND 1 > (
    SELECT count(*) FROM pg_trigger WHERE tgrelid = c.oid AND NOT tgisinternal AND tgenabled IN ('O', 'A')
    AND tgname LIKE 'pgtrigger_append_only%%'
)
ORDER BY 1
"""
# Plain triggers by their table: they hold what the app may write to the rule of it.
PLAIN_TRIGGERS: Final[Triggers] = {
    "audit_approvalrequest": ("is_asked", "is_closed", "stays"),
    "audit_installation": ("stays",),
    "audit_legalhold": ("is_placed", "is_released", "stays"),
    "audit_retentionpolicy": ("is_approved",),
}
MISSING: Final = """
SELECT wanted.relation, wanted.trigger FROM unnest(%s::text[], %s::text[]) AS wanted (relation, trigger)
WHERE NOT EXISTS (
    SELECT FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid AND c.relnamespace = 'public'::regnamespace
    WHERE c.relname = wanted.relation AND t.tgname = wanted.trigger AND t.tgenabled IN ('O', 'A')
)
ORDER BY 1, 2
"""


@dataclass(frozen=True, slots=True)
class Weakness:
    """Something through which evidence could be changed."""

    says: str
    mend: str


def weaknesses(
    beside: Forbidden, changes: Changes, triggers: Triggers, *, using: str = "default"
) -> list[Weakness]:
    """What the role of this connection could do to evidence, directly or as a role that it may become.

    `beside` are tables of evidence of other apps; `changes` are those of which some columns may be changed, and which;
    `triggers` are the plain triggers of those apps.
    """
    forbidden = {**EVIDENCE, **beside}
    with connections[using].cursor() as cursor:
        cursor.execute("SELECT current_user, current_setting('session_replication_role')")
        role, replication = cursor.fetchone()
        found = [
            *_powers(cursor, role, forbidden),
            *_rights(cursor, role, forbidden),
            *_columns(cursor, role, changes),
            *_triggers(cursor, triggers),
        ]
    if replication != "origin":
        says = f"the sessions of the role {role} begin with session_replication_role = {replication}: no trigger fires"
        found.append(Weakness(says, f"ALTER ROLE {role} RESET session_replication_role"))
    return found


def _powers(cursor: Any, role: str, forbidden: Forbidden) -> list[Weakness]:
    cursor.execute(POWERS, [list(forbidden)])
    mend = "give DATABASE_URL a role of its own, that is a member of no other and has no attributes"
    return [Weakness(f"{_name(role, other)} {power}", mend) for other, power in cursor.fetchall()]


def _rights(cursor: Any, role: str, forbidden: Forbidden) -> list[Weakness]:
    pairs = [(table, verb) for table, verbs in forbidden.items() for verb in verbs]
    cursor.execute(RIGHTS, [[table for table, _ in pairs], [verb for _, verb in pairs]])
    return [
        Weakness(
            f"{_name(role, other)} has {verb} on {table}", f"REVOKE {verb} ON {table} FROM {other}, PUBLIC"
        )
        for other, table, verb in cursor.fetchall()
    ]


def _columns(cursor: Any, role: str, changes: Changes) -> list[Weakness]:
    allowed = [f"{table}.{column}" for table, columns in changes.items() for column in columns]
    cursor.execute(COLUMNS, [list(changes), allowed])
    return [
        Weakness(
            f"{_name(role, other)} has UPDATE of {table}.{column}",
            f"REVOKE UPDATE ON {table} FROM {other}, PUBLIC, and run manage.py migrate",
        )
        for other, table, column in cursor.fetchall()
    ]


def _triggers(cursor: Any, beside: Triggers) -> list[Weakness]:
    cursor.execute(TRIGGERS, [list(APPEND_ONLY)])
    found = [
        Weakness(
            f"the append-only trigger of {table} is missing or switched off",
            "run manage.py pgtrigger install",
        )
        for (table,) in cursor.fetchall()
    ]
    pairs = [(table, name) for table, names in {**PLAIN_TRIGGERS, **beside}.items() for name in names]
    cursor.execute(MISSING, [[table for table, _ in pairs], [name for _, name in pairs]])
    return found + [
        Weakness(
            f"the trigger {name} of {table} is missing or switched off",
            f"ALTER TABLE {table} ENABLE TRIGGER {name}, or restore it from its migration",
        )
        for table, name in cursor.fetchall()
    ]


def _name(role: str, other: str) -> str:
    return f"the app's role {role}" if role == other else f"the app's role {role} can become {other}, which"
