"""No table holds a clear value of a file outside its sealed columns, at any time of a job (P13)."""

from collections.abc import Iterator

import pytest
from django.db import connection

from tests.tokens.bulk.scene import DORA, HEADER, planned
from tokens.bulk import jobs, worker
from tokens.bulk.columns import ColumnMap
from tokens.models import BulkJob, Enterprise

PEOPLE = [
    (f"key-{n}", f"Quendolyn.Zwick{n}@mail.example", f"1317555{n:04d}", f"Quendolyn{n}") for n in range(20)
]
SPOILT = [(f"bad-{n}", f"quendolyn.zwick.{n}.mail.example", f"+1 317 555 {n:04d} ext 7") for n in range(20)]
# Values as they may be written somewhere: as they are, normalised, without country, in other spellings.
CANARIES = ["quendolyn", "zwick", *(number[1:] for _, _, number, _ in PEOPLE), "317 555 00"]


def clear_places() -> list[str]:
    """Tables in which a canary stands, as text or as the hexadecimal form of bytes."""
    found = []
    needles = CANARIES + [canary.encode().hex() for canary in CANARIES]
    with connection.cursor() as cursor:
        # Partitions are read through their parents; the queue of leaves, which nobody reads, holds hashes.
        cursor.execute(
            "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace"
            " AND relkind IN ('r', 'p') AND has_table_privilege(oid, 'SELECT') ORDER BY 1"
        )
        for (table,) in cursor.fetchall():
            cursor.execute(f'SELECT lower(t::text) FROM "{table}" t')
            rows = "\n".join(row for (row,) in cursor.fetchall())
            found += [table for needle in needles if needle in rows]
    return found


@pytest.fixture
def job(enterprise: Enterprise) -> BulkJob:
    lines = [f"{key},{email},{mobile},{name},Berlin,x" for key, email, mobile, name in PEOPLE]
    lines += [f"{key},{email},{mobile},,," for key, email, mobile in SPOILT]
    columns = ColumnMap.parse(
        ["email=Email", "mobile=Mobile", "subscriber_key=Key"], ["FirstName=First", "City=City"]
    )
    return planned(enterprise, HEADER + "\n".join(lines) + "\n", columns, chunk_rows=15)


def stages(job: BulkJob) -> Iterator[str]:
    yield "planned"
    job = jobs.start(job, actor=DORA)
    yield "started"
    chunks = worker.Chunks(job)
    worker.work_one(chunks)
    yield "half done"
    while worker.work_one(chunks):
        pass
    yield "finished"


def test_at_no_stage_of_a_job_does_a_table_hold_a_clear_value(job: BulkJob) -> None:
    for stage in stages(job):
        assert clear_places() == [], stage
    assert job.rejects.count() == 40


def test_a_clear_value_that_was_left_somewhere_would_be_found(job: BulkJob) -> None:
    """The known-bad twin."""
    BulkJob.objects.update(name="for Quendolyn3")
    assert "tokens_bulkjob" in clear_places()
    BulkJob.objects.update(name="", source_digest=b"\x0013175550007")
    assert "tokens_bulkjob" in clear_places()
