"""The contact delete of an erasure, unit by unit: begun, asked for until it is over, and read back.

Marketing Cloud runs one at a time in an account, so the units come one after the other, and so do erasures. A delete
that was begun by a worker who was killed before noting it is begun again; it finds nobody and is as good.
"""

import datetime
from typing import Final

from django.db import connection, transaction
from django.db.models import QuerySet
from django.utils import timezone

from audit.trail import SYSTEM
from audit.vocabulary import Action
from tokens.connections.client import client_of, cloud, of_account
from tokens.erasure import asking, work
from tokens.erasure.scope import Scope
from tokens.errors import NoConnection
from tokens.marketing_cloud import MarketingCloud, MarketingCloudError, Patience
from tokens.marketing_cloud.contacts import DeleteState
from tokens.marketing_cloud.errors import CallRefused, NotThere
from tokens.models import BusinessUnit, ContactDelete, Erasure, LedgerLine

# What fails is tried again from the row, where a killed worker loses nothing.
QUICKLY: Final = Patience(attempts=2, longest_wait=2, answer_within=30)
POLL_AFTER: Final = 5.0
# As long as a call that begins one may take, with all its patience; who was killed in it holds up nobody for longer.
BEGINNING: Final = datetime.timedelta(minutes=10)
LOCK: Final = 7_310_278  # and the enterprise: who begins a delete there
State, Proof = ContactDelete.State, ContactDelete.Proof


class NotYet(Exception):
    """Nothing went wrong: it has to wait, for `args[0]`, and is looked at again after `args[1]` seconds."""


class StillThere(NotYet):
    """A delete is over, and Marketing Cloud still knows the subscriber key."""


def go_on(erasure: Erasure, scope: Scope) -> None:
    """Bring the next unit forward. Raises NotYet, MarketingCloudError and BadConnection; returns when all are done."""
    waits: StillThere | None = None
    for one in erasure.deletes.exclude(state=State.DELETED).order_by("pk"):
        with _client(erasure, one.mid, scope) as client:
            if not one.operation:
                _begin(client, one, scope.keys)
            try:
                _follow(client, one, scope.keys)
            except StillThere as why:
                waits = why  # only time helps, days perhaps: the other units go on
            if erasure.left_to_customer is None:
                _list_what_is_left(client, erasure)
    if waits:
        raise waits


def finish(erasure: Erasure) -> None:
    """Every unit is done: the ledger must have it next. In a transaction of its own. Raises TakenOver."""
    with transaction.atomic():
        rows = Erasure.objects.select_for_update(of=("self",)).select_related("mapping")
        locked = rows.get(pk=erasure.pk)
        if locked.epoch != erasure.epoch or locked.state != Erasure.State.BLOCKED:
            raise work.TakenOver
        if locked.deletes.exclude(state=State.DELETED).exists():
            return
        locked.state, locked.deleted_at = Erasure.State.DELETED, timezone.now()
        locked.save(update_fields=["state", "deleted_at"])
        LedgerLine.objects.create(kind=LedgerLine.Kind.ERASURE, subject=locked.pk)
        units = {one.mid: one.proof for one in locked.deletes.order_by("pk")}
        asking.record(Action.ERASURE_DELETED, locked, SYSTEM, units=units)


def _begin(client: MarketingCloud, one: ContactDelete, keys: list[str]) -> None:
    _reserve(one)
    mine = ContactDelete.objects.filter(pk=one.pk, state=State.RUNNING, operation="")
    try:
        if any(_runs(client, other.operation) for other in _running(one).exclude(operation="")):
            raise NotYet("another_delete_runs", POLL_AFTER)
        one.operation = client.contacts.delete(keys)[:64]
    except (NotYet, MarketingCloudError):
        mine.update(state=State.PENDING)
        raise
    mine.update(operation=one.operation)


@transaction.atomic
def _reserve(one: ContactDelete) -> None:
    """Note that it begins before it does: of two workers of an enterprise, one sees the other's. Raises NotYet."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, hashint8(%s))", [LOCK, one.enterprise_id])
    now = timezone.now()
    if _running(one).filter(operation="", begun_at__gt=now - BEGINNING).exists():
        raise NotYet("another_delete_runs", POLL_AFTER)
    mine = ContactDelete.objects.filter(pk=one.pk, operation="").exclude(state=State.DELETED)
    if not mine.update(state=State.RUNNING, begun_at=now):
        raise NotYet("delete_runs", POLL_AFTER)  # somebody else began it, or people said that it is done


def _running(one: ContactDelete) -> QuerySet[ContactDelete]:
    """Other deletes of the enterprise that were begun, and not proven yet."""
    return ContactDelete.objects.filter(enterprise=one.enterprise_id, state=State.RUNNING).exclude(pk=one.pk)


def _runs(client: MarketingCloud, operation: str) -> bool:
    """Whether a delete runs that was begun: its erasure may be held since, or wait for days to be read back."""
    try:
        return client.contacts.delete_state(operation) == DeleteState.RUNNING
    except (CallRefused, NotThere):
        return False  # unknown there by now; while one runs, Marketing Cloud refuses ours itself


def _follow(client: MarketingCloud, one: ContactDelete, keys: list[str]) -> None:
    said = client.contacts.delete_state(one.operation)
    mine = ContactDelete.objects.filter(pk=one.pk, state=State.RUNNING)
    if said == DeleteState.FAILED:
        mine.update(state=State.PENDING, operation="")
        raise NotYet("delete_failed", None)
    if said == DeleteState.RUNNING:
        raise NotYet("delete_runs", POLL_AFTER)
    if client.subscribers.statuses(keys):
        # It says that it is done, and still knows them: nothing is proven. It may take days there.
        raise StillThere("still_there", None)
    mine.update(state=State.DELETED, proof=Proof.READ_BACK, deleted_at=timezone.now())


def _list_what_is_left(client: MarketingCloud, erasure: Erasure) -> None:
    """For people, and no reason to wait: a package without that scope erases all the same."""
    try:
        found = client.data_extensions.not_sendable()
    except MarketingCloudError:
        return
    erasure.left_to_customer = found
    Erasure.objects.filter(pk=erasure.pk).update(left_to_customer=found)


def _client(erasure: Erasure, mid: str, scope: Scope) -> MarketingCloud:
    """One that acts for the unit. Raises BadConnection."""
    links = scope.links()
    if mid != erasure.enterprise.eid:
        unit = BusinessUnit.objects.filter(enterprise=erasure.enterprise, mid=mid).first()
        if unit is None:  # a restored database may not have it
            raise NoConnection(mid)
        return cloud(unit, links=links, patience=QUICKLY)
    found = of_account(erasure.enterprise)
    if found is None:
        raise NoConnection(erasure.enterprise.name)
    return client_of(found, mid=mid, links=links, patience=QUICKLY)
