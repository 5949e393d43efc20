"""Settings from the environment: what is read, and what is refused rather than guessed."""

from pathlib import Path

import pytest

from portal.environment import Environment

SECRET = "s3cr3t-canary"


@pytest.fixture
def env() -> Environment:
    return Environment()


def refusal(capsys: pytest.CaptureFixture[str]) -> str:
    said = capsys.readouterr().err
    assert SECRET not in said
    return said.removeprefix("token-portal: ")


@pytest.mark.parametrize(
    ("text", "value"), [("true", True), ("YES", True), ("1", True), ("off", False), ("", False)]
)
def test_truth_has_a_few_spellings(
    env: Environment, monkeypatch: pytest.MonkeyPatch, text: str, value: bool
) -> None:
    monkeypatch.setenv("SWITCH", text)
    assert env.bool("SWITCH") is value


@pytest.mark.parametrize("text", [SECRET, "2", "truee", "None"])
def test_anything_else_is_refused_not_taken_for_false(
    env: Environment, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    monkeypatch.setenv("SWITCH", text)
    with pytest.raises(SystemExit, match="2"):
        env.bool("SWITCH", default=True)
    assert refusal(capsys) == "SWITCH is neither true nor false: set SWITCH=true or SWITCH=false.\n"


def test_a_number_that_is_none_is_refused_without_its_value(
    env: Environment, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("NUMBER", SECRET)
    with pytest.raises(SystemExit, match="2"):
        env.int("NUMBER", default=1)
    assert refusal(capsys) == "NUMBER is malformed: give it as int.\n"


def test_a_value_may_stand_in_a_file(
    env: Environment, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "secret").write_text(SECRET)
    monkeypatch.setenv("KEY_FILE", str(tmp_path / "secret"))
    assert env.str("KEY") == SECRET


def test_a_database_url_reads_its_socket_from_the_parameter_host(env: Environment) -> None:
    read = env.postgres("URL", "postgresql://app:pw@/portal?host=/Some/Folder")
    assert (read["USER"], read["NAME"], read["OPTIONS"]["host"]) == ("app", "portal", "/Some/Folder")


@pytest.mark.parametrize(
    "url", ["", SECRET, f"mysql://a:{SECRET}@h/d", f"postgresql://a:b@h:{SECRET}/d", f"sqlite:///{SECRET}"]
)
def test_what_is_no_postgresql_url_is_refused_without_a_part_of_it(
    env: Environment, capsys: pytest.CaptureFixture[str], url: str
) -> None:
    with pytest.raises(SystemExit, match="2"):
        env.postgres("DATABASE_URL", url)
    assert refusal(capsys).startswith("DATABASE_URL is not a postgresql:// URL: give ")


@pytest.mark.parametrize(
    "url", ["smpt://user:hunter2@mail.example", "hunter2", "smtp://user:hunter2@mail.example:port"]
)
def test_what_names_no_mail_server_is_refused_without_its_password(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], url: str
) -> None:
    monkeypatch.setenv("EMAIL_URL", url)
    with pytest.raises(SystemExit):
        Environment().mail_server("EMAIL_URL")
    said = capsys.readouterr().err
    assert "EMAIL_URL names no mail server" in said
    assert "hunter2" not in said
