"""`revline deliveries`: documents on their way, and the acts on them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from revline.core.documents import DocumentState
from revline.core.problem import Problem, problem
from revline.delivery import queries as deliveries
from revline.delivery.naming import NamedRecord
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
from revline.doors.document_acts import Proposed, Wanted, act_on_document, name_record
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
    record_kind: Annotated[str, typer.Option("--kind", help="Its kind there; as others of such documents have.")] = "",
    despite_difference: Annotated[
        bool, typer.Option("--despite-difference", help="You have seen in what it differs, and take it as it is.")
    ] = False,
    unread: Annotated[
        bool, typer.Option("--unread", help="It can't be looked up there: your word is taken, and it is waived.")
    ] = False,
    number: Annotated[str, typer.Option("--number", help="With --unread: what people call it there.")] = "",
    tenant: TenantOption = "",
    as_json: JsonOption = False,
) -> None:
    """Say which record of the ERP a document is: it is read there, compared, and taken as posted."""
    record = NamedRecord(
        erp_id=erp_id,
        record_kind=record_kind,
        number=number,
        unread=unread,
        despite_difference=despite_difference,
    )
    with services_of(context, as_json=as_json) as services:
        answer = name_record(
            services,
            tenant_id=one_tenant(services, tenant, as_json=as_json),
            document_id=document_id,
            record=record,
            actor=actor(),
            reason=reason,
        )
    _told(answer, f"document {document_id} is record {erp_id}", as_json=as_json)


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


def _act(context: typer.Context, tenant: str, wanted: Wanted, said: str, *, as_json: bool) -> None:
    with services_of(context, as_json=as_json) as services:
        chosen = one_tenant(services, tenant, as_json=as_json)
        answer = act_on_document(services, tenant_id=chosen, wanted=wanted)
    _told(answer, f"document {wanted.document_id} {said}", as_json=as_json)


def _told(answer: Mapping[str, Any] | Proposed | Problem, said: str, *, as_json: bool) -> None:
    if isinstance(answer, Problem):
        fail(answer, as_json=as_json)
    if isinstance(answer, Proposed):
        said = (
            f"it is worth more than one person decides alone: proposed as act {answer.act_id}; somebody else starts or"
            f" refuses it with `revline acts decide {answer.act_id}`"
        )
    emit_json(answer) if as_json else say(said)
