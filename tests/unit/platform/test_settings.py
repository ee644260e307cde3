"""Settings: from the environment over a file, every mistake named, no secret shown."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from revline.core.problem import Problem
from revline.core.secret import Secret
from revline.platform.settings import Settings, load, masked_dsn

PASSWORD = "canary-77"
EVERYWHERE = "0.0.0.0"  # noqa: S104 - what only production may
DSN = f"postgresql://revline_app:{PASSWORD}@db.example:5432/revline?sslpassword={PASSWORD}"


def settings(**environment: str) -> Settings:
    found = load(environment=environment)
    assert isinstance(found, Settings), found
    return found


def test_no_environment_gives_the_defaults() -> None:
    assert settings(PATH="/bin") == Settings()
    assert Settings().host == "127.0.0.1"


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / "revline.toml"
    file.write_text('port = 9000\npool_size = 4\nproduction = false\nlog_level = "debug"\n')
    found = settings(REVLINE_SETTINGS=str(file), REVLINE_PORT="9001")
    assert (found.port, found.pool_size, found.log_level) == (9001, 4, "debug")


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("REVLINE_PORT", "70000"),
        ("REVLINE_PORT", "٥"),
        ("REVLINE_PORT", "-1"),
        ("REVLINE_PRODUCTION", "yes"),
        ("REVLINE_HOST", "localhost"),
        ("REVLINE_HOST", EVERYWHERE),
        ("REVLINE_DSN", f"mysql://root:{PASSWORD}@db/x"),
        ("REVLINE_CURSOR_KEY", PASSWORD),
        ("REVLINE_LOG_LEVEL", "loud"),
        ("REVLINE_PAGE_MAX", "1001"),
        ("REVLINE_PROBLEM_BASE", "http://x/"),
        ("REVLINE_DATA_FOLDER", ""),
    ],
)
def test_a_wrong_variable_is_named_with_what_to_write_and_without_its_value(variable: str, value: str) -> None:
    found = load(environment={variable: value})
    assert isinstance(found, Problem)
    assert found.code == "settings.invalid"
    assert [error.pointer for error in found.errors] == [variable]
    assert found.errors[0].instead
    assert PASSWORD not in repr(found)


def test_every_mistake_of_a_file_is_named(tmp_path: Path) -> None:
    file = tmp_path / "revline.toml"
    file.write_text("prot = 1\nport = [1]\npool_size = 0\n")
    found = load(environment={}, file=file)
    assert isinstance(found, Problem)
    assert {error.pointer for error in found.errors} == {f"{file}:{name}" for name in ("prot", "port", "pool_size")}
    file.write_text("port = = 1")
    assert isinstance(load(environment={}, file=file), Problem)
    assert isinstance(load(environment={}, file=tmp_path / "missing.toml"), Problem)


def test_production_needs_a_database_and_may_listen_elsewhere() -> None:
    found = load(environment={"REVLINE_PRODUCTION": "true"})
    assert isinstance(found, Problem)
    assert found.errors[0].pointer == "REVLINE_DSN"
    assert settings(REVLINE_PRODUCTION="true", REVLINE_DSN=DSN, REVLINE_HOST=EVERYWHERE).host == EVERYWHERE


def test_a_variable_nobody_knows_is_reported_but_secrets_for_connections_are_not() -> None:
    found = settings(REVLINE_PROT="1", REVLINE_SECRET_STRIPE="whsec_x")
    assert found.unrecognised == ("REVLINE_PROT",)


def test_no_secret_shows_itself() -> None:
    found = settings(REVLINE_DSN=DSN, REVLINE_CURSOR_KEY=PASSWORD * 4)
    assert found.dsn.reveal() == DSN
    for shown in (repr(found), str(found.dsn), f"{found.dsn:>40}", str(found.shown()), f"{found}"):
        assert PASSWORD not in shown
    with pytest.raises(TypeError):
        pickle.dumps(Secret("x"))


@pytest.mark.parametrize(
    ("dsn", "shown"),
    [
        ("postgresql://a:b@h:5/d", "postgresql://a:***@h:5/d"),
        ("postgresql://h/d", "postgresql://h/d"),
        ("host=h password=b", "***"),
        ("postgresql://a:b@h:x/d", "***"),
        ("postgresql:///d?user=a&password=b", "postgresql:///d?user&password"),
    ],
)
def test_a_dsn_is_shown_without_what_opens_it(dsn: str, shown: str) -> None:
    assert masked_dsn(dsn) == shown
