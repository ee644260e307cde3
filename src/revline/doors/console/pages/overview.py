"""Overview of a tenant: is everything fresh, what can't go on and how much money hangs on it, what is on its way. And the page of
whoever works in every tenant: ids and counts only."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from revline.delivery import backlog as waiting
from revline.delivery import queries as deliveries
from revline.doors.console.configured import connections_of
from revline.doors.console.states import look
from revline.doors.console.values import (
    Answer,
    Code,
    Column,
    Count,
    Empty,
    Group,
    ListPage,
    Money,
    Page,
    Row,
    State,
    View,
    Visit,
)
from revline.intake.freshness import freshness
from revline.platform.cases import queries as cases
from revline.platform.store import units
from revline.platform.store.housekeeping import holders
from revline.platform.tenancy.kinds import SOURCE_CONNECTORS
from revline.platform.tenancy.queries import active_tenants
from revline.platform.work import queries as work

QUIET_AFTER: Final = timedelta(days=1)
CAUSES_SHOWN: Final = 6
HOURS: Final = 24
HOLDERS_SHOWN: Final = 3


def overview(visit: Visit) -> Answer:
    """The first page of a tenant."""
    configured = connections_of(visit)
    with visit.read() as connection:
        causes = cases.causes(connection, tenant_id=visit.tenant_id, limit=1_000)
        open_cases = cases.counts(connection, tenant_id=visit.tenant_id)
        states = deliveries.counts(connection, tenant_id=visit.tenant_id)
        backlog = waiting.backlog(connection, tenant_id=visit.tenant_id)
        posted = waiting.last_posted(connection, tenant_id=visit.tenant_id)
        heard = {one.connection: one for one in freshness(connection, tenant_id=visit.tenant_id)}
        since = visit.now.replace(minute=0, second=0, microsecond=0) - timedelta(hours=HOURS - 1)
        written = units.written(
            connection, tenant_id=visit.tenant_id, since=since, span=timedelta(hours=1), now=visit.now
        )
    at_risk: dict[str, Decimal] = {}
    for one in open_cases:
        if one.currency:
            at_risk[one.currency] = at_risk.get(one.currency, Decimal(0)) + one.amount
    systems = []
    for name, connector, sandbox in configured:
        is_source = connector in SOURCE_CONNECTORS
        last = (heard[name].received_at if name in heard else None) if is_source else posted.get(name)
        systems.append(
            {
                "name": name,
                "connector": connector,
                "sandbox": sandbox,
                "role": "source" if is_source else "erp",
                "last": last,
            }
            | {"state": _freshness(last, visit.now)}
        )
    values = {
        "cases": sum(one.cases for one in open_cases),
        "at_risk": sorted(at_risk.items()),
        "causes": _causes(visit, causes[:CAUSES_SHOWN]),
        "causes_count": len(causes),
        "systems": systems,
        "states": _states(states),
        "unfinished": sum(one.documents for one in backlog),
        "oldest": min((one.oldest for one in backlog), default=None),
        "stuck": sum(one.documents for one in backlog if one.state in {"rejected", "uncertain"}),
        "hours": _hours(written, since),
        "accepted": sum(one.rows for one in written if one.kind == "accept"),
        "links": {name: _link(visit, name) for name in ("cases", "deliveries", "connections")},
    }
    return View(template="overview.html", title="Overview", values=values)


def everything(visit: Visit) -> Answer:
    """Every tenant, in ids and counts: what control tables hold, and nothing of anybody's business."""
    visit.need(visit.page.permission)
    database = visit.services.database
    with database.control() as connection:
        tenants = active_tenants(connection)
        counted = {one: work.counts(connection, tenant_id=one) for one in tenants[:500]}
        now = work.moment(connection)
        older_than = timedelta(minutes=visit.services.settings.long_transaction_minutes)
        holding = [one.said(now) for one in holders(connection, now=now, older_than=older_than)]
    rows = []
    for one in tenants[:500]:
        lanes = counted[one]
        parked = sum(each.lanes for each in lanes if each.parked_code)
        rows.append(
            Row(
                cells=(
                    Code(text=one),
                    Count(number=sum(each.lanes for each in lanes if each.kind == "derive")),
                    Count(number=sum(each.items for each in lanes if each.kind == "delivery")),
                    Count(number=sum(each.lanes for each in lanes if each.waiting)),
                    Count(number=parked),
                    State(word="blocked" if parked else "working" if lanes else "idle"),
                ),
                href=visit.url("overview", tenant=one) if visit.person.roles(one) else "",
            )
        )
    columns = (
        Column(key="tenant", title="Tenant", kind="code", wide=True),
        Column(key="derive", title="Roots to derive", kind="count"),
        Column(key="delivery", title="Documents on lanes", kind="count"),
        Column(key="waiting", title="Lanes waiting", kind="count"),
        Column(key="parked", title="Lanes parked", kind="count"),
        Column(key="state", title="State", kind="state"),
    )
    return ListPage(
        title="All tenants",
        lead="Ids and counts only. To see a tenant's business, open the tenant."
        + "".join(f" Look at this: {one}." for one in holding[:HOLDERS_SHOWN]),
        columns=columns,
        rows=tuple(rows),
        empty=Empty(title="No tenant yet", detail="Apply a configuration that holds one.", icon="building-2"),
        export="tenants",
    )


def _freshness(last: datetime | None, now: datetime) -> str:
    return "silent" if last is None else "fresh" if now - last < QUIET_AFTER else "quiet"


def _link(visit: Visit, name: str) -> str:
    """The address of a page where there is one."""
    try:
        return visit.url(name)
    except KeyError:
        return ""


def _causes(visit: Visit, causes: Sequence[cases.CauseSummary]) -> list[dict[str, Any]]:
    return [
        {
            "title": one.title,
            "about": " · ".join(part for part in (one.connection, one.field) if part),
            "cases": one.cases,
            "at_risk": [Money(amount=each.amount, currency=each.currency) for each in one.at_risk],
            "oldest": one.oldest,
            "href": visit.url("cause", cause=one.cause_id),
            "remedy": one.remedy,
        }
        for one in causes
    ]


def _states(counts: Sequence[deliveries.StateCount]) -> list[dict[str, Any]]:
    """Documents by state, over all connections, those that need somebody first."""
    total: dict[str, int] = {}
    for one in counts:
        total[one.state] = total.get(one.state, 0) + one.documents
    tones = ("bad", "warn", "info", "good", "muted")
    ordered = sorted(total.items(), key=lambda item: (tones.index(look(item[0]).tone), -item[1]))
    return [{"state": state, "documents": count, "tone": look(state).tone} for state, count in ordered]


def _hours(written: Sequence[units.Written], since: datetime) -> list[tuple[str, int, str]]:
    totals = [0] * HOURS
    for one in written:
        if 0 <= one.span < HOURS:
            totals[one.span] += one.rows
    return [
        (f"{since + timedelta(hours=hour):%H:%M}", rows, f"{since + timedelta(hours=hour):%H:%M} UTC: {rows:,} rows")
        for hour, rows in enumerate(totals)
    ]


PAGES: Final = (
    Page(
        path="",
        name="overview",
        title="Overview",
        answer=overview,
        icon="layout-dashboard",
        group=Group.WORK,
        key="o",
    ),
    Page(path="/all", name="all", title="All tenants", answer=everything, icon="layers", of_tenant=False),
)
