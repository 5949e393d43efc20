"""Files, jobs and workers for the tests of bulk conversion."""

import csv
import io
from typing import Any

from audit.trail import Actor
from tokens.bulk import jobs, output, plan, worker
from tokens.bulk.columns import ColumnMap
from tokens.enterprises import create_enterprise
from tokens.models import BulkJob, Enterprise

DORA = Actor("dora", "Dora Data-Engineer")
COLUMNS = ColumnMap.parse(
    ["email=Email", "mobile=Mobile", "subscriber_key=Key"], ["FirstName=First", "City=City"]
)
HEADER = "Key,Email,Mobile,First,City,Note\n"


def make_enterprise(**changes: Any) -> Enterprise:
    """A sandbox whose tokens end in tok.example.net."""
    return create_enterprise(
        eid="510", name="Blumen Ost", token_domain="tok.example.net", sandbox=True, actor=DORA, **changes
    )


def planned(
    enterprise: Enterprise, text: str | bytes, columns: ColumnMap = COLUMNS, **options: Any
) -> BulkJob:
    """A planned job over a file with this content."""
    data = text.encode() if isinstance(text, str) else text
    return plan.plan(enterprise, [data], name="list.csv", columns=columns, actor=DORA, **options)


def work_off(job: BulkJob) -> BulkJob:
    """Start the job and work its chunks in this process."""
    job = jobs.start(job, actor=DORA)
    chunks = worker.Chunks(job)
    while worker.work_one(chunks):
        pass
    job.refresh_from_db()
    return job


def converted(
    enterprise: Enterprise, text: str | bytes, columns: ColumnMap = COLUMNS, **options: Any
) -> BulkJob:
    """A finished job over a file with this content."""
    job = work_off(planned(enterprise, text, columns, **options))
    assert job.state == BulkJob.State.FINISHED, job.failure
    return job


def output_of(job: BulkJob) -> str:
    """The converted file."""
    return b"".join(output.output_stream(job, actor=DORA)).decode()


def rows_of(job: BulkJob) -> list[dict[str, str]]:
    """The rows of the converted file by column."""
    text = output_of(job).removeprefix("\ufeff")
    return list(csv.DictReader(io.StringIO(text, newline=""), delimiter=job.dialect["delimiter"]))
