"""Charges of metered use: every line, and one line from its events by day over each step of its price to what was booked of it."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from shlex import quote
from typing import TYPE_CHECKING, Any, Final

from revline.core.problem import Problem, ProblemError
from revline.doors import charging as shared
from revline.doors.console.values import (
    Answer,
    Column,
    Count,
    Empty,
    Filter,
    Group,
    ListPage,
    Moment,
    Money,
    Page,
    Row,
    SameAs,
    State,
    Text,
    View,
    Visit,
)

if TYPE_CHECKING:  # what stands behind these is heavy, and made only when a page asks
    from revline.subledger.usage.charges.values import Charge

EVENTS_SHOWN: Final = 50
COLUMNS: Final = (
    Column(key="customer", title="Customer"),
    Column(key="price", title="Price", wide=True),
    Column(key="starts", title="Period from", kind="moment"),
    Column(key="quantity", title="Quantity", kind="count"),
    Column(key="events", title="Events", kind="count"),
    Column(key="amount", title="Amount", kind="money"),
    Column(key="state", title="State", kind="state"),
)


def charges(visit: Visit) -> Answer:
    """Charge lines by the beginning of their period."""
    from revline.subledger.usage.charges.queries import ChargeFilter  # noqa: PLC0415 - heavy

    tools = _tools(visit)
    after = (datetime.fromisoformat(str(visit.after[0])), str(visit.after[1])) if visit.after else None
    customer, meter = visit.filter("customer"), visit.filter("meter")
    held = visit.filter("held", among=("only",))
    wanted = ChargeFilter(customer=customer, meter=meter, held=True if held else None, after=after)
    found = tools.desk.charges(tenant_id=visit.tenant_id, wanted=wanted, limit=visit.limit + 1)
    flags = "".join(f" --{name} {quote(value)}" for name, value in (("meter", meter),) if value)
    return ListPage(
        title="Usage charges",
        lead="What each customer's metered use of a period costs, computed again when usage for it comes.",
        columns=COLUMNS,
        rows=tuple(_row(visit, one) for one in found),
        empty=Empty(
            title="No charge yet",
            detail="A line stands here once use of a customer with a price was sent; a worker computes it.",
            icon="activity",
        ),
        filters=(
            Filter(name="customer", label="Customer", value=customer),
            Filter(name="meter", label="Meter", value=meter),
            Filter(name="held", label="Waits for a person", value=held, choices=(("only", "only these"),)),
        ),
        export="usage-charges",
        same_as=SameAs(
            command=f"revline usage charges{flags} --tenant {visit.tenant_id}", call="GET /v1/usage/charges"
        ),
    )


def _row(visit: Visit, one: Charge) -> Row:
    subject = one.subject
    group = " · ".join(value or "none" for _, value in subject.group)
    return Row(
        cells=(
            Text(text=subject.customer.outside_id, hint=subject.customer.connection),
            Text(text=subject.price, hint=" · ".join(part for part in (subject.kind.value, group) if part)),
            Moment(at=subject.window.start),
            Text(text=_plain(one.quantity), hint=one.unit),
            Count(number=one.events),
            Money(amount=one.amount, currency=one.currency),
            State(word="held" if one.held else "active"),
        ),
        place=(subject.window.start.isoformat(), one.charge_id),
        href=visit.url("usage_charge", charge=one.charge_id),
        key=one.charge_id,
    )


def charge(visit: Visit) -> Answer:
    """One line: its curve by day, the steps of its price, its revisions, what was booked, its events, and its proof when asked."""
    charge_id = visit.filter("charge")
    given: dict[str, Any] = {"tenant_id": visit.tenant_id, "charge_id": charge_id}
    line = _or_raise(shared.charge(visit.services, **given))
    events = shared.events(visit.services, **given, revision=0, after=visit.filter("from"), limit=EVENTS_SHOWN)
    curve = shared.curve(visit.services, **given)
    told = line["explanation"]
    values: dict[str, Any] = {
        "line": line,
        "steps": told.get("steps", told.get("now_steps", {}).get("steps", ())),
        "told": told,
        "curve": [] if isinstance(curve, Problem) else _columns(curve, line["unit"]),
        "events": None if isinstance(events, Problem) else events,
        "at": datetime.fromisoformat,
        "plain": lambda text: _plain(Decimal(text)),
        "events_problem": events if isinstance(events, Problem) else None,
        "proof": _or_raise(shared.prove(visit.services, **given)) if visit.filter("prove", among=("yes",)) else None,
        "same_as": SameAs(
            command=f"revline usage explain {charge_id} --tenant {visit.tenant_id}",
            call=f"GET /v1/usage/charges/{charge_id}",
        ),
        "trace": visit.url("trace", id=charge_id),
        "again": visit.url("usage_charge", charge=charge_id, prove="yes"),
        "more": visit.url("usage_charge", **{"charge": charge_id, "from": _next(events)}) if _next(events) else "",
    }
    title = f"{line['customer']['outside_id']} at {line['price']}"
    return View(
        template="usage_charge.html", title=title, values=values, trail=(("Usage charges", visit.url("usage_charges")),)
    )


def _next(events: Any) -> str:
    return "" if isinstance(events, Problem) else str(events["next"])


def _columns(curve: list[dict[str, Any]], unit: str) -> list[tuple[str, int, str]]:
    """Bars of whole thousandths of the greatest day, each with what it says."""
    most = max((Decimal(one["quantity"]) for one in curve), default=Decimal(0))
    return [
        (
            one["day"],
            int(1_000 * max(Decimal(one["quantity"]), Decimal(0)) / most) if most > 0 else 0,
            f"{one['day']}: {_plain(Decimal(one['quantity']))} {unit}, {one['events']} events",
        )
        for one in curve
    ]


def _plain(quantity: Decimal) -> str:
    """Without zeros that say nothing, thousands apart."""
    text = f"{quantity:,f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _tools(visit: Visit) -> Any:
    return _or_raise(visit.services.charging())


def _or_raise(found: Any) -> Any:
    if isinstance(found, Problem):
        raise ProblemError(found)
    return found


PAGES: Final = (
    Page(
        path="/usage",
        name="usage_charges",
        title="Usage charges",
        answer=charges,
        icon="activity",
        group=Group.WORK,
        key="v",
    ),
    Page(path="/usage/charge", name="usage_charge", title="A usage charge", answer=charge),
)
