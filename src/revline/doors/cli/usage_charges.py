"""`revline usage` for charges: rate what changed, list lines, explain and prove one, check that none is missing, close, decide."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

import typer

from revline.core.problem import Problem
from revline.doors import charging as shared
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

ChargeArgument = Annotated[str, typer.Argument(help="The charge line's id.")]
RevisionOption = Annotated[int, typer.Option("--revision", min=0, help="A revision of it; the newest when left out.")]
FromOption = Annotated[datetime, typer.Option("--from", formats=["%Y-%m-%d"], help="The first day.")]
UntilOption = Annotated[datetime, typer.Option("--until", formats=["%Y-%m-%d"], help="The day after the last.")]
COLUMNS = ("charge_id", "customer", "kind", "price", "group", "start", "quantity", "unit", "amount", "currency", "held")


def add_charges(app: typer.Typer) -> None:
    """The commands that look at charges and compute them."""
    app.command(name="rate")(rate)
    app.command(name="charges")(charges)
    app.command(name="explain")(explain)
    app.command(name="events")(events)
    app.command(name="prove")(prove)
    app.command(name="balance")(balance)
    app.command(name="periods")(periods)
    app.command(name="close-period")(close_period)
    app.command(name="close-books")(close_books)
    app.command(name="approve")(approve)
    app.command(name="refuse")(refuse)


def rate(
    context: typer.Context,
    tenant: TenantOption = "",
    reason: ReasonOption = "asked for",
    as_json: JsonOption = False,
) -> None:
    """Compute the charges of what changed since the last time; a worker does it."""
    with services_of(context, as_json=as_json) as services:
        chosen = one_tenant(services, tenant, as_json=as_json)
        answer = shared.rate(services, tenant_id=chosen, actor=actor(), reason=reason)
    if isinstance(answer, Problem):
        fail(answer, as_json=as_json)
    told = f"{answer['customers']} customers are computed by a worker, {answer['periods']} meters of periods rated anew"
    emit_json(answer) if as_json else say(told)


def charges(
    context: typer.Context,
    customer: Annotated[str, typer.Option("--customer", help="connection/outside id.")] = "",
    meter: Annotated[str, typer.Option("--meter", help="Of one meter.")] = "",
    held: Annotated[bool, typer.Option("--held", help="Only late usage that waits for a decision.")] = False,
    limit: LimitOption = 100,
    tenant: TenantOption = "",
    as_json: JsonOption = False,
) -> None:
    """Charge lines by the beginning of their period."""
    from revline.subledger.usage.charges.desk import shown  # noqa: PLC0415 - heavy
    from revline.subledger.usage.charges.queries import ChargeFilter  # noqa: PLC0415 - heavy

    with services_of(context, as_json=as_json) as services:
        chosen = one_tenant(services, tenant, as_json=as_json)
        tools = services.charging()
        if isinstance(tools, Problem):
            fail(tools, as_json=as_json)
        connection, _, outside_id = customer.partition("/")
        wanted = ChargeFilter(connection=connection, customer=outside_id, meter=meter, held=True if held else None)
        found = [shown(one) for one in tools.desk.charges(tenant_id=chosen, wanted=wanted, limit=limit)]
    rows = found if as_json else [_row(one) for one in found]
    empty = "No charge line yet: `revline usage rate` computes what was used, and a worker writes it."
    emit_rows(rows, columns=list(COLUMNS), as_json=as_json, empty=empty)


def explain(
    context: typer.Context, charge: ChargeArgument, tenant: TenantOption = "", as_json: JsonOption = False
) -> None:
    """A line with every step to its amount, what each revision changed, and what was stated of it to the books."""
    with services_of(context, as_json=as_json) as services:
        chosen = one_tenant(services, tenant, as_json=as_json)
        found = shared.charge(services, tenant_id=chosen, charge_id=charge)
    if isinstance(found, Problem):
        fail(found, as_json=as_json)
    if as_json:
        emit_json(found)
        return
    heading(f"{found['kind']} of {found['customer']['outside_id']} at {found['price']}")
    say(f"{found['quantity']} {found['unit']} = {found['amount']} {found['currency']}, {found['events']} events")
    told = found["explanation"]
    for step in told.get("steps", told.get("now_steps", {}).get("steps", ())):
        say(f"  {step['words']}")
    if found["adjusts"]:
        say(f"  was {told['was']['amount']}, is {told['now']['amount']}: {told['amount']}")
    for change in found["changes"]:
        say(f"revision {change['revision']}: {change['amount']} {found['currency']}, {change['events']} events")
    for entry in found["entries"]:
        say(f"{entry['day']} {entry['kind']} {entry['amount']} {entry['currency']} (fact {entry['fact_id']})")


def events(
    context: typer.Context,
    charge: ChargeArgument,
    revision: RevisionOption = 0,
    after: Annotated[str, typer.Option("--after", help="`next` of the page before.")] = "",
    limit: LimitOption = 100,
    tenant: TenantOption = "",
    as_json: JsonOption = False,
) -> None:
    """The usage events behind a line, in order of time, and the sum of them all."""
    with services_of(context, as_json=as_json) as services:
        chosen = one_tenant(services, tenant, as_json=as_json)
        found = shared.events(services, tenant_id=chosen, charge_id=charge, revision=revision, after=after, limit=limit)
    if isinstance(found, Problem):
        fail(found, as_json=as_json)
    if as_json:
        emit_json(found)
        return
    say(f"{found['events']} events, {found['quantity']} in all")
    emit_rows(
        found["lines"], columns=["occurred_at", "source", "id", "subject", "value"], as_json=False, empty="No event."
    )
    if found["next"]:
        say(f"more: --after {found['next']}")


def prove(
    context: typer.Context,
    charge: ChargeArgument,
    revision: RevisionOption = 0,
    tenant: TenantOption = "",
    as_json: JsonOption = False,
) -> None:
    """Run a line's query and rating again, at the version it names. Exit code 1 when it does not come to the line."""
    with services_of(context, as_json=as_json) as services:
        chosen = one_tenant(services, tenant, as_json=as_json)
        found = shared.prove(services, tenant_id=chosen, charge_id=charge, revision=revision)
    if isinstance(found, Problem):
        fail(found, as_json=as_json)
    told = "comes to the line" if found["proven"] else f"does NOT come to the line's {found['expected_amount']}"
    emit_json(found) if as_json else say(f"{found['events']} events, {found['quantity']}: {found['amount']} {told}")
    if not found["proven"]:
        raise typer.Exit(1)


def balance(
    context: typer.Context,
    start: FromOption,
    until: UntilOption,
    tenant: TenantOption = "",
    as_json: JsonOption = False,
) -> None:
    """Whether every accepted event is charged, held, void, not billable or not priced. Exit code 1 when something is missing."""
    with services_of(context, as_json=as_json) as services:
        chosen = one_tenant(services, tenant, as_json=as_json)
        window = shared.window_of(start.date(), until.date())
        found = shared.balance(services, tenant_id=chosen, window=window)
    if isinstance(found, Problem):
        fail(found, as_json=as_json)
    if as_json:
        emit_json(found)
    else:
        kinds = ["type", "accepted", "counted", "held", "void", "commands", "not_billable", "closes"]
        emit_rows(found["types"], columns=kinds, as_json=False, empty="No event in these days.")
        sums = ["meter", "price", "metered_quantity", "charged_quantity", "late_quantity", "closes"]
        emit_rows(found["meters"], columns=sums, as_json=False, empty="No charge line of these days.")
        for one in found["unpriced"]:
            say(f"not priced: {one['quantity']} of {one['meter']} by {one['customers']} customers")
        if found["waiting"]:
            say(f"{found['waiting']} meters of periods are still to be rated")
        say("nothing is missing" if found["closes"] else "something is missing")
    if not found["closes"]:
        raise typer.Exit(1)


def periods(
    context: typer.Context,
    customer: Annotated[str, typer.Option("--customer", help="connection/outside id.")] = "",
    state: Annotated[str, typer.Option("--state", help="open or closed.")] = "",
    limit: LimitOption = 100,
    tenant: TenantOption = "",
    as_json: JsonOption = False,
) -> None:
    """Billing periods of customers, newest first."""
    with services_of(context, as_json=as_json) as services:
        chosen = one_tenant(services, tenant, as_json=as_json)
        found = shared.periods(services, tenant_id=chosen, customer=customer, state=state, limit=limit)
    if isinstance(found, Problem):
        fail(found, as_json=as_json)
    rows = [
        {
            "period_id": one["period_id"],
            "customer": f"{one['customer']['connection']}/{one['customer']['outside_id']}",
            "start": one["window"]["start"],
            "end": one["window"]["end"],
            "state": one["state"],
        }
        for one in found["items"]
    ]
    emit_rows(rows, columns=["period_id", "customer", "start", "end", "state"], as_json=as_json, empty="No period.")


def close_period(
    context: typer.Context,
    period: Annotated[str, typer.Argument(help="The period's id.")],
    reason: ReasonOption,
    tenant: TenantOption = "",
    as_json: JsonOption = False,
) -> None:
    """Close a billing period that has ended; usage that comes for it later is adjusted by the policy."""
    with services_of(context, as_json=as_json) as services:
        chosen = one_tenant(services, tenant, as_json=as_json)
        found = shared.close_period(services, tenant_id=chosen, period=period, actor=actor(), reason=reason)
    emit_done(found, "a worker closes it", as_json=as_json)


def close_books(
    context: typer.Context,
    entity: Annotated[str, typer.Option("--entity", help="The legal entity.")],
    through: Annotated[datetime, typer.Option("--through", formats=["%Y-%m-%d"], help="The last day that is closed.")],
    reason: ReasonOption,
    tenant: TenantOption = "",
    as_json: JsonOption = False,
) -> None:
    """Let an entity's books take no accruals of usage up to and with a day; what changes later counts after it."""
    with services_of(context, as_json=as_json) as services:
        chosen = one_tenant(services, tenant, as_json=as_json)
        found = shared.close_books(
            services, tenant_id=chosen, entity=entity, through=through.date(), actor=actor(), reason=reason
        )
    emit_done(found, f"closed through {through.date()}", as_json=as_json)


def approve(
    context: typer.Context,
    charge: ChargeArgument,
    revision: Annotated[int, typer.Option("--revision", min=1, help="The revision that was looked at.")],
    reason: ReasonOption,
    tenant: TenantOption = "",
    as_json: JsonOption = False,
) -> None:
    """Let late usage that is held count: it is charged in the period that is open."""
    _decide(context, charge, revision, reason, tenant, as_json=as_json, approved=True)


def refuse(
    context: typer.Context,
    charge: ChargeArgument,
    revision: Annotated[int, typer.Option("--revision", min=1, help="The revision that was looked at.")],
    reason: ReasonOption,
    tenant: TenantOption = "",
    as_json: JsonOption = False,
) -> None:
    """Never charge late usage that is held."""
    _decide(context, charge, revision, reason, tenant, as_json=as_json, approved=False)


def _decide(
    context: typer.Context, charge: str, revision: int, reason: str, tenant: str, *, as_json: bool, approved: bool
) -> None:
    with services_of(context, as_json=as_json) as services:
        chosen = one_tenant(services, tenant, as_json=as_json)
        found = shared.decide(
            services,
            tenant_id=chosen,
            charge_id=charge,
            revision=revision,
            approve=approved,
            actor=actor(),
            reason=reason,
        )
    emit_done(found, "it will be charged" if approved else "it is never charged", as_json=as_json)


def _row(one: dict[str, Any]) -> dict[str, Any]:
    customer = f"{one['customer']['connection']}/{one['customer']['outside_id']}"
    group = ", ".join(f"{name}={value}" for name, value in one["group"].items())
    return {**one, "customer": customer, "start": one["window"]["start"][:10], "group": group}
