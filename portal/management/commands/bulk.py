"""`manage.py bulk`: files of clear values become files of tokens (docs/bulk.md)."""

import json
import os
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

from django.core.management.base import CommandError
from django.db import InterfaceError, OperationalError, connection

from audit.approvals.errors import ApprovalError, ReasonMissing
from portal import exit_codes
from portal.bulk_files import refuse_existing, reject_lines, write
from portal.bulk_following import Helpers, display_for, duration, follow
from portal.command_line import PortalCommand, choose_enterprise, operator
from tokens.bulk import approval, errors, jobs, output, worker
from tokens.bulk.columns import ColumnMap
from tokens.bulk.dialects import Dialect
from tokens.bulk.plan import CHUNK_ROWS, plan
from tokens.bulk.progress import Progress, progress
from tokens.bulk.reconcile import reconcile
from tokens.bulk.sources import BLOCK_BYTES
from tokens.models import BulkJob

State = BulkJob.State


class Command(PortalCommand):
    help = "Convert files of clear values into files of tokens."

    # -- arguments ------------------------------------------------------------------------------------------
    def add_arguments(self, parser: Any) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
        self._add_plan(verbs)
        run = self._add(verbs, "run", "start or go on with a job, follow it, and write its output")
        run.add_argument("--out", type=Path, metavar="FILE", help="where to write the file of tokens")
        run.add_argument("--overwrite", action="store_true", help="replace FILE if it is there")
        run.add_argument("--workers", type=_positive, metavar="N", help="chunks at the same time (default 2)")
        run.add_argument("--inline", action="store_true", help="work here, without asking Celery's workers")
        run.add_argument(
            "--reason", default="asked on the command line", metavar="TEXT",
            help="why, for the second person who approves it where the enterprise is no sandbox",
        )  # fmt: skip
        for verb, words in (
            ("status", "show how far a job is; without JOB, the latest jobs"),
            ("pause", "stop after the chunks that are being worked"),
            ("resume", "go on with a paused job, or try a failed one again"),
            ("cancel", "end a job that is not finished, and delete its rows"),
            ("reconcile", "account for every cell; then the rows of the file are deleted"),
        ):
            self._add(verbs, verb, words, optional=verb == "status")
        rejected = self._add(verbs, "rejects", "write the cells that were rejected, masked, with the reason")
        rejected.add_argument("--out", type=Path, metavar="FILE", help="by default they go to stdout")
        rejected.add_argument("--overwrite", action="store_true", help="replace FILE if it is there")
        self._add(verbs, "work", "work chunks of a running job here until it is done, as Celery's workers do")

    def _add(self, verbs: Any, verb: str, words: str, *, optional: bool = False) -> Any:
        parser = verbs.add_parser(verb, help=words, description=words)
        parser.add_argument("job", metavar="JOB", type=_job_id, nargs="?" if optional else None)
        parser.add_argument("--json", action="store_true", help="print JSON on stdout")
        return parser

    def _add_plan(self, verbs: Any) -> None:
        words = "read a file, check it, and keep it sealed as a job that can be run"
        parser = verbs.add_parser("plan", help=words, description=words)
        parser.add_argument("file", type=Path, metavar="FILE", help="CSV in UTF-8, with a header")
        parser.add_argument(
            "--map", action="append", default=[], metavar="WHAT=COLUMN", required=True,
            help="email=, mobile= (both may be repeated) or subscriber_key=",
        )  # fmt: skip
        parser.add_argument(
            "--attribute", action="append", default=[], metavar="NAME=COLUMN",
            help="seal this column with the contact, and empty it in the output",
        )  # fmt: skip
        parser.add_argument(
            "--keep-attribute", action="append", default=[], metavar="NAME", help="but do not empty this one"
        )
        parser.add_argument("--enterprise", metavar="EID", help="may be left out while there is only one")
        parser.add_argument("--name", help="what to call the job; by default the name of the file")
        parser.add_argument("--region", metavar="DE", help="country of numbers without + or 00")
        parser.add_argument(
            "--delimiter", type=_delimiter, help="one character, or 'tab'; detected by default"
        )
        parser.add_argument(
            "--derive-keys", action="store_true", help="make a key where the file's is an address or a number"
        )
        parser.add_argument("--chunk-rows", type=_positive, default=CHUNK_ROWS, help="rows of a chunk")
        parser.add_argument("--json", action="store_true", help="print JSON on stdout")

    def handle(self, *, verb: str, **options: Any) -> None:
        with _exit_codes():
            getattr(self, f"_{verb}")(**options)

    # -- verbs ----------------------------------------------------------------------------------------------
    def _plan(self, *, file: Path, **options: Any) -> None:
        enterprise = choose_enterprise(options["enterprise"])
        columns = ColumnMap.parse(options["map"], options["attribute"], options["keep_attribute"])
        with _opened(file) as stream:
            job = plan(
                enterprise,
                iter(partial(stream.read, BLOCK_BYTES), b""),
                name=options["name"] or file.name,
                columns=columns,
                actor=operator(),
                region=options["region"],
                derive_keys=options["derive_keys"],
                delimiter=options["delimiter"],
                chunk_rows=options["chunk_rows"],
            )
        dialect = Dialect(**job.dialect)
        if options["json"]:
            self._print_json({"job": str(job.pk), "rows": job.rows, "bytes": job.source_bytes,
                              "chunks": job.chunks, "dialect": job.dialect, "columns": job.columns,
                              "region": job.region})  # fmt: skip
        else:
            self.stdout.write(f"job      {job.pk}")
            self.stdout.write(f"file     {job.name}: {job.rows:,} rows, {job.source_bytes:,} bytes")
            self.stdout.write(f"dialect  {dialect.name}, {'UTF-8 with BOM' if dialect.bom else 'UTF-8'}")
            for line in _described(columns, job):
                self.stdout.write(line)
        self._say(f"Planned. Next: manage.py bulk run {job.pk} --out FILE")

    def _run(self, *, job: uuid.UUID, **options: Any) -> None:
        found, out = _find(job), options["out"]
        refuse_existing(out, options["overwrite"])
        if found.state == State.PLANNED:
            found = self._started(found, **options)
        elif found.state in (State.PAUSED, State.FAILED):
            found = jobs.resume(found, actor=operator())
        now = self._followed(found, inline=options["inline"])
        if options["json"]:
            self._print_json(now.facts())
        if now.state != State.FINISHED:
            why = f" ({now.failure})" if now.failure else ""
            self._say(f"The job is {now.state}{why}. Next: manage.py bulk resume {job}")
            sys.exit(exit_codes.RETRY_IS_SAFE)
        self._report(found, now, out)
        sys.exit(exit_codes.FINISHED_WITH_REJECTS if now.rejected else exit_codes.DONE)

    def _started(self, job: BulkJob, *, reason: str, workers: int | None, **options: Any) -> BulkJob:
        outcome = approval.start(job, reason=reason, actor=operator(), workers=workers)
        if outcome.waits_for is None:
            return _find(job.pk)
        if options["json"]:
            self._print_json(progress(job).facts() | {"approval": str(outcome.waits_for.pk)})
        self._say(
            f"The job waits for approval by a second person, until {outcome.waits_for.expires_at:%H:%M} UTC: in the"
            f" portal at /admin/approvals/{outcome.waits_for.pk}/. Next: manage.py bulk run {job.pk}"
        )
        sys.exit(exit_codes.APPROVAL_NEEDED)

    def _followed(self, job: BulkJob, *, inline: bool) -> Progress:
        display, helpers = display_for(sys.stderr), Helpers(job)
        try:
            return follow(job, display, helpers, inline=inline)
        except KeyboardInterrupt:
            connection.close()  # it may have been in the middle of an answer
            if helpers.processes and progress(job).state == State.RUNNING:
                jobs.pause(job, actor=operator())
                helpers.wait()
            display.close()
            now = progress(job)
            state = "goes on in Celery's workers" if now.state == State.RUNNING else f"is {now.state}"
            self._say(
                f"Interrupted at {now.rows_done:,} of {now.rows:,} rows; the job {state}. "
                f"Next: manage.py bulk run {job.pk}"
            )
            sys.exit(exit_codes.INTERRUPTED)
        finally:
            display.close()

    def _report(self, job: BulkJob, now: Progress, out: Path | None) -> None:
        if out is not None:
            write(out, lambda stream: stream.writelines(output.output_stream(job, actor=operator())))
        counts = now.counts | {"rejected": now.rejected}  # keys included, as everywhere
        cells = ", ".join(f"{count:,} {what.replace('_', ' ')}" for what, count in counts.items())
        took = now.rows / now.rows_per_second if now.rows_per_second else 0
        self._say(
            f"Finished {now.rows:,} rows in {duration(took)} ({now.rows_per_second:,.0f} rows/s): {cells}."
        )
        if now.rejected:
            self._say(f"{now.rejected:,} cells were rejected: manage.py bulk rejects {job.pk} --out FILE")
        if out is None:
            self._say(f"Next: manage.py bulk run {job.pk} --out FILE")
        else:
            self._say(f"Wrote {out}. Next: manage.py bulk reconcile {job.pk}")

    def _status(self, *, job: uuid.UUID | None, **options: Any) -> None:
        found = [_find(job)] if job else list(BulkJob.objects.all()[:20])
        for one in found:
            now = progress(one)
            if options["json"]:
                self._print_json(now.facts())
                continue
            self.stdout.write(
                f"{now.job}  {now.state:<9} {now.percent:5.1f} %  {now.rows_done:,} of {now.rows:,} rows, "
                f"{now.rows_per_second:,.0f} rows/s, {now.rejected:,} cells rejected  {now.name}"
                + (f"  ({now.failure})" if now.failure else "")
            )

    def _rejects(self, *, job: uuid.UUID, out: Path | None, **options: Any) -> None:
        found = _find(job)
        refuse_existing(out, options["overwrite"])
        lines = reject_lines(found, as_json=options["json"])
        if out is None:
            self.stdout.writelines(lines)
        else:
            write(out, lambda stream: stream.writelines(line.encode() for line in lines))
            self._say(
                f"Wrote {out}. Mend the cells in the source, then plan and run it again: known values are reused."
            )

    def _pause(self, *, job: uuid.UUID, **options: Any) -> None:
        self._done(jobs.pause(_find(job), actor=operator()), "resume", **options)

    def _resume(self, *, job: uuid.UUID, **options: Any) -> None:
        self._done(jobs.resume(_find(job), actor=operator()), "run", **options)

    def _cancel(self, *, job: uuid.UUID, **options: Any) -> None:
        self._done(jobs.cancel(_find(job), actor=operator()), "status", **options)

    def _done(self, job: BulkJob, following: str, **options: Any) -> None:
        if options["json"]:
            self._print_json(progress(job).facts())
        self._say(f"The job is {job.state}. Next: manage.py bulk {following} {job.pk}")

    def _reconcile(self, *, job: uuid.UUID, **options: Any) -> None:
        found = reconcile(_find(job), actor=operator())
        if options["json"]:
            self._print_json(found.facts())
        else:
            right = " + ".join(
                f"{count:,} {what.replace('_', ' ')}" for what, count in found.explained.items()
            )
            self.stdout.write(f"read {found.read:,} = {right}")
            self.stdout.write(f"unexplained {found.unexplained:,}")
            for line in found.mismatches:
                self.stdout.write(f"mismatch: {line}")
        if not found.balanced:
            self._say("The job does not balance: keep its rows, and report this.")
            sys.exit(exit_codes.RECONCILIATION_MISMATCH)
        if _find(job).emptied_at is None:
            self._say(
                f"Balanced. The rows stay until the output is taken: manage.py bulk run {job} --out FILE"
            )
        else:
            self._say("Balanced, and the rows of the file are deleted.")

    def _work(self, *, job: uuid.UUID, **options: Any) -> None:
        worker.work_until_done(_find(job).pk)

    # -- output ---------------------------------------------------------------------------------------------
    def _print_json(self, facts: dict[str, Any]) -> None:
        self.stdout.write(json.dumps(facts))

    def _say(self, line: str) -> None:
        self.stderr.write(line, style_func=str)


def _described(columns: ColumnMap, job: BulkJob) -> Iterator[str]:
    for kind, column in columns.identifiers():
        yield f"column   {column!r}: {kind.label}, replaced by tokens"
    if columns.subscriber_key:
        yield f"column   {columns.subscriber_key!r}: subscriber key"
    for name, column in columns.attributes.items():
        yield f"column   {column!r}: attribute {name}, {'kept' if name in columns.kept else 'emptied'}"
    rest = [column for column in job.header if column not in columns.all()]
    if rest:
        yield f"left     {', '.join(map(repr, rest))}: not mapped, written as they are"
    if job.region and columns.mobile:
        yield f"region   numbers without + or 00 are read as numbers of {job.region}"


@contextmanager
def _exit_codes() -> Iterator[None]:
    """Errors of the domain as one line and the exit code that says what to do."""
    try:
        yield
    except (errors.BadFile, errors.SlicesGone) as error:
        raise CommandError(str(error), returncode=exit_codes.FIX_THE_DATA) from None
    except errors.BadColumnMap as error:
        raise CommandError(str(error), returncode=exit_codes.USAGE) from None
    except ReasonMissing as error:
        raise CommandError(f"--reason: {error}", returncode=exit_codes.USAGE) from None
    except (errors.BulkError, ApprovalError) as error:
        raise CommandError(str(error), returncode=exit_codes.RETRY_IS_SAFE) from None
    except BrokenPipeError:
        # Whoever read our output has seen enough (`| head`); what is left must not be flushed into the closed pipe.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (OperationalError, InterfaceError):
        words = "The database does not answer: nothing is lost, try again."
        raise CommandError(words, returncode=exit_codes.RETRY_IS_SAFE) from None


def _find(job_id: uuid.UUID) -> BulkJob:
    job = BulkJob.objects.select_related("enterprise").filter(pk=job_id).first()
    if job is None:
        raise CommandError(f"There is no job {job_id}: manage.py bulk status", returncode=exit_codes.USAGE)
    return job


@contextmanager
def _opened(file: Path) -> Iterator[BinaryIO]:
    try:
        with file.open("rb") as stream:
            yield stream
    except OSError as error:
        raise CommandError(f"{file}: {error.strerror}", returncode=exit_codes.USAGE) from None


def _job_id(text: str) -> uuid.UUID:
    return uuid.UUID(text)


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError
    return number


def _delimiter(text: str) -> str:
    text = "\t" if text in ("tab", r"\t") else text
    if len(text) != 1 or text in '"\r\n':
        raise ValueError
    return text
