"""New links wait in a list until the maintenance process sorts them in; searches find them all the time."""

import uuid_utils.compat
from django.db import connection
from django.utils import timezone

from audit import log_index, payload_log
from audit.models import Api, Direction, Outcome, PayloadEntry
from portal.maintenance import JOBS
from tests.conftest import OwnDatabase


def record(links: list[int]) -> None:
    payload_log.record(
        payload_log.Exchange(
            id=uuid_utils.compat.uuid7(),
            at=timezone.now(),
            direction=Direction.INBOUND,
            api=Api.RESOLVE,
            status=200,
            outcome=Outcome.COMPLETE,
            links=links,
        )
    )


def test_links_are_found_before_and_after_they_are_sorted_in(own_database: OwnDatabase) -> None:
    for number in range(5):
        record(list(range(number, 1000 + number)))
    found = PayloadEntry.objects.filter(links__overlap=[3])
    assert found.count() == 4
    assert log_index.sort_in() > 0
    assert log_index.sort_in() == 0
    assert found.count() == 4


def test_every_partition_has_room_for_a_thousand_batches(db: None) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT child.reloptions FROM pg_inherits"
            " JOIN pg_class child ON child.oid = inhrelid WHERE inhparent = 'payload_by_link'::regclass"
        )
        options = [row[0] for row in cursor.fetchall()]
    assert len(options) >= 7
    assert all(option == ["gin_pending_list_limit=16384"] for option in options)


def test_the_maintenance_process_sorts_in_every_few_seconds() -> None:
    [seconds] = [seconds for _, seconds, job in JOBS if job is log_index.sort_in]
    assert seconds <= 10
