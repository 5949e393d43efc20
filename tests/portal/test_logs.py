"""Tracebacks in the log name types and places, and quote nobody."""

import io
import json
import logging
from typing import Any

import pytest
import structlog

from tokens.crypto.errors import CannotOpen

CANARY = "canary@mail.example"


def logged(error: Exception) -> dict[str, Any]:
    """The line that an error makes in the log."""
    stream = io.StringIO()
    formatters = (handler.formatter for handler in logging.getLogger().handlers)
    handler = logging.StreamHandler(stream)
    handler.setFormatter(next(f for f in formatters if isinstance(f, structlog.stdlib.ProcessorFormatter)))
    logger = logging.getLogger("tests.logs")
    logger.addHandler(handler)
    try:
        try:
            raise error
        except Exception:  # noqa: BLE001 - logged below
            structlog.get_logger("tests.logs").exception("it failed")
    finally:
        logger.removeHandler(handler)
    line: dict[str, Any] = json.loads(stream.getvalue().splitlines()[0])
    return line


def chained() -> Exception:
    inner = ValueError(f"Key (value)=({CANARY}) exists")
    inner.add_note(CANARY)
    outer = KeyError(CANARY)
    outer.__cause__ = inner
    return outer


@pytest.mark.parametrize("error", [KeyError(CANARY), chained(), ExceptionGroup(CANARY, [ValueError(CANARY)])])
def test_texts_of_foreign_errors_are_left_out(error: Exception) -> None:
    line = logged(error)
    assert CANARY not in json.dumps(line)
    assert line["exception"][0]["exc_type"] == type(error).__name__
    assert line["exception"][0]["frames"][-1]["name"] == "logged"


def test_our_own_errors_say_what_happened() -> None:
    assert "does not open" in logged(CannotOpen("unknown key"))["exception"][0]["exc_value"]


def test_a_failed_task_is_named_without_the_text_of_its_error() -> None:
    """Celery's own message quotes the error, its arguments and the traceback."""
    said = {"name": "bulk.work", "id": "1", "exc": f"Key (value)=({CANARY}) exists", "traceback": CANARY}
    record = logging.LogRecord(
        "celery.app.trace", logging.ERROR, "", 0, "Task %(name)s[%(id)s] raised: %(exc)s", (said,), None
    )
    for handler in logging.getLogger().handlers:
        for one in handler.filters:
            assert isinstance(one, logging.Filter)
            one.filter(record)
    assert record.getMessage() == "Task bulk.work[1] raised: an error"
    assert CANARY not in str(record.__dict__)
