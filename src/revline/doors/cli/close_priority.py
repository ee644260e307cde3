"""`revline close-priority`: let the documents of a period that is being closed go first, for a while."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any

import typer

from revline.core.problem import Problem
from revline.delivery.closing import closings
from revline.doors import closing as shared
from revline.doors.cli.context import JsonOption, TenantOption, a_reason, actor, one_tenant, services_of
from revline.doors.cli.output import emit_json, emit_rows, fail, say

app = typer.Typer(no_args_is_help=True, help="Documents of a period that is being closed go first.")
EntityOption = Annotated[str, typer.Option("--entity", help="The legal entity whose period it is.")]
PeriodOption = Annotated[str, typer.Option("--period", help="The calendar month, such as 2026-01.")]
WhyOption = Annotated[str, typer.Option("--reason", callback=a_reason, help="Why; kept in the audit chain.")]


@app.command()
def begin(
    context: typer.Context,
    entity: EntityOption,
    period: PeriodOption,
    reason: WhyOption,
    days: Annotated[int, typer.Option("--days", min=1, max=92, help="For how many days from now.")] = 5,
    tenant: TenantOption = "",
    as_json: JsonOption = False,
) -> None:
    """Let them go first from now on, those that wait already too; a second time moves the end."""
    with services_of(context, as_json=as_json) as services:
        chosen = one_tenant(services, tenant, as_json=as_json)
        until = services.clock.now() + timedelta(days=days)
        answer = shared.begin(
            services, tenant_id=chosen, entity=entity, period=period, until=until, actor=actor(), reason=reason
        )
        if isinstance(answer, Problem):
            fail(answer, as_json=as_json)
        plain = shared.plain_closing(answer, services.clock.now())
    emit_json(plain) if as_json else say(f"documents of {entity} in {plain['period']} go first until {answer.until}")


@app.command(name="list")
def list_closings(context: typer.Context, tenant: TenantOption = "", as_json: JsonOption = False) -> None:
    """What goes first now, and what did."""
    with services_of(context, as_json=as_json) as services:
        chosen = one_tenant(services, tenant, as_json=as_json)
        with services.database.read(tenants=[chosen]) as connection:
            found = closings(connection, tenant_id=chosen)
        rows: list[dict[str, Any]] = [shared.plain_closing(one, services.clock.now()) for one in found]
    emit_rows(
        rows,
        columns=["entity", "period", "until", "goes_first"],
        as_json=as_json,
        empty="Nothing goes first: revline close-priority begin --entity ENTITY --period MONTH --reason WHY.",
    )


@app.command()
def end(
    context: typer.Context,
    entity: EntityOption,
    period: PeriodOption,
    reason: WhyOption,
    tenant: TenantOption = "",
    as_json: JsonOption = False,
) -> None:
    """Let them take their turn again."""
    with services_of(context, as_json=as_json) as services:
        chosen = one_tenant(services, tenant, as_json=as_json)
        answer = shared.end(services, tenant_id=chosen, entity=entity, period=period, actor=actor(), reason=reason)
        if isinstance(answer, Problem):
            fail(answer, as_json=as_json)
        plain = shared.plain_closing(answer, services.clock.now())
    emit_json(plain) if as_json else say(f"documents of {entity} in {plain['period']} take their turn again")
