"""A task for the tests of brokers; a worker is told to include it."""

from pathlib import Path

from portal.celery import app


@app.task(name="tests.write")
def write(path: str, text: str) -> None:
    Path(path).write_text(text)
