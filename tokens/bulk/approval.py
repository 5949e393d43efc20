"""Starting a bulk job: at once in a sandbox, after a second person approved it anywhere else (docs/approvals.md)."""

import uuid
from typing import Any

from audit.approvals import acts
from audit.approvals.acts import Executor, Plan
from audit.approvals.errors import CannotBeDone
from audit.approvals.requests import Outcome, perform_or_request
from audit.models import ApprovalRequest
from audit.trail import Actor
from audit.vocabulary import ApprovedAct
from tokens.bulk import errors, jobs
from tokens.bulk.columns import ColumnMap
from tokens.bulk.plan import target
from tokens.models import BulkJob


def start(job: BulkJob, *, reason: str, actor: Actor, workers: int | None = None) -> Outcome:
    """Start a planned job, or ask for it. Raises WrongState, CannotBeDone, MayNot and ReasonMissing."""
    parameters: dict[str, Any] = {"job": str(job.pk)} | ({"workers": workers} if workers else {})
    return perform_or_request(ApprovedAct.START_BULK, parameters, reason=reason, actor=actor)


def latest(job: BulkJob) -> ApprovalRequest | None:
    """The latest request to start the job, whatever became of it."""
    asked = ApprovalRequest.objects.filter(
        act=ApprovedAct.START_BULK, enterprise_id=job.enterprise_id, target_id=str(job.pk)
    )
    return asked.order_by("-pk").first()


def register() -> None:
    """Called once, when the app starts."""
    acts.register(Executor(ApprovedAct.START_BULK, "bulk.run", "bulk.view", _plan, _carry_out))


def _plan(parameters: dict[str, Any]) -> Plan:
    rows = BulkJob.objects.select_for_update(of=("self",)).select_related("enterprise")
    job = rows.filter(pk=uuid.UUID(parameters["job"])).first()
    if job is None:
        raise CannotBeDone("there is no such job")
    if job.state != BulkJob.State.PLANNED:
        raise CannotBeDone(f"it is {job.state}, not planned")
    return Plan(
        enterprise_id=job.enterprise_id,
        target=target(job),
        difference=(("job", "planned", "running"), *_what_is_converted(job)),
        blast_radius=f"{_rows(job)} of clear values become tokens in {job.enterprise.name}. Tokens that are made stay.",
        affected=job.rows,
    )


def _carry_out(parameters: dict[str, Any], actor: Actor) -> BulkJob:
    try:
        return jobs.start(
            BulkJob.objects.get(pk=uuid.UUID(parameters["job"])),
            actor=actor,
            workers=parameters.get("workers"),
        )
    except errors.BulkError as error:
        raise CannotBeDone(str(error)) from None


def _what_is_converted(job: BulkJob) -> list[tuple[str, str, str]]:
    """The file, by its keyed digest, and what its columns hold. Names of columns, never a cell."""
    columns = ColumnMap.from_stored(job.columns)
    digest = bytes(job.source_digest or b"").hex()
    mapped = [(f"column {name}", "clear", f"tokens for {kind.label}") for kind, name in columns.identifiers()]
    if columns.subscriber_key:
        how = "subscriber key, made anew where it is an identifier" if job.derive_keys else "subscriber key"
        mapped.append((f"column {columns.subscriber_key}", "", how))
    for name, column in columns.attributes.items():
        kept = "sealed, and kept" if name in columns.kept else "sealed, and emptied"
        mapped.append((f"column {column}", "clear", f"attribute {name}: {kept}"))
    left = len(job.header) - len(columns.all())
    return [
        ("file", "", f"{job.name}: {_rows(job)}, {job.source_bytes:,} bytes, digest {digest}"),
        *mapped,
        ("other columns", "", f"{left:,}, left as they are"),
        ("numbers without a country", "", job.region or "refused"),
    ]


def _rows(job: BulkJob) -> str:
    return "1 row" if job.rows == 1 else f"{job.rows:,} rows"
