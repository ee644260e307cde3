"""Page of the command line: every command with its arguments and options, from the commands themselves."""

from __future__ import annotations

from enum import Enum
from typing import Any, Final

import typer.main

from revline.app.kinds import registry
from revline.doors.cli.main import build
from tools.reference import markdown

LEAD: Final = """Data goes to stdout, everything else to stderr. Exit code 0: done; 1: it could not be done, or something was
refused; 2: wrong use of a command; 3: there are changes (`config apply --detailed-exitcode`). A problem is shown with its code, see
[problems](errors.md), and with the next step."""


def render() -> str:
    """The page."""
    top = typer.main.get_command(build(program=None, registry=registry()))  # type: ignore[arg-type]
    return markdown.page(title="Command line", lead=LEAD, parts=_commands(top, "revline"))


def _commands(group: Any, prefix: str) -> list[str]:
    parts = []
    for name, command in group.commands.items():
        path = f"{prefix} {name}"
        if hasattr(command, "commands"):
            parts += _commands(command, path)
        else:
            parts.append(_command(command, path))
    return parts


def _command(command: Any, path: str) -> str:
    shown = [one for one in command.params if one.name != "help"]
    arguments = "".join(f" {one.name.upper()}" for one in shown if not _is_option(one))
    rows = [
        (_name(one), _kind(one), "required" if one.required else _default(one), getattr(one, "help", "") or "")
        for one in shown
    ]
    options = markdown.table(columns=("Argument or option", "Takes", "Default", "Meaning"), rows=rows)
    text = " ".join((command.help or "").split())
    return "\n\n".join(part for part in (f"## {path}", text, f"`{path}{arguments}`", options) if part)


def _is_option(parameter: Any) -> bool:
    return bool(parameter.opts[0].startswith("-"))


def _name(parameter: Any) -> str:
    names = parameter.opts if _is_option(parameter) else [parameter.name.upper()]
    variable = f" (or `{parameter.envvar}`)" if parameter.envvar else ""
    return ", ".join(markdown.code(name) for name in names) + variable


def _kind(parameter: Any) -> str:
    if getattr(parameter, "is_flag", False):
        return "nothing"
    words = markdown.type_text(parameter.type_descriptor.annotation)
    if parameter.min is not None and parameter.max is not None:
        return f"{words} from {parameter.min} to {parameter.max}"
    return words


def _default(parameter: Any) -> str:
    value = parameter.default
    if getattr(parameter, "is_flag", False) or value is None or value == "":
        return "none"
    return markdown.code(value.value if isinstance(value, Enum) else value)
