"""Starts that cannot succeed: one line that says what and how to mend it, exit 2, no traceback, no value."""

import os
import runpy
import socket
from pathlib import Path
from unittest import mock

import pytest

from audit.trail import SYSTEM
from portal.embedded.state import CHECKOUT
from portal.management.commands.run_portal import listen
from tests.conftest import OwnDatabase
from tests.portal.running import environment, manage
from tokens.enterprises import create_enterprise

SECRET = "s3cr3t-canary"
PRODUCTION = {
    "DATABASE_URL": "postgresql://app@127.0.0.1:1/portal",
    "DATABASE_OWNER_URL": "postgresql://owner@127.0.0.1:1/portal",
    "CELERY_BROKER_URL": "redis://127.0.0.1:1",
    "CACHE_URL": "redis://127.0.0.1:1",
    "SECRET_KEY": "a key of fifty characters or more, that signs nothing",
    "FIELD_ENCRYPTION_KEY": "Zm9yIGNoZWNraW5nIHNldHRpbmdzIG9ubHksIDMyISE=",
    "ALLOWED_HOSTS": "tokens.example",
}


def refusal(state: Path, *arguments: str, **settings: str) -> str:
    told = manage(state, "run_portal", "--port", "0", *arguments, **settings)
    assert told.returncode == 2, told.stderr
    assert told.stdout == ""
    assert len(told.stderr.splitlines()) == 1, told.stderr
    assert SECRET not in told.stderr
    return told.stderr.removeprefix("token-portal: ")


def settings_refusal(capsys: pytest.CaptureFixture[str], state: Path, **settings: str) -> str:
    """The same of settings alone, read in this process: starting another for each setting would take a minute."""
    with mock.patch.dict(os.environ, environment(state, **settings), clear=True):
        with pytest.raises(SystemExit) as ended:
            runpy.run_path(str(CHECKOUT / "portal" / "settings.py"))
    assert ended.value.code == 2
    told = capsys.readouterr()
    assert (told.out, len(told.err.splitlines())) == ("", 1), told
    assert SECRET not in told.err
    return told.err.removeprefix("token-portal: ")


def test_a_start_with_a_setting_that_is_missing_ends_with_one_line(tmp_path: Path) -> None:
    settings = {name: value for name, value in PRODUCTION.items() if name != "CACHE_URL"}
    assert refusal(tmp_path, **settings).startswith("CACHE_URL is not set: give ")


@pytest.mark.parametrize("missing", sorted(PRODUCTION.keys() - {"DATABASE_URL", "ALLOWED_HOSTS"}))
def test_a_missing_setting_of_production_is_named(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, missing: str
) -> None:
    settings = {name: value for name, value in PRODUCTION.items() if name != missing}
    assert settings_refusal(capsys, tmp_path, **settings).startswith(f"{missing} is not set: give ")


@pytest.mark.parametrize(
    ("setting", "value", "says"),
    [
        (
            "DATABASE_URL",
            f"mysql://app:{SECRET}@db.example/portal",
            "DATABASE_URL is not a postgresql:// URL",
        ),
        (
            "DATABASE_URL",
            f"postgresql://app@db.example:{SECRET}/portal",
            "DATABASE_URL is not a postgresql:// URL",
        ),
        ("DATABASE_OWNER_URL", SECRET, "DATABASE_OWNER_URL is not a postgresql:// URL"),
        ("WEB_THREADS", SECRET, "WEB_THREADS is malformed"),
        ("TRUSTED_PROXIES", f"10.0.0.0/8,{SECRET}", "TRUSTED_PROXIES holds what is no network"),
        ("TRUSTED_PROXIES", "10.0.0.1/8", "TRUSTED_PROXIES holds what is no network"),
        ("PRODUCTION", SECRET, "PRODUCTION is neither true nor false"),
        ("SECRET_KEY_FILE", "/nowhere", "the file of SECRET_KEY_FILE cannot be read"),
    ],
)
def test_a_malformed_setting_is_named_without_its_value(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, setting: str, value: str, says: str
) -> None:
    assert settings_refusal(capsys, tmp_path, **PRODUCTION | {setting: value}).startswith(says)


PROVIDER = {
    "OIDC_SERVER": "https://login.example",
    "OIDC_CLIENT_ID": "portal",
    "OIDC_CLIENT_SECRET": SECRET,
    "OIDC_ROLES": "officers=compliance-officer@7001001",
}


@pytest.mark.parametrize(
    ("setting", "value", "says"),
    [
        ("OIDC_SERVER", "http://login.example", "OIDC_SERVER is no https:// address"),
        ("OIDC_SERVER", "http://127.0.0.1:1", "OIDC_SERVER is no https:// address"),
        ("OIDC_CLIENT_ID", "", "OIDC_CLIENT_ID is not set"),
        ("OIDC_CLIENT_SECRET", "", "OIDC_CLIENT_SECRET is not set"),
        ("OIDC_ROLES", f"{SECRET}", "OIDC_ROLES holds a line that is no claim=role@EID"),
    ],
)
def test_a_provider_that_is_half_configured_is_refused(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, setting: str, value: str, says: str
) -> None:
    assert settings_refusal(capsys, tmp_path, **PRODUCTION | PROVIDER | {setting: value}).startswith(says)


def test_a_provider_of_a_role_that_there_is_not_is_refused(tmp_path: Path) -> None:
    said = refusal(tmp_path, **PRODUCTION | PROVIDER | {"OIDC_ROLES": f"officers={SECRET}@1"})
    assert said.startswith("OIDC_ROLES names a role that there is not")


def test_half_a_certificate_is_refused(tmp_path: Path) -> None:
    said = refusal(tmp_path, **PRODUCTION, TLS_CERT="/nowhere")
    assert said.startswith("only one of TLS_CERT and TLS_KEY is set")


def test_a_certificate_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    said = refusal(tmp_path, **PRODUCTION, TLS_CERT="/nowhere", TLS_KEY="/nowhere")
    assert said.startswith("TLS_CERT and TLS_KEY cannot be used (No such file or directory)")


def test_an_unreachable_database_is_said(tmp_path: Path) -> None:
    said = refusal(tmp_path, **PRODUCTION)
    assert said.startswith("the database of DATABASE_URL cannot be reached (")
    assert "Connection refused" in said


def test_other_commands_say_it_too(tmp_path: Path) -> None:
    told = manage(tmp_path, "migrate", **PRODUCTION)
    assert (told.returncode, len(told.stderr.splitlines())) == (2, 1)
    assert "the database cannot be reached" in told.stderr


def test_a_damaged_state_folder_is_said_by_every_command(tmp_path: Path) -> None:
    (tmp_path / "secrets.json").write_text("{")
    (tmp_path / "embedded.json").write_text("{")
    for command in ("check", "migrate"):
        told = manage(tmp_path, command)
        assert (told.returncode, len(told.stderr.splitlines())) == (2, 1)
        assert "is damaged: restore it from a backup" in told.stderr


@pytest.mark.parametrize("port", ["http", "-1", "65536"])
def test_a_port_that_is_none_is_said(capsys: pytest.CaptureFixture[str], port: str) -> None:
    with pytest.raises(SystemExit) as ended:
        listen("127.0.0.1", port)
    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith(f"token-portal: PORT is {port}: give a number")


def test_a_port_in_use_is_said_before_anything_is_touched(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        told = manage(tmp_path, "run_portal", "--port", str(taken.getsockname()[1]), **PRODUCTION)
    assert told.returncode == 2
    assert "is in use: stop what listens there, or choose another: PORT=" in told.stderr
    assert not (tmp_path / "lock").exists()


def test_the_app_must_not_be_a_role_that_could_change_evidence(
    tmp_path: Path, own_database: OwnDatabase
) -> None:
    for too_strong in (own_database.urls.owner, own_database.urls.admin):
        said = refusal(tmp_path, **own_database.environment | {"DATABASE_URL": too_strong})
        assert "which could change evidence: give the app a role" in said


def test_root_keys_that_open_nothing_stop_the_start(tmp_path: Path, own_database: OwnDatabase) -> None:
    create_enterprise(eid="7", name="Meridian", token_domain="tok.example", actor=SYSTEM)
    settings = own_database.environment | {"FIELD_ENCRYPTION_KEY": PRODUCTION["FIELD_ENCRYPTION_KEY"]}
    said = refusal(tmp_path, **settings)
    assert said.startswith("the root keys do not open the stored data keys: ")
    assert "give the FIELD_ENCRYPTION_KEY that this database was made with" in said
