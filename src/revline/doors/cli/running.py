"""`revline up`, `worker`, `serve`, `db`, `demo`: processes, and the database they stand on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from revline.core.problem import Problem
from revline.doors.cli.context import JsonOption, Program
from revline.doors.cli.output import emit_json, fail, say


def add_processes(app: typer.Typer) -> None:
    """The commands that run until they are told to stop."""

    @app.command()
    def up(
        context: typer.Context,
        once: Annotated[bool, typer.Option("--once", help="Start, migrate, stop again.")] = False,
    ) -> None:
        """Start the embedded PostgreSQL, migrate it, and keep it until a signal."""
        program: Program = context.obj
        raise typer.Exit(program.up(once))

    @app.command()
    def worker(
        context: typer.Context,
        until_idle: Annotated[bool, typer.Option("--until-idle", help="End when nothing is due or under way.")] = False,
    ) -> None:
        """Derive and deliver until a signal; drains on SIGTERM."""
        program: Program = context.obj
        raise typer.Exit(program.worker(until_idle))

    @app.command()
    def serve(context: typer.Context) -> None:
        """Serve the API until a signal; drains on SIGTERM."""
        program: Program = context.obj
        raise typer.Exit(program.serve())

    @app.command()
    def demo(
        context: typer.Context,
        folder: Annotated[Path, typer.Option("--folder", help="Where it keeps its data.")] = Path(".revline/demo"),
        small: Annotated[bool, typer.Option("--small", help="A tenth of the input, one tenant, no Tryton.")] = False,
        keep: Annotated[
            bool, typer.Option("--keep", help="Leave the console open until Ctrl-C, as in a terminal anyway.")
        ] = False,
    ) -> None:
        """A month from quote to cash: Salesforce and Stripe into a simulated NetSuite and a real Tryton, and back."""
        program: Program = context.obj
        raise typer.Exit(program.demo(folder, small, keep))


def database_commands() -> typer.Typer:
    """The `db` commands."""
    app = typer.Typer(no_args_is_help=True, help="The database's schema.")

    @app.command()
    def upgrade(
        context: typer.Context,
        check: Annotated[
            bool, typer.Option("--check", help="Only say whether anything is left to do; 1 when so.")
        ] = False,
        as_json: JsonOption = False,
    ) -> None:
        """Run every migration that is missing, as the owner."""
        program: Program = context.obj
        answer = program.upgrade(check)
        if isinstance(answer, Problem):
            fail(answer, as_json=as_json)
        emit_json({"current": True, "detail": answer}) if as_json else say(answer)

    return app
