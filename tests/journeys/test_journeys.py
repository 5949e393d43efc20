"""Whole jobs over one portal that runs as `make run SANDBOX=1` runs it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.browser.conftest import DESKTOP, Visitor
from tests.journeys import main_job, stop_without_token
from tests.journeys.running_portal import RunningPortal, running_portal

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def portal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningPortal]:
    # A chunk whose worker was killed waits for its lease, 30 s by default.
    haste = {"BULK_LEASE_SECONDS": "5", "BULK_SWEEP_SECONDS": "2"}
    with running_portal(tmp_path_factory.mktemp("journeys") / "state", "--sandbox", **haste) as portal:
        yield portal


@pytest.fixture
def visitor(chromium: Any, portal: RunningPortal) -> Iterator[Visitor]:
    """Somebody at a browser."""
    context = chromium.new_context(viewport=DESKTOP)
    visitor = Visitor(context.new_page(), portal.address)
    yield visitor
    context.close()
    assert not visitor.complaints


def test_a_file_is_converted_through_kills_resolved_and_found_in_the_log_by_the_officer(
    portal: RunningPortal, tmp_path: Path
) -> None:
    """In a small size: `python -m tests.journeys` runs the same in any other."""
    figures = main_job.Journey(portal, tmp_path, rows=3_000, chunk_rows=50, batches=20, say=print).run()

    assert "the officer finds a person and their exchanges" in figures


def test_a_stop_that_got_no_token_ends_with_a_person_who_is_proven_to_be_out(
    portal: RunningPortal, visitor: Visitor, tmp_path: Path
) -> None:
    with stop_without_token.steering(portal) as cloud:
        stop_without_token.Journey(portal, cloud, visitor, tmp_path).run()
