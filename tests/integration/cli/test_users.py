"""People by command: the first administrator, roles given and taken, a password that is never an argument."""

from __future__ import annotations

from typer.testing import CliRunner

from revline.app import program_of
from revline.app.kinds import registry
from revline.doors.cli.main import build
from revline.platform.settings import Settings, load
from tests.integration.cli.conftest import Cli

PASSWORD = "correct horse battery"


def with_password(cli: Cli, *arguments: str, password: str = PASSWORD) -> tuple[int, str]:
    """A command that reads a password from stdin; its exit code and all it said."""
    settings = load(environment=cli.environment)
    assert isinstance(settings, Settings)
    app = build(program=program_of(settings), registry=registry())
    done = CliRunner().invoke(app, [*arguments, "--password-stdin"], input=f"{password}\n")
    return done.exit_code, done.output


def test_the_first_administrator_is_made_by_command(cli: Cli) -> None:
    add = ("users", "add", "Ada@Example.com", "--name", "Ada", "--role", "administrator", "--tenant", "*")
    code, said = with_password(cli, *add)
    assert (code, PASSWORD in said) == (0, False), said
    listed = cli("users", "list", "--json").data
    assert [(one["email"], one["roles"], one["comes_in_by"]) for one in listed] == [
        ("ada@example.com", "administrator@*", "password")
    ]
    assert "person.exists" in with_password(cli, *add)[1]


def test_roles_are_given_and_taken_with_a_reason(cli: Cli) -> None:
    with_password(cli, "users", "add", "ada@example.com", "--name", "Ada", "--tenant", "*")
    place = ("--role", "finance", "--tenant", "*", "--reason", "joins finance")
    assert cli("users", "grant", "ada@example.com", *place, "--json").data["granted"] is True
    assert cli("users", "list", "--json").data[0]["roles"] == "auditor@*, finance@*"
    assert cli("users", "revoke", "ada@example.com", *place, "--json").data["revoked"] is True
    assert cli("users", "revoke", "ada@example.com", *place, "--json").data["revoked"] is False
    cli.refused("users", "grant", "nobody@example.com", *place, problem="person.unknown")
    cli.refused(
        "users", "grant", "ada@example.com", "--role", "ingest", "--tenant", "*", "--reason", "x",
        problem="access.role_unfit",
    )  # fmt: skip


def test_somebody_is_let_in_no_longer(cli: Cli) -> None:
    with_password(cli, "users", "add", "ada@example.com", "--name", "Ada", "--tenant", "*")
    assert cli("users", "disable", "ada@example.com", "--reason", "left", "--json").data["disabled"] is True
    assert cli("users", "list", "--json").data[0]["disabled_at"]
    assert cli("users", "disable", "ada@example.com", "--reason", "back", "--enable", "--json").data["enabled"] is True


def test_a_password_comes_by_stdin_and_must_be_good(cli: Cli) -> None:
    with_password(cli, "users", "add", "ada@example.com", "--name", "Ada", "--tenant", "*")
    assert with_password(cli, "users", "reset-password", "ada@example.com", password="another good one")[0] == 0
    assert (
        "access.password_unfit" in with_password(cli, "users", "reset-password", "ada@example.com", password="short")[1]
    )
    cli.refused("users", "reset-password", "ada@example.com", problem="cli.password_missing")
