"""`revline conformance`: the kit's cases against connectors' simulators or real servers. Needs no database."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from importlib.metadata import entry_points
from typing import Annotated, Any, Final

import typer

from revline.connectors.sdk.conformance import Cell, Verdict, run_bench
from revline.connectors.sdk.conformance_run import Missing, OpenBench
from revline.core.problem import Mender, Problem, Retryable, define, problem
from revline.doors.cli.context import JsonOption
from revline.doors.cli.output import EXIT_FAILED, emit_json, emit_rows, fail, say, say_problem

GROUP: Final = "revline.conformance"
SHOWN: Final = {
    Verdict.GREEN: "green",
    Verdict.RED: "RED",
    Verdict.NOT_CLAIMED: "not claimed",
    Verdict.NOT_TRIED: "not tried",
}

define(
    code="conformance.connector_unknown",
    title="No such connector offers itself to the conformance kit",
    status=404,
    retryable=Retryable.NO,
    mender=Mender.SENDER,
    remedy="Name one of those the detail lists, or install the package that brings it.",
)
define(
    code="conformance.cannot_run",
    title="The connector's system under test can't run here",
    status=503,
    retryable=Retryable.AFTER_FIX,
    mender=Mender.OPERATOR,
    remedy="Mend what the detail says is missing, then run the command again.",
)


def add_conformance(app: typer.Typer) -> None:
    """The command."""

    @app.command()
    def conformance(
        connectors: Annotated[
            list[str] | None,
            typer.Argument(metavar="CONNECTOR...", help="Names of connectors; all there are without one."),
        ] = None,
        as_json: JsonOption = False,
    ) -> None:
        """Run the conformance kit against connectors' simulators or real servers; 1 when a cell is red or one can't run."""
        names = connectors or sorted(offered())
        unknown = sorted(set(names) - offered())
        if unknown:
            known = ", ".join(sorted(offered())) or "none"
            fail(
                problem("conformance.connector_unknown", f"{', '.join(unknown)[:200]}; there are: {known}"),
                as_json=as_json,
            )
        cells: list[Cell] = []
        missing: list[Problem] = []
        for name in dict.fromkeys(names):
            found = asyncio.run(_cells(name))
            if isinstance(found, Problem):
                missing.append(found)
            else:
                cells.extend(found)
        if as_json:
            emit_json({"cells": cells, "missing": [{"code": one.code, "detail": one.detail} for one in missing]})
        else:
            _show(cells, missing)
        if missing or any(cell.verdict is Verdict.RED for cell in cells):
            raise typer.Exit(EXIT_FAILED)


def offered() -> set[str]:
    """Names of connectors that can be tried."""
    return {entry.name for entry in entry_points(group=GROUP)}


async def _cells(name: str) -> Sequence[Cell] | Problem:
    open_bench: OpenBench = next(iter(entry_points(group=GROUP, name=name))).load()
    say(f"{name}: starting")
    try:
        async with open_bench() as bench:
            return [cell async for cell in run_bench(connector=name, bench=bench)]
    except Missing as reason:
        return problem("conformance.cannot_run", f"{name}: {reason.detail}")


def _show(cells: Sequence[Cell], missing: Sequence[Problem]) -> None:
    """The table case x connector, then the reason of every red cell and the counts."""
    columns = list(dict.fromkeys(_column(cell) for cell in cells))
    rows: dict[str, dict[str, Any]] = {}
    for cell in cells:
        row = rows.setdefault(cell.case, {"capability": cell.capability.value, "case": cell.case})
        row[_column(cell)] = SHOWN[cell.verdict]
    emit_rows(list(rows.values()), columns=("capability", "case", *columns), as_json=False, empty="no cases ran")
    for cell in cells:
        if cell.verdict is Verdict.RED:
            say(f"RED  {_column(cell)}: {cell.case}: {cell.reason}")
    reasons = {(_column(cell), cell.reason): 0 for cell in cells if cell.verdict is Verdict.NOT_TRIED}
    for column, reason in reasons:
        say(f"not tried  {column}: {reason}")
    for column in columns:
        counts = [sum(cell.verdict is verdict for cell in cells if _column(cell) == column) for verdict in SHOWN]
        words = zip(counts, SHOWN.values(), strict=True)
        say(f"{column}: " + ", ".join(f"{count} {word}" for count, word in words))
    for one in missing:
        say_problem(one)


def _column(cell: Cell) -> str:
    return f"{cell.connector} ({cell.variant})" if cell.variant else cell.connector
