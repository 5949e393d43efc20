"""Tells a restored older database what the erasure ledger knows: people erased since, and opt-outs recorded since.

Everything is done again that is not there, and what is there is left as it is: replayed twice, it is as once. An
erasure is brought as far as the ledger saw it: blocked, with its deletes to run, or destroyed if they were over.
Renewed consent is not replayed, since its approval went with the newer database: who was blocked stays blocked, and is
named.
"""

import datetime
import itertools
import uuid
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from django.db import DataError, IntegrityError, transaction
from django.db.models import Q
from django.utils import timezone

from audit.trail import Actor
from audit.vocabulary import Action
from tokens.consent import again
from tokens.erasure import asking, bulk_files, destroying, scope
from tokens.erasure.ledger import Record
from tokens.erasure.scope import Scope
from tokens.formats.kinds import Kind as FormatKind
from tokens.models import (
    ConsentEvent,
    Contact,
    ContactDelete,
    ContactMapping,
    Enterprise,
    Erasure,
    LedgerLine,
    Mapping,
)
from tokens.models.mappings import State

Kind = LedgerLine.Kind
AT_ONCE: Final = 1000
ALL_OF_IT: Final = 10**9  # seconds


@dataclass(slots=True)
class Replayed:
    """What came of it. `renewals` are opt-ins that this database does not know: two people record them anew."""

    erasures: int = 0
    begun: int = 0  # erasures that are blocked again, whose deletes run now
    opt_outs: int = 0
    known: int = 0
    destroyed: dict[str, int] = field(default_factory=dict)
    renewals: list[str] = field(default_factory=list)
    strangers: list[str] = field(default_factory=list)  # EIDs of enterprises that this database does not have
    failed: list[str] = field(default_factory=list)  # ids of records that make no sense


def missing(records: Iterable[Record]) -> list[Record]:
    """The records that this database does not know of, or has not carried out. Opt-ins are not looked for."""
    found: list[Record] = []
    for batch in _batches(record for record in records if is_whole(record) and record["kind"] != Kind.OPT_IN):
        there = _there(batch)
        found += [record for record in batch if _key(record) not in there]
    return found


def is_whole(record: Record) -> bool:
    """Whether a record says what it is and of whom, so that it can be looked for."""
    try:
        uuid.UUID(record["id"])
        return isinstance(record["eid"], str) and record["kind"] in Kind.values
    except (KeyError, ValueError, AttributeError, TypeError):
        return False


def replay(records: Iterable[Record], *, actor: Actor) -> Replayed:
    """Do again what the records say, each in a transaction of its own."""
    done, enterprises = Replayed(), {one.eid: one for one in Enterprise.objects.all()}
    for asked in _batches(records):
        batch = [record for record in asked if is_whole(record)]
        done.failed += [str(record.get("id", "?"))[:64] for record in asked if not is_whole(record)]
        there = _there(batch)
        for record in batch:
            enterprise = enterprises.get(record["eid"])
            if enterprise is None:
                done.strangers += [record["eid"]] if record["eid"] not in done.strangers else []
            elif _key(record) in there:
                done.known += 1
            else:
                there.add(_key(record))
                _try_again(done, enterprise, record, actor)
    return done


def _try_again(done: Replayed, enterprise: Enterprise, record: Record, actor: Actor) -> None:
    """One record that makes no sense does not keep those after it from being replayed."""
    try:
        _again(done, enterprise, record, actor)
    except (KeyError, ValueError, TypeError, AttributeError, DataError, IntegrityError):
        done.failed.append(record["id"])


def _again(done: Replayed, enterprise: Enterprise, record: Record, actor: Actor) -> None:
    if record["kind"] == Kind.ERASURE and not _is_over(record):
        block_again(enterprise, record, actor=actor)
        done.begun += 1
    elif record["kind"] == Kind.ERASURE:
        for name, count in erase_again(enterprise, record, actor=actor).items():
            done.destroyed[name] = done.destroyed.get(name, 0) + count
        done.erasures += 1
    elif record["kind"] == Kind.OPT_OUT:
        done.opt_outs += _opt_out_again(enterprise, record, actor)
    else:
        done.renewals.append(record["id"])


def _there(records: Collection[Record]) -> set[str]:
    """The keys of those that this database knows; of an erasure it knows what it began, and what it carried out."""
    ids = [uuid.UUID(record["id"]) for record in records]
    events = ConsentEvent.objects.filter(pk__in=ids).values_list("pk", flat=True)
    begun = Erasure.objects.filter(pk__in=ids)
    erasures = begun.filter(destroyed_at__isnull=False).values_list("pk", flat=True)
    known = {str(one) for one in (*events, *erasures)}
    return known | {f"{one} begun" for one in begun.values_list("pk", flat=True)}


def _key(record: Record) -> str:
    """What is done once: an erasure's beginning, its end, an opt-out."""
    is_begun = record["kind"] == Kind.ERASURE and not _is_over(record)
    return f"{record['id']} begun" if is_begun else str(record["id"])


def _is_over(record: Record) -> bool:
    """Whether an erasure's deletes had ended; lines of earlier versions were written then only."""
    return bool(record.get("deletes_are_over", True))


def _batches(records: Iterable[Record]) -> Iterator[list[Record]]:
    waiting = iter(records)
    while batch := list(itertools.islice(waiting, AT_ONCE)):
        yield batch


# -- erasures ---------------------------------------------------------------------------------------------------
@transaction.atomic
def block_again(enterprise: Enterprise, record: Record, *, actor: Actor) -> None:
    """Begin an erasure again whose deletes were not over: nothing is destroyed before they are.

    Marketing Cloud may send to the person until then, and a STOP must find them here. Workers do the rest, as they do
    for one that was approved now; a hold that is in force here makes it wait, as it does there.
    """
    found = _scope_of(enterprise, record)
    scope.block(found)
    erasure = _row(enterprise, record, found)
    Erasure.objects.filter(pk=erasure.pk).update(replayed_at=timezone.now())
    ContactDelete.objects.bulk_create(
        (ContactDelete(enterprise=enterprise, erasure=erasure, mid=mid) for mid in record["units"]),
        ignore_conflicts=True,
    )
    asking.record(Action.ERASURE_REPLAYED, erasure, actor, destroyed={})


def erase_again(enterprise: Enterprise, record: Record, *, actor: Actor) -> dict[str, int]:
    """Erase again whom a record names, with a tombstone for what this database never had; how much of what.

    It was approved, and done: a legal hold of the older database, which the newer one had released, does not stop it.
    """
    # The ledger has it, which only the owner may say of an erasure that this database remembers as begun.
    Erasure.objects.using("owner").filter(pk=record["id"], recorded_at=None).update(
        recorded_at=timezone.now()
    )
    with transaction.atomic():
        found = _scope_of(enterprise, record)
        scope.block(found)
        erasure = _erasure_of(enterprise, record, found)
        counts = destroying.everything(found)
        erasure.destroyed = counts
        erasure.save(update_fields=["destroyed"])
        asking.record(Action.ERASURE_REPLAYED, erasure, actor, destroyed=counts)
    # Files are many: each chunk by itself, and the worker that verifies looks once more.
    counts[destroying.BULK_ROWS] = bulk_files.sweep(found, after=0, seconds=ALL_OF_IT).rows
    Erasure.objects.filter(pk=erasure.pk).update(destroyed=counts)
    return counts


def _scope_of(enterprise: Enterprise, record: Record) -> Scope:
    contacts = [_contact(enterprise, key) for key in record["keys"]]
    mappings = [_mapping(enterprise, said) for said in record["mappings"]]
    _hold(enterprise, contacts, mappings)
    ids = {one.pk for row in mappings for one in row}
    held = Mapping.objects.filter(links__contact__in=[one.pk for one in contacts]).exclude(pk__in=ids)
    return Scope(
        enterprise,
        contacts,
        list(Mapping.objects.select_related("enterprise").filter(pk__in=ids).order_by("pk")),
        list(held.select_related("enterprise").distinct().order_by("pk")),
    )


def _contact(enterprise: Enterprise, key: str) -> Contact:
    """Theirs, or one made as erased, so that a later import does not bring it back."""
    Contact.objects.bulk_create(
        [Contact(enterprise=enterprise, subscriber_key=key, erased_at=timezone.now())], ignore_conflicts=True
    )
    return Contact.objects.select_for_update().get(enterprise=enterprise, subscriber_key=key)


def _mapping(enterprise: Enterprise, said: dict[str, Any]) -> list[Mapping]:
    """The mappings that stand for the erased one: itself, or a tombstone and whoever got a token since the restore."""
    rows = Mapping.objects.select_for_update(of=("self",)).filter(enterprise=enterprise)
    own = rows.filter(token=said["token"]).first()
    if own is not None:
        return [own]
    indexes = {int(number): bytes.fromhex(digest) for number, digest in said["indexes"].items()}
    same = Q(blind_index_0__in=indexes.values()) | Q(blind_index_1__in=indexes.values())
    since = list(rows.filter(same, kind=said["channel"]).exclude(state=State.SUPERSEDED))
    # One mapping holds an index: where somebody has it already, the old token is only kept from being drawn again.
    state = State.SUPERSEDED if since else State.ERASED
    made = Mapping(enterprise=enterprise, kind=said["channel"], token=said["token"], state=state)
    for number, digest in indexes.items():
        setattr(made, f"index_version_{number % 2}", number)
        setattr(made, f"blind_index_{number % 2}", digest)
    made.save(force_insert=True)
    return [made, *since]


def _hold(enterprise: Enterprise, contacts: list[Contact], mappings: list[list[Mapping]]) -> None:
    """Give tombstones that were made just now a contact, which Get Token names as it did before."""
    fresh = [row[0].pk for row in mappings if not row[0].links.exists()]
    for mapping_id in fresh if contacts else []:
        ContactMapping.objects.create(
            enterprise=enterprise,
            mapping_id=mapping_id,
            contact=contacts[0],
            is_primary=True,
            blocked_at=timezone.now(),
        )


def _erasure_of(enterprise: Enterprise, record: Record, found: Scope) -> Erasure:
    """Its row, in the state in which everything is destroyed and the worker has yet to look again."""
    moment, erasure = timezone.now(), _row(enterprise, record, found, recorded_at=timezone.now())
    erasure.state, erasure.destroyed_at, erasure.replayed_at = Erasure.State.DESTROYED, moment, moment
    erasure.lives_until = destroying.lives_until(found, moment)
    erasure.verify_from, erasure.lease_until, erasure.epoch = None, None, erasure.epoch + 1
    erasure.save(
        update_fields=[
            "state", "destroyed_at", "verify_from", "replayed_at", "lives_until", "lease_until", "epoch",
        ]
    )  # fmt: skip
    for mid, proof in record["units"].items():
        said = {"state": ContactDelete.State.DELETED, "proof": proof, "deleted_at": erasure.blocked_at}
        ContactDelete.objects.update_or_create(
            erasure=erasure, mid=mid, defaults=said, create_defaults=said | {"enterprise": enterprise}
        )
    return erasure


def _row(enterprise: Enterprise, record: Record, found: Scope, **more: Any) -> Erasure:
    """The erasure as it was approved, unless this database has it."""
    erasure, _ = Erasure.objects.get_or_create(
        pk=uuid.UUID(record["id"]),
        defaults={
            "enterprise": enterprise,
            "mapping": _origin(enterprise, found, record),
            "case": record["case"],
            "requested_by_id": record["requested_by_id"],
            "requested_by_name": record["requested_by_name"],
            "approval": record["approval"],
            "contacts": found.contact_ids,
            "mappings": found.mapping_ids,
            "shared": [one.pk for one in found.shared],
            "blocked_at": datetime.datetime.fromisoformat(record["blocked_at"]),
            **more,
        },
    )
    return erasure


def _origin(enterprise: Enterprise, found: Scope, record: Record) -> Mapping:
    """The mapping from whose page it was asked; a shared one may be gone, then another of theirs."""
    asked = Mapping.objects.filter(enterprise=enterprise, token=record["token"]).first()
    known: Sequence[Mapping] = [*found.mappings, *found.shared]
    if asked is not None or known:
        return asked or known[0]
    # They held nothing but what others held too, and this database has none of it: no token is drawn again.
    kind = FormatKind.EMAIL if "@" in record["token"] else FormatKind.MOBILE
    return Mapping.objects.create(
        enterprise=enterprise, kind=kind, token=record["token"], state=State.SUPERSEDED
    )


# -- opt-outs ---------------------------------------------------------------------------------------------------
def _opt_out_again(enterprise: Enterprise, record: Record, actor: Actor) -> int:
    event = ConsentEvent(
        id=uuid.UUID(record["id"]),
        enterprise=enterprise,
        kind=record["channel"],
        action=ConsentEvent.Action.OPT_OUT,
        index_version=record["index_version"],
        blind_index=bytes.fromhex(record["blind_index"]),
        occurred_at=datetime.datetime.fromisoformat(record["occurred_at"]),
        received_at=datetime.datetime.fromisoformat(record["received_at"]),
        **{name: record[name] for name in ("scope", "scope_id", "source", "source_id", "law")},
        actor_id=record["actor_id"],
        actor_name=record["actor_name"],
    )
    return int(again.record_again(event, actor=actor))
