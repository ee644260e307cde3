"""`revline usage shadow`: what billing's invoices of metered use differ by, by cause or one by one, on screen or as a file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from revline.core.problem import Problem
from revline.doors import usage_shadow as shared
from revline.doors.cli.context import JsonOption, LimitOption, TenantOption, actor, one_tenant, services_of
from revline.doors.cli.output import emit_rows, fail, say
from revline.doors.services import Services
from revline.subledger.usage.outward.queries import FindingFilter

NOTHING = "Nothing was billed otherwise than it was used."


def add_shadow(app: typer.Typer) -> None:
    """The command of shadow rating."""

    @app.command("shadow")
    def shadow(
        context: typer.Context,
        connection: Annotated[str, typer.Option("--connection", help="One billing connection.")] = "",
        customer: Annotated[str, typer.Option("--customer", help="One customer, as billing names it.")] = "",
        cause: Annotated[str, typer.Option("--cause", help="One cause, such as quantity or late_usage.")] = "",
        direction: Annotated[str, typer.Option("--direction", help="leakage or overbilled.")] = "",
        since: Annotated[str, typer.Option("--since", help="Periods that end after this day.")] = "",
        until: Annotated[str, typer.Option("--until", help="Periods that end by this day.")] = "",
        everything: Annotated[bool, typer.Option("--all", help="Also what agrees or is within the tolerance.")] = False,
        each: Annotated[bool, typer.Option("--each", help="One by one instead of totals by cause.")] = False,
        output: Annotated[
            Path | None, typer.Option("--output", help="Write all of them to a file: .csv or .xlsx.")
        ] = None,
        again: Annotated[
            str, typer.Option("--again", metavar="REASON", help="Compare everything anew first; why, for the audit.")
        ] = "",
        limit: LimitOption = 100,
        tenant: TenantOption = "",
        as_json: JsonOption = False,
    ) -> None:
        """Billed against used: leakage and overbilling by cause, with their money."""
        wanted = shared.filter_of(
            connection=connection,
            customer=customer,
            cause=cause,
            direction=direction,
            since=since,
            until=until,
            everything=everything,
        )
        if isinstance(wanted, Problem):
            fail(wanted, as_json=as_json)
        with services_of(context, as_json=as_json) as services:
            chosen = one_tenant(services, tenant, as_json=as_json)
            if again:
                asked = shared.again(services, tenant_id=chosen, connection=connection, actor=actor(), reason=again)
                say(f"{asked} customers are compared again; a worker does it")
            if output is not None:
                _written(services, chosen, wanted, output, as_json=as_json)
            elif each:
                _each(services, chosen, wanted, limit, as_json=as_json)
            else:
                _totals(services, chosen, wanted, as_json=as_json)


def _written(services: Services, tenant_id: str, wanted: FindingFilter, path: Path, *, as_json: bool) -> None:
    found = shared.findings(services, tenant_id=tenant_id, wanted=wanted, limit=shared.ROWS_MAX)
    refused = shared.write_report(path, found=found)
    if refused is not None:
        fail(refused, as_json=as_json)
    say(f"{len(found)} findings are in {path}")


def _each(services: Services, tenant_id: str, wanted: FindingFilter, limit: int, *, as_json: bool) -> None:
    found = shared.findings(services, tenant_id=tenant_id, wanted=wanted, limit=limit)
    rows = [shared.plain_finding(one) if as_json else shared.flat(one) for one in found]
    emit_rows(rows, columns=shared.SHOWN, as_json=as_json, empty=NOTHING)


def _totals(services: Services, tenant_id: str, wanted: FindingFilter, *, as_json: bool) -> None:
    rows = [shared.plain_total(one) for one in shared.totals(services, tenant_id=tenant_id, wanted=wanted)]
    emit_rows(rows, columns=shared.TOTAL_COLUMNS, as_json=as_json, empty=NOTHING)
