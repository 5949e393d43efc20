"""Planning a job: the file is read whole, cut and sealed; then its columns are mapped. All of it or nothing."""

from collections.abc import Iterable
from pathlib import PurePath
from typing import Any, Final

import phonenumbers
import uuid_utils.compat
from django.db import transaction
from django.db.models.functions import Now

from audit import trail
from audit.trail import Actor, Target
from audit.vocabulary import Action
from tokens.bulk import errors, slices
from tokens.bulk.columns import ColumnMap
from tokens.bulk.dialects import Dialect
from tokens.bulk.sources import Source
from tokens.crypto.keyring import keyring
from tokens.crypto.keyset import Purpose
from tokens.formats.lookalikes import looks_like_identifier
from tokens.models import BulkChunk, BulkJob, Enterprise

# A row costs the same in chunks of 2,000 and of 10,000. Small ones are commits that last a fifth of a second: two
# workers whose chunks name the same person wait for each other seldom, and for no longer.
CHUNK_ROWS: Final = 2_000
_LONGEST_NAME: Final = 200


def plan(
    enterprise: Enterprise,
    blocks: Iterable[bytes],
    *,
    name: str,
    columns: ColumnMap,
    actor: Actor,
    region: str | None = None,
    derive_keys: bool = False,
    delimiter: str | None = None,
    chunk_rows: int = CHUNK_ROWS,
) -> BulkJob:
    """Load the file behind `blocks` and map its columns. Raises BadFile or BadColumnMap, and then nothing is left."""
    with transaction.atomic():
        job = load(enterprise, blocks, name=name, actor=actor, delimiter=delimiter, chunk_rows=chunk_rows)
        return map_columns(job, columns, actor=actor, region=region, derive_keys=derive_keys)


@transaction.atomic
def load(
    enterprise: Enterprise,
    blocks: Iterable[bytes],
    *,
    name: str,
    actor: Actor,
    delimiter: str | None = None,
    chunk_rows: int = CHUNK_ROWS,
) -> BulkJob:
    """Read a file from front to back and keep it, sealed, as the chunks of a new job. Raises BadFile."""
    source = Source(blocks, delimiter=delimiter)
    job = BulkJob.objects.create(
        id=uuid_utils.compat.uuid7(),
        enterprise=enterprise,
        name=_clean_name(name),
        header=source.header,
        header_text=source.header_text,
        dialect=source.dialect.stored(),
        requested_by_id=actor.id,
        requested_by_name=actor.name,
    )
    _keep_chunks(job, source, chunk_rows)
    _note_digest(job, source)
    job.save(update_fields=["rows", "chunks", "source_bytes", "source_digest", "same_source"])
    _record(Action.BULK_LOADED, job, actor, rows=job.rows, bytes=job.source_bytes, dialect=job.dialect)
    return job


def _keep_chunks(job: BulkJob, source: Source, chunk_rows: int) -> None:
    for number, piece in enumerate(source.slices(chunk_rows), start=1):
        BulkChunk.objects.create(
            enterprise=job.enterprise,
            job=job,
            number=number,
            first_line=piece.first_line,
            lines=piece.lines,
            rows=piece.rows,
            source=slices.seal(job.enterprise_id, job.pk, number, "source", piece.text),
        )
        job.rows += piece.rows
        job.chunks = number
    if not job.rows:
        raise errors.EmptyFile
    job.source_bytes = source.bytes


def _note_digest(job: BulkJob, source: Source) -> None:
    """A keyed digest of the file, and the earlier jobs of the same file."""
    ring, sha256 = keyring(job.enterprise_id), source.sha256()
    digests = ring.digests_under_all(Purpose.LOG_DIGEST, sha256)
    earlier = BulkJob.objects.filter(enterprise=job.enterprise_id, source_digest__in=digests)
    job.same_source = list(earlier.values_list("pk", flat=True))
    job.source_digest = ring.digest(Purpose.LOG_DIGEST, sha256)[1]


@transaction.atomic
def map_columns(
    job: BulkJob,
    columns: ColumnMap,
    *,
    actor: Actor,
    region: str | None = None,
    derive_keys: bool = False,
) -> BulkJob:
    """Say what the columns of a loaded job hold; it can be started then. Raises BadFile, BadColumnMap, WrongState."""
    job = BulkJob.objects.select_for_update(of=("self",)).select_related("enterprise").get(pk=job.pk)
    if job.state not in (BulkJob.State.LOADED, BulkJob.State.PLANNED):
        raise errors.WrongState(f"it is {job.state}: plan the file again")
    columns.check(job.header)
    job.region = _checked_region(job.enterprise.default_region if region is None else region)
    job.columns, job.derive_keys = columns.stored(), derive_keys
    job.keys_are_identifiers = bool(columns.subscriber_key) and _keys_are_identifiers(
        job, columns.subscriber_key
    )
    if job.keys_are_identifiers and not derive_keys and not job.enterprise.identifier_keys_allowed:
        raise errors.KeysAreIdentifiers(f"column {columns.subscriber_key!r}")
    job.state = BulkJob.State.PLANNED
    job.save(update_fields=["region", "columns", "derive_keys", "keys_are_identifiers", "state"])
    BulkJob.objects.filter(pk=job.pk).update(planned_at=Now())
    _record(
        Action.BULK_PLANNED, job, actor, columns=job.columns, region=job.region, derive_keys=job.derive_keys
    )
    return job


def target(job: BulkJob) -> Target:
    """The job as events name it."""
    return Target("bulk-job", str(job.pk), job.name)


def _record(action: Action, job: BulkJob, actor: Actor, **details: Any) -> None:
    trail.record(action, actor=actor, enterprise_id=job.enterprise_id, target=target(job), details=details)


def _keys_are_identifiers(job: BulkJob, column: str) -> bool:
    """Whether most subscriber keys are addresses or numbers; single ones are rejected row by row.

    Of ten-digit customer numbers one in eleven happens to be somebody's telephone number: these are no evidence.
    """
    first = job.chunk_set.order_by("number")[0]
    assert first.source is not None
    text = slices.unseal(job.enterprise_id, job.pk, first.number, "source", bytes(first.source))
    place = job.header.index(column)
    keys = [key for row in Dialect(**job.dialect).rows(text) if (key := row[place].strip())]
    alike = sum(looks_like_identifier(key, default_region=job.region) is not None for key in keys)
    return alike * 2 > len(keys)


def _checked_region(region: str) -> str:
    region = region.upper()
    if region and region not in phonenumbers.SUPPORTED_REGIONS:
        raise errors.BadColumnMap(f"region {region!r} is no country: write two letters such as DE")
    return region


def _clean_name(name: str) -> str:
    """The last part of a file name, printable."""
    plain = "".join(char for char in PurePath(name).name if char.isprintable())
    return plain[:_LONGEST_NAME] or "unnamed"
