"""Prepaid credits: every grant with what is left; a customer's credits down to the ledger; acts on them by who may."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any, Final

from revline.core.ids import SourceObject
from revline.core.money import at_least_in_scale
from revline.core.problem import Problem, ProblemError, problem
from revline.doors import credits as shared
from revline.doors.console.values import (
    Answer,
    Column,
    Empty,
    Filter,
    Group,
    ListPage,
    Moment,
    Money,
    Page,
    Redirect,
    Row,
    SameAs,
    State,
    Text,
    View,
    Visit,
)
from revline.platform.access.roles import Permission
from revline.subledger.usage.calendar import day_of, last_day
from revline.subledger.usage.credits.queries import GrantRow
from revline.subledger.usage.credits.running import Settled
from revline.subledger.usage.credits.values import ZERO, GrantBalance, Rule
from revline.subledger.usage.versions import Window

LEDGER_SHOWN_MAX: Final = 200
LINES_SHOWN_MAX: Final = 200
COLUMNS: Final = (
    Column(key="grant", title="Grant", wide=True),
    Column(key="customer", title="Customer"),
    Column(key="state", title="State", kind="state"),
    Column(key="granted", title="Granted", kind="money"),
    Column(key="drawn", title="Drawn", kind="money"),
    Column(key="gone", title="Expired or given back", kind="money"),
    Column(key="left", title="Left", kind="money"),
    Column(key="owed", title="Cost of what is left", kind="money"),
    Column(key="ends", title="Ends", kind="moment"),
)
WORDS: Final = {
    Rule.GRANTED: "granted",
    Rule.DRAWN: "paid a line",
    Rule.RETURNED: "came back from an adjusted line",
    Rule.EXPIRED: "expired",
    Rule.BREAKAGE: "expected never to be used",
    Rule.TAKEN_BACK: "given back",
}


def credits_list(visit: Visit) -> Answer:
    """Grants, newest first, as the ledger has them."""
    after = (datetime.fromisoformat(str(visit.after[0])), str(visit.after[1])) if visit.after else None
    setup = visit.services.credits.setups.credit_setup(tenant_id=visit.tenant_id)
    connections = () if isinstance(setup, Problem) else tuple(sorted(setup.zones))
    plans = () if isinstance(setup, Problem) else tuple(sorted(setup.plans))
    connection, customer = visit.filter("connection", among=connections), visit.filter("customer")
    found = visit.services.credits.grants(
        tenant_id=visit.tenant_id,
        customer=SourceObject(connection=connection, kind="customer", outside_id=customer),
        after=after,
        limit=visit.limit + 1,
    )
    return ListPage(
        title="Credits",
        lead="What customers paid for before they used it: every grant, with what the ledger has of it.",
        columns=COLUMNS,
        rows=tuple(_row(visit, one) for one in found),
        empty=Empty(
            title="No credits yet",
            detail="Credits are granted by a CreditPlan of the configuration, here, by the API or by a source's events.",
            icon="wallet",
        ),
        filters=(
            Filter(name="customer", label="Customer", value=customer),
            Filter(
                name="connection",
                label="From",
                value=connection,
                choices=tuple((each, each) for each in connections),
            ),
        ),
        export="credits",
        same_as=SameAs(command=f"revline credits list --tenant {visit.tenant_id}", call="GET /v1/credits"),
        template="credits.html",
        values={"plans": plans, "connections": connections},
    )


def _row(visit: Visit, one: GrantRow) -> Row:
    grant = one.grant
    return Row(
        cells=(
            Text(text=grant.title or grant.outside_id, hint=f"{grant.plan or 'no plan'} · {grant.outside_id}"),
            Text(text=grant.customer, hint=one.connection),
            State(word=_word(visit.now, one)),
            Money(amount=at_least_in_scale(amount=grant.amount, code=grant.currency), currency=grant.currency),
            Money(amount=one.drawn, currency=grant.currency),
            Money(amount=one.expired + one.taken_back, currency=grant.currency),
            Money(amount=one.left, currency=grant.currency),
            Money(amount=one.cost_left, currency=grant.currency),
            Moment(at=grant.expires_at),
        ),
        place=(grant.granted_at.isoformat(), one.grant_id),
        href=visit.url("customer_credits", connection=one.connection, customer=grant.customer),
        key=one.grant_id,
    )


def _word(now: datetime, one: GrantRow) -> str:
    grant = one.grant
    if grant.voided:
        return "cancelled"
    if grant.expires_at is not None and grant.expires_at <= now and not one.left:
        return "expired"
    if grant.begins_at > now:
        return "not_yet"
    return "active" if one.left or not one.drawn else "used_up"


def customer_credits(visit: Visit) -> Answer:
    """One customer: where every credit is, what paid each line, what it promised, and what was posted."""
    found = shared.statement(
        visit.services,
        tenant_id=visit.tenant_id,
        customer=visit.filter("customer"),
        connection=visit.filter("connection"),
    )
    if isinstance(found, Problem) and found.code in {"connection.unknown", "configuration.missing"}:
        raise ProblemError(problem("console.not_found", "this tenant has no such source of customers"))
    if isinstance(found, Problem):
        raise ProblemError(found)
    customer, settled = found
    statement = settled.statement
    ledger = visit.services.credits.ledger(tenant_id=visit.tenant_id, customer=customer)
    values: dict[str, Any] = {
        "customer": customer,
        "balances": statement.balances,
        "totals": _totals(statement.balances),
        "commitments": statement.commitments,
        "lines": [one for one in reversed(statement.lines) if one.draws or one.due][:LINES_SHOWN_MAX],
        "ledger": ledger[::-1][:LEDGER_SHOWN_MAX],
        "posted": len(ledger),
        "words": WORDS,
        "findings": statement.findings,
        "days": _days(visit, customer, settled),
        "same_as": SameAs(
            command=f"revline credits show {customer.outside_id} --connection {customer.connection}"
            f" --tenant {visit.tenant_id}",
            call=f"GET /v1/credits/statement?connection={customer.connection}&customer={customer.outside_id}",
        ),
    }
    trail = (("Credits", visit.url("credits")),)
    return View(template="customer_credits.html", title=customer.outside_id, values=values, trail=trail)


def _days(visit: Visit, customer: SourceObject, settled: Settled) -> dict[Window, tuple[date, date]]:
    """First and last day of each window, where the entity keeps its books."""
    setup = visit.services.credits.setups.credit_setup(tenant_id=visit.tenant_id)
    zone = "UTC" if isinstance(setup, Problem) else setup.zones.get(customer.connection, "UTC")
    windows = {one.window for one in settled.statement.commitments}
    windows |= {one.line.subject.window for one in settled.statement.lines}
    return {
        window: (day_of(moment=window.start, time_zone=zone), last_day(moment=window.end, time_zone=zone))
        for window in windows
    }


def _totals(balances: Sequence[GrantBalance]) -> list[dict[str, Any]]:
    """By currency: granted, left, available, and the cost of what is left, which is owed in use."""
    found: dict[str, dict[str, Any]] = {}
    for one in balances:
        total = found.setdefault(
            one.grant.currency, {"currency": one.grant.currency, "left": ZERO, "available": ZERO, "cost_left": ZERO}
        )
        for name in ("left", "available", "cost_left"):
            total[name] += getattr(one, name)
    return [found[code] for code in sorted(found)]


def grant(visit: Visit) -> Answer:
    """Grant credits by a plan."""
    names = ("customer", "plan", "connection", "amount", "cost", "starts", "expires", "method")
    asked = shared.GrantAsked(**{name: visit.field(name)[:255] for name in names})
    made = shared.grant(
        visit.services, tenant_id=visit.tenant_id, asked=asked, actor=visit.actor, reason=visit.reason()
    )
    if isinstance(made, Problem):
        return made
    return Redirect(to=visit.url("credits"), said="They are granted; a worker books them within a moment.")


def end(visit: Visit) -> Answer:
    """Let a grant expire early."""
    made = shared.end(
        visit.services,
        tenant_id=visit.tenant_id,
        grant=visit.field("grant"),
        connection=visit.field("connection"),
        at=visit.field("at")[:40],
        actor=visit.actor,
        reason=visit.reason(),
    )
    return _back(visit, made, "It ends then; what is left expires.")


def refund(visit: Visit) -> Answer:
    """Give unused credits back."""
    made = shared.refund(
        visit.services,
        tenant_id=visit.tenant_id,
        grant=visit.field("grant"),
        connection=visit.field("connection"),
        amount=visit.field("amount")[:40],
        refund_id="",
        method=visit.field("method")[:40],
        actor=visit.actor,
        reason=visit.reason(),
    )
    return _back(visit, made, "They are given back; a worker books it within a moment.")


def void(visit: Visit) -> Answer:
    """Take back a grant that was a mistake."""
    made = shared.void(
        visit.services,
        tenant_id=visit.tenant_id,
        grant=visit.field("grant"),
        connection=visit.field("connection"),
        actor=visit.actor,
        reason=visit.reason(),
    )
    return _back(visit, made, "It never was; what it had paid is due in money.")


def _back(visit: Visit, made: Any, said: str) -> Answer:
    if isinstance(made, Problem):
        return made
    where = visit.url("customer_credits", connection=visit.field("connection"), customer=visit.field("customer"))
    return Redirect(to=where, said=said)


def _post(path: str, name: str, answer: Any) -> Page:
    return Page(path=path, name=name, title="", answer=answer, method="POST", permission=Permission.GRANT_CREDITS)


PAGES: Final = (
    Page(
        path="/credits",
        name="credits",
        title="Credits",
        answer=credits_list,
        icon="wallet",
        group=Group.WORK,
        key="r",
    ),
    Page(path="/credits/customer", name="customer_credits", title="Credits of a customer", answer=customer_credits),
    _post("/credits/grant", "grant_credits", grant),
    _post("/credits/end", "end_credits", end),
    _post("/credits/refund", "refund_credits", refund),
    _post("/credits/void", "void_credits", void),
)
