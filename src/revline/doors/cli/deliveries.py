"""`revline deliveries`: documents on their way, and the acts on them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from revline.core.documents import DocumentState
from revline.core.problem import Problem, problem
from revline.delivery import naming
from revline.delivery import queries as deliveries
from revline.delivery.permitted import Act
from revline.derive import reprocess
from revline.derive.service import LANE_KIND
from revline.doors.cli.context import (
    JsonOption,
    LimitOption,
    ReasonOption,
    TenantOption,
    a_reason,
    actor,
    one_tenant,
    services_of,
)
from revline.doors.cli.output import emit_json, emit_rows, fail, say
from revline.doors.delivery_view import delivery_view
from revline.doors.document_acts import Wanted, act_on_document, link_document
from revline.doors.enumerating import plain_report, reports
from revline.doors.waiting_view import first_hops

DocumentArgument = Annotated[str, typer.Argument(help="The id of a document.")]

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
            waits = first_hops(connection, tenant_id=chosen, documents=found)
    rows = [{name: getattr(one, name) for name in one.__struct_fields__} for one in found]
    for row in rows:
        hop, others = waits.get(row["document_id"], (None, 0))
        row["waits"] = "" if hop is None else f"{hop.relation} {hop.title}" + (f" and {others} more" if others else "")
    columns = [
        "document_id",
        "kind",
        "state",
        "connection",
        "amount",
        "currency",
        "attempts",
        "waits",
        "problem_detail",
    ]
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
            found = delivery_view(connection, tenant_id=chosen, document_id=document_id)
    if found is None:
        fail(problem("document.unknown", f"there is no document {document_id[:60]!r}"), as_json=as_json)
    if found.waiting.said and not as_json:
        say(found.waiting.said)
    emit_json(found.as_json())


@app.command(name="name-record")
def name_one(
    context: typer.Context,
    document_id: DocumentArgument,
    erp_id: Annotated[
        str, typer.Option("--id", help="The record's internal id in the ERP, as others there refer to it.")
    ],
    reason: Annotated[str, typer.Option("--reason", callback=a_reason, help="How you know; kept in the audit chain.")],
    number: Annotated[str, typer.Option("--number", help="What people call it there.")] = "",
    record_kind: Annotated[str, typer.Option("--kind", help="Its kind there; as others of such documents have.")] = "",
    tenant: TenantOption = "",
    as_json: JsonOption = False,
) -> None:
    """Say which record of the ERP a document is: it is waived if it isn't, and what must name its record goes on."""
    with services_of(context, as_json=as_json) as services:
        refused = naming.name_record(
            services.database,
            tenant_id=one_tenant(services, tenant, as_json=as_json),
            document_id=document_id,
            record=naming.NamedRecord(erp_id=erp_id, number=number, record_kind=record_kind),
            actor=actor(),
            reason=reason,
            recorded_at=services.clock.now(),
        )
    if refused is not None:
        fail(refused, as_json=as_json)
    named = {"document_id": document_id, "state": DocumentState.WAIVED, "erp_id": erp_id}
    emit_json(named) if as_json else say(f"document {document_id} is record {erp_id}")


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


@app.command(name="enumerate")
def enumerate_one(
    context: typer.Context,
    connection_name: Annotated[str, typer.Option("--connection", help="The ERP connection to list.")],
    tenant: TenantOption = "",
    since: Annotated[
        datetime | None, typer.Option("--since", help="Only what changed since then (UTC); everything without it.")
    ] = None,
    report: Annotated[bool, typer.Option("--report", help="Only show what the last listing found.")] = False,
    reason: ReasonOption = "listed again by hand",
    as_json: JsonOption = False,
) -> None:
    """List again what the ERP holds under our references: doubles, records nobody expects, posted ones that are gone.

    A worker does it, beside deliveries; --report shows how far it is and what it found.
    """
    with services_of(context, as_json=as_json) as services:
        chosen = one_tenant(services, tenant, as_json=as_json)
        if not report:
            moment = None if since is None else since.replace(tzinfo=UTC)
            asked = services.lister(
                tenant_id=chosen, connection=connection_name, since=moment, actor=actor(), reason=reason
            )
            if isinstance(asked, Problem):
                fail(asked, as_json=as_json)
        found = reports(services.database, tenant_id=chosen, connection=connection_name)
    columns = ["record_kind", "company", "running", "records", "ours", "resolved", "doubled", "unexpected", "missing"]
    rows = [dict(plain_report(one)) for one in found]
    emit_rows(rows, columns=[*columns, "changed", "ended_at", "gap"], as_json=as_json, empty="Nothing was listed yet.")


@app.command()
def resend(
    context: typer.Context,
    document_id: DocumentArgument,
    tenant: TenantOption = "",
    reason: ReasonOption = "sent again by hand",
    known_absent: Annotated[
        bool,
        typer.Option(
            "--known-absent",
            help="You searched the far system yourself and it is not there: send without a look-up. Wrong, it is there twice.",
        ),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Send the same revision again; a document that may have arrived is looked up first."""
    wanted = Wanted(act=Act.RESEND, document_id=document_id, actor=actor(), reason=reason, known_absent=known_absent)
    _act(context, tenant, wanted, "is on its way again", as_json=as_json)


@app.command()
def skip(
    context: typer.Context,
    document_id: DocumentArgument,
    reason: Annotated[
        str, typer.Option("--reason", callback=a_reason, help="Why order past it is given up; kept in the audit chain.")
    ],
    tenant: TenantOption = "",
    as_json: JsonOption = False,
) -> None:
    """Set a document aside: its lane goes on without it, its case stays open, what needs its record goes on waiting."""
    wanted = Wanted(act=Act.SKIP, document_id=document_id, actor=actor(), reason=reason)
    _act(context, tenant, wanted, "is set aside", as_json=as_json)


@app.command()
def replay(
    context: typer.Context,
    document_id: DocumentArgument,
    tenant: TenantOption = "",
    reason: ReasonOption = "put back by hand",
    at_end: Annotated[bool, typer.Option("--at-end", help="Behind all that is on its lane.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Put a document that was set aside, or waived by mistake, back on its lane: at its own place, or at the end."""
    wanted = Wanted(act=Act.REPLAY, document_id=document_id, actor=actor(), reason=reason, at_end=at_end)
    _act(context, tenant, wanted, "is back on its lane", as_json=as_json)


@app.command()
def waive(
    context: typer.Context,
    document_id: DocumentArgument,
    reason: Annotated[
        str, typer.Option("--reason", callback=a_reason, help="Why nothing is to be sent; kept in the audit chain.")
    ],
    tenant: TenantOption = "",
    as_json: JsonOption = False,
) -> None:
    """Decide that a document needs no effect, or has it already."""
    wanted = Wanted(act=Act.WAIVE, document_id=document_id, actor=actor(), reason=reason)
    _act(context, tenant, wanted, "is waived", as_json=as_json)


@app.command()
def link(
    context: typer.Context,
    document_id: DocumentArgument,
    record_kind: Annotated[str, typer.Option("--record-kind", help="What the far system calls its kind.")],
    erp_id: Annotated[str, typer.Option("--erp-id", help="Its id there.")],
    reason: Annotated[str, typer.Option("--reason", callback=a_reason, help="How you know; kept in the audit chain.")],
    despite_difference: Annotated[
        bool, typer.Option("--despite-difference", help="You have seen in what it differs, and take it as it is.")
    ] = False,
    tenant: TenantOption = "",
    as_json: JsonOption = False,
) -> None:
    """Say which record of the far system a document already is: it is read there, compared, and taken as posted."""
    with services_of(context, as_json=as_json) as services:
        answer = link_document(
            services,
            tenant_id=one_tenant(services, tenant, as_json=as_json),
            document_id=document_id,
            record_kind=record_kind,
            erp_id=erp_id,
            despite_difference=despite_difference,
            actor=actor(),
            reason=reason,
        )
    if isinstance(answer, Problem):
        fail(answer, as_json=as_json)
    emit_json(answer) if as_json else say(f"document {document_id} is {record_kind} {erp_id}")


def _act(context: typer.Context, tenant: str, wanted: Wanted, said: str, *, as_json: bool) -> None:
    with services_of(context, as_json=as_json) as services:
        chosen = one_tenant(services, tenant, as_json=as_json)
        answer = act_on_document(services, tenant_id=chosen, wanted=wanted)
    if isinstance(answer, Problem):
        fail(answer, as_json=as_json)
    emit_json(answer) if as_json else say(f"document {wanted.document_id} {said}")
