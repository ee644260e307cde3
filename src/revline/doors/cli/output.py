"""How the CLI speaks: data on stdout, all else on stderr; tables for people, JSON for programs; problems with the next step.

Amounts are strings, times RFC 3339. Knows no service.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NoReturn

import typer
from rich.console import Console
from rich.table import Table

from revline.core.hashing import plain
from revline.core.problem import Problem

EXIT_FAILED: Final = 1
EXIT_CHANGES: Final = 3
"""`config apply --dry-run --detailed-exitcode`: changes are there (2 is the shell's own for wrong use)."""

_out = Console(highlight=False, soft_wrap=True)
_errors = Console(stderr=True, highlight=False, soft_wrap=True)

CELL_WIDTH_MAX: Final = 120
WIDTH_WITHOUT_TERMINAL: Final = 4_000
"""Output that another program reads keeps one row on one line."""


def emit_json(value: Any) -> None:
    """One JSON document on stdout, keys sorted, amounts as strings."""
    import msgspec  # noqa: PLC0415 - the only place that formats for reading

    data = msgspec.json.format(msgspec.json.encode(plain(value), order="sorted"), indent=2)
    sys.stdout.write(data.decode() + "\n")


def emit_rows(rows: Sequence[Mapping[str, Any]], *, columns: Sequence[str], as_json: bool, empty: str) -> None:
    """Rows as a table, or as a JSON array; `empty` says what it means that there are none and what to do."""
    if as_json:
        emit_json([{column: row.get(column) for column in row} for row in rows])
        return
    if not rows:
        _errors.print(empty, markup=False)
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        numeric = all(_is_number(row.get(column)) for row in rows)
        table.add_column(column.replace("_", " "), justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*(_cell(row.get(column)) for column in columns))
    console = _out if _out.is_terminal else Console(highlight=False, soft_wrap=True, width=WIDTH_WITHOUT_TERMINAL)
    console.print(table)


def say(text: str) -> None:
    """A line for a person, on stderr, so that it never mixes with data."""
    _errors.print(text, markup=False)


def say_problem(problem: Problem) -> None:
    """A problem with its single places and its next step."""
    _errors.print(f"{problem.title}: {problem.detail}  [{problem.code}]", markup=False, style="red")
    for error in problem.errors:
        instead = f"\n      write: {error.instead}" if error.instead else ""
        _errors.print(f"  {error.pointer}: {error.detail}{instead}", markup=False)
    _errors.print(f"  next: {problem.entry.remedy}", markup=False)


def fail(problem: Problem, *, as_json: bool = False) -> NoReturn:
    """Say a problem and end with 1."""
    if as_json:
        emit_json(
            {
                "code": problem.code,
                "title": problem.title,
                "detail": problem.detail,
                "field": problem.field,
                "errors": problem.errors,
                "remedy": problem.entry.remedy,
                "retryable": problem.retryable,
            }
        )
    else:
        say_problem(problem)
    raise typer.Exit(EXIT_FAILED)


def emit_done(found: Any, said: str, *, as_json: bool) -> None:
    """What an act gave: its problem, which ends the command, or its outcome as JSON or in words."""
    if isinstance(found, Problem):
        fail(found, as_json=as_json)
    emit_json(found) if as_json else say(said)


def heading(text: str) -> None:
    """A heading above a table, for people only."""
    _out.print(f"\n{text}", style="bold", markup=False)


def lines(texts: Iterable[str]) -> None:
    """Plain lines of data on stdout."""
    for text in texts:
        _out.print(text, markup=False)


def _cell(value: Any) -> str:
    text = "" if value is None else str(plain(value)) if not isinstance(value, str) else value
    # Control characters of a source's text must not steer the terminal.
    text = "".join(character if character.isprintable() else " " for character in text)
    return text if len(text) <= CELL_WIDTH_MAX else text[: CELL_WIDTH_MAX - 1] + "…"


def _is_number(value: Any) -> bool:
    return (
        value is not None and not isinstance(value, (str, bool)) and str(value).lstrip("-").replace(".", "").isdigit()
    )
