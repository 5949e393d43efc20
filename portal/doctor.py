"""What is wrong with this installation, as findings that say how to mend it (`manage.py doctor`).

A check is a row of CHECKS: a name, and a function that answers what troubles it, nothing when all is well. A check that
raises is a finding itself.
"""

import datetime
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, Literal

from django.conf import settings
from django.db import connections
from django.utils import timezone

from audit import evidence_rights
from audit.seals import sequencer, status
from audit.seals.errors import SealError
from audit.seals.tree import StoredTree
from portal import alarms, database_roles, erasure_ledger, health, sealing
from tokens.connections.approval import has_passed
from tokens.crypto.certificates import ends_at
from tokens.erasure import copying, replay
from tokens.models import Connection

# The maintenance process copies every two seconds.
LEDGER_PATIENCE: Final = datetime.timedelta(minutes=1)
CERTIFICATE_NOTICE: Final = datetime.timedelta(days=30)
# `mend` must be mended; `look` may be meant so.
Level = Literal["ok", "look", "mend"]


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check found, and how to mend it."""

    check: str
    level: Level
    says: str
    mend: str = ""


@dataclass(frozen=True, slots=True)
class Trouble:
    """What a check answers: the same without its name."""

    says: str
    mend: str
    level: Level = "mend"


Check = Callable[[], list[Trouble]]


def examine() -> Iterator[Finding]:
    """The findings of each check, one that says ok where there are none."""
    for name, check in CHECKS.items():
        try:
            troubles = check()
        except Exception as error:  # noqa: BLE001 - the other checks can still tell something
            said = " ".join(
                [f"the check failed: {type(error).__name__}:", *str(error).strip().splitlines()[:1]]
            )
            troubles = [Trouble(said, "mend what it needs, and ask again")]
        yield from (Finding(name, trouble.level, trouble.says, trouble.mend) for trouble in troubles)
        if not troubles:
            yield Finding(name, "ok", "")


def rights() -> list[Trouble]:
    """The app's role cannot change evidence, in any way that PostgreSQL knows of."""
    found = evidence_rights.weaknesses(
        database_roles.forbidden(), database_roles.changeable(), database_roles.TRIGGERS
    )
    return [Trouble(weakness.says, weakness.mend) for weakness in found]


def signing_key() -> list[Trouble]:
    """The key that signs checkpoints is there, whole, and nobody else's."""
    path = sealing.key_path()
    try:
        sealing.load_key()
    except SealError as error:
        return [Trouble(str(error), "manage.py make_signing_key, or restore it from its backup")]
    mode = path.stat().st_mode & 0o777
    if mode & 0o077:
        return [Trouble(f"the signing key {path} has mode {mode:o}: others can read it", f"chmod 600 {path}")]
    return []


def head() -> list[Trouble]:
    """The database holds the newest checkpoint that is known outside of it."""
    known = sealing.head().read()  # first: then it is never ahead of the database
    tree = StoredTree()
    try:
        sequencer.check(known, tree.newest(), sealing.load_key(), tree)
    except SealError as error:
        mend = (
            "docs/evidence.md, when sealing stops: manage.py declare_restore after a restore, else an alarm"
        )
        return [Trouble(str(error), mend)]
    if settings.PRODUCTION and sealing.head().path.is_relative_to(settings.STATE_DIR):
        says = f"the head of the log is in the state folder ({sealing.head().path})"
        return [Trouble(says, "AUDIT_HEAD_PATH on a disk that is not restored with the database", "look")]
    return []


def seals() -> list[Trouble]:
    """Sealing goes on."""
    late = status.lateness()
    return [Trouble(late, "start the maintenance process, or read in its log why it stopped")] if late else []


def durability() -> list[Trouble]:
    """What was confirmed survives a power cut: otherwise an answer that was given can lose its log entry."""
    said = {
        "fsync": "PostgreSQL does not wait for the disk at all: a crash of the machine can damage everything",
        "full_page_writes": "a crash of the machine can leave pages half written",
        "synchronous_commit": "the last moments before a crash are lost, entries of answers that were given among them",
    }
    found = []
    with connections["default"].cursor() as cursor:
        for name, what in said.items():
            cursor.execute("SELECT current_setting(%s)", [name])
            if cursor.fetchone()[0] == "off":
                found.append(Trouble(f"{name} is off: {what}", f"set {name} = on", _level_of_durability()))
    return found


def _level_of_durability() -> Level:
    return "mend" if settings.PRODUCTION else "look"


def _of_readiness(check: Callable[[], str], mend: str) -> Check:
    return lambda: [Trouble(reason, mend)] if (reason := check()) else []


# A new check is a row here.
def connections_to_marketing_cloud() -> list[Trouble]:
    """What is in use works, and goes on working: the last test passed, and no certificate is about to end."""
    found = []
    for one in Connection.objects.filter(in_use_since__isnull=False).order_by("name"):
        if one.test and not has_passed(one):
            says = f"the last test of the connection {one.name} failed"
            found.append(Trouble(says, "its page says at which step, and what mends it"))
        if one.certificate and ends_at(one.certificate) < timezone.now() + CERTIFICATE_NOTICE:
            says = f"the certificate of the connection {one.name} ends on {ends_at(one.certificate):%d %B %Y}"
            found.append(Trouble(says, "make a new key on its page, and upload the new certificate", "look"))
    return found


def alarms_reach_people() -> list[Trouble]:
    """Somebody is told of alarms."""
    if settings.PRODUCTION and not alarms.channels():
        says = "nobody is told of alarms: they stand in the event trail only"
        return [Trouble(says, "ALARM_EMAILS with EMAIL_URL, or ALARM_WEBHOOK; then manage.py alarms", "look")]
    return []


def ledger_of_erasures() -> list[Trouble]:
    """The ledger is written, lies apart from the database, and knows nothing that the database does not."""
    found, ledger = [], erasure_ledger.ledger()
    waits = copying.backlog()
    if waits.since is not None and waits.since < timezone.now() - LEDGER_PATIENCE:
        says = f"{waits.lines:,} opt-outs or erasures since {waits.since:%Y-%m-%d %H:%M} UTC are not in the ledger yet"
        found.append(
            Trouble(says, "start the maintenance process, or read in its log why it can't write the ledger")
        )
    if lost := replay.missing(ledger.newest()):
        says = f"the ledger knows {len(lost):,} opt-outs or erasures that this database does not: it is older"
        found.append(Trouble(says, "manage.py replay_erasures, before anything is sent (docs/erasure.md)"))
    if settings.PRODUCTION and ledger.path.is_relative_to(settings.STATE_DIR):
        says = f"the erasure ledger is in the state folder ({ledger.path})"
        mend = "ERASURE_LEDGER_PATH on a disk that is not restored with the database"
        found.append(Trouble(says, mend, "look"))
    return found


CHECKS: Final[dict[str, Check]] = {
    "database": _of_readiness(health.CHECKS["database"], "start it, or correct DATABASE_URL"),
    "migrations": _of_readiness(health.CHECKS["migrations"], "manage.py migrate"),
    "rights of the app on evidence": rights,
    "durable commits": durability,
    "partitions of the log": _of_readiness(health.CHECKS["log partitions"], "start the maintenance process"),
    "root keys": _of_readiness(health.CHECKS["keyring"], "give the FIELD_ENCRYPTION_KEY of this database"),
    "signing key": signing_key,
    "head of the log": head,
    "seals": seals,
    "erasure ledger": ledger_of_erasures,
    "alarms": alarms_reach_people,
    "connections to Marketing Cloud": connections_to_marketing_cloud,
}
