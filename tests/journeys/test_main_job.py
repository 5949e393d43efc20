"""The main job, in a small size: `python -m tests.journeys` runs the same in any other."""

from pathlib import Path

import pytest

from tests.journeys.main_job import Journey
from tests.journeys.running_portal import running_portal


@pytest.mark.slow
def test_a_file_is_converted_through_kills_resolved_and_found_in_the_log_by_the_officer(
    tmp_path: Path,
) -> None:
    # A chunk whose worker was killed waits for its lease, 30 s by default.
    haste = {"BULK_LEASE_SECONDS": "5", "BULK_SWEEP_SECONDS": "2"}
    with running_portal(tmp_path / "state", **haste) as portal:
        figures = Journey(portal, tmp_path, rows=3_000, chunk_rows=50, batches=20, say=print).run()

    assert "the officer finds a person and their exchanges" in figures
