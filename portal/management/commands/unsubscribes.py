"""`manage.py unsubscribes`: files of opt-outs, and of bounces and complaints (docs/unsubscribes.md)."""

import datetime
import json
import sys
import uuid
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, Final

from django.core.management.base import CommandError
from django.db import InterfaceError, OperationalError

from portal import exit_codes
from portal.command_line import PortalCommand, choose_enterprise, operator
from tokens.consent import clocks
from tokens.models import Enterprise, OptOutFile
from tokens.no_token_queue import dates
from tokens.no_token_queue.errors import BadExtract, BadRecipe, QueueError
from tokens.no_token_queue.reading import ENCODINGS
from tokens.no_token_queue.recipes import one_column_each
from tokens.opt_out_files import chunks, columns, files, rejects, worker
from tokens.opt_out_files.columns import TARGETS, Reading

State, What = OptOutFile.State, OptOutFile.What
KINDS: Final = {"opt-outs": What.OPT_OUTS, "bounces": What.BOUNCES}
REJECTS_SHOWN: Final = 20
_BLOCK: Final = 1 << 20


class Command(PortalCommand):
    help = "Import files of opt-outs, and of bounces and complaints."
    # The last line names the next command by the name that was typed.
    name = "unsubscribes"

    # -- arguments ------------------------------------------------------------------------------------------
    def add_arguments(self, parser: Any) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
        self._add_import(verbs)
        for verb, words in (
            ("status", "how far a file is, and what came of its lines"),
            ("resume", "go on with a file that was interrupted, or failed and was mended"),
            ("rejects", "the lines that gave no opt-out, as CSV: line, column, code, masked value, hint"),
        ):
            one = verbs.add_parser(verb, help=words, description=words)
            one.add_argument("file", type=uuid.UUID, metavar="ID", help="what `import` printed")
            one.add_argument("--json", action="store_true", help="print JSON on stdout")

    def _add_import(self, verbs: Any) -> None:
        words = "record who opted out, from files; loading a file or line again changes nothing"
        parser = verbs.add_parser("import", help=words, description=words)
        parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="CSV, TSV or XLSX")
        parser.add_argument("--enterprise", metavar="EID", help="may be left out while there is only one")
        parser.add_argument("--kind", choices=KINDS, default="opt-outs", help="what the file lists")
        parser.add_argument("--recipe", metavar="NAME", help="by default the saved one that fits the columns")
        parser.add_argument(
            "--map", action="append", default=[], metavar="WHAT=COLUMN",
            help=f"what a column holds, instead of a recipe: {', '.join(TARGETS)}",
        )  # fmt: skip
        parser.add_argument("--save-recipe", metavar="NAME", help="keep --map for the next time")
        parser.add_argument("--dates", choices=[code for code, _ in dates.ORDERS], default="iso")
        parser.add_argument("--zone", default="UTC", help="of dates without one")
        parser.add_argument("--region", default="", metavar="DE", help="country of numbers without one")
        parser.add_argument(
            "--law", default="", choices=[law.code for law in clocks.LAWS], help="of all lines"
        )
        parser.add_argument(
            "--counts", action="append", default=[], metavar="WORD",
            help="reports that hold it end sending; hard, complaint and abuse by default",
        )  # fmt: skip
        parser.add_argument("--encoding", choices=[code for code, _ in ENCODINGS if code], default="")
        parser.add_argument("--delimiter", default="", help="one character, or 'tab'; detected by default")
        parser.add_argument(
            "--written-at", type=_moment, metavar="ISO", help="by default when the file was changed last"
        )
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
            self._say(f"Interrupted; committed lines stay. Next: manage.py {self.name} resume ID")
            sys.exit(exit_codes.INTERRUPTED)

    # -- verbs ----------------------------------------------------------------------------------------------
    def _import(self, *, files: list[Path], **options: Any) -> None:
        enterprise = choose_enterprise(options["enterprise"])
        given = _reading(enterprise, options)
        sys.exit(max(self._take(path, enterprise, given, options) for path in files))

    def _take(
        self, path: Path, enterprise: Enterprise, given: Reading | None, options: dict[str, Any]
    ) -> int:
        try:
            file = _loaded(path, enterprise, options)
            if file.state == State.LOADED:
                how = given or columns.fitting(enterprise, file.what, file.header)
                file = files.begin(file, how, actor=operator())
        except QueueError as error:
            raise CommandError(f"{path.name}: {error}", returncode=_code_of(error)) from None
        return self._work(file, as_json=options["json"])

    def _resume(self, *, file: uuid.UUID, **options: Any) -> None:
        found = _file(file)
        if found.state == State.FAILED:
            found = files.resume(found, actor=operator())
        if found.state == State.LOADED:
            said = "its columns are not said yet: import the file again with --map"
            raise CommandError(f"{found.name}: {said}", returncode=exit_codes.USAGE)
        sys.exit(self._work(found, as_json=options["json"]))

    def _status(self, *, file: uuid.UUID, **options: Any) -> None:
        sys.exit(self._report(_file(file), as_json=options["json"]))

    def _rejects(self, *, file: uuid.UUID, **options: Any) -> None:
        found = _file(file)
        if options["json"]:
            for one in rejects.of(found):
                self.stdout.write(json.dumps(one._asdict()))
        else:
            for line in rejects.as_csv(found):
                self.stdout.write(line, ending="")
        sys.exit(exit_codes.FINISHED_WITH_REJECTS if found.rejects.exists() else exit_codes.DONE)

    # -- what they share ------------------------------------------------------------------------------------
    def _work(self, file: OptOutFile, *, as_json: bool) -> int:
        if file.state == State.RUNNING:
            self._say(f"{file.name}: {file.lines:,} lines, id {file.pk}")
            file = worker.work_until_done(file.pk)
        return self._report(file, as_json=as_json)

    def _report(self, file: OptOutFile, *, as_json: bool) -> int:
        """Say what came of it; the exit code."""
        found = chunks.progress(file)
        facts = {name: getattr(found, name) for name in ("new", "known", "skipped", "refused")}
        if as_json:
            head = {"file": file.name, "id": str(file.pk), "state": file.state, "failure": file.failure}
            self.stdout.write(json.dumps(head | {"lines": file.lines, "done": found.done} | facts))
        else:
            said = ", ".join(f"{count:,} {name}" for name, count in facts.items())
            self.stdout.write(f"{file.name}: {found.done:,} of {file.lines:,} lines: {said}")
            for one in islice(rejects.of(file), REJECTS_SHOWN):
                self._say(f"  line {one.line:,}, column {one.column!r}: {one.hint}")
        return self._end(file, found.refused)

    def _end(self, file: OptOutFile, refused: int) -> int:
        if file.state == State.FAILED:
            self._say(
                f"Failed ({file.failure}). Next: mend that, then manage.py {self.name} resume {file.pk}"
            )
            return exit_codes.RETRY_IS_SAFE
        if file.state != State.FINISHED:
            self._say(f"Not finished. Next: manage.py {self.name} resume {file.pk}")
            return exit_codes.DONE
        if refused:
            self._say(f"Done with rejects. Next: manage.py {self.name} rejects {file.pk}")
            return exit_codes.FINISHED_WITH_REJECTS
        self._say("Done. Next: see to what is open at /admin/unsubscribes/open/")
        return exit_codes.DONE

    def _say(self, text: str) -> None:
        self.stderr.write(text)


def _loaded(path: Path, enterprise: Enterprise, options: dict[str, Any]) -> OptOutFile:
    if not path.is_file():
        raise CommandError(f"There is no file {path}", returncode=exit_codes.USAGE)
    at = options["written_at"] or datetime.datetime.fromtimestamp(path.stat().st_mtime, datetime.UTC)
    with path.open("rb") as stream:
        return files.load(
            enterprise,
            iter(partial(stream.read, _BLOCK), b""),
            what=KINDS[options["kind"]],
            name=path.name,
            written_at=at,
            actor=operator(),
            encoding=options["encoding"],
            delimiter="\t" if options["delimiter"] == "tab" else options["delimiter"],
        )


def _reading(enterprise: Enterprise, options: dict[str, Any]) -> Reading | None:
    """What the columns hold, if that was said. Raises BadRecipe."""
    what = KINDS[options["kind"]]
    if options["recipe"]:
        return columns.named(enterprise, what, options["recipe"])
    if not options["map"]:
        return None
    pairs = [pair.partition("=") for pair in options["map"]]
    if any(not (target and equals and column) for target, equals, column in pairs):
        raise BadRecipe("write WHAT=COLUMN")
    reading = Reading(
        columns=one_column_each((target, column) for target, _, column in pairs),
        order=options["dates"],
        zone=options["zone"],
        region=options["region"],
        law=options["law"],
        counts=options["counts"],
    ).checked()
    if options["save_recipe"]:
        columns.save(enterprise, what, options["save_recipe"], reading, actor=operator())
    return reading


def _file(file_id: uuid.UUID) -> OptOutFile:
    found = OptOutFile.objects.select_related("enterprise").filter(pk=file_id).first()
    if found is None:
        raise CommandError("There is no file of that id", returncode=exit_codes.USAGE)
    return found


def _code_of(error: QueueError) -> int:
    return exit_codes.FIX_THE_DATA if isinstance(error, BadExtract | BadRecipe) else exit_codes.USAGE


def _moment(text: str) -> datetime.datetime:
    moment = dates.read_date(text, order="iso", zone="UTC")
    if moment is None:
        raise ValueError
    return moment
