"""What the embedded servers are like once they run. One pair of servers serves all of these tests."""

import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest
import redis

from portal.embedded import EmbeddedServices, Urls
from portal.embedded.home import recorded_home
from portal.embedded.state import root_keys_file, secrets_file

CANARY = "ana.canary@mail.example"


@pytest.fixture(scope="module")
def services() -> Iterator[EmbeddedServices]:
    folder = Path(tempfile.mkdtemp(prefix="portal-test-"))
    folder.chmod(0o755)
    services = EmbeddedServices(folder / "var", durable=False)
    services.start()
    yield services
    services.destroy()
    folder.rmdir()


@pytest.fixture
def urls(services: EmbeddedServices) -> Urls:
    return services.ensure()


def show(url: str, setting: str) -> str:
    with psycopg.connect(url) as session:
        row = session.execute("SELECT current_setting(%s)", [setting]).fetchone()
    assert row is not None
    return str(row[0])


def test_the_database_is_utf8_in_locale_c_with_checksums(urls: Urls) -> None:
    assert show(urls.app, "server_encoding") == "UTF8"
    assert show(urls.app, "data_checksums") == "on"
    with psycopg.connect(urls.app) as session:
        row = session.execute(
            "SELECT datcollate FROM pg_database WHERE datname = current_database()"
        ).fetchone()
    assert row == ("C",)


def test_both_roles_sign_in_and_neither_is_superuser(urls: Urls) -> None:
    for url, role in ((urls.app, "portal_app"), (urls.owner, "portal_owner")):
        with psycopg.connect(url) as session:
            row = session.execute(
                "SELECT rolname, rolsuper FROM pg_roles WHERE rolname = current_user"
            ).fetchone()
        assert row == (role, False)


def test_the_app_cannot_make_tables(urls: Urls) -> None:
    with psycopg.connect(urls.app) as session, pytest.raises(psycopg.errors.InsufficientPrivilege):
        session.execute("CREATE TABLE mine (id int)")


@pytest.mark.parametrize("password", ["wrong", "", quote(" ")])
def test_a_wrong_password_is_refused(urls: Urls, password: str) -> None:
    url = psycopg.conninfo.make_conninfo(urls.app, password=password)
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(url)


def test_passwords_are_stored_as_scram(urls: Urls) -> None:
    with psycopg.connect(urls.admin) as session:
        stored = session.execute("SELECT rolpassword FROM pg_authid WHERE rolcanlogin").fetchall()
    assert len(stored) == 3
    assert all(password.startswith("SCRAM-SHA-256$") for (password,) in stored)


def test_neither_server_listens_on_the_network(urls: Urls) -> None:
    assert show(urls.app, "listen_addresses") == ""
    assert redis.Redis.from_url(urls.cache).config_get("port") == {"port": "0"}


def test_valkey_refuses_a_wrong_password(urls: Urls) -> None:
    password, socket = urls.cache.removeprefix("unix://:").split("@")
    assert redis.Redis.from_url(f"unix://:{password}@{socket}").ping()
    for wrong in ("unix://:wrong@", "unix://"):
        with pytest.raises(redis.exceptions.AuthenticationError):
            redis.Redis.from_url(wrong + socket).ping()


def test_what_is_private_can_be_read_by_its_owner_only(services: EmbeddedServices) -> None:
    home = recorded_home(services.state)
    assert home is not None
    for path in (secrets_file(services.state), root_keys_file(services.state)):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    for folder in (home.data, home.valkey, home.sockets, services.state / "log", services.state / "lock"):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    for socket in home.sockets.glob(".s.PGSQL.[0-9]*[0-9]"):
        assert stat.S_IMODE(socket.stat().st_mode) == 0o700


def test_no_secret_is_an_argument_of_a_process(services: EmbeddedServices, urls: Urls) -> None:
    secrets = secrets_file(services.state).read_text().split('"')[3::4]
    for pid in services.pids().values():
        command = Path(f"/proc/{pid}/cmdline").read_text()
        assert not [secret for secret in secrets if secret in command]


def fail_with_the_canary(url: str, first: str = "SELECT 1") -> None:
    with psycopg.connect(url) as session:
        session.execute(first)
        with pytest.raises(psycopg.Error):
            session.execute(f"SELECT '{CANARY}' FROM no_such_table")
    with psycopg.connect(url) as session:
        session.execute(first)
        with pytest.raises(psycopg.Error):
            session.execute("SELECT length(%s) / 0", [CANARY])


def test_the_log_holds_neither_statements_nor_parameters(services: EmbeddedServices, urls: Urls) -> None:
    fail_with_the_canary(urls.app)
    log = (services.state / "log" / "postgres.log").read_text()
    assert "division by zero" in log
    assert CANARY not in log


def test_with_stock_settings_the_log_would_hold_them(services: EmbeddedServices, urls: Urls) -> None:
    fail_with_the_canary(urls.admin, first="SET log_min_error_statement = error")
    assert CANARY in (services.state / "log" / "postgres.log").read_text()


def test_two_checkouts_run_side_by_side(open_folder: Path, urls: Urls) -> None:
    with psycopg.connect(urls.owner) as session:
        session.execute("CREATE TABLE only_here (id int)")
    other = EmbeddedServices(open_folder / "var", durable=False, valkey=False)
    with psycopg.connect(other.start().owner) as session:
        row = session.execute("SELECT to_regclass('only_here')").fetchone()
    assert row == (None,)
    assert other.pids().keys() == {"keeper", "postgresql"}
