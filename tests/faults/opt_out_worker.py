"""A worker on a file of opt-outs that stops dead at a chunk's worst moment, so that it can be killed right there.

`python -m tests.faults.opt_out_worker FILE CHUNK [--forgetful]`: at its CHUNKth chunk it prints a line and waits, all
lines written and nothing committed. The forgetful one, a known-bad twin, ends each chunk before its lines are recorded.
"""

import sys
import threading
import uuid
from typing import Any


def main(file_id: str, at_chunk: int, *, forgetful: bool) -> None:
    import django

    django.setup()
    from tokens.opt_out_files import chunks, worker

    finish, taken = chunks.finish, iter(range(1, 1_000_000))

    def stop_there() -> None:
        if next(taken) == at_chunk:
            print("at the worst moment", flush=True)
            threading.Event().wait()

    def stops_before_the_commit(lease: Any, counts: dict[str, int]) -> None:
        finish(lease, counts)
        stop_there()

    def forgets(taker: Any, lease: Any) -> None:
        records = chunks.records_of(taker.file, lease.number, lease.source)
        finish(lease, {"new": len(records), "known": 0, "skipped": 0, "refused": 0})
        stop_there()
        taker.take(records)

    if forgetful:
        worker.take = forgets
    else:
        chunks.finish = stops_before_the_commit
    worker.work(uuid.UUID(file_id), seconds=600)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), forgetful="--forgetful" in sys.argv)
