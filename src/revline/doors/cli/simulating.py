"""`revline sim`: the whole system under a simulated clock and network, one seed a world. Needs no database of yours."""

from __future__ import annotations

from typing import Annotated

import typer

from revline.doors.cli.context import JsonOption, Program

SEEDS_DEFAULT = 50


def add_simulation(app: typer.Typer) -> None:
    """The command."""

    @app.command()
    def sim(
        context: typer.Context,
        seeds: Annotated[int, typer.Option("--seeds", min=1, help="How many worlds.")] = SEEDS_DEFAULT,
        first: Annotated[int, typer.Option("--first", help="The first seed; -1: a new one each time.")] = -1,
        seed: Annotated[int, typer.Option("--seed", help="Only this world.")] = -1,
        seconds: Annotated[
            float, typer.Option("--seconds", min=0, help="Begin no world after so long; 0: all of them.")
        ] = 0,
        trace: Annotated[bool, typer.Option("--trace", help="Print each world's timeline.")] = False,
        as_json: JsonOption = False,
    ) -> None:
        """Live worlds full of crashes, lost answers and late effects, and judge each; 1 when one breaks a promise."""
        program: Program = context.obj
        chosen = (1, seed) if seed >= 0 else (seeds, first)
        raise typer.Exit(program.sim(chosen[0], chosen[1], seconds, trace, as_json))
