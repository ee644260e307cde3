"""`revline usage` for meters: how much a customer used so far, what is held, whose usage a subject is."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from revline.core.problem import Problem
from revline.doors import metering as shared
from revline.doors.cli.context import (
    JsonOption,
    ReasonOption,
    TenantOption,
    actor,
    one_tenant,
    services_of,
)
from revline.doors.cli.output import emit_json, emit_rows, fail, say
from revline.subledger.usage.calendar import plus_months
from revline.subledger.usage.versions import Window

MOMENTS = ["%Y-%m-%d", "%Y-%m-%dT%H:%M:%SZ"]
FromOption = Annotated[datetime | None, typer.Option("--from", formats=MOMENTS, help="From this moment (UTC).")]
UntilOption = Annotated[datetime | None, typer.Option("--until", formats=MOMENTS, help="Until this moment (UTC).")]


def add_meters(app: typer.Typer) -> None:
    """The commands that look at what was used."""
    app.command(name="balance-of")(balance_of)
    app.command(name="held")(held)
    app.command(name="map-subject")(map_subject)


def balance_of(
    context: typer.Context,
    customer: Annotated[str, typer.Argument(help="connection/outside id.")],
    meter: Annotated[str, typer.Option("--meter", help="Of one meter; of all when left out.")] = "",
    since: FromOption = None,
    until: UntilOption = None,
    tenant: TenantOption = "",
    as_json: JsonOption = False,
) -> None:
    """How much a customer used so far: this month (UTC), or between two moments. What was acknowledged a moment ago counts."""
    with services_of(context, as_json=as_json) as services:
        chosen = one_tenant(services, tenant, as_json=as_json)
        window = month_of(services.clock.now(), since, until)
        found = shared.balance_of(services, tenant_id=chosen, customer=customer, window=window, meter=meter)
    if isinstance(found, Problem):
        fail(found, as_json=as_json)
    if as_json:
        emit_json(found)
        return
    rows = [
        {**each, "group": ", ".join(f"{name}={value}" for name, value in each["group"].items())}
        for each in found["meters"]
    ]
    empty = f"Nothing used between {found['start']} and {found['end']}."
    emit_rows(rows, columns=["meter", "group", "quantity", "unit", "events"], as_json=False, empty=empty)


def held(context: typer.Context, tenant: TenantOption = "", as_json: JsonOption = False) -> None:
    """Usage that is charged to nobody yet: no customer is known by its subject, or no EventType describes its type."""
    with services_of(context, as_json=as_json) as services:
        chosen = one_tenant(services, tenant, as_json=as_json)
        found = shared.held(services, tenant_id=chosen)
    if isinstance(found, Problem):
        fail(found, as_json=as_json)
    columns = ["subject", "type", "reason", "events", "first_at", "last_at"]
    emit_rows(
        found, columns=columns, as_json=as_json, empty="Nothing is held: every event has its customer and its type."
    )


def map_subject(
    context: typer.Context,
    subject: Annotated[str, typer.Argument(help="As events name it.")],
    reason: ReasonOption,
    customer: Annotated[str, typer.Option("--customer", help="connection/outside id; nobody's when left out.")] = "",
    of: Annotated[str, typer.Option("--of", help="The connection its EventType names for subjects, if it does.")] = "",
    since: FromOption = None,
    until: UntilOption = None,
    tenant: TenantOption = "",
    as_json: JsonOption = False,
) -> None:
    """Say whose usage a subject's events are, for always or between two moments. Nothing is sent again; charges follow."""
    with services_of(context, as_json=as_json) as services:
        chosen = one_tenant(services, tenant, as_json=as_json)
        found = shared.map_subject(
            services,
            tenant_id=chosen,
            subject=subject,
            connection=of,
            customer=customer,
            starts_at=_utc(since),
            ends_at=_utc(until),
            actor=actor(),
            reason=reason,
        )
    if isinstance(found, Problem):
        fail(found, as_json=as_json)
    whose = f"{customer}'s" if customer else "nobody's and are held"
    emit_json(found) if as_json else say(
        f"Events of {subject} are {whose}; `revline usage rate` computes what changed."
    )


def month_of(now: datetime, since: datetime | None, until: datetime | None) -> Window:
    """What was asked for; without a start the month of now in UTC, without an end a month from the start."""
    today = now.astimezone(UTC).date()
    first = _utc(since) or datetime(today.year, today.month, 1, tzinfo=UTC)
    after = plus_months(day=first.date(), months=1)
    last = _utc(until) or datetime(after.year, after.month, after.day, tzinfo=UTC)
    return Window(start=first, end=max(first, last))


def _utc(moment: datetime | None) -> datetime | None:
    return None if moment is None else moment.replace(tzinfo=UTC)
