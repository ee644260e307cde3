"""`revline status`, `cases`, `deliveries`, `trace`: what is going on, and what a person does about it."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from revline.core.documents import DocumentState
from revline.core.problem import Mender, Problem, Retryable, define, problem
from revline.delivery import acts
from revline.delivery import queries as deliveries
from revline.derive import reprocess
from revline.derive.service import LANE_KIND
from revline.doors.cli.context import (
    JsonOption,
    LimitOption,
    ReasonOption,
    TenantOption,
    actor,
    one_tenant,
    services_of,
)
from revline.doors.cli.output import emit_json, emit_rows, fail, heading, lines, say
from revline.doors.services import Services
from revline.doors.tracing import trace_of
from revline.intake import queries as fact_log
from revline.platform.cases import queries as cases
from revline.platform.cases import service as case_service
from revline.platform.tenancy.queries import active_tenants
from revline.platform.work import queries as work

define(
    code="trace.unknown",
    title="Nothing is known by this name",
    status=404,
    retryable=Retryable.NO,
    mender=Mender.SENDER,
    remedy="Give any id or number exactly: a webhook's id, an invoice number, an ERP number, a journal's or document's id.",
)


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
    return {
        "tenant": tenant_id,
        "facts": facts.facts,
        "kept_inputs": facts.kept_inputs,
        "awaited": facts.awaited,
        "work_due": sum(count.lanes for count in lanes if not count.parked_code and not count.waiting),
        "work_waiting": sum(count.lanes for count in lanes if count.waiting),
        "work_parked": sum(count.lanes for count in lanes if count.parked_code),
        "documents": documents,
        "open_cases": sum(count.cases for count in open_cases),
        "at_risk": {count.currency: count.amount for count in open_cases if count.currency},
    }


def case_commands() -> typer.Typer:
    """The `cases` commands."""
    app = typer.Typer(no_args_is_help=True, help="What can't go on: by cause, with the money at risk.")

    @app.command(name="list")
    def list_cases(
        context: typer.Context,
        tenant: TenantOption = "",
        cause: Annotated[str, typer.Option("--cause", help="Only the cases of this cause.")] = "",
        limit: LimitOption = 50,
        as_json: JsonOption = False,
    ) -> None:
        """Open causes; with --cause, the open cases of one."""
        with services_of(context, as_json=as_json) as services:
            chosen = one_tenant(services, tenant, as_json=as_json)
            with services.database.read(tenants=[chosen]) as connection:
                if cause:
                    found: Any = cases.cases(connection, tenant_id=chosen, cause_id=cause, limit=limit)
                    columns = ["case_id", "subject_kind", "subject_id", "amount", "currency", "detail", "opened_at"]
                else:
                    found = cases.causes(connection, tenant_id=chosen, limit=limit)
                    columns = ["cause_id", "title", "connection", "field", "cases", "money_at_risk", "remedy"]
        rows = [{name: getattr(one, name) for name in one.__struct_fields__} for one in found]
        for row in rows:
            if "at_risk" in row:
                row["money_at_risk"] = ", ".join(f"{risk.amount} {risk.currency}" for risk in row["at_risk"])
        emit_rows(rows, columns=columns, as_json=as_json, empty="No open cases.")

    @app.command()
    def show(
        context: typer.Context,
        case_id: Annotated[str, typer.Argument()],
        tenant: TenantOption = "",
        as_json: JsonOption = False,
    ) -> None:
        """One case with everything that became of it."""
        with services_of(context, as_json=as_json) as services:
            chosen = one_tenant(services, tenant, as_json=as_json)
            with services.database.read(tenants=[chosen]) as connection:
                found = cases.case(connection, tenant_id=chosen, case_id=case_id)
                history = cases.transitions(connection, tenant_id=chosen, case_id=case_id)
        if found is None:
            fail(problem("case.unknown", f"there is no case {case_id[:60]!r}"), as_json=as_json)
        emit_json({"case": found, "history": history})

    @app.command()
    def retry(
        context: typer.Context,
        case_or_cause: Annotated[
            str, typer.Argument(help="The id of a case, or of a cause to try all its cases again.")
        ],
        tenant: TenantOption = "",
        reason: ReasonOption = "what held it up was mended",
        as_json: JsonOption = False,
    ) -> None:
        """Try again what a case or a whole cause holds up."""
        with services_of(context, as_json=as_json) as services:
            chosen = one_tenant(services, tenant, as_json=as_json)
            with services.database.read(tenants=[chosen]) as connection:
                single = cases.case(connection, tenant_id=chosen, case_id=case_or_cause) is not None
            answer = case_service.retry(
                services.database,
                handlers=services.retry_handlers,
                tenant_id=chosen,
                actor=actor(),
                reason=reason,
                case_id=case_or_cause if single else "",
                cause_id="" if single else case_or_cause,
            )
        if isinstance(answer, Problem):
            fail(answer, as_json=as_json)
        emit_json(answer) if as_json else say(f"{answer.asked} cases looked at, {answer.started} set going")

    _add_waive(app)
    return app


def _add_waive(app: typer.Typer) -> None:
    @app.command()
    def waive(
        context: typer.Context,
        case_id: Annotated[str, typer.Argument()],
        reason: Annotated[str, typer.Option("--reason", help="Why nothing is to be done; kept in the audit chain.")],
        tenant: TenantOption = "",
    ) -> None:
        """Decide that nothing is to be done about a case; it opens again when what it says changes."""
        with services_of(context) as services:
            answer = case_service.waive(
                services.database,
                tenant_id=one_tenant(services, tenant),
                case_id=case_id,
                actor=actor(),
                reason=reason,
                recorded_at=services.clock.now(),
            )
        if isinstance(answer, Problem):
            fail(answer)
        say(f"{answer} cases are waived")


def delivery_commands() -> typer.Typer:
    """The `deliveries` commands."""
    app = typer.Typer(no_args_is_help=True, help="Documents on their way, and what far systems said.")

    @app.command(name="list")
    def list_deliveries(
        context: typer.Context,
        tenant: TenantOption = "",
        state: Annotated[DocumentState | None, typer.Option("--state", help="Only documents in this state.")] = None,
        connection_name: Annotated[str, typer.Option("--connection", help="Only documents for this connection.")] = "",
        after: Annotated[str, typer.Option("--after", help="Go on after this document id.")] = "",
        limit: LimitOption = 50,
        as_json: JsonOption = False,
    ) -> None:
        """Documents by id, with state, attempts and what holds them up."""
        with services_of(context, as_json=as_json) as services:
            chosen = one_tenant(services, tenant, as_json=as_json)
            with services.database.read(tenants=[chosen]) as connection:
                found = deliveries.deliveries(
                    connection,
                    tenant_id=chosen,
                    state=state.value if state else "",
                    far_connection=connection_name,
                    after=after,
                    limit=limit,
                )
        rows = [{name: getattr(one, name) for name in one.__struct_fields__} for one in found]
        columns = ["document_id", "kind", "state", "connection", "amount", "currency", "attempts", "problem_detail"]
        emit_rows(rows, columns=columns, as_json=as_json, empty="No documents here.")

    @app.command()
    def show(
        context: typer.Context,
        document_id: Annotated[str, typer.Argument()],
        tenant: TenantOption = "",
        as_json: JsonOption = False,
    ) -> None:
        """One document: what it says, what it waits for, every attempt with its evidence, what the far side holds."""
        with services_of(context, as_json=as_json) as services:
            chosen = one_tenant(services, tenant, as_json=as_json)
            with services.database.read(tenants=[chosen]) as connection:
                found = deliveries.show(connection, tenant_id=chosen, document_id=document_id)
        if found is None:
            fail(problem("document.unknown", f"there is no document {document_id[:60]!r}"), as_json=as_json)
        emit_json(found)

    @app.command(name="reprocess")
    def reprocess_one(
        context: typer.Context,
        reference: Annotated[str, typer.Argument(help="The id of a document, journal, accounting event or root.")],
        tenant: TenantOption = "",
        reason: ReasonOption = "evaluated again by hand",
        as_json: JsonOption = False,
    ) -> None:
        """Evaluate what is booked again under the present configuration: reverse and book anew where it differs."""
        with services_of(context, as_json=as_json) as services:
            chosen = one_tenant(services, tenant, as_json=as_json)
            with services.database.read(tenants=[chosen]) as connection:
                root_id = reprocess.root_of(connection, tenant_id=chosen, reference=reference)
            refused = reprocess.ask(
                services.database,
                tenant_id=chosen,
                root_id=root_id or reference,
                clock=services.clock,
                actor=actor(),
                reason=reason,
                lane_kind=LANE_KIND,
            )
        if refused is not None:
            fail(refused, as_json=as_json)
        emit_json({"root_id": root_id}) if as_json else say(f"root {root_id} is evaluated again at its next turn")

    @app.command()
    def resend(
        context: typer.Context,
        document_id: Annotated[str, typer.Argument()],
        tenant: TenantOption = "",
        reason: ReasonOption = "sent again by hand",
        as_json: JsonOption = False,
    ) -> None:
        """Send the same revision again; a document that may have arrived is looked up first."""
        with services_of(context, as_json=as_json) as services:
            chosen = one_tenant(services, tenant, as_json=as_json)
            answer = acts.resend(
                services.database,
                tenant_id=chosen,
                document_id=document_id,
                actor=actor(),
                reason=reason,
                recorded_at=services.clock.now(),
            )
        if isinstance(answer, Problem):
            fail(answer, as_json=as_json)
        emit_json(answer) if as_json else say(f"document {document_id} is on its way again")

    @app.command()
    def waive(
        context: typer.Context,
        document_id: Annotated[str, typer.Argument()],
        reason: Annotated[str, typer.Option("--reason", help="Why nothing is to be sent; kept in the audit chain.")],
        tenant: TenantOption = "",
        as_json: JsonOption = False,
    ) -> None:
        """Decide that a document needs no effect, or has it already."""
        with services_of(context, as_json=as_json) as services:
            chosen = one_tenant(services, tenant, as_json=as_json)
            refused = acts.waive(
                services.database,
                tenant_id=chosen,
                document_id=document_id,
                actor=actor(),
                reason=reason,
                recorded_at=services.clock.now(),
            )
        if refused is not None:
            fail(refused, as_json=as_json)
        waived = {"document_id": document_id, "state": DocumentState.WAIVED}
        emit_json(waived) if as_json else say(f"document {document_id} is waived")

    return app


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
