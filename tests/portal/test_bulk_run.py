"""`manage.py bulk run` as a process: with workers, without any, and interrupted."""

import csv
import io
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from django.db import transaction

from portal import exit_codes, synthetic_people
from portal.embedded.state import CHECKOUT
from tests.conftest import OwnDatabase
from tests.processes import Lines, wait_for
from tests.tokens.bulk.crew import HASTE, Crew
from tests.tokens.bulk.scene import make_enterprise, planned
from tokens.bulk.columns import ColumnMap
from tokens.bulk.progress import progress
from tokens.models import BulkChunk, BulkJob

pytestmark = pytest.mark.slow
PEOPLE = ColumnMap.parse(
    ["email=EmailAddress", "mobile=MobileNumber", "subscriber_key=SubscriberKey"], ["Surname=LastName"]
)
ROWS = 1_000
SETTINGS = {"DJANGO_SETTINGS_MODULE": "portal.settings"}


@pytest.fixture
def job(own_database: OwnDatabase) -> BulkJob:
    out = io.StringIO(newline="")
    csv.writer(out).writerow(synthetic_people.COLUMNS)
    csv.writer(out).writerows(row.cells for row in synthetic_people.rows(ROWS, seed=5))
    return planned(make_enterprise(), out.getvalue(), PEOPLE, chunk_rows=25)


@contextmanager
def bulk_run(
    database: OwnDatabase, *arguments: object, **environment: str
) -> Iterator["subprocess.Popen[str]"]:
    process = subprocess.Popen(
        [sys.executable, "manage.py", "bulk", "run", *map(str, arguments)],
        cwd=CHECKOUT,
        env=os.environ | database.environment | HASTE | SETTINGS | environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


@contextmanager
def last_chunk_kept_back(job: BulkJob) -> Iterator[None]:
    """Workers pass over a locked chunk: however fast they are, the job cannot end meanwhile."""
    with transaction.atomic():
        BulkChunk.objects.select_for_update().filter(job=job).order_by("-number").first()
        yield


def test_a_job_is_worked_by_celery_and_followed_to_its_file(
    job: BulkJob, own_database: OwnDatabase, tmp_path: Path
) -> None:
    out = tmp_path / "tokens.csv"
    with Crew(own_database.environment, tmp_path), bulk_run(own_database, job.pk, "--out", out) as process:
        said = Lines(process, seconds=180).all()
        assert process.wait(60) == exit_codes.FINISHED_WITH_REJECTS
    assert any("%  " in line for line in said)
    assert said[-1] == f"Wrote {out}. Next: manage.py bulk reconcile {job.pk}"
    assert len(out.read_text().splitlines()) == ROWS + 1


def test_a_job_that_nobody_works_is_worked_here(job: BulkJob, own_database: OwnDatabase) -> None:
    with bulk_run(own_database, job.pk) as process:
        said = Lines(process, seconds=180).all()
        assert process.wait(60) == exit_codes.FINISHED_WITH_REJECTS
    assert any(line.startswith("No Celery worker answers") for line in said)
    assert said[-1] == f"Next: manage.py bulk run {job.pk} --out FILE"


def test_a_job_starts_and_is_worked_here_when_the_broker_is_away(
    job: BulkJob, own_database: OwnDatabase
) -> None:
    with bulk_run(own_database, job.pk, CELERY_BROKER_URL="redis://127.0.0.1:1/0") as process:
        said = Lines(process, seconds=180).all()
        assert process.wait(60) == exit_codes.FINISHED_WITH_REJECTS
    assert any("bulk.broker-unreachable" in line for line in said)
    assert progress(job).state == "finished"


def test_ctrl_c_pauses_a_job_that_is_worked_here_with_every_chunk_whole(
    job: BulkJob, own_database: OwnDatabase
) -> None:
    with last_chunk_kept_back(job), bulk_run(own_database, job.pk, "--inline") as process:
        wait_for(lambda: progress(job).chunks_done > 2, seconds=180)
        process.send_signal(signal.SIGINT)
        said = Lines(process, seconds=180).all()
        assert process.wait(60) == exit_codes.INTERRUPTED
    now = progress(job)
    assert (now.state, now.workers_busy) == ("paused", 0)
    assert 0 < now.rows_done < ROWS
    assert said[-1].endswith(f"the job is paused. Next: manage.py bulk run {job.pk}")


def test_ctrl_c_leaves_a_job_to_its_workers(job: BulkJob, own_database: OwnDatabase, tmp_path: Path) -> None:
    with Crew(own_database.environment, tmp_path):
        with last_chunk_kept_back(job), bulk_run(own_database, job.pk) as process:
            wait_for(lambda: progress(job).chunks_done > 2, seconds=180)
            process.send_signal(signal.SIGINT)
            said = Lines(process, seconds=180).all()
            assert process.wait(60) == exit_codes.INTERRUPTED
        assert "the job goes on in Celery's workers" in said[-1]
        wait_for(lambda: progress(job).state == "finished", seconds=180)
