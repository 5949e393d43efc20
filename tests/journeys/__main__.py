"""The journey in any size: `JOURNEY_ROWS=1000000 .venv/bin/python -m tests.journeys`, as the README quotes it."""

import os
import sys
import tempfile
import time
from pathlib import Path

from tests.journeys.main_job import Journey
from tests.journeys.running_portal import running_portal


def main() -> int:
    rows = int(os.environ.get("JOURNEY_ROWS", "50000"))
    batches = int(os.environ.get("JOURNEY_BATCHES", "400"))
    started = time.monotonic()
    with (
        tempfile.TemporaryDirectory(prefix="journey-") as folder,
        running_portal(Path(folder) / "state") as portal,
    ):
        # As many chunks as a large file has, so that there is a middle to kill in.
        chunk_rows = min(5_000, max(50, rows // 40))
        Journey(portal, Path(folder), rows, chunk_rows, batches, print).run()
    print(f"{'the whole journey':<52} {time.monotonic() - started:,.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
