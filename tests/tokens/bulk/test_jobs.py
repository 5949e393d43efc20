"""What people do with jobs, what they see of them, and what stays when they are done."""

import pytest

from audit.models import AuditEvent
from tests.tokens.bulk.scene import DORA, HEADER, converted, output_of, planned, work_off
from tokens.bulk import errors, jobs, output, slices, worker
from tokens.bulk.progress import progress
from tokens.bulk.reconcile import reconcile
from tokens.models import BulkChunk, BulkJob, BulkReject, Enterprise

ROWS = "".join(f"k{n},a{n}@mail.example,,,,\n" for n in range(10)) + "k10,no address,,,,\n"


@pytest.fixture
def job(enterprise: Enterprise) -> BulkJob:
    return planned(enterprise, HEADER + ROWS, chunk_rows=4)


def actions() -> list[str]:
    return list(
        AuditEvent.objects.filter(action__startswith="bulk.").order_by("id").values_list("action", flat=True)
    )


def test_the_life_of_a_job_is_on_the_trail(job: BulkJob) -> None:
    job = jobs.start(job, actor=DORA)
    jobs.pause(job, actor=DORA)
    jobs.resume(job, actor=DORA)
    worker.work(job.pk, seconds=60)
    output_of(job)
    reconcile(job, actor=DORA)
    assert actions() == [
        "bulk.loaded", "bulk.planned", "bulk.started", "bulk.paused", "bulk.resumed", "bulk.finished",
        "bulk.output-taken", "bulk.reconciled",
    ]  # fmt: skip


@pytest.mark.parametrize("verb", [jobs.pause, jobs.resume])
def test_verbs_that_do_not_fit_the_state_are_refused(job: BulkJob, verb: object) -> None:
    with pytest.raises(errors.WrongState, match="planned"):
        verb(job, actor=DORA)  # type: ignore[operator]


def test_a_job_is_started_once(job: BulkJob) -> None:
    jobs.start(job, actor=DORA)
    with pytest.raises(errors.WrongState, match="running"):
        jobs.start(job, actor=DORA)


def test_progress_counts_committed_chunks_only(job: BulkJob) -> None:
    job = jobs.start(job, actor=DORA)
    assert (progress(job).rows_done, progress(job).percent) == (0, 0.0)
    chunks = worker.Chunks(job)
    worker.work_one(chunks)
    now = progress(job)
    assert (now.state, now.rows_done, now.chunks_done, now.workers_busy) == ("running", 4, 1, 0)
    assert now.counts["minted"] == 4
    assert now.rows_per_second > 0
    assert now.seconds_left is not None
    while worker.work_one(chunks):
        pass
    now = progress(job)
    assert (now.state, now.rows_done, now.rejected, now.seconds_left) == ("finished", 11, 1, None)
    assert now.cells_read == sum(now.counts.values()) == 11


def test_the_output_is_there_when_the_job_is_finished_and_not_before(job: BulkJob) -> None:
    job = jobs.start(job, actor=DORA)
    with pytest.raises(errors.WrongState, match="running"):
        output.output_stream(job, actor=DORA)
    assert "bulk.output-taken" not in actions()


def test_a_reconciled_job_whose_output_was_taken_keeps_its_figures_and_nothing_of_the_file(
    job: BulkJob,
) -> None:
    job = work_off(job)
    found = reconcile(job, actor=DORA)
    assert found.balanced
    assert (found.read, found.unexplained, found.explained["rejected"]) == (11, 0, 1)
    assert BulkChunk.objects.exclude(source=None).exists()  # nobody has the output yet
    output_of(job)
    assert reconcile(job, actor=DORA).balanced
    assert not BulkChunk.objects.exclude(source=None, output=None).exists()
    assert BulkReject.objects.count() == 1
    assert progress(job).counts["minted"] == 10
    assert reconcile(job, actor=DORA) == found
    with pytest.raises(errors.SlicesGone):
        output.output_stream(job, actor=DORA)


@pytest.mark.parametrize(
    ("what", "counts"),
    [
        ("a cell that was minted is counted twice", {"email.minted": 5}),
        ("a cell was lost", {"email.minted": 3}),
        ("a token is counted as a reject", {"email.minted": 3, "email.rejected": 1}),
    ],
)
def test_counts_that_do_not_fit_the_file_are_found(job: BulkJob, what: str, counts: dict[str, int]) -> None:
    job = work_off(job)
    output_of(job)
    chunk = BulkChunk.objects.get(job=job, number=1)
    chunk.counts |= counts
    chunk.save(update_fields=["counts"])
    found = reconcile(job, actor=DORA)
    assert not found.balanced, what
    assert BulkChunk.objects.exclude(source=None).exists()


def test_an_output_that_does_not_fit_the_counts_is_found(job: BulkJob) -> None:
    job = work_off(job)
    one = BulkChunk.objects.get(job=job, number=1)
    text = slices.unseal(job.enterprise_id, job.pk, one.number, "output", bytes(one.output or b""))
    cut = "".join(text.splitlines(keepends=True)[1:]).replace("@tok", "@no")
    BulkChunk.objects.filter(pk=one.pk).update(
        output=slices.seal(job.enterprise_id, job.pk, one.number, "output", cut)
    )
    assert len(reconcile(job, actor=DORA).mismatches) == 3


def test_only_a_finished_job_is_reconciled(job: BulkJob) -> None:
    with pytest.raises(errors.WrongState):
        reconcile(job, actor=DORA)


def test_cancelling_deletes_the_file(job: BulkJob) -> None:
    jobs.cancel(job, actor=DORA)
    job.refresh_from_db()
    assert job.state == BulkJob.State.CANCELLED
    assert not BulkChunk.objects.exclude(source=None).exists()
    with pytest.raises(errors.WrongState):
        jobs.resume(job, actor=DORA)


def test_a_finished_job_can_not_be_cancelled(enterprise: Enterprise) -> None:
    with pytest.raises(errors.WrongState):
        jobs.cancel(converted(enterprise, HEADER + ROWS), actor=DORA)
