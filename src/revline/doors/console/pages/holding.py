"""What holds up most: cases by the count and money of all that waits behind them, and what waits behind one, a page at a time."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from revline.core.problem import CATALOGUE, ProblemError, problem
from revline.delivery.queries import Delivery
from revline.delivery.values import SUBJECT_KIND as DOCUMENT
from revline.doors.console.values import (
    Answer,
    Code,
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
    Visit,
)
from revline.doors.waiting_view import wait_said, what_waits
from revline.platform.cases import behind, queries
from revline.platform.cases.queries import AtRisk, Case

COLUMNS: Final = (
    Column(key="what", title="What stands still", wide=True),
    Column(key="where", title="Where"),
    Column(key="behind", title="Waits behind it", kind="count"),
    Column(key="money", title="Their money", kind="money"),
    Column(key="since", title="Since", kind="moment"),
)
BEHIND_COLUMNS: Final = (
    Column(key="document", title="Document", wide=True),
    Column(key="state", title="State", kind="state"),
    Column(key="reference", title="Reference", kind="code"),
    Column(key="amount", title="Amount", kind="money"),
    Column(key="day", title="Accounting day", kind="moment"),
)


def holding(visit: Visit) -> Answer:
    """Open cases with something behind them; by money of one currency where chosen, by count otherwise."""
    after = (Decimal(str(visit.after[0])), str(visit.after[1])) if visit.after else None
    with visit.read() as connection:
        currencies = behind.currencies_behind(connection, tenant_id=visit.tenant_id)
        currency = visit.filter("currency", among=currencies)
        found = behind.most_behind(
            connection, tenant_id=visit.tenant_id, currency=currency, after=after, limit=visit.limit + 1
        )
    return ListPage(
        title="Holding up",
        lead="Cases others wait behind, those that hold up most first. Counted anew every half minute.",
        columns=COLUMNS,
        rows=tuple(row for one in found for row in _rows(visit, one, currency)),
        empty=Empty(title="Nothing waits behind a case", detail="What stands still holds up nothing else.", good=True),
        filters=(
            Filter(
                name="currency", label="By money in", value=currency, choices=tuple((each, each) for each in currencies)
            ),
        ),
        export="holding",
        same_as=SameAs(
            command=f"revline cases list --by-behind --tenant {visit.tenant_id}"
            + (f" --currency {currency}" if currency else ""),
            call="GET /v1/cases?sort=behind" + (f"&currency={currency}" if currency else ""),
        ),
        trail=(("Cases", visit.url("cases")),),
    )


def _rows(visit: Visit, one: Case, currency: str) -> tuple[Row, ...]:
    """A row a case; its money in the currency chosen, or in the first one it has."""
    chosen = [risk for risk in one.behind_money if risk.currency == currency] or list(one.behind_money[:1])
    risk: AtRisk | None = chosen[0] if chosen else None
    amount, identity = behind.place_of(one, currency=currency)
    entry = CATALOGUE.get(one.code)
    return (
        Row(
            cells=(
                Text(text=entry.title if entry else one.code, hint=one.detail),
                Text(text=one.connection or "–"),
                Count(number=one.behind, href=visit.url("case_behind", case=one.case_id)),
                Money(amount=None if risk is None else risk.amount, currency="" if risk is None else risk.currency),
                Moment(at=one.opened_at, ago=True),
            ),
            place=(str(amount), identity),
            href=visit.url("case", case=one.case_id),
            key=one.case_id,
        ),
    )


def case_behind(visit: Visit) -> Answer:
    """Every document that waits behind a case's document, over predecessors and lanes."""
    identity = visit.parameters["case"]
    with visit.read() as connection:
        case = queries.case(connection, tenant_id=visit.tenant_id, case_id=identity)
        if case is None or case.subject_kind != DOCUMENT:
            raise ProblemError(problem("console.not_found", "there is no such case of a document"))
        page = what_waits(
            connection,
            tenant_id=visit.tenant_id,
            document_id=case.subject_id,
            after=visit.after_text(),
            limit=visit.limit + 1,
        )
    return ListPage(
        title="What waits behind it",
        lead=f"{wait_said(page.total)} for: {case.detail}",
        columns=BEHIND_COLUMNS,
        rows=tuple(_behind_row(visit, one) for one in page.items),
        empty=Empty(title="Nothing waits behind it", good=True),
        export="behind",
        same_as=SameAs(
            command=f"revline cases behind {identity} --tenant {visit.tenant_id}",
            call=f"GET /v1/cases/{identity}/behind",
        ),
        trail=(("Cases", visit.url("cases")), ("Case", visit.url("case", case=identity))),
    )


def _behind_row(visit: Visit, one: Delivery) -> Row:
    return Row(
        cells=(
            Text(text=one.kind.replace("_", " ").capitalize(), hint=one.entity),
            State(word=one.state),
            Code(text=one.external_reference),
            Money(amount=one.amount, currency=one.currency) if one.currency else Money(amount=None, currency=""),
            Moment(at=one.accounting_date),
        ),
        place=(one.document_id,),
        href=visit.url("delivery", document=one.document_id),
        key=one.document_id,
    )


PAGES: Final = (
    Page(
        path="/holding", name="holding", title="Holding up", answer=holding, icon="hourglass", group=Group.WORK, key="h"
    ),
    Page(path="/cases/{case:str}/behind", name="case_behind", title="What waits behind it", answer=case_behind),
)
