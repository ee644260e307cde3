"""`revline credits`: prepaid credits granted, shown, ended, refunded and voided."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any

import typer

from revline.core.hashing import plain
from revline.core.ids import SourceObject
from revline.core.problem import Problem
from revline.doors import credits as shared
from revline.doors.cli.context import (
    JsonOption,
    LimitOption,
    ReasonOption,
    TenantOption,
    actor,
    one_tenant,
    services_of,
)
from revline.doors.cli.output import emit_done, emit_json, emit_rows, fail, heading, say
from revline.subledger.usage.credits.values import GrantBalance

app = typer.Typer(no_args_is_help=True, help="Prepaid credits: grants, what paid from them, what is left.")
CustomerArgument = Annotated[str, typer.Argument(help="The customer's outside id.")]
GrantArgument = Annotated[str, typer.Argument(help="The grant's id.")]
ConnectionOption = Annotated[
    str, typer.Option("--connection", help="Where the customer comes from; not needed when there is one.")
]
AtOption = Annotated[
    str, typer.Option("--at", help="A day (it begins where the entity keeps its books) or a time with an offset.")
]
MethodOption = Annotated[str, typer.Option("--method", help="How it was paid: card, bank_transfer and so on.")]


@app.command()
def grant(
    context: typer.Context,
    customer: CustomerArgument,
    plan: Annotated[str, typer.Option("--plan", help="A CreditPlan of the configuration.")],
    reason: ReasonOption,
    grant_id: Annotated[str, typer.Option("--id", help="The grant's id; the same again is done once.")] = "",
    amount: Annotated[str, typer.Option("--amount", help="Credits; empty: the plan's.")] = "",
    cost: Annotated[str, typer.Option("--cost", help="What all of them cost; empty: by the plan's cost basis.")] = "",
    starts: Annotated[str, typer.Option("--starts", help="When they begin to pay; empty: now.")] = "",
    expires: Annotated[str, typer.Option("--expires", help="When they end; empty: as the plan says.")] = "",
    method: MethodOption = "",
    connection: ConnectionOption = "",
    tenant: TenantOption = "",
    as_json: JsonOption = False,
) -> None:
    """Grant credits by a plan; a worker books them."""
    asked = shared.GrantAsked(
        customer=customer,
        plan=plan,
        connection=connection,
        grant=grant_id,
        amount=amount,
        cost=cost,
        starts=starts,
        expires=expires,
        method=method,
    )
    with services_of(context, as_json=as_json) as services:
        chosen = one_tenant(services, tenant, as_json=as_json)
        found = shared.grant(services, tenant_id=chosen, asked=asked, actor=actor(), reason=reason)
    if isinstance(found, Problem):
        fail(found, as_json=as_json)
    emit_json(found) if as_json else say(f"grant {found.outside_id}: {found.amount} {found.currency} for {found.cost}")


@app.command(name="list")
def list_grants(
    context: typer.Context,
    customer: Annotated[str, typer.Option("--customer", help="Of this customer alone, by its outside id.")] = "",
    connection: ConnectionOption = "",
    limit: LimitOption = 100,
    tenant: TenantOption = "",
    as_json: JsonOption = False,
) -> None:
    """Grants, newest first, with what the ledger holds of each."""
    with services_of(context, as_json=as_json) as services:
        chosen = one_tenant(services, tenant, as_json=as_json)
        named: SourceObject | Problem | None = None
        if customer:
            named = shared.customer_of(services, tenant_id=chosen, customer=customer, connection=connection)
        if isinstance(named, Problem):
            fail(named, as_json=as_json)
        found = services.credits.grants(tenant_id=chosen, customer=named, limit=limit)
    rows = [shared.plain_grant(one) for one in found]
    columns = [
        "grant",
        "customer",
        "plan",
        "currency",
        "amount",
        "drawn",
        "expired",
        "taken_back",
        "left",
        "expires_at",
    ]
    emit_rows(rows, columns=columns, as_json=as_json, empty="No credits yet; grant some with `revline credits grant`.")


@app.command()
def show(
    context: typer.Context,
    customer: CustomerArgument,
    at: AtOption = "",
    connection: ConnectionOption = "",
    tenant: TenantOption = "",
    as_json: JsonOption = False,
) -> None:
    """A customer's credits: every grant, what it paid, what is left, what commitments came to, and the ledger."""
    with services_of(context, as_json=as_json) as services:
        chosen = one_tenant(services, tenant, as_json=as_json)
        found = shared.statement(services, tenant_id=chosen, customer=customer, connection=connection, at=at)
        if isinstance(found, Problem):
            fail(found, as_json=as_json)
        who, settled = found
        ledger = services.credits.ledger(tenant_id=chosen, customer=who)
    if as_json:
        emit_json(shared.plain_statement(who, settled, ledger))
        return
    statement = settled.statement
    heading("Grants")
    columns = [
        "grant",
        "priority",
        "expires_at",
        "currency",
        "granted",
        "drawn",
        "expired",
        "taken_back",
        "left",
        "available",
    ]
    emit_rows([_balance_row(one) for one in statement.balances], columns=columns, as_json=False, empty="No credits.")
    if statement.commitments:
        heading("Commitments")
        rows = [{**plain(one), "from": one.window.start, "to": one.window.end} for one in statement.commitments]
        columns = ["commitment", "from", "to", "promised", "counted", "shortfall", "overage", "charged"]
        emit_rows(rows, columns=columns, as_json=False, empty="")
    heading("Ledger")
    columns = ["day", "grant", "rule", "cause", "amount", "cost", "currency"]
    emit_rows(plain(ledger), columns=columns, as_json=False, empty="Nothing was posted yet.")
    for finding in statement.findings:
        say(f"{finding.detail}  [{finding.code}]")


@app.command()
def expire(
    context: typer.Context,
    grant_id: GrantArgument,
    reason: ReasonOption,
    at: AtOption = "",
    connection: ConnectionOption = "",
    tenant: TenantOption = "",
    as_json: JsonOption = False,
) -> None:
    """Let what is left of a grant expire now, or at a moment to come, instead of at its end."""
    with services_of(context, as_json=as_json) as services:
        chosen = one_tenant(services, tenant, as_json=as_json)
        found = shared.end(
            services, tenant_id=chosen, grant=grant_id, connection=connection, at=at, actor=actor(), reason=reason
        )
    emit_done(found, f"grant {grant_id} ends", as_json=as_json)


@app.command()
def refund(
    context: typer.Context,
    grant_id: GrantArgument,
    reason: ReasonOption,
    amount: Annotated[str, typer.Option("--amount", help="Credits to give back; empty: all that are available.")] = "",
    refund_id: Annotated[str, typer.Option("--id", help="The refund's id; the same again is done once.")] = "",
    method: MethodOption = "",
    connection: ConnectionOption = "",
    tenant: TenantOption = "",
    as_json: JsonOption = False,
) -> None:
    """Give unused credits back, with what they had cost."""
    with services_of(context, as_json=as_json) as services:
        chosen = one_tenant(services, tenant, as_json=as_json)
        found = shared.refund(
            services,
            tenant_id=chosen,
            grant=grant_id,
            connection=connection,
            amount=amount,
            refund_id=refund_id,
            method=method,
            actor=actor(),
            reason=reason,
        )
    said = "" if isinstance(found, Problem) else f"refund {found.outside_id}: {found.amount} of grant {grant_id}"
    emit_done(found, said, as_json=as_json)


@app.command()
def void(
    context: typer.Context,
    grant_id: GrantArgument,
    reason: ReasonOption,
    connection: ConnectionOption = "",
    tenant: TenantOption = "",
    as_json: JsonOption = False,
) -> None:
    """Take back a grant that was a mistake: what it paid is due in money again."""
    with services_of(context, as_json=as_json) as services:
        chosen = one_tenant(services, tenant, as_json=as_json)
        found = shared.void(
            services, tenant_id=chosen, grant=grant_id, connection=connection, actor=actor(), reason=reason
        )
    emit_done(found, f"grant {grant_id} never was", as_json=as_json)


def _balance_row(one: GrantBalance) -> dict[str, Decimal | Any]:
    grant = one.grant
    kept = {"grant": grant.outside_id, "priority": grant.priority, "currency": grant.currency}
    return {**plain(one), **kept, "expires_at": one.expires_at}
