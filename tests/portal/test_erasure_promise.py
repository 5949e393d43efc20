"""Erased is erased, also in a backup that is restored later, once the ledger is replayed (P16).

What is searched is more than a thief gets: everything that is kept, opened with the keys, and a dump. What lives on by
design, the evidence of opt-outs and the residue of a day whose key has not ended, is told by the receipt.
"""

import contextlib
import json
import subprocess
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.conf import settings
from django.core.management import call_command
from django.db import connection, connections
from django.utils import timezone

from audit.approvals import acts, requests
from audit.models import PayloadEntry
from audit.trail import SYSTEM
from portal import erasure_ledger, sealing
from portal.embedded.binaries import find_postgres
from portal.embedded.postgres import OWNER
from tests import cluster
from tests.conftest import OwnDatabase
from tests.portal import canaries
from tests.portal.test_stolen_dump import dump
from tests.tokens.api import cast
from tests.tokens.bulk.scene import HEADER, converted
from tests.tokens.cast import IVAN, OLGA, an_enterprise
from tokens.bulk import slices as bulk_slices
from tokens.consent.opt_outs import record_opt_out
from tokens.crypto import keyring
from tokens.crypto.errors import CannotOpen
from tokens.crypto.fields import Sealed, SealedTextField
from tokens.erasure import asking, word, worker
from tokens.exports import requests as exports
from tokens.exports import slices as export_slices
from tokens.exports import worker as export_worker
from tokens.formats.kinds import Kind
from tokens.log.rebuild import rebuild
from tokens.models import (
    BulkChunk,
    ConsentEvent,
    Enterprise,
    Erasure,
    Export,
    ExportSlice,
    Mapping,
    Suppression,
)

pytestmark = pytest.mark.slow
VALUES = ["Quendolyn.Zwick@mail.example", "Quendolyn Zwick", "clothilde@mail.example"]
ANA, NAME, CLO = VALUES


@pytest.fixture(autouse=True)
def _everybody_may(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(acts._outside, "may", lambda *_: True)


def recoverable(database: OwnDatabase) -> set[str]:
    """The values that somebody with the database and its keys can still read, and where."""
    texts = {"dump": dump(database.urls.owner)} | dict(_opened())
    files = canaries.files_below(Path(settings.ERASURE_LEDGER_PATH).parent)
    return {f"{value} in {place}" for place, _, value in canaries.found(VALUES, texts | files)}


def _opened() -> Iterator[tuple[str, bytes]]:
    for model in apps.get_app_config("tokens").get_models():
        sealed = [one.name for one in model._meta.fields if isinstance(one, SealedTextField)]
        for row in model._default_manager.all() if sealed else []:
            for name in sealed:
                value = getattr(row, name)
                if isinstance(value, Sealed):
                    yield f"{model.__name__}.{name} {row.pk}", value.open().encode()
    yield from _opened_files()
    for entry in PayloadEntry.objects.all():
        with contextlib.suppress(CannotOpen):
            exchange = rebuild(entry)
            for body in (exchange.request, exchange.response):
                yield f"entry {entry.pk}", body.exact or b""


def _opened_files() -> Iterator[tuple[str, bytes]]:
    for chunk in BulkChunk.objects.all():
        for side in ("source", "output"):
            if (sealed_bytes := getattr(chunk, side)) is not None:
                place = (chunk.enterprise_id, chunk.job_id, chunk.number, side)
                yield f"file {chunk.pk} {side}", bulk_slices.unseal(*place, bytes(sealed_bytes)).encode()
    for part in ExportSlice.objects.exclude(sealed=None).select_related("export"):
        yield (
            f"export {part.pk}",
            repr(export_slices.unseal(part.export, part.number, bytes(part.sealed))).encode(),
        )


def worked_at(enterprise: Enterprise) -> Mapping:
    """A day with Quendolyn: a file of bulk conversion, a send, an export in clear."""
    converted(
        enterprise, HEADER + f'SUB-ANA,{ANA},,{NAME},Rome,"note on {NAME}"\nSUB-BEN,ben@mail.example,,Ben,,\n'
    )
    ana = Mapping.objects.select_related("enterprise").get(links__contact__subscriber_key="SUB-ANA")
    cast.a_caller(enterprise).resolve(cast.ask(ana.token))
    export = exports.ask(
        enterprise,
        what=Export.What.PEOPLE,
        form=Export.Form.CSV,
        only={},
        case="C-1",
        clear=True,
        actor=SYSTEM,
    )
    export_worker.work(export.pk, seconds=60)
    return ana


def erase(mapping: Mapping) -> Erasure:
    """By two people, who also say that Marketing Cloud has deleted them."""
    chosen = [link.contact_id for link in asking.holders(mapping)]
    outcome = asking.ask(mapping, chosen, case="DSAR-7", reason="In writing.", actor=OLGA)
    assert outcome.waits_for is not None
    requests.approve(outcome.waits_for.pk, actor=IVAN)
    erasure = Erasure.objects.get(mapping=mapping)
    outcome = word.confirm(erasure.deletes.get(), evidence="ticket 1", reason="By hand.", actor=OLGA)
    assert outcome.waits_for is not None
    requests.approve(outcome.waits_for.pk, actor=IVAN)
    work_on()
    erasure.refresh_from_db()
    assert erasure.state == Erasure.State.DONE, erasure.trouble
    return erasure


def work_on() -> None:
    for _ in range(4):
        Erasure.objects.update(next_try_at=timezone.now())
        worker.work_for(seconds=60)
        erasure_ledger.copy()


def restore(database: OwnDatabase, backup: bytes) -> None:
    """The database as it was, under its name."""
    connections.close_all()
    keyring.forget_all()
    where = cluster.main()
    where.drop(database.name)
    with where._admin() as admin:
        admin.execute(f'CREATE DATABASE "{database.name}" TEMPLATE template0 OWNER {OWNER}')
    psql = [find_postgres().bin / "psql", "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--dbname"]
    subprocess.run([*psql, database.urls.admin], input=backup, stdout=subprocess.DEVNULL, check=True)


def replayed() -> dict[str, Any]:
    out = StringIO()
    call_command("replay_erasures", "--json", stdout=out)
    found: dict[str, Any] = json.loads(out.getvalue())
    return found


def test_nothing_of_an_erased_person_can_be_recovered_not_even_from_an_older_backup(
    own_database: OwnDatabase,
) -> None:
    acme = an_enterprise()
    ana = worked_at(acme)
    caller = cast.a_caller(acme)
    backup = dump(own_database.urls.owner)
    clo = Mapping.objects.select_related("enterprise").get(token=cast.a_person(acme, CLO, "SUB-CLO"))
    record_opt_out(
        acme, kind=Kind.EMAIL, raw_value="ben@mail.example", source=ConsentEvent.Source.OFFICER, source_id="1",
        occurred_at=timezone.now(), actor=OLGA,
    )  # fmt: skip
    assert len(recoverable(own_database)) > 6
    receipt = erase(ana)
    erase(clo)
    assert receipt.destroyed == {
        "clear values": 1, "versions of attributes": 1, "messages of the No Token Queue": 0, "exports in clear": 1,
        "rows in files of bulk jobs": 2,
    }  # fmt: skip
    assert recoverable(own_database) == set()
    sealing.seal()
    call_command("verify_audit", stdout=StringIO())

    restore(own_database, backup)
    assert len(recoverable(own_database)) > 6  # the known-bad twin: this is what replaying is for
    assert not Suppression.objects.exists()
    done = replayed()
    assert (done["erasures"], done["opt_outs"], done["renewals"]) == (2, 1, [])
    assert recoverable(own_database) == set()
    assert Suppression.objects.count() == 1
    work_on()
    assert set(Erasure.objects.values_list("state", flat=True)) == {"done"}
    [told] = caller.get_token(cast.want(CLO)).json()["tokens"]  # she never was in this database
    assert (told["token"], told["subscriberKey"]) == (clo.token, "SUB-CLO")
    assert caller.resolve(cast.ask(ana.token), cast.ask(clo.token, "r-2")).json()["resolvedTokens"] == []
    again = replayed()
    assert (again["erasures"], again["opt_outs"], again["destroyed"]) == (0, 0, {})
    connection.close()
