"""When the embedded servers must not start, and the one line that says what to do."""

import os
import shutil
import stat
from pathlib import Path

import pytest

from portal.embedded import EmbeddedError, EmbeddedServices
from portal.embedded.home import FALLBACK_ROOT, LONGEST_SOCKET_PATH, recorded_home
from portal.embedded.state import root_keys_file, secrets_file
from tests import components


def refusal(services: EmbeddedServices) -> str:
    with pytest.raises(EmbeddedError) as refused:
        services.start()
    assert not services.running()
    assert "\n" not in str(refused.value)
    return str(refused.value)


def made_and_stopped(state: Path) -> EmbeddedServices:
    services = EmbeddedServices(state, durable=False, valkey=False)
    services.start()
    services.stop()
    return services


@pytest.mark.parametrize("lost", [root_keys_file, secrets_file])
def test_secrets_are_never_made_up_beside_existing_data(open_folder: Path, lost: "type[Path]") -> None:
    services = made_and_stopped(open_folder / "var")
    path = lost(services.state)
    kept = path.rename(path.with_suffix(".kept"))
    assert str(path) in refusal(services)
    assert "restore it from a backup" in refusal(services)
    assert not path.exists()
    kept.rename(path)
    services.start()


def test_root_keys_may_come_from_the_environment_instead(
    open_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FIELD_ENCRYPTION_KEY", "given")
    services = made_and_stopped(open_folder / "var")
    assert not root_keys_file(services.state).exists()
    monkeypatch.delenv("FIELD_ENCRYPTION_KEY")
    assert "set FIELD_ENCRYPTION_KEY" in refusal(services)


def test_data_of_another_version_is_left_alone(open_folder: Path) -> None:
    services = made_and_stopped(open_folder / "var")
    (services.state / "postgres" / "PG_VERSION").write_text("14\n")
    assert "was made by PostgreSQL 14" in refusal(services)
    assert "POSTGRES_BIN" in refusal(services)


def test_a_wrong_folder_of_programs_is_named(open_folder: Path) -> None:
    services = EmbeddedServices(open_folder / "var", postgres_bin=Path("/nowhere"))
    assert "POSTGRES_BIN is /nowhere" in refusal(services)


def test_what_the_server_complains_of_is_passed_on(open_folder: Path) -> None:
    services = made_and_stopped(open_folder / "var")
    shutil.rmtree(services.state / "postgres" / "global")
    assert "PostgreSQL did not start" in refusal(services)
    assert "postgres.log" in refusal(services)


def test_a_path_too_long_for_a_socket_moves_the_servers_to_var_tmp(open_folder: Path) -> None:
    state = open_folder / ("x" * LONGEST_SOCKET_PATH) / "var"
    services = made_and_stopped(state)
    home = recorded_home(state)
    assert home is not None
    assert home.path.parent == FALLBACK_ROOT
    assert home.path.name.startswith(f"token-portal-{os.geteuid()}-")
    assert stat.S_IMODE(home.path.stat().st_mode) == 0o700
    services.start()
    assert services.pids()
    services.destroy()
    assert not home.path.exists()


def test_a_folder_that_only_root_enters_moves_the_servers_to_var_tmp(closed_folder: Path) -> None:
    components.need_root()
    services = made_and_stopped(closed_folder / "var")
    home = recorded_home(services.state)
    assert home is not None
    assert home.path.parent == FALLBACK_ROOT
    assert home.path.stat().st_uid == home.account.uid != 0
    assert stat.S_IMODE(closed_folder.stat().st_mode) == 0o700


def test_a_folder_planted_in_var_tmp_is_not_used(open_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state = open_folder / ("x" * LONGEST_SOCKET_PATH) / "var"
    monkeypatch.setattr("portal.embedded.home.FALLBACK_ROOT", open_folder)
    services = EmbeddedServices(state, durable=False, valkey=False)
    services.start()
    home = recorded_home(state)
    assert home is not None
    services.terminate()
    shutil.rmtree(home.path)
    home.path.mkdir(mode=0o755)
    home.path.chmod(0o755)
    assert "somebody else made it" in refusal(services)


def test_a_copied_checkout_does_not_share_the_database_of_the_original(open_folder: Path) -> None:
    long = "x" * LONGEST_SOCKET_PATH
    original = made_and_stopped(open_folder / long / "var")
    shutil.copytree(open_folder / long, open_folder / f"{long}-copy")
    copy = EmbeddedServices(open_folder / f"{long}-copy" / "var", durable=False, valkey=False)
    assert "is a copy of" in refusal(copy)
    original.start()
    original.destroy()


def test_a_database_whose_state_folder_was_deleted_is_not_overwritten(open_folder: Path) -> None:
    state = open_folder / ("x" * LONGEST_SOCKET_PATH) / "var"
    services = made_and_stopped(state)
    home = recorded_home(state)
    assert home is not None
    shutil.rmtree(state)
    assert f"delete {home.path}" in refusal(services)
    shutil.rmtree(home.path)
    services.start()
    services.destroy()
