"""An extract comes in: the file is kept sealed, its columns are said, and its lines are taken over."""

import datetime
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import PurePath
from typing import Any, Final

import uuid_utils.compat
import zstandard
from django.db import transaction
from django.utils import timezone

from audit import trail
from audit.trail import Actor, Target
from audit.vocabulary import Action
from tokens.crypto import envelope
from tokens.crypto.keyring import keyring
from tokens.crypto.keyset import Purpose
from tokens.formats.lookalikes import looks_like_identifier
from tokens.models import Enterprise, QueueExtract
from tokens.no_token_queue import dates, digests, reading, taking
from tokens.no_token_queue.errors import BadExtract, NoRecipeFits, WrongState
from tokens.no_token_queue.reading import Sheet
from tokens.no_token_queue.recipes import Reading, fitting

# Each batch is a transaction: what is blocked by it is blocked whatever comes of the next one.
_BATCH: Final = 200
_LEVEL: Final = 3


def load(
    enterprise: Enterprise,
    blocks: Iterable[bytes],
    *,
    name: str,
    extracted_at: datetime.datetime,
    actor: Actor,
    encoding: str = "",
    delimiter: str = "",
) -> QueueExtract:
    """Keep a file, sealed, until its columns are said. One that was loaded before is returned as it stands.

    `extracted_at` is when Marketing Cloud wrote it. Raises BadExtract, and then nothing is kept.
    """
    if extracted_at > timezone.now() + dates.AHEAD:
        raise BadExtract("it was written in the future")
    content = reading.collect(blocks)
    reading.read(content, encoding=encoding, delimiter=delimiter)
    mark = digests.mark(keyring(enterprise.pk), "extract", content)
    known = QueueExtract.objects.filter(
        enterprise=enterprise, digest__in=mark.all, extracted_at=extracted_at
    ).first()
    if known is not None:
        return known
    extract = QueueExtract(
        id=uuid_utils.compat.uuid7(),
        enterprise=enterprise,
        name=clean_name(name),
        digest=mark.digest,
        extracted_at=extracted_at,
        reading={"encoding": encoding, "delimiter": delimiter},
        loaded_by_id=actor.id,
        loaded_by_name=actor.name,
    )
    packed = zstandard.ZstdCompressor(level=_LEVEL).compress(content)
    extract.content = keyring(enterprise.pk).seal(Purpose.CONSENT, packed, _place(extract))
    QueueExtract.objects.bulk_create([extract], ignore_conflicts=True)
    return QueueExtract.objects.get(enterprise=enterprise, digest=mark.digest, extracted_at=extracted_at)


def sheet_of(extract: QueueExtract, *, encoding: str = "", delimiter: str = "") -> Sheet:
    """The records of a loaded file, read as it was loaded unless that is overridden. Raises BadExtract, WrongState."""
    if extract.content is None:
        raise WrongState
    packed = keyring(extract.enterprise_id).open(bytes(extract.content), _place(extract))
    content = zstandard.ZstdDecompressor().decompress(packed)
    return reading.read(
        content,
        encoding=encoding or extract.reading.get("encoding", ""),
        delimiter=delimiter or extract.reading.get("delimiter", ""),
    )


def recipe_for(extract: QueueExtract) -> Reading:
    """The reading of the saved recipe that fits a loaded file. Raises NoRecipeFits."""
    header = sheet_of(extract).header
    recipe = fitting(extract.enterprise, header)
    if recipe is None:
        raise NoRecipeFits(f"its columns are {', '.join(map(repr, header))}")
    return Reading.from_stored(recipe.reading)


def take_over(extract: QueueExtract, how: Reading, *, actor: Actor) -> QueueExtract:
    """Take the lines of a loaded file over, batch by batch; keywords block at once. Raises BadRecipe, WrongState.

    Interrupted it can be called again: what is taken over is known, and nothing is done twice.
    """
    if extract.state != QueueExtract.State.LOADED:
        raise WrongState
    sheet = sheet_of(extract, encoding=how.encoding, delimiter=how.delimiter)
    how = how.checked(sheet.header)
    taker = taking.Taker(extract, how, sheet.header, actor)
    counts: Counter[str] = Counter()
    for batch in _batches(sheet.records):
        counts += taker.take(batch)
    return _close(extract, how, sheet, counts, actor)


@transaction.atomic
def _close(
    extract: QueueExtract, how: Reading, sheet: Sheet, counts: Counter[str], actor: Actor
) -> QueueExtract:
    found = {name: counts[name] for name in ("new", "known", "bad", "blocked")}
    changed = QueueExtract.objects.filter(pk=extract.pk, state=QueueExtract.State.LOADED).update(
        state=QueueExtract.State.IMPORTED,
        content=None,
        reading=how.stored() | {"written_as": sheet.written_as},
        lines=len(sheet.records),
        imported_at=timezone.now(),
        **found,
    )
    if not changed:
        raise WrongState
    extract.refresh_from_db()
    trail.record(
        Action.EXTRACT_IMPORTED,
        actor=actor,
        enterprise_id=extract.enterprise_id,
        target=Target("queue-extract", str(extract.pk), extract.name),
        details=found
        | {
            "lines": extract.lines,
            "waiting": counts["waiting"],
            "extracted_at": extract.extracted_at.isoformat(),
            "columns": how.columns,
            "zone": how.zone,
        },
    )
    return extract


def _batches(records: Iterable[Any]) -> Iterator[list[Any]]:
    batch: list[Any] = []
    for record in records:
        batch.append(record)
        if len(batch) == _BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def _place(extract: QueueExtract) -> bytes:
    return envelope.place("tokens.QueueExtract", "content", extract.enterprise_id, extract.pk)


def clean_name(name: str) -> str:
    """The last part of a file name, printable; none that is somebody's address or number, for it stays in evidence."""
    plain = "".join(char for char in PurePath(name).name if char.isprintable())
    if any(looks_like_identifier(one) is not None for one in (plain, PurePath(plain).stem)):
        return "unnamed"
    return plain[:200] or "unnamed"
