"""Usage against bills: what billing's invoices of metered use differ by, one subject a line, with the parts of each difference."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from revline.core.money import amount_text
from revline.core.problem import Problem, ProblemError
from revline.doors.console.values import (
    Answer,
    Code,
    Column,
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
    Visit,
)
from revline.doors.usage_shadow import filter_of
from revline.subledger.usage.outward import queries
from revline.subledger.usage.outward.queries import StoredFinding
from revline.subledger.usage.outward.values import Cause, Direction

WORDS: Final = {cause.value: cause.value.replace("_", " ").capitalize() for cause in Cause}
CAUSES: Final = tuple(WORDS.items())
DIRECTIONS: Final = ((Direction.LEAKAGE.value, "Leakage"), (Direction.OVERBILLED.value, "Overbilled"))
SHOWN: Final = (("all", "Also what agrees"),)
COLUMNS: Final = (
    Column(key="customer", title="Customer"),
    Column(key="price", title="Price", kind="code"),
    Column(key="ends", title="Period ends", kind="moment"),
    Column(key="direction", title="State", kind="state"),
    Column(key="expected", title="Expected", kind="money"),
    Column(key="billed", title="Billed", kind="money"),
    Column(key="difference", title="Difference", kind="money"),
    Column(key="why", title="Made of", wide=True),
)


def billed_usage(visit: Visit) -> Answer:
    """Findings, newest period first."""
    cause = visit.filter("cause", among=tuple(WORDS))
    direction = visit.filter("direction", among=tuple(word for word, _ in DIRECTIONS))
    customer, shown = visit.filter("customer"), visit.filter("shown", among=("all",))
    wanted = filter_of(customer=customer, cause=cause, direction=direction, everything=shown == "all")
    if isinstance(wanted, Problem):
        raise ProblemError(wanted)
    after = (datetime.fromisoformat(str(visit.after[0])), str(visit.after[1])) if visit.after else None
    with visit.read() as connection:
        found = queries.findings(
            connection, tenant_id=visit.tenant_id, wanted=wanted, after=after, limit=visit.limit + 1
        )
    return ListPage(
        title="Usage and bills",
        lead="What billing's invoices of metered use differ by from what was used. Each difference is a case, too.",
        columns=COLUMNS,
        rows=tuple(_row(one) for one in found),
        empty=Empty(
            title="Nothing differs",
            detail="Invoices of metered use are compared for each connection that has a UsageBilling in the configuration.",
            icon="circle-check",
        ),
        filters=(
            Filter(name="customer", label="Customer", value=customer),
            Filter(name="cause", label="Cause", value=cause, choices=CAUSES),
            Filter(name="direction", label="Direction", value=direction, choices=DIRECTIONS),
            Filter(name="shown", label="Show", value=shown, choices=SHOWN),
        ),
        export="usage-findings",
        same_as=SameAs(
            command=f"revline usage shadow --each --tenant {visit.tenant_id}", call="GET /v1/usage-findings"
        ),
    )


def _row(one: StoredFinding) -> Row:
    finding = one.finding
    end = finding.subject.window.end
    return Row(
        cells=(
            Text(text=finding.subject.customer.outside_id, hint=finding.subject.customer.connection),
            Code(text=finding.subject.price),
            Moment(at=end),
            State(word=finding.direction.value),
            Money(amount=finding.expected_amount, currency=finding.currency),
            Money(amount=finding.billed_amount, currency=finding.currency),
            Money(amount=finding.difference, currency=finding.currency),
            Text(text=_parts(one), hint=" ".join(sorted({invoice for invoice, _ in finding.lines}))),
        ),
        place=(end.isoformat(), one.finding_id),
        key=one.finding_id,
    )


def _parts(one: StoredFinding) -> str:
    said = (
        f"{WORDS[part.cause.value].lower()} {amount_text(part.amount)}" + (f" ({part.detail})" if part.detail else "")
        for part in one.finding.parts
    )
    return "; ".join(said)


PAGES: Final = (
    Page(
        path="/usage-and-bills",
        name="billed_usage",
        title="Usage and bills",
        answer=billed_usage,
        icon="scale",
        group=Group.WORK,
        key="u",
    ),
)
