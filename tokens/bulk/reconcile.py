"""Reconciling: what was read is counted again, from the stored file and the stored output, and must be explained.

The equation is over the cells of mapped address and number columns that are not blank:
read = minted + reused + merged + passed through + rejected + skipped. The left side is counted here, by reading the
source anew; the right side is what the chunks committed, and it is held against the output and the rejects too.
"""

from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Any

from django.db import transaction
from django.db.models.functions import Now

from audit import trail
from audit.trail import Actor
from audit.vocabulary import Action
from tokens.bulk import errors, jobs, slices
from tokens.bulk.columns import ColumnMap
from tokens.bulk.dialects import Dialect
from tokens.bulk.plan import target
from tokens.bulk.progress import OUTCOMES
from tokens.bulk.writing import token_patterns
from tokens.formats.kinds import Kind
from tokens.models import BulkChunk, BulkJob, BulkReject


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """The equation, and what else did not fit, in words without values."""

    job: str
    rows: int
    read: int
    explained: dict[str, int]
    unexplained: int
    mismatches: list[str] = field(default_factory=list)

    @property
    def balanced(self) -> bool:
        """Whether everything is explained."""
        return self.unexplained == 0 and not self.mismatches

    def facts(self) -> dict[str, Any]:
        """For JSON, and for the job's row."""
        return asdict(self) | {"balanced": self.balanced}


def reconcile(job: BulkJob, *, actor: Actor) -> Reconciliation:
    """Count a finished job again. If it balances and its output was taken, the rows of the file are deleted.

    Raises WrongState. Once the rows are gone it answers what it found before.
    """
    job = BulkJob.objects.select_related("enterprise").get(pk=job.pk)
    if job.emptied_at is not None and job.reconciliation is not None:
        return _stored(job)
    if job.state != BulkJob.State.FINISHED:
        raise errors.WrongState(f"it is {job.state}: reconcile it when it is finished")
    found = _recount(job)
    with transaction.atomic():
        locked = BulkJob.objects.select_for_update().get(pk=job.pk)
        locked.reconciliation = found.facts()
        locked.save(update_fields=["reconciliation"])
        BulkJob.objects.filter(pk=job.pk).update(reconciled_at=Now())
        if found.balanced and locked.output_taken_at is not None and locked.emptied_at is None:
            jobs.delete_slices(locked)
        trail.record(
            Action.BULK_RECONCILED,
            actor=actor,
            enterprise_id=job.enterprise_id,
            target=target(job),
            details=found.facts(),
        )
    return found


def _recount(job: BulkJob) -> Reconciliation:
    committed = jobs.totals(job)
    explained = {
        outcome: sum(committed.get(f"{kind.name.lower()}.{outcome}", 0) for kind in Kind)
        for outcome in OUTCOMES
    }
    seen = _Recount(job).run()
    converted = sum(explained[outcome] for outcome in ("minted", "reused", "merged", "passed_through"))
    rejects = BulkReject.objects.filter(job=job).count()
    expected_rejects = explained["rejected"] + explained["skipped"] + committed.get("keys.rejected", 0)
    checks = {
        "rows of the source and of the plan": (seen["rows in"], job.rows),
        "rows of the source and of the output": (seen["rows in"], seen["rows out"]),
        "cells converted and tokens in the output": (converted, seen["tokens"]),
        "cells of the output that are neither a token nor empty, and none": (seen["neither"], 0),
        "cells rejected or skipped and entries of the rejects": (expected_rejects, rejects),
    }
    return Reconciliation(
        job=str(job.pk),
        rows=seen["rows in"],
        read=seen["read"],
        explained=explained,
        unexplained=seen["read"] - sum(explained.values()),
        mismatches=[
            f"{what}: {one:,} and {other:,}" for what, (one, other) in checks.items() if one != other
        ],
    )


class _Recount:
    def __init__(self, job: BulkJob) -> None:
        self.job = job
        self.dialect = Dialect(**job.dialect)
        self.patterns = token_patterns(job.enterprise.token_domain)
        columns = ColumnMap.from_stored(job.columns).identifiers()
        self.places = [(kind, job.header.index(column)) for kind, column in columns]
        self.seen: Counter[str] = Counter()

    def run(self) -> Counter[str]:
        for number in range(1, self.job.chunks + 1):
            chunk = BulkChunk.objects.only("source", "output").get(job=self.job, number=number)
            self._count_source(self._rows(number, "source", chunk.source))
            self._count_output(self._rows(number, "output", chunk.output))
        return self.seen

    def _rows(self, number: int, side: slices.Side, sealed: Any) -> list[list[str]]:
        if sealed is None:
            raise errors.SlicesGone
        text = slices.unseal(self.job.enterprise_id, self.job.pk, number, side, bytes(sealed))
        return self.dialect.rows(text)

    def _count_source(self, rows: list[list[str]]) -> None:
        self.seen["rows in"] += len(rows)
        for _, place in self.places:
            self.seen["read"] += sum(1 for row in rows if row[place].strip())

    def _count_output(self, rows: list[list[str]]) -> None:
        self.seen["rows out"] += len(rows)
        for kind, place in self.places:
            cells = [cell for row in rows if (cell := row[place])]
            tokens = sum(self.patterns[kind].fullmatch(cell) is not None for cell in cells)
            self.seen["tokens"] += tokens
            self.seen["neither"] += len(cells) - tokens


def _stored(job: BulkJob) -> Reconciliation:
    facts = dict(job.reconciliation or {})
    facts.pop("balanced", None)
    return Reconciliation(**facts)
