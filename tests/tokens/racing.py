"""Many threads that do the same thing at once, each on a connection of its own."""

import random
import threading
from collections.abc import Callable
from typing import TypeVar

from django.db import connection

T = TypeVar("T")


def race(clients: int, job: Callable[[random.Random], T]) -> tuple[list[T], list[Exception]]:
    """Run `job` in `clients` threads that start together: what they returned, and what they raised."""
    gate = threading.Barrier(clients)
    results: list[T] = []
    errors: list[Exception] = []

    def run(number: int) -> None:
        try:
            connection.ensure_connection()
            gate.wait(120)
            results.append(job(random.Random(number)))
        except Exception as error:  # noqa: BLE001 - the test judges it
            errors.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(300)
    return results, errors
