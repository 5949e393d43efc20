"""Databases for tests: a clone for each test process, in which every test rolls back, and `own_database`."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import environ
import hypothesis
import pytest
from django.conf import settings
from django.core.cache import cache
from django.db import connections

from portal import sealing
from portal.embedded import EmbeddedServices, Urls
from tests import cluster, components, serving
from tokens.crypto import keyring

FLUSHING = {"transactional_db", "live_server", "django_db_reset_sequences", "django_db_serialized_rollback"}
# Modules whose tests share one start of servers. (xdist's own groups are lost with pytest 9.2.)
KEPT_TOGETHER = {
    "tests/browser/test_frame.py",
    "tests/journeys/test_journeys.py",
    "tests/portal/embedded/test_servers.py",
    "tests/portal/test_run_portal.py",
    "tests/portal/test_web_server.py",
    "tests/tokens/api/test_schemathesis.py",
    "tests/tokens/api/test_sockets.py",
    "tests/tokens/erasure/test_erasing.py",
    "tests/tokens/erasure/test_taken_over.py",
}
CHROMIUM_ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
]  # fmt: skip
SHARED = {"shared_database", "shared_server"}

# A property that fails must fail for everybody: no random seed, no memory of earlier runs.
hypothesis.settings.register_profile("portal", deadline=None, derandomize=True, database=None)
hypothesis.settings.load_profile("portal")


@dataclass(frozen=True)
class OwnDatabase:
    """A database of one test. `environment` leads subprocesses to it."""

    name: str
    urls: Urls
    environment: dict[str, str]
    servers: EmbeddedServices


@pytest.fixture(scope="session")
def django_db_setup(django_test_environment: None, django_db_blocker: Any) -> Iterator[None]:
    """Replaces pytest-django's own: a clone of the template instead of migrate and flush."""
    with django_db_blocker.unblock():
        cluster.main().make_clone(cluster.session_database())
    yield
    with django_db_blocker.unblock():
        connections.close_all()
        cluster.main().drop(cluster.session_database())


@pytest.fixture
def own_database(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, django_db_blocker: Any
) -> Iterator[OwnDatabase]:
    """A fresh database in which commits are real, so that threads and subprocesses see them.

    The aliases `default` and `owner`, in every thread, and the environment lead to it until the test ends.
    """
    is_served = "portal_server" in request.fixturenames
    name = cluster.served_database() if is_served else cluster.fresh_name()
    with _own_database(cluster.main(), monkeypatch, django_db_blocker, name) as database:
        yield database


@pytest.fixture
def own_database_on_15(monkeypatch: pytest.MonkeyPatch, django_db_blocker: Any) -> Iterator[OwnDatabase]:
    """The same on PostgreSQL 15, the oldest that the portal supports."""
    components.need_postgres_15()
    with _own_database(
        cluster.on_postgres_15(), monkeypatch, django_db_blocker, cluster.fresh_name()
    ) as database:
        yield database


@pytest.fixture(scope="session")
def kept_server() -> Iterator[serving.Server]:
    """The web server of this test process: it loads the portal once, which takes longer than most tests."""
    server = serving.Server(_environment(cluster.main(), cluster.served_database()), preload=True)
    server.wait_until_served()
    yield server
    server.stop()


@pytest.fixture
def portal_server(own_database: OwnDatabase, kept_server: serving.Server) -> serving.Server:
    """A real web server over the test's own database, for tests of sockets and browsers."""
    kept_server.renew()
    return kept_server


@pytest.fixture(scope="module")
def shared_database(django_db_blocker: Any) -> Iterator[OwnDatabase]:
    """`own_database` for all tests of a module, each of which makes an enterprise of its own in it."""
    with (
        pytest.MonkeyPatch.context() as patch,
        _own_database(cluster.main(), patch, django_db_blocker, cluster.fresh_name()) as database,
    ):
        yield database


@pytest.fixture(scope="module")
def shared_server(shared_database: OwnDatabase) -> Iterator[serving.Server]:
    """`portal_server` over it: starting one costs more than most tests."""
    server = serving.Server(shared_database.environment)
    server.wait_until_served()
    yield server
    server.stop()


@pytest.fixture
def crashing_database(monkeypatch: pytest.MonkeyPatch, django_db_blocker: Any) -> Iterator[OwnDatabase]:
    """The same on servers of this test alone, which it may kill: `servers` knows their processes.

    They write as in production: the others confirm what a killed PostgreSQL would have forgotten.
    """
    where = cluster.Cluster(f"test-{cluster.fresh_name()}", durable=True)
    try:
        with _own_database(where, monkeypatch, django_db_blocker, cluster.fresh_name()) as database:
            yield database
    finally:
        where.services.destroy()


@contextmanager
def _own_database(
    where: cluster.Cluster, monkeypatch: pytest.MonkeyPatch, blocker: Any, name: str
) -> Iterator[OwnDatabase]:
    where.make_clone(name)
    environment = _environment(where, name)
    seals = Path(environment["AUDIT_HEAD_PATH"]).parent
    shutil.rmtree(seals, ignore_errors=True)
    for variable, value in environment.items():
        monkeypatch.setenv(variable, value)
        if variable.startswith(("AUDIT_", "ERASURE_")):
            monkeypatch.setattr(settings, variable, value)
    sealing.sequencer.cache_clear()
    try:
        with blocker.unblock(), _aliases_lead_to(where.urls(name)):
            yield OwnDatabase(name, where.urls(name), environment, where.services)
    finally:
        sealing.sequencer.cache_clear()
        where.drop(name)
        shutil.rmtree(seals, ignore_errors=True)


def _environment(where: cluster.Cluster, name: str) -> dict[str, str]:
    seals = where.state / "seals" / name  # a log of its own
    return cluster.environment(where, name) | {
        "DJANGO_SETTINGS_MODULE": "tests.served_settings",
        "AUDIT_SIGNING_KEY_PATH": str(seals / "key"),
        "AUDIT_HEAD_PATH": str(seals / "head"),
        "ERASURE_LEDGER_PATH": str(seals / "erasures"),
    }


@contextmanager
def _aliases_lead_to(urls: Urls) -> Iterator[None]:
    connections.close_all()
    # Ids of enterprises repeat from one database to the next; their keys don't.
    keyring.forget_all()
    before = {alias: connections.settings[alias].copy() for alias in connections.settings}
    for alias, url in (("default", urls.app), ("owner", urls.owner)):
        found = environ.Env.db_url_config(url)
        found["OPTIONS"] = before[alias]["OPTIONS"] | found["OPTIONS"]
        connections.settings[alias].update(found)
    try:
        yield
    finally:
        connections.close_all()
        for alias, settings in before.items():
            connections.settings[alias].update(settings)
        keyring.forget_all()


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """The system's Chromium."""
    sync_api = pytest.importorskip(
        "playwright.sync_api", reason="playwright is not here (pip install playwright)"
    )
    program = components.need_chromium()
    # The sync API of Playwright keeps an event loop in this thread, and Django would take it for an async view.
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(program), args=CHROMIUM_ARGUMENTS)
        yield browser
        browser.close()
    del os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"]


@pytest.fixture(autouse=True)
def _empty_cache() -> Iterator[None]:
    """Limits and counters of one test must not meet another."""
    yield
    cache.clear()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        mark = item.get_closest_marker("django_db")
        fixtures = set(getattr(item, "fixturenames", ()))
        if fixtures & FLUSHING or (mark and mark.kwargs.get("transaction")):
            raise pytest.UsageError(f"{item.nodeid} would flush the database: use the fixture own_database.")
        if fixtures & SHARED and item.nodeid.partition("::")[0] not in KEPT_TOGETHER:
            raise pytest.UsageError(f"{item.nodeid} shares a database: name its module in KEPT_TOGETHER.")
        if mark and fixtures & {"own_database", "shared_database"}:
            raise pytest.UsageError(
                f"{item.nodeid}: either django_db (rolls back) or own_database (commits)."
            )


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Spreads tests over the workers one by one, but keeps a module together that shares something slow."""
    from xdist.scheduler import LoadScopeScheduling

    class Spread(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            module = nodeid.partition("::")[0]
            return module if module in KEPT_TOGETHER else nodeid

    return Spread(config, log) if config.getvalue("dist") == "load" else None


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Any:
    report = yield
    fail_if_skipped(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Any:
    report = yield
    fail_if_skipped(report)
    return report


def fail_if_skipped(report: pytest.TestReport | pytest.CollectReport) -> None:
    """Under CI_NO_SKIPS=1 everything that tests need is there, or somebody must know that it is not."""
    if report.skipped and os.environ.get("CI_NO_SKIPS") == "1" and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"{report.nodeid} was skipped, and nothing may be missing here: {reason}"
