"""Rejected cells: where, why, how to mend it, and the value masked."""

from collections.abc import Iterator
from typing import Final, NamedTuple

from tokens.bulk.reading import Reading
from tokens.bulk.reasons import hint_of
from tokens.formats.kinds import Kind
from tokens.formats.mask import mask
from tokens.models import BulkJob, BulkReject
from tokens.vault.cursors import binary_cursor

HEADER: Final = ("line", "column", "code", "masked_value", "hint")

STORE: Final = """
INSERT INTO tokens_bulkreject (enterprise_id, job_id, line, "column", code, masked)
SELECT %(enterprise)s, %(job)s, bad.line, bad.name, bad.code, bad.masked
FROM unnest(%(lines)b::bigint[], %(names)b::text[], %(codes)b::text[], %(masked)b::text[])
     AS bad (line, name, code, masked)
"""


class Reject(NamedTuple):
    """A rejected cell as people get it."""

    line: int
    column: str
    code: str
    masked_value: str
    hint: str


def store(job: BulkJob, reading: Reading) -> None:
    """Keep the rejects of a chunk, in the transaction of its work."""
    found = [
        (reading.lines[row], column.name, str(code), mask(column.kind, column.cells[row]))
        for column in reading.identifiers
        for row, code in column.refused.items()
    ]
    if reading.refused_keys:
        name = job.columns["subscriber_key"]
        cells = reading.columns[job.header.index(name)]
        found += [
            (reading.lines[row], name, str(code), _mask_key(cells[row]))
            for row, code in reading.refused_keys.items()
        ]
    if not found:
        return
    lines, names, codes, masked = zip(*found, strict=True)
    parameters = {
        "enterprise": job.enterprise_id, "job": job.pk,
        "lines": list(lines), "names": list(names), "codes": list(codes), "masked": list(masked),
    }  # fmt: skip
    with binary_cursor() as cursor:
        cursor.execute(STORE, parameters)


def of(job: BulkJob) -> Iterator[Reject]:
    """The rejected cells of a job by line, read as they are asked for."""
    found = BulkReject.objects.filter(job=job).order_by("line", "id")
    for line, column, code, masked in found.values_list("line", "column", "code", "masked").iterator():
        yield Reject(line, column, code, masked, hint_of(code))


def _mask_key(key: str) -> str:
    return mask(Kind.EMAIL if "@" in key else Kind.MOBILE, key)
