"""`revline usage so-far`: what a customer has used in its running periods and what it costs until now."""

from __future__ import annotations

from typing import Annotated

import typer

from revline.core.problem import Problem
from revline.doors import charging as shared
from revline.doors.cli.context import JsonOption, TenantOption, one_tenant, services_of
from revline.doors.cli.output import emit_json, emit_rows, fail, say

COLUMNS = ("price", "group", "start", "quantity", "unit", "amount", "currency", "events")


def add_live(app: typer.Typer) -> None:
    """The command that looks at running periods."""
    app.command(name="so-far")(so_far)


def so_far(
    context: typer.Context,
    customer: Annotated[str, typer.Argument(help="connection/outside id.")],
    tenant: TenantOption = "",
    as_json: JsonOption = False,
) -> None:
    """What a customer has used in its running billing periods, and what it costs so far, before commitments and credits."""
    with services_of(context, as_json=as_json) as services:
        chosen = one_tenant(services, tenant, as_json=as_json)
        found = shared.so_far(services, tenant_id=chosen, customer=customer)
    if isinstance(found, Problem):
        fail(found, as_json=as_json)
    if as_json:
        emit_json(found)
        return
    rows = [
        {
            **line,
            "group": ", ".join(f"{name}={value}" for name, value in line["group"].items()),
            "start": line["window"]["start"][:10],
        }
        for line in found["lines"]
    ]
    emit_rows(rows, columns=list(COLUMNS), as_json=False, empty="No price counts for this customer now.")
    for line in found["lines"]:
        for step in line["explanation"]["steps"]:
            say(f"  {line['price']}: {step['words']}")
    for one in found["unrated"]:
        say(f"{one['wanted']['price']}: {one['problem']['detail']}")
