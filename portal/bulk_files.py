"""The files that `manage.py bulk` writes: whole or not at all, for their owner only."""

import csv
import json
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, Final

from django.core.management.base import CommandError

from portal.exit_codes import RETRY_IS_SAFE, USAGE
from tokens.bulk import rejects
from tokens.models import BulkJob

# What makes a cell a formula in a spreadsheet.
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n")


def refuse_existing(out: Path | None, overwrite: bool) -> None:
    """Raises CommandError if FILE is there, or could not be made."""
    if out is not None and out.exists() and not overwrite:
        raise CommandError(f"{out} is there already: say --overwrite", returncode=USAGE)
    if out is not None and not out.absolute().parent.is_dir():
        raise CommandError(f"There is no folder {out.absolute().parent}", returncode=USAGE)


def write(out: Path, fill: Callable[[BinaryIO], None]) -> None:
    """Let `fill` write the bytes of a file that takes its name when it is complete."""
    partial_name = ""
    try:
        descriptor, partial_name = tempfile.mkstemp(dir=out.absolute().parent, prefix=f".{out.name}.")
        with os.fdopen(descriptor, "wb") as stream:
            fill(stream)
            stream.flush()
            os.fsync(stream.fileno())
        Path(partial_name).replace(out)
        partial_name = ""
    except OSError as error:
        raise CommandError(f"{out}: {error.strerror}", returncode=RETRY_IS_SAFE) from None
    finally:
        if partial_name:
            Path(partial_name).unlink(missing_ok=True)


def reject_lines(job: BulkJob, *, as_json: bool) -> Iterator[str]:
    """CSV for people, in which no cell is a formula; or one JSON object a line."""
    if as_json:
        yield from (json.dumps(reject._asdict()) + "\n" for reject in rejects.of(job))
        return
    line = _Line()
    cells = csv.writer(line)
    cells.writerow(rejects.HEADER)
    yield line.text
    for reject in rejects.of(job):
        cells.writerow(f"'{cell}" if str(cell).startswith(_FORMULA) else cell for cell in reject)
        yield line.text


class _Line:
    """A file that holds the last line written."""

    text = ""

    def write(self, text: str) -> None:
        self.text = text
