"""Leases: chunks are shared, none is lost, and a worker that was stopped for too long writes nothing (P9)."""

import datetime
from typing import Any

import pytest

from audit.models import AuditEvent
from audit.trail import SYSTEM
from tests.tokens.bulk.scene import DORA, HEADER, planned
from tokens.bulk import errors, jobs, leases, sweeper, worker
from tokens.bulk.leases import Lease
from tokens.errors import NoFreeToken
from tokens.models import (
    AttributeSet,
    BulkChunk,
    BulkJob,
    BulkReject,
    Contact,
    ContactMapping,
    Enterprise,
    Mapping,
)

WRITTEN = (Mapping, Contact, ContactMapping, AttributeSet, BulkReject)
LINES = [f"k{n},a{n}@mail.example,1317555010{n},Name{n},,\n" for n in range(6)]


@pytest.fixture
def job(enterprise: Enterprise) -> BulkJob:
    text = HEADER + "".join(LINES) + "k9,no address,,,,\n"
    return jobs.start(planned(enterprise, text, chunk_rows=2), actor=SYSTEM)


def claimed(job: BulkJob, seconds: float = 30) -> Lease:
    found = leases.claim(job, seconds=seconds)
    assert found is not None
    return found


def written() -> list[int]:
    return [model.objects.count() for model in WRITTEN]


def test_each_chunk_is_claimed_once_in_order_until_none_is_free(job: BulkJob) -> None:
    assert [claimed(job).number for _ in range(4)] == [1, 2, 3, 4]
    assert leases.claim(job) is None
    assert leases.live(job) == 4


def test_a_chunk_is_free_again_when_its_lease_ran_out(job: BulkJob) -> None:
    first = claimed(job, 0)
    again = claimed(job)
    assert (again.number, again.epoch, again.claims) == (first.number, first.epoch + 1, 2)


def test_chunks_of_a_paused_job_are_not_claimed(job: BulkJob) -> None:
    jobs.pause(job, actor=DORA)
    assert leases.claim(job) is None
    jobs.resume(job, actor=DORA)
    assert claimed(job).number == 1


def test_a_worker_whose_lease_was_taken_over_writes_nothing(job: BulkJob) -> None:
    chunks = worker.Chunks(job)
    stopped = claimed(job, 0)
    taken_over = claimed(job)
    assert stopped.number == taken_over.number
    before = written()
    with pytest.raises(errors.LeaseLost):
        chunks.convert(stopped)
    assert written() == before == [0] * len(WRITTEN)
    chunks.convert(taken_over)
    with pytest.raises(errors.LeaseLost):
        chunks.convert(stopped)
    assert Mapping.objects.count() == 4


def test_without_the_epoch_in_the_last_statement_it_would_write(
    job: BulkJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The known-bad twin of the test above."""
    monkeypatch.setattr(leases, "FINISH", leases.FINISH.replace("AND epoch = %(epoch)s", ""))
    stopped = claimed(job, 0)
    claimed(job)
    worker.Chunks(job).convert(stopped)
    assert Mapping.objects.count() == 4


def test_a_chunk_that_is_done_is_not_done_twice(job: BulkJob) -> None:
    chunks, lease = worker.Chunks(job), claimed(job)
    chunks.convert(lease)
    before = written()
    with pytest.raises(errors.LeaseLost):
        chunks.convert(lease)
    assert written() == before


def test_a_cancelled_job_takes_nothing_from_workers_that_are_in_a_chunk(job: BulkJob) -> None:
    chunks, lease = worker.Chunks(job), claimed(job)
    jobs.cancel(job, actor=DORA)
    with pytest.raises(errors.LeaseLost):
        chunks.convert(lease)
    assert written() == [0] * len(WRITTEN)
    assert not BulkChunk.objects.exclude(source=None).exists()


def test_a_chunk_that_fails_is_tried_again_later_and_the_job_then_finishes(
    job: BulkJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    chunks = worker.Chunks(job)
    with monkeypatch.context() as broken:
        broken.setattr(chunks.writer, "text", _raise(ValueError("a clear value")))
        assert worker.work_one(chunks)
    failed = BulkChunk.objects.get(job=job, number=1)
    assert (failed.state, failed.failures, failed.error) == ("pending", 1, "ValueError")
    assert leases.claim(job, seconds=0).number == 2  # type: ignore[union-attr]
    BulkChunk.objects.update(lease_until=None)
    while worker.work_one(chunks):
        pass
    job.refresh_from_db()
    assert job.state == BulkJob.State.FINISHED


def test_a_chunk_that_always_fails_fails_the_job_with_a_code_and_the_others_are_kept(
    job: BulkJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    chunks = worker.Chunks(job)
    with monkeypatch.context() as broken:
        broken.setattr(leases, "BACK_OFF", datetime.timedelta(0))
        broken.setattr(chunks.writer, "text", _raise(NoFreeToken()))
        tries = 0
        while worker.work_one(chunks):
            tries += 1
    job.refresh_from_db()
    assert tries == leases.MOST_FAILURES
    assert (job.state, job.failure) == (BulkJob.State.FAILED, "NoFreeToken")
    assert written() == [0] * len(WRITTEN)
    resumed = jobs.resume(job, actor=DORA)
    while worker.work_one(chunks):
        pass
    resumed.refresh_from_db()
    assert (resumed.state, resumed.failure) == (BulkJob.State.FINISHED, "")


def test_a_chunk_that_kills_its_workers_fails_the_job(job: BulkJob) -> None:
    BulkChunk.objects.filter(job=job, number=1).update(claims=leases.MOST_CLAIMS)
    assert worker.work_one(worker.Chunks(job))
    job.refresh_from_db()
    assert (job.state, job.failure) == (BulkJob.State.FAILED, "worker_vanished")


def test_failures_are_noted_without_the_text_of_the_error(
    job: BulkJob, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    chunks = worker.Chunks(job)
    monkeypatch.setattr(chunks.writer, "text", _raise(ValueError("ana@mail.example")))
    worker.work_one(chunks)
    assert "bulk.chunk-failed" in caplog.text
    assert "ana@mail.example" not in caplog.text


def test_the_last_chunk_finishes_the_job_once_and_records_it(job: BulkJob) -> None:
    chunks = worker.Chunks(job)
    while worker.work_one(chunks):
        pass
    assert not jobs.close_if_done(job)
    event = AuditEvent.objects.get(action="bulk.finished")
    assert event.details["email.minted"] == 6
    assert event.details["rows"] == 7


def test_a_job_whose_last_worker_died_before_finishing_it_is_finished_by_the_sweeper(job: BulkJob) -> None:
    chunks = worker.Chunks(job)
    for _ in range(4):
        chunks.convert(claimed(job))
    sweeper.sweep()
    job.refresh_from_db()
    assert job.state == BulkJob.State.FINISHED


@pytest.fixture
def rung(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, int]]:
    found: list[tuple[Any, int]] = []
    monkeypatch.setattr(sweeper.doorbell, "ring", lambda job_id, times=1: found.append((job_id, times)))
    return found


def test_the_sweeper_asks_for_the_workers_that_are_missing(job: BulkJob, rung: list[Any]) -> None:
    sweeper.sweep()
    claimed(job)
    sweeper.sweep()
    claimed(job)
    sweeper.sweep()
    assert rung == [(job.pk, 2), (job.pk, 1), (job.pk, 0)]


def test_the_sweeper_leaves_paused_jobs_alone(job: BulkJob, rung: list[Any]) -> None:
    jobs.pause(job, actor=DORA)
    sweeper.sweep()
    assert rung == []


def test_a_task_makes_room_when_its_job_has_enough_workers(job: BulkJob) -> None:
    claimed(job)
    claimed(job)
    assert worker.work(job.pk, seconds=5) is False
    assert not Mapping.objects.exists()


def test_a_task_says_when_its_time_is_up_and_there_is_more(job: BulkJob) -> None:
    assert worker.work(job.pk, seconds=0) is True
    assert worker.work(job.pk, seconds=60) is False
    job.refresh_from_db()
    assert job.state == BulkJob.State.FINISHED


def _raise(error: Exception) -> Any:
    def act(*args: Any) -> None:
        raise error

    return act
