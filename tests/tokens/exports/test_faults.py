"""A worker of exports is killed outright: another goes on, and the file is whole, each row once."""

import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from django.utils import timezone

from tests.conftest import OwnDatabase
from tests.tokens.api import cast as api_cast
from tests.tokens.bulk.crew import Crew
from tests.tokens.cast import OLGA, an_enterprise, email
from tokens.exports import files, requests
from tokens.models import Export
from tokens.vault import mint

pytestmark = pytest.mark.slow
PEOPLE = 30_000


def wait_for(export: Export, reached: Callable[[Export], bool]) -> Export:
    deadline = time.monotonic() + 180
    while not reached(export):
        assert time.monotonic() < deadline, (export.state, export.rows, export.failure)
        time.sleep(0.05)
        export.refresh_from_db()
    return export


def test_after_kill_9_in_the_middle_the_file_is_whole(own_database: OwnDatabase, tmp_path: Path) -> None:
    acme = an_enterprise()
    api_cast.a_person(acme, *api_cast.ANA)
    for first in range(0, PEOPLE, 5_000):
        mint.get_or_create(acme, [email(f"p{n}@mail.example") for n in range(first, first + 5_000)])
    with Crew(own_database.environment, tmp_path) as crew:
        export = requests.ask(
            acme, what=Export.What.PEOPLE, form=Export.Form.JSONL, only={}, case="C-1", actor=OLGA
        )
        wait_for(export, lambda now: now.slices > 0)
        crew.kill()
        export.refresh_from_db()
        killed_at = export.rows
        if export.state == Export.State.RUNNING:  # a fast worker may have been done already
            assert 0 < killed_at <= PEOPLE + 1
        crew.hire()
        wait_for(export, lambda now: now.state == Export.State.READY)
    export = Export.objects.select_related("enterprise").get(pk=export.pk)
    content = b"".join(files.stream(export, taken_by="olga", taken_at=timezone.now()))
    first, *rows, last = [json.loads(line) for line in content.splitlines()]
    assert last == {"end": {"rows": PEOPLE + 1}}
    assert len({row["token"] for row in rows}) == len(rows) == PEOPLE + 1
    assert b"mail0.example" not in content
    assert b"p1@" not in content
