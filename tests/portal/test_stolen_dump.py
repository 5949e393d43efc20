"""A stolen dump is useless: after a day of work nothing that was written anywhere holds a clear value (P13).

What is searched: a dump, the files of the tables, the write-ahead log, the broker's file, and every log.
CANARIES=10000 searches the size of the promise.
"""

import base64
import hashlib
import os
import subprocess
import uuid
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import psycopg
import pytest
from django.db import connection
from django.utils import timezone

from audit.trail import SYSTEM
from portal.embedded.binaries import find_postgres
from portal.embedded.home import recorded_home
from portal.roles import Role
from tests import serving
from tests.conftest import OwnDatabase
from tests.portal import canaries
from tests.portal.desk import cast as desk
from tests.tokens.api import cast
from tests.tokens.api.cast import MarketingCloud, ask, want
from tests.tokens.bulk.crew import Crew, finished, wait_until
from tests.tokens.bulk.scene import COLUMNS, HEADER, make_enterprise, planned, rows_of
from tokens.bulk import jobs
from tokens.models import BulkJob, Enterprise

pytestmark = pytest.mark.slow
COUNT = int(os.environ.get("CANARIES", "60"))
PEOPLE = [
    (f"Quendolyn.Zwick{n}@mail.example", f"1317555{n:04d}", f"Quendolyn{n}Zwick") for n in range(COUNT // 3)
]
STRANGER = "Quendolyn.Stranger@mail.example"
NOT_AN_ADDRESS = "quendolyn.zwick.at.mail.example"
EVIDENCE = "Quendolyn rang up"
# What every value holds: the files of the tables are large, and are searched for these.
STEMS = ["Quendolyn", "quendolyn", "1317555"]
VALUES = [value for person in PEOPLE for value in person] + [STRANGER, NOT_AN_ADDRESS, EVIDENCE]


@pytest.fixture
def worked(crashing_database: OwnDatabase, tmp_path: Path) -> OwnDatabase:
    """A portal of its own in which every way for clear values to come in was used."""
    enterprise = make_enterprise()
    with Crew(crashing_database.environment, tmp_path):
        job = converted(enterprise)
    server = serving.Server(crashing_database.environment)
    server.wait_until_served()
    try:
        caller = cast.a_caller(enterprise)
        caller.http = cast.Wire(server.url)
        called(caller, rows_of(job))
        at_the_desk(enterprise)
    finally:
        server.stop()
    (tmp_path / "web.log").write_text(server.log)
    connection.close()
    return crashing_database


def converted(enterprise: Enterprise) -> BulkJob:
    lines = [f"K{n},{email},{mobile},{name},Berlin,x" for n, (email, mobile, name) in enumerate(PEOPLE)]
    lines.append(f"K-bad,{NOT_AN_ADDRESS},,,,")
    job = jobs.start(planned(enterprise, HEADER + "\n".join(lines) + "\n", COLUMNS), actor=SYSTEM)
    assert wait_until(job, finished).state == "finished"
    return job


def called(caller: MarketingCloud, rows: list[dict[str, str]]) -> None:
    tokens = [row["Email"] for row in rows if row["Email"]]
    answer = caller.resolve(*(ask(token) | {"tokenRequestId": token} for token in tokens))
    assert len(answer.json()["resolvedTokens"]) == len(PEOPLE)
    caller.resolve(ask(STRANGER), ask(PEOPLE[0][0]))
    caller.get_token(*(want(value) for value in (PEOPLE[1][0], STRANGER, NOT_AN_ADDRESS, PEOPLE[2][1])))
    caller.post(cast.RESOLVE, {"tokens": [], "surname": PEOPLE[0][2]})
    caller.post(cast.RESOLVE, f'{{"broken": "{STRANGER}'.encode())


def at_the_desk(enterprise: Enterprise) -> None:
    officer = desk.at_desk(Role.COMPLIANCE_OFFICER, enterprise)
    officer.post("/admin/search/", {"what": PEOPLE[3][0]})
    form = {
        "enterprise": enterprise.pk, "who": PEOPLE[4][0], "scope": "enterprise", "source": "officer",
        "asked_at": f"{timezone.now():%Y-%m-%dT%H:%M}", "form_id": uuid.uuid4(), "evidence": EVIDENCE,
    }  # fmt: skip
    assert officer.post("/admin/unsubscribes/new/", form).status_code == 302
    desk.browser_of(None).post("/admin/login/", {"username": STRANGER, "password": PEOPLE[0][2]})


def hits(database: OwnDatabase, logs: Path) -> set[tuple[str, str, str]]:
    """Where a thief who takes everything finds a value: (place, how, value)."""
    with psycopg.connect(database.urls.admin, autocommit=True) as admin:
        admin.execute("CHECKPOINT")
    home = recorded_home(database.servers.state)
    assert home is not None
    tables = canaries.files_below(home.data)
    texts = {"dump": dump(database.urls.owner)}
    for folder in (home.valkey, database.servers.state / "logs", logs):
        texts |= {f"{folder.name}/{name}": text for name, text in canaries.files_below(folder).items()}
    assert b"tokens_mapping" in texts["dump"]
    wal = b"".join(content for name, content in tables.items() if name.startswith("pg_wal/"))
    rest = b"".join(content for name, content in tables.items() if not name.startswith("pg_wal/"))
    assert wal
    return canaries.found(VALUES, texts) | canaries.found(
        STEMS, {"write-ahead log": wal, "tables": rest}, canaries.encodings
    )


def dump(url: str) -> bytes:
    where = urlsplit(url)
    access = {
        "PGHOST": parse_qs(where.query)["host"][0],
        "PGUSER": where.username or "",
        "PGPASSWORD": where.password or "",
        "PGDATABASE": where.path.removeprefix("/"),
    }
    program = find_postgres().bin / "pg_dump"
    return subprocess.run([program], env=os.environ | access, check=True, capture_output=True).stdout


def test_nothing_that_was_written_anywhere_holds_a_clear_value(worked: OwnDatabase, tmp_path: Path) -> None:
    assert hits(worked, tmp_path) == set()


def test_a_value_that_was_written_somewhere_is_found_there(
    crashing_database: OwnDatabase, tmp_path: Path
) -> None:
    """The known-bad twin: a name in the open, a digest that anybody can make, and a line of a log."""
    enterprise = make_enterprise()
    with psycopg.connect(crashing_database.urls.owner) as owner:
        owner.execute("UPDATE tokens_enterprise SET name = %s WHERE id = %s", [STRANGER, enterprise.pk])
        digest = hashlib.sha256(PEOPLE[0][1].encode()).digest()
        owner.execute("CREATE TABLE planted AS SELECT %s::bytea", [digest])
    connection.close()
    (tmp_path / "web.log").write_text(f"could not mail {PEOPLE[1][0]}")
    places = {(place, how) for place, how, _ in hits(crashing_database, tmp_path)}
    assert places >= {
        ("dump", "clear"),
        ("dump", "sha256 in hex"),
        ("tables", "clear"),
        ("write-ahead log", "clear"),
        (f"{tmp_path.name}/web.log", "clear"),
    }


@pytest.mark.parametrize("value", ["Ana.Sample@mail.example", "13175550101"])
def test_every_spelling_of_a_value_is_looked_for(value: str) -> None:
    """So that the search itself can fail: each encoding, put somewhere, is seen."""
    for how, needle in canaries.spellings(value):
        assert canaries.found([value], {"file": b"before " + needle + b" after"}), how
    assert not canaries.found([value], {"file": b"nothing of the kind"})


@pytest.mark.parametrize("before", ["", "x", "xy", "xyz"])
def test_base64_is_found_wherever_the_value_stands_in_what_was_encoded(before: str) -> None:
    encoded = base64.b64encode(f"{before}Ana.Sample@mail.example and more".encode())
    assert ("file", "base64", "Ana.Sample@mail.example") in canaries.found(
        ["Ana.Sample@mail.example"], {"file": encoded}
    )
