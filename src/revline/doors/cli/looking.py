"""`revline status` and `revline trace`: what is going on, and where anything came from."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from revline.core.problem import problem
from revline.delivery import queries as deliveries
from revline.doors.cli.context import (
    JsonOption,
    TenantOption,
    one_tenant,
    services_of,
)
from revline.doors.cli.output import emit_json, emit_rows, fail, heading, lines, say
from revline.doors.services import Services
from revline.doors.tracing import trace_of
from revline.intake import following
from revline.intake import queries as fact_log
from revline.platform.cases import queries as cases
from revline.platform.tenancy.queries import active_tenants
from revline.platform.work import queries as work
from revline.platform.work.pressure import backlogs


def add_status(app: typer.Typer) -> None:
    """`revline status`."""

    @app.command()
    def status(context: typer.Context, tenant: TenantOption = "", as_json: JsonOption = False) -> None:
        """Facts, work, documents and cases of each tenant, in numbers."""
        with services_of(context, as_json=as_json) as services:
            if tenant:
                tenants = [one_tenant(services, tenant, as_json=as_json)]
            else:
                with services.database.control() as connection:
                    tenants = list(active_tenants(connection))
            found = [_status_of(services, one) for one in tenants]
        if as_json:
            emit_json(found)
            return
        rows = [
            {
                "tenant": one["tenant"],
                "facts": one["facts"],
                "awaited": one["awaited"],
                "to_read": one["to_read"] + one["reading"],
                "work_due": one["work_due"],
                "posted": one["documents"].get("posted", 0),
                "under_way": sum(
                    count for state, count in one["documents"].items() if state not in {"posted", "rejected", "waived"}
                ),
                "rejected": one["documents"].get("rejected", 0),
                "open_cases": one["open_cases"],
            }
            for one in found
        ]
        emit_rows(
            rows,
            columns=list(rows[0]) if rows else [],
            as_json=False,
            empty="No tenant yet: revline init FOLDER, then revline config apply FOLDER.",
        )


def _status_of(services: Services, tenant_id: str) -> dict[str, Any]:
    with services.database.read(tenants=[tenant_id]) as connection:
        facts = fact_log.counts(connection, tenant_id=tenant_id)
        documents: dict[str, int] = {}
        for count in deliveries.counts(connection, tenant_id=tenant_id):
            documents[count.state] = documents.get(count.state, 0) + count.documents
        open_cases = cases.counts(connection, tenant_id=tenant_id)
        lanes = work.counts(connection, tenant_id=tenant_id)
        cursors = following.cursors_of(connection, tenant_id=tenant_id)
        held = [one.held_by for one in backlogs(connection) if one.tenant_id in {"", tenant_id} and one.held_by]
    return {
        "tenant": tenant_id,
        "facts": facts.facts,
        "kept_inputs": facts.kept_inputs,
        "awaited": facts.awaited,
        "to_read": facts.to_read,
        "reading": sum(one.state in {"asked", "running"} for one in cursors),
        "reading_stopped": sum(one.state == "stopped" for one in cursors),
        "work_due": sum(count.lanes for count in lanes if not count.parked_code and not count.waiting),
        "work_waiting": sum(count.lanes for count in lanes if count.waiting),
        "work_parked": sum(count.lanes for count in lanes if count.parked_code),
        "documents": documents,
        "intake_held_back": ", ".join(held),
        "open_cases": sum(count.cases for count in open_cases),
        "at_risk": {count.currency: count.amount for count in open_cases if count.currency},
    }


def add_trace(app: typer.Typer) -> None:
    """`revline trace`."""

    @app.command()
    def trace(
        context: typer.Context,
        any_id: Annotated[str, typer.Argument(help="Any id or number of anything, exactly.")],
        tenant: TenantOption = "",
        as_json: JsonOption = False,
    ) -> None:
        """The whole chain of one thing, both ways: from its source events to the ERP's records and back."""
        with services_of(context, as_json=as_json) as services:
            chosen = one_tenant(services, tenant, as_json=as_json)
            found = trace_of(services, tenant_id=chosen, value=any_id)
        if found is None:
            fail(problem("trace.unknown", f"nothing of tenant {chosen} is known by {any_id[:80]!r}"), as_json=as_json)
        if as_json:
            emit_json(found)
            return
        for record in found["records"]:
            heading(f"{record['kind']}  {record['title']}")
            at = f"{record['at']}  " if record["at"] else ""
            lines([f"  {at}{record['record_id']}"])
            for name, value in record["fields"].items():
                if value not in ("", None, [], ()):
                    shown = value if isinstance(value, list) else [value]
                    lines([f"    {name.replace('_', ' ')}: {entry}" for entry in shown])
        heading("Hops")
        lines([f"  {hop['from']} {hop['relation']} {hop['to']}" for hop in found["hops"]])
        if found["truncated"]:
            say("The walk met its limit; ask for one of the records above to go on from there.")
