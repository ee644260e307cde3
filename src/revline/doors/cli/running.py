"""`revline up`, `worker`, `serve`, `db`, `demo`: processes, and the database they stand on."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer

from revline.core.problem import Problem
from revline.doors.cli.context import JsonOption, Program, services_of
from revline.doors.cli.output import emit_json, emit_rows, fail, say
from revline.platform.store.housekeeping import holders
from revline.platform.work.queries import moment


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

    @app.command(name="usage-shard")
    def usage_shard(
        context: typer.Context,
        shards: Annotated[
            list[int] | None,
            typer.Option("--shard", min=0, max=63, help="A shard to own; all of them when none is named."),
        ] = None,
        port: Annotated[
            int | None, typer.Option("--port", min=0, max=65_535, help="Where POST /v1/usage is served; 0 takes any.")
        ] = None,
    ) -> None:
        """Own shards of the usage log and serve POST /v1/usage alone, until a signal."""
        program: Program = context.obj
        raise typer.Exit(program.usage_shard(shards or (), port))

    @app.command(name="usage-consume")
    def usage_consume(
        context: typer.Context,
        topic: Annotated[str, typer.Option("--topic", help="It has a partition for each shard, filled by identity.")],
        tenant: Annotated[str, typer.Option("--tenant", help="Of messages without the header tenant.")] = "",
    ) -> None:
        """Read usage from Kafka into the shards whose partitions this process is given, until a signal."""
        program: Program = context.obj
        raise typer.Exit(program.usage_consume(topic, tenant))

    @app.command(name="usage-spread")
    def usage_spread(
        context: typer.Context,
        topic: Annotated[str, typer.Option("--topic", help="What is read; its partitions may be by anything.")],
        into: Annotated[str, typer.Option("--into", help="What `usage-consume` reads.")],
        tenant: Annotated[str, typer.Option("--tenant", help="Of messages without the header tenant.")] = "",
    ) -> None:
        """Spread a topic of usage over the partitions of another one by identity, until a signal."""
        program: Program = context.obj
        raise typer.Exit(program.usage_spread(topic, into, tenant))

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

    @app.command()
    def transactions(
        context: typer.Context,
        minutes: Annotated[int, typer.Option("--minutes", min=0, max=1_440, help="Only those older than this.")] = 5,
        as_json: JsonOption = False,
    ) -> None:
        """What holds back the database's cleaning: old transactions by application name, slots far behind; 1 when any does."""
        with services_of(context, as_json=as_json) as services, services.database.control() as connection:
            now = moment(connection)
            found = holders(connection, now=now, older_than=timedelta(minutes=minutes))
        rows = [{name: getattr(one, name) for name in one.__struct_fields__} | {"said": one.said(now)} for one in found]
        emit_rows(rows, columns=["said", "role"], as_json=as_json, empty="Nothing holds back cleaning.")
        raise typer.Exit(1 if found else 0)

    return app
