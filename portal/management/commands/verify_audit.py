"""`manage.py verify_audit`: are log and event trail what was sealed? Every entry that is not is named."""

import contextlib
import gzip
import io
import json
import os
import uuid
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any, Final

from django.core.management.base import CommandError
from tqdm import tqdm

from audit.seals import verify_evidence
from audit.seals.bundle import Record, Source
from audit.seals.errors import SealError
from audit.seals.signing import VerifierKey
from audit.seals.tree import StoredTree
from audit.seals.verify_evidence import Finding, Key, Refused, Report, Verifier
from portal import sealing
from portal.command_line import PortalCommand
from portal.exit_codes import FIX_THE_DATA, RECONCILIATION_MISMATCH, USAGE

HEAD_IS_GONE: Final = (
    "The head outside the database is gone, though checkpoints were sealed: whether the end of the log was cut "
    "can't be told. Bring the head back, or give a checkpoint that was kept (--checkpoint)."
)


class Command(PortalCommand):
    help = (
        "Verify the payload log and the event trail against their seals: columns, bodies, leaves, tree, signatures and "
        "the head that is kept outside the database. Exit code 8 when something is not what was sealed."
    )

    def add_arguments(self, parser: Any) -> None:
        parser.add_argument(
            "--from-checkpoint",
            metavar="N",
            help="verify only what came after checkpoint N, a number or its file",
        )
        parser.add_argument(
            "--entry", type=uuid.UUID, metavar="ID", help="verify one entry or event by its proof"
        )
        parser.add_argument(
            "--structure",
            action="store_true",
            help="headers, leaves and tree; columns and bodies are not read",
        )
        parser.add_argument(
            "--export", type=Path, metavar="FILE", help="also write the bundle for auditors (.gz packs)"
        )
        parser.add_argument(
            "--checkpoint",
            action="append",
            type=Path,
            default=[],
            metavar="FILE",
            help="one that was kept; repeatable",
        )
        parser.add_argument(
            "--vkey",
            action="append",
            default=[],
            help="verifier key; repeatable; default: that of the signing key",
        )
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, **options: Any) -> None:
        if options["entry"] and options["from_checkpoint"]:
            raise CommandError("Give --entry or --from-checkpoint, not both.", returncode=USAGE)
        try:
            report = self._report(options)
        except (SealError, Refused, OSError) as error:
            said = str(error).rstrip(".")
            raise CommandError(f"{said[:1].upper()}{said[1:]}.", returncode=FIX_THE_DATA) from None
        if options["json"]:
            self.stdout.write(json.dumps(asdict(report), ensure_ascii=False))
        else:
            self.stdout.write(verify_evidence.in_words(report))
        if report.found:
            raise SystemExit(RECONCILIATION_MISMATCH)

    def _report(self, options: dict[str, Any]) -> Report:
        keys = [verify_evidence.parse_key(text) for text in options["vkey"] or [str(_own_key())]]
        kept = [
            verify_evidence.open_note(path.read_text(encoding="utf-8"), keys)
            for path in options["checkpoint"]
        ]
        # Before the database: then it is never ahead of what is read there.
        head = sealing.head().read()
        source = Source(VerifierKey.parse(_text(keys[0])), head, bodies=not options["structure"])
        if options["entry"]:
            records, total = source.entry(options["entry"]), 1
        else:
            records, total = (
                source.log(after=_number(options["from_checkpoint"], keys)),
                StoredTree().leaves(),
            )
        verifier = Verifier(keys, kept)
        with (
            contextlib.closing(records),  # its transaction ends here, also when a record is refused
            _exported(options["export"]) as export,
            tqdm(total=total, unit=" leaves", disable=None) as bar,
        ):
            for record in records:
                _take(verifier, record, export)
                bar.update(record["type"] in {"leaf", "entry"})
            report = verifier.finish()
        if head is None and not kept and not options["entry"] and report.checkpoints:
            report.add(Finding("head", HEAD_IS_GONE))
        return report


def _take(verifier: Verifier, record: Record, export: IO[str] | None) -> None:
    if export is not None:
        export.write(json.dumps(record) + "\n")
    verifier.take(record)


def _own_key() -> VerifierKey:
    return sealing.load_key().verifier


def _text(key: Key) -> str:
    return str(VerifierKey(key.name, key.public))


def _number(given: str | None, keys: list[Key]) -> int | None:
    """The number of a checkpoint that was given by it, or as the file of its note."""
    if given is None or given.isdigit():
        return None if given is None else int(given)
    return verify_evidence.open_note(Path(given).read_text(encoding="utf-8"), keys).number


@contextlib.contextmanager
def _exported(path: Path | None) -> Iterator[IO[str] | None]:
    """A file that is whole or absent, readable by its owner alone: headers name people's addresses on the network."""
    if path is None:
        yield None
        return
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as raw:
            if path.suffix == ".gz":
                with gzip.open(raw, "wt", encoding="utf-8", compresslevel=5) as packed:
                    yield packed
            else:
                with io.TextIOWrapper(raw, encoding="utf-8") as plain:
                    yield plain
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
