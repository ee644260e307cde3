"""`revline epoch`: the cell's epoch, shown and, after a restore, raised."""

from __future__ import annotations

from typing import Annotated

import typer

from revline.core.problem import Problem
from revline.doors.cli.context import JsonOption, a_reason, actor, services_of
from revline.doors.cli.output import emit_json, fail, say
from revline.platform.tenancy.queries import active_tenants
from revline.platform.work import cell
from revline.platform.work.epochs import BEGINNING

app = typer.Typer(no_args_is_help=True, help="The cell's epoch: raised once after a restore, before workers start.")


@app.command()
def show(context: typer.Context, as_json: JsonOption = False) -> None:
    """The present epoch, when it began and why."""
    with services_of(context, as_json=as_json) as services, services.database.control() as connection:
        found, reason = cell.read_epoch(connection), cell.reason_of(connection)
    if as_json:
        emit_json({"epoch": found.number, "began_at": found.began_at, "reason": reason})
        return
    first = found.began_at == BEGINNING
    say(f"epoch {found.number}" + ("" if first else f", since {found.began_at.isoformat()}: {reason}"))


@app.command(name="raise")
def raise_one(
    context: typer.Context,
    reason: Annotated[
        str, typer.Option("--reason", callback=a_reason, help="Which restore this is; kept in every audit chain.")
    ],
    present: Annotated[
        int, typer.Option("--from", min=0, help="Only from this epoch, so that the command may be repeated.")
    ] = 0,
    as_json: JsonOption = False,
) -> None:
    """Say that the database was restored: whatever it shows as not finished is looked up before anything is sent."""
    with services_of(context, as_json=as_json) as services:
        with services.database.control() as connection:
            tenants = active_tenants(connection)
        raised = cell.raise_epoch(
            services.database,
            tenants=tenants,
            actor=actor(),
            reason=reason,
            recorded_at=services.clock.now(),
            present=present,
        )
    if isinstance(raised, Problem):
        fail(raised, as_json=as_json)
    if as_json:
        emit_json({"epoch": raised.number, "began_at": raised.began_at, "reason": reason})
        return
    say(f"epoch {raised.number} began at {raised.began_at.isoformat()}, in the audit chains of {len(tenants)} tenants")
    say("Now start the workers; then list what far systems hold: revline deliveries enumerate --connection NAME")
