"""`manage.py no_token_queue`: extracts of the queue, from files or a watched folder (docs/no-token-queue.md)."""

import datetime
import json
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, Final

from django.core.management.base import CommandError
from django.db import InterfaceError, OperationalError

from portal import exit_codes
from portal.command_line import PortalCommand, choose_enterprise, operator
from tokens.models import Enterprise, QueueBadLine, QueueExtract
from tokens.no_token_queue import dates, extracts, recipes, reconcile
from tokens.no_token_queue.errors import BadExtract, BadRecipe, QueueError
from tokens.no_token_queue.faults import hint_of
from tokens.no_token_queue.reading import ENCODINGS
from tokens.no_token_queue.recipes import TARGETS, Reading

_BLOCK: Final = 1 << 20
_SUFFIXES: Final = {".csv", ".tsv", ".txt", ".xlsx"}
# A file that was touched a moment ago may still be written.
_SETTLED_AFTER: Final = 5.0
_BAD_LINES_SHOWN: Final = 20


class Command(PortalCommand):
    help = "Take over extracts of the No Token Queue."

    # -- arguments ------------------------------------------------------------------------------------------
    def add_arguments(self, parser: Any) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
        self._add_import(verbs)
        words = "compare the extracts with our own log: 0 unexplained, or exit code 8 and their names, masked"
        books = verbs.add_parser("reconcile", help=words, description=words)
        books.add_argument("--enterprise", metavar="EID", help="may be left out while there is only one")
        books.add_argument("--json", action="store_true", help="print JSON on stdout")

    def _add_import(self, verbs: Any) -> None:
        words = "take the lines of extracts over; keywords block at once, loading twice is once"
        parser = verbs.add_parser("import", help=words, description=words)
        parser.add_argument(
            "files", nargs="+", type=Path, metavar="FILE",
            help="CSV, TSV or XLSX; of a folder all such files",
        )  # fmt: skip
        parser.add_argument("--enterprise", metavar="EID", help="may be left out while there is only one")
        parser.add_argument("--recipe", metavar="NAME", help="by default the saved one that fits the columns")
        parser.add_argument(
            "--map", action="append", default=[], metavar="WHAT=COLUMN",
            help=f"what a column holds, instead of a recipe: {', '.join(TARGETS)}",
        )  # fmt: skip
        parser.add_argument("--save-recipe", metavar="NAME", help="keep --map for the next time")
        parser.add_argument("--dates", choices=[code for code, _ in dates.ORDERS], default="mdy")
        parser.add_argument("--zone", default="UTC", help="of dates without one; UTC by default [assumed]")
        parser.add_argument("--region", default="", metavar="DE", help="country of numbers without one")
        parser.add_argument("--encoding", choices=[code for code, _ in ENCODINGS if code], default="")
        parser.add_argument("--delimiter", default="", help="one character, or 'tab'; detected by default")
        parser.add_argument(
            "--extracted-at", type=_moment, metavar="ISO",
            help="when Marketing Cloud wrote it; by default when the file was changed last",
        )  # fmt: skip
        parser.add_argument(
            "--watch", type=float, metavar="SECONDS", help="look again every so often until Ctrl-C"
        )
        parser.add_argument("--remove", action="store_true", help="delete each file once it is taken over")
        parser.add_argument("--json", action="store_true", help="print one JSON object for each file")

    def handle(self, *, verb: str, **options: Any) -> None:
        try:
            getattr(self, f"_{verb}")(**options)
        except QueueError as error:
            raise CommandError(str(error), returncode=_code_of(error)) from None
        except (OperationalError, InterfaceError) as error:
            said = f"The database does not answer ({type(error).__name__}); trying again is safe."
            raise CommandError(said, returncode=exit_codes.RETRY_IS_SAFE) from None
        except KeyboardInterrupt:
            sys.exit(exit_codes.INTERRUPTED)

    # -- verbs ----------------------------------------------------------------------------------------------
    def _import(self, *, files: list[Path], watch: float | None, **options: Any) -> None:
        enterprise = choose_enterprise(options.pop("enterprise"))
        given = _reading(enterprise, options)
        seen: dict[Path, tuple[float, int]] = {}
        worst = exit_codes.DONE
        while True:
            for file in _found(files, settled=watch is not None):
                stamp = (file.stat().st_mtime, file.stat().st_size)
                if seen.get(file) != stamp:
                    worst = max(
                        worst, self._take(file, enterprise, given, goes_on=watch is not None, **options)
                    )
                    seen[file] = stamp
            if watch is None:
                break
            time.sleep(watch)
        sys.exit(worst)

    def _reconcile(self, *, enterprise: str | None, **options: Any) -> None:
        kept = reconcile.reconcile(choose_enterprise(enterprise), actor=operator())
        if options["json"]:
            facts = {"unexplained": kept.unexplained_count, "counts": kept.counts, "named": kept.unexplained}
            until = kept.until.isoformat() if kept.until else None
            self.stdout.write(json.dumps(facts | {"until": until}))
        else:
            self.stdout.write(f"{kept.unexplained_count} unexplained")
            for one in kept.unexplained:
                self.stdout.write(f"{one['why']:<10} {one['masked']:<16} {one['at'][:16]}  {one['id']}")
        self._say("Next: explain what you know at /admin/no-token-queue/reconciliation/")
        sys.exit(exit_codes.RECONCILIATION_MISMATCH if kept.unexplained_count else exit_codes.DONE)

    def _take(
        self, file: Path, enterprise: Enterprise, given: Reading | None, *, goes_on: bool, **options: Any
    ) -> int:
        """Take one file over; the exit code. With others to follow, a refused one is told and left where it is."""
        try:
            extract, is_repeated = self._taken(file, enterprise, given, options)
        except QueueError as error:
            if not goes_on:
                raise CommandError(f"{file.name}: {error}", returncode=_code_of(error)) from None
            self._say(f"{file.name}: {error}")
            return _code_of(error)
        self._report(file, extract, is_repeated, as_json=options["json"])
        if options["remove"]:
            file.unlink()
        return exit_codes.FINISHED_WITH_REJECTS if extract.bad and not is_repeated else exit_codes.DONE

    def _taken(
        self, file: Path, enterprise: Enterprise, given: Reading | None, options: dict[str, Any]
    ) -> tuple[QueueExtract, bool]:
        at = options["extracted_at"] or datetime.datetime.fromtimestamp(file.stat().st_mtime, datetime.UTC)
        with file.open("rb") as stream:
            extract = extracts.load(
                enterprise,
                iter(partial(stream.read, _BLOCK), b""),
                name=file.name,
                extracted_at=at,
                actor=operator(),
                encoding=options["encoding"],
                delimiter=_delimiter(options["delimiter"]),
            )
        if extract.state == QueueExtract.State.IMPORTED:
            return extract, True
        return extracts.take_over(extract, given or extracts.recipe_for(extract), actor=operator()), False

    def _report(self, file: Path, extract: QueueExtract, is_repeated: bool, *, as_json: bool) -> None:
        bad = [
            {"line": line, "column": column, "fault": fault, "hint": hint_of(fault)}
            for line, column, fault in QueueBadLine.objects.filter(extract=extract)
            .order_by("line")
            .values_list("line", "column", "fault")
        ]
        if as_json:
            facts = {name: getattr(extract, name) for name in ("lines", "new", "known", "bad", "blocked")}
            head = {"file": file.name, "extract": str(extract.pk), "repeated": is_repeated}
            self.stdout.write(json.dumps(head | facts | {"bad_lines": bad}))
            return
        if is_repeated:
            self.stdout.write(f"{file.name}: taken over before; nothing was changed")
            return
        self.stdout.write(
            f"{file.name}: {extract.lines:,} lines, {extract.new:,} new, {extract.known:,} known,"
            f" {extract.blocked:,} blocked by a keyword, {extract.bad:,} kept apart"
        )
        for one in bad[:_BAD_LINES_SHOWN]:
            column = f", column {one['column']!r}" if one["column"] else ""
            self._say(f"  line {one['line']:,}{column}: {one['hint']}")
        if bad:
            self._say("Lines kept apart are sealed until somebody settles them: /admin/no-token-queue/lines/")
        self._say("Next: decide what waits at /admin/no-token-queue/")

    def _say(self, text: str) -> None:
        self.stderr.write(text)


def _reading(enterprise: Enterprise, options: dict[str, Any]) -> Reading | None:
    """What the columns hold, if that was said. Raises BadRecipe."""
    if options["recipe"]:
        return recipes.named(enterprise, options["recipe"])
    if not options["map"]:
        return None
    pairs = [pair.partition("=") for pair in options["map"]]
    if any(not (target and equals and column) for target, equals, column in pairs):
        raise BadRecipe("write WHAT=COLUMN")
    reading = Reading(
        columns=recipes.one_column_each((target, column) for target, _, column in pairs),
        order=options["dates"],
        zone=options["zone"],
        region=options["region"],
        encoding=options["encoding"],
        delimiter=_delimiter(options["delimiter"]),
    ).checked()
    if options["save_recipe"]:
        recipes.save(enterprise, options["save_recipe"], reading, actor=operator())
    return reading


def _found(paths: list[Path], *, settled: bool) -> Iterator[Path]:
    """The files, oldest first; of folders those that may be extracts. Raises CommandError for what is not there."""
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            found += [one for one in path.iterdir() if one.suffix.lower() in _SUFFIXES and one.is_file()]
        elif path.is_file():
            found.append(path)
        elif not settled:
            raise CommandError(f"There is no file {path}", returncode=exit_codes.USAGE)
    for file in sorted(found, key=lambda one: one.stat().st_mtime):
        if not settled or time.time() - file.stat().st_mtime > _SETTLED_AFTER:
            yield file


def _code_of(error: QueueError) -> int:
    return exit_codes.FIX_THE_DATA if isinstance(error, BadExtract | BadRecipe) else exit_codes.USAGE


def _delimiter(text: str) -> str:
    return "\t" if text == "tab" else text


def _moment(text: str) -> datetime.datetime:
    moment = dates.read_date(text, order="iso", zone="UTC")
    if moment is None:
        raise ValueError
    return moment
