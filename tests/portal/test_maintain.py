"""The maintenance process: one broken job must not stop the others, and each job has its time."""

from collections.abc import Callable

import pytest
from django.core.management import call_command

from portal.management.commands import maintain


class BrokenJob(Exception):
    """Raised by a job of these tests."""


def broken() -> None:
    raise BrokenJob


@pytest.fixture
def with_jobs(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    def run(*jobs: Callable[[], object]) -> None:
        named = [(f"job {number}", 3600.0, job) for number, job in enumerate(jobs)]
        monkeypatch.setattr(maintain, "JOBS", named)
        monkeypatch.setattr(maintain, "SEALING", [])
        monkeypatch.setattr(maintain, "RETENTION", [])
        # The command listens to signals, which is the business of pytest here.
        monkeypatch.setattr(maintain.signal, "signal", lambda *_: None)
        call_command("maintain", once=True)

    return run


@pytest.mark.django_db
def test_a_broken_job_does_not_stop_the_others(with_jobs: Callable[..., None]) -> None:
    done: list[str] = []
    with_jobs(broken, lambda: done.append("after"))
    assert done == ["after"]


@pytest.mark.django_db
def test_how_a_job_failed_is_logged_by_its_name(
    with_jobs: Callable[..., None], caplog: pytest.LogCaptureFixture
) -> None:
    with_jobs(broken)
    assert "maintenance job failed" in caplog.text
    assert "job 0" in caplog.text
    assert "BrokenJob" in caplog.text
