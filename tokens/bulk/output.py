"""The output of a finished job: the file with its clear cells replaced, slice by slice."""

from collections.abc import Iterator

from django.db import transaction
from django.db.models.functions import Now

from audit import trail
from audit.trail import Actor
from audit.vocabulary import Action
from tokens.bulk import errors, slices
from tokens.bulk.dialects import Dialect
from tokens.bulk.plan import target
from tokens.models import BulkChunk, BulkJob


def output_stream(job: BulkJob, *, actor: Actor) -> Iterator[bytes]:
    """The bytes of the output, header first, one chunk at a time. The event is recorded before the first byte.

    Raises WrongState or SlicesGone, at once and not while it is read.
    """
    with transaction.atomic():
        job = BulkJob.objects.select_for_update().get(pk=job.pk)
        if job.emptied_at is not None:
            raise errors.SlicesGone
        if job.state != BulkJob.State.FINISHED:
            raise errors.WrongState(f"it is {job.state}: its output is complete when it is finished")
        BulkJob.objects.filter(pk=job.pk).update(output_taken_at=Now())
        trail.record(
            Action.BULK_OUTPUT_TAKEN,
            actor=actor,
            enterprise_id=job.enterprise_id,
            target=target(job),
            details={"rows": job.rows},
        )
    return _slices(job)


def _slices(job: BulkJob) -> Iterator[bytes]:
    dialect = Dialect(**job.dialect)
    yield (("\ufeff" if dialect.bom else "") + job.header_text).encode()
    for number in range(1, job.chunks + 1):
        sealed = BulkChunk.objects.values_list("output", flat=True).get(job=job, number=number)
        if sealed is None:
            raise errors.SlicesGone
        yield slices.unseal(job.enterprise_id, job.pk, number, "output", bytes(sealed)).encode()
