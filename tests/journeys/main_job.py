"""The main job from end to end: convert a file through Celery while a worker is killed, resolve, find in the log.

The file is the oracle: what Resolve answers must be the first spelling of each value and the attributes of the highest
line of each person, whatever happened on the way.
"""

import base64
import json
import os
import random
import re
import signal
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from bench import load
from bench.load import Prepared, Result, http_request
from tests.journeys import people_file
from tests.journeys.officer import ENTRY_LINK, Officer
from tests.journeys.people_file import Truth
from tests.journeys.running_portal import RunningPortal

CONNECTIONS, BATCH = 50, 500
REJECTS = 3  # exit code of a job that finished, but for some cells


@dataclass
class Journey:
    """The steps, in order, and the figures that they leave."""

    portal: RunningPortal
    folder: Path
    rows: int
    chunk_rows: int
    batches: int
    say: Callable[[str], None]
    figures: dict[str, Any] = field(default_factory=dict)

    def run(self) -> dict[str, Any]:
        """All of it. Raises AssertionError at the first thing that is not as it must be."""
        self.note("make run, until it is ready", f"{self.portal.seconds_to_start:.1f} s")
        truth = self.write_file()
        job = self.plan()
        self.convert(job)
        self.check_rejects(job, truth)
        self.reconcile(job, truth)
        tokens = people_file.tokens_of(self.folder / "tokens.csv", truth)
        self.note("values that got one token each", f"{len(tokens):,}")
        result, journal = self.resolve(tokens, truth)
        self.check_log(result, journal)
        self.ask_the_officer(truth)
        return self.figures

    def note(self, what: str, figure: str) -> None:
        """Keep a figure and show it."""
        self.figures[what] = figure
        self.say(f"{what:<52} {figure}")

    # -- the file ---------------------------------------------------------------------------------------------
    def write_file(self) -> Truth:
        path = self.folder / "contacts.csv"
        truth = people_file.write(path, self.rows)
        facts = f"{truth.repeated:,} repeat a person, {len(truth.bad):,} have a bad cell"
        self.note("lines of the file", f"{self.rows:,} ({path.stat().st_size / 1e6:,.1f} MB; {facts})")
        self.note("calling codes in it", str(people_file.countries(truth)))
        return truth

    def plan(self) -> str:
        columns = ("email=EmailAddress", "mobile=MobileNumber", "subscriber_key=SubscriberKey")
        mapped = [part for column in columns for part in ("--map", column)]
        attributes = [part for name in people_file.ATTRIBUTES for part in ("--attribute", f"{name}={name}")]
        size = ["--chunk-rows", str(self.chunk_rows), "--region", ""]
        started = time.monotonic()
        planned = self.portal.manage(
            "bulk", "plan", str(self.folder / "contacts.csv"), *mapped, *attributes, *size, "--json"
        )
        self.note("bulk plan", f"{time.monotonic() - started:.1f} s")
        return str(json.loads(planned)["job"])

    # -- the conversion ---------------------------------------------------------------------------------------
    def convert(self, job: str) -> None:
        """`bulk run`, with a kill -9 of a pool process, and of the whole worker, on the way."""
        started = time.monotonic()
        running = self.portal.start_manage("bulk", "run", job, "--out", str(self.folder / "tokens.csv"))
        for share, parent in ((0.2, False), (0.5, True)):
            self.wait_for_share(job, share)
            self.kill_a_worker(parent=parent)
        out, errors = running.communicate(timeout=3 * 3600)
        assert running.returncode == REJECTS, (
            f"bulk run ended with {running.returncode}: {errors[-2000:]}{out}"
        )
        seconds = time.monotonic() - started
        self.note("bulk run, two kill -9 included", f"{seconds:.1f} s, {self.rows / seconds:,.0f} rows/s")

    def wait_for_share(self, job: str, share: float) -> None:
        """Return once so many of the chunks are done, and some are not."""
        with psycopg.connect(self.portal.admin_url(), autocommit=True) as connection:
            while True:
                row = connection.execute(
                    "SELECT count(*) FILTER (WHERE state = 'done'), count(*) FROM tokens_bulkchunk"
                    " WHERE job_id = %s",
                    [job],
                ).fetchone()
                assert row is not None
                assert row[0] < row[1], "the job was done before a worker could be killed: take more rows"
                if row[0] >= share * row[1]:
                    return
                time.sleep(0.005)

    def kill_a_worker(self, *, parent: bool) -> None:
        victims = [pid for pid, is_child in self.portal.celery_workers() if is_child != parent]
        assert victims, "no Celery worker is running"
        os.kill(victims[0], signal.SIGKILL)
        self.say(f"  kill -9 of {'the worker' if parent else 'a process of its pool'}")

    def check_rejects(self, job: str, truth: Truth) -> None:
        """Every bad cell is rejected with its reason, and no other."""
        self.portal.manage("bulk", "rejects", job, "--out", str(self.folder / "rejects.csv"))
        found = {
            (int(row["line"]), row["column"]): row["code"]
            for row in people_file.read(self.folder / "rejects.csv")
        }
        assert found == truth.bad
        clear = {value for value in truth.spellings if not value.isdigit()}
        text = (self.folder / "rejects.csv").read_text(encoding="utf-8")
        assert not [word for word in re.split(r"[\s,\"]+", text) if word in clear], (
            "a reject shows a clear value"
        )

    def reconcile(self, job: str, truth: Truth) -> None:
        found = json.loads(self.portal.manage("bulk", "reconcile", job, "--json"))
        explained = found["explained"]
        assert found["unexplained"] == 0
        assert explained["rejected"] == len(truth.bad)
        self.note("reconciled cells, unexplained", f"{found['read']:,}, {found['unexplained']}")

    # -- the API ----------------------------------------------------------------------------------------------
    def resolve(self, tokens: dict[str, str], truth: Truth) -> tuple[Result, Path]:
        """50 connections × 500 of the resulting tokens, each answer compared with the file."""
        made = self.portal.manage("create_api_client", "--name", "journey", "--auth", "basic", "--json")
        client = json.loads(made)
        credentials = base64.b64encode(f"{client['client_id']}:{client['client_secret']}".encode()).decode()
        wanted = self.wanted(truth)
        prepared = [
            self.request(f"Basic {credentials}", wanted[at : at + BATCH], tokens, truth)
            for at in range(0, len(wanted), BATCH)
        ]
        journal = self.folder / "journal.jsonl"
        address = ("127.0.0.1", self.portal.port)
        result = load.drive(
            address, prepared, load.resolved_items,
            connections=CONNECTIONS, seconds=3600, once=True, journal=journal,
        )  # fmt: skip
        assert result.faults == [], Counter(result.faults).most_common(5)
        speed = f"{result.items / result.seconds:,.0f} tokens/s, p99 {result.percentile(99):,.0f} ms"
        self.note(f"resolved as the file says, {CONNECTIONS} × {BATCH}", f"{result.items:,} tokens, {speed}")
        return result, journal

    def wanted(self, truth: Truth) -> list[str]:
        """The values whose tokens are resolved: all of a small file, a random part of a large one."""
        values = sorted(truth.spellings)
        random.Random(self.rows).shuffle(values)
        return values[: self.batches * BATCH]

    def request(
        self, authorization: str, values: list[str], tokens: dict[str, str], truth: Truth
    ) -> Prepared:
        items = [{"tokenRequestId": f"r{n}", "token": tokens[value]} for n, value in enumerate(values)]
        right = {
            f"r{n}": (truth.spellings[value], truth.attributes[truth.keys[value]])
            for n, value in enumerate(values)
        }
        body = json.dumps({"sendKey": "journey", "tokens": items}).encode()
        return Prepared(http_request("/api/v1/tokens/resolve", authorization, body), right)

    def check_log(self, result: Result, journal: Path) -> None:
        found = self.portal.run_script("tests.journeys.log_check", str(journal))
        assert found == {"found": result.requests}, found
        self.note(
            "answers found in the payload log, digests equal", f"{result.requests:,} of {result.requests:,}"
        )

    # -- the officer ------------------------------------------------------------------------------------------
    def ask_the_officer(self, truth: Truth) -> None:
        """One of the persons, found by e-mail, with the exchanges that touched them."""
        lines = [json.loads(line) for line in (self.folder / "journal.jsonl").read_text().splitlines()]
        ids = {line["index"]: line["id"] for line in lines}
        address, asked_in = self.somebody_resolved(truth, ids)
        with Officer(
            self.portal.address, "officer", self.portal.sample_access()["passwords"]["officer"]
        ) as officer:
            started = time.monotonic()
            page = officer.find(address)
            seconds = time.monotonic() - started
            shown = set(ENTRY_LINK.findall(page.text))
            assert address not in page.text, "the page shows the address in clear"
            assert asked_in in shown, "the page does not show the exchange that touched the person"
            assert address not in officer.read_entry(asked_in).text
        self.note(
            "the officer finds a person and their exchanges",
            f"{1000 * seconds:,.0f} ms, {len(shown)} exchanges",
        )

    def somebody_resolved(self, truth: Truth, ids: dict[int, str]) -> tuple[str, str]:
        """(address of somebody whose token was resolved, the exchange): what the client knows of its own calls."""
        wanted = self.wanted(truth)
        position = next(n for n, value in enumerate(wanted) if "@" in value)
        return truth.spellings[wanted[position]], ids[position // BATCH]
