"""Unexpected errors tell the caller nothing, and the server's log where but never whom."""

import io
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from audit.models import Outcome
from portal.embedded.state import CHECKOUT
from tests.tokens.api.cast import ANA, MarketingCloud, ask, entry_of, want
from tokens.api import get_token, resolve
from tokens.api.errors import ErrorCode
from tokens.api.messages import UNRESOLVED
from tokens.api.opt_outs import REASONS
from tokens.log.rebuild import Proof, rebuild
from tokens.log.recording import Anomaly

DOCUMENT = CHECKOUT / "docs" / "errors.md"


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """What the server prints, everything from DEBUG on."""
    stream, root = io.StringIO(), logging.getLogger()
    formatters = (handler.formatter for handler in root.handlers)
    handler = logging.StreamHandler(stream)
    handler.setFormatter(next(f for f in formatters if isinstance(f, structlog.stdlib.ProcessorFormatter)))
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield stream
    root.setLevel(level)
    root.removeHandler(handler)


def broken(*args: Any, **kwargs: Any) -> Any:
    """Fails with what it was given in the text of the error, as careless code does."""
    raise RuntimeError(f"cannot handle {args} {kwargs} {ANA[0]}")


def test_an_unexpected_error_is_500_without_detail(
    caller: MarketingCloud, ana: str, monkeypatch: pytest.MonkeyPatch, log: io.StringIO
) -> None:
    monkeypatch.setattr(resolve, "resolve_answer", broken)
    response = caller.resolve(ask(ana))
    assert response.status_code == 500
    assert response.json() == {
        "error": "internal_error",
        "message": "Try again; if it stays, give the request id to the operator.",
        "requestId": response["X-Request-ID"],
    }
    printed = log.getvalue()
    assert "RuntimeError" in printed
    assert "test_errors.py" in printed
    assert response["X-Request-ID"] in printed
    for clear in ("ana@", "Ana", "São", caller.secret, ana):
        assert clear not in printed


def test_an_unexpected_error_is_logged_with_its_body(
    caller: MarketingCloud, ana: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(get_token, "get_token_answer", broken)
    response = caller.get_token(want("new@mail.example"))
    assert response.status_code == 500
    entry = entry_of(response)
    assert (entry.status, entry.outcome, entry.error) == (500, Outcome.FAILED, "internal_error")
    request = rebuild(entry).request
    assert request.proof is Proof.PROVEN
    assert b"new@mail.example" in (request.exact or b"")
    # What was minted before the error went with its transaction.
    monkeypatch.undo()
    assert entry_of(caller.get_token(want("new@mail.example"))).items_answered == 1


def test_nothing_clear_is_printed_on_any_path(
    caller: MarketingCloud, ana: str, log: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    caller.resolve(ask(ana), ask("canary@mail.example", "2"), ask("13175550101", "3", subscriberKey="canary"))
    caller.get_token(want("canary@mail.example"), want("13175550101", "2"), want("canary", "3", kind="Email"))
    caller.post("/api/v1/tokens/get", b'{"tokenValues":[{"tokenValue":"canary@mail.example"}]}')
    caller.post("/api/v1/tokens/get", b"canary")
    monkeypatch.setattr(get_token, "with_primary", broken)
    caller.get_token(want("canary@mail.example"))
    assert log.getvalue()
    for clear in ("canary", "13175550101", "ana@mail", caller.secret):
        assert clear not in log.getvalue()


def test_a_careless_log_line_is_caught_by_these_tests(log: io.StringIO) -> None:
    """The twin without the defence: a logger that prints what the error says."""
    try:
        broken()
    except RuntimeError as error:
        logging.getLogger("careless").error("failed: %s", error)
    assert ANA[0] in log.getvalue()


# --- the closed lists and their documentation --------------------------------------------------------------
def documented(path: Path, heading: str) -> set[str]:
    """The codes in the first column of the table below a heading."""
    section = path.read_text().partition(f"## {heading}\n")[2].partition("\n## ")[0]
    return set(re.findall(r"^\| `([^`]+)`", section, re.MULTILINE))


def test_every_error_is_documented() -> None:
    assert documented(DOCUMENT, "Errors") == {code.code for code in ErrorCode}


def test_every_message_of_an_unresolved_token_is_documented() -> None:
    assert documented(DOCUMENT, "Unresolved tokens") == set(UNRESOLVED.values())


def test_every_anomaly_is_documented() -> None:
    from tokens.formats.reasons import Reason

    assert documented(DOCUMENT, "Anomalies in the log") == set(Anomaly) | set(Reason)


def test_every_reason_of_a_refused_opt_out_is_documented() -> None:
    assert documented(DOCUMENT, "Refused opt-outs") == set(REASONS)
