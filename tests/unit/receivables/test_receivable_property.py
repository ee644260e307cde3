"""Whatever happens: what an event changes on open items is what the starter's rule books on the receivable."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from revline.core.canonical import CreditOrigin
from revline.core.canonical.stated import (
    CommissionAmount,
    CompletedSale,
    ExchangeDifference,
    IntercompanyAmount,
    PrepaidCredit,
    ReceivableChange,
    RecognizedRevenue,
    StatedMoney,
)
from revline.core.events import (
    MIRRORS,
    STATED_KINDS,
    AccountingEvent,
    CustomerCredit,
    DisputedMoney,
    EventKind,
    IssuedCreditMemo,
    MovedMoney,
    Payload,
)
from revline.core.ids import SourceObject, reversal_id
from revline.subledger.posting.post import mirror, post
from revline.subledger.receivables.open_items import item_opened, movements_of
from tests.unit.posting.builders import booked, event, invoice, line, refund, starter_book, uncollectible

DAY = date(2026, 2, 1)
BOOK = starter_book()
INVOICE = SourceObject(connection="stripe-us", kind="invoice", outside_id="in_1")
CENTS = st.integers(1, 10**8).map(lambda cents: Decimal(cents).scaleb(-2))
SIGNED = st.integers(-(10**8), 10**8).map(lambda cents: Decimal(cents).scaleb(-2))
BOOKED = [kind for kind in EventKind if kind not in MIRRORS and kind is not EventKind.PAYMENT_APPLIED]
ROLES = {
    EventKind.INTERCOMPANY_CASH_COLLECTED: ("collector", "owner"),
    EventKind.INTERCOMPANY_SETTLED: ("payer", "payee"),
    EventKind.INTERCOMPANY_CHARGED: ("receiver", "provider"),
    EventKind.INTERCOMPANY_ELIMINATED: ("charge", "balance"),
}


def part(draw: st.DrawFn, amount: Decimal) -> Decimal:
    return Decimal(draw(st.integers(0, int(amount * 100)))).scaleb(-2)


@st.composite
def credit_memos(draw: st.DrawFn) -> IssuedCreditMemo:
    lines = tuple(
        line(str(draw(CENTS)), number=number, tax=str(draw(CENTS)), family=draw(st.sampled_from(["", "hardware"])))
        for number in range(1, draw(st.integers(1, 4)) + 1)
    )
    sold = invoice(*lines)
    return IssuedCreditMemo(
        number="CM-1",
        invoice=draw(st.sampled_from([None, INVOICE])),
        tax_total=sold.tax_total,
        total=sold.total,
        earned=part(draw, sold.total - sold.tax_total),
        lines=lines,
        applied=draw(st.one_of(st.none(), st.just(part(draw, sold.total)))),
    )


@st.composite
def stated_payloads(draw: st.DrawFn, kind: EventKind) -> Payload:
    amount, signed = draw(CENTS), draw(SIGNED)
    named = draw(st.sampled_from(["", "in_1"]))
    wanted = STATED_KINDS[kind]
    if wanted is CompletedSale:
        cost = draw(CENTS)
        return CompletedSale(
            amount=amount,
            expected_refunds=part(draw, amount),
            cost=cost,
            expected_returns_cost=part(draw, cost),
            commission=part(draw, amount),
            method=draw(st.sampled_from(["card", "cash"])),
        )
    if wanted is RecognizedRevenue:
        against = draw(st.sampled_from(["deferred_revenue", "contract_asset", "unbilled_receivable"]))
        return RecognizedRevenue(amount=signed, against=against)
    if wanted is ExchangeDifference:
        item = draw(st.sampled_from(["accounts_receivable", "bank"]))
        return ExchangeDifference(amount=signed, item=item, reversal=draw(st.booleans()))
    if wanted is IntercompanyAmount:
        role = draw(st.sampled_from(ROLES[kind]))
        return IntercompanyAmount(amount=amount, counterparty="b", role=role, debtor="a")
    if wanted is ReceivableChange:
        return ReceivableChange(amount=signed, invoice=named)
    if wanted is CommissionAmount:
        return CommissionAmount(amount=amount)
    if wanted is PrepaidCredit:
        return PrepaidCredit(amount=amount, method="cash")
    return StatedMoney(amount=amount, method=draw(st.sampled_from(["card", "cash"])))


@st.composite
def happened(draw: st.DrawFn) -> AccountingEvent:
    kind = draw(st.sampled_from(BOOKED))
    amount, signed = draw(CENTS), draw(SIGNED)
    payload: Payload
    match kind:
        case EventKind.INVOICE_ISSUED:
            payload = invoice(line(str(signed), tax=str(amount)), line(str(amount), number=2))
        case EventKind.INVOICE_MARKED_UNCOLLECTIBLE:
            payload = uncollectible(str(amount))
        case EventKind.CREDIT_MEMO_ISSUED:
            payload = draw(credit_memos())
        case EventKind.CUSTOMER_CREDIT_GRANTED:
            origins = (CreditOrigin.CREDIT_MEMO, CreditOrigin.ADJUSTMENT, CreditOrigin.OVERPAYMENT)
            memo = draw(st.sampled_from(["", "cn_1"]))
            payload = CustomerCredit(amount=signed, origin=draw(st.sampled_from(origins)), credit_memo=memo)
        case EventKind.CUSTOMER_CREDIT_APPLIED:
            applied = draw(st.sampled_from([None, INVOICE]))
            payload = CustomerCredit(amount=signed, origin=CreditOrigin.APPLIED, invoice=applied)
        case EventKind.REFUND_PAID:
            memo = draw(st.sampled_from(["", "cn_1"]))
            payload = msgspec.structs.replace(refund(str(amount), str(part(draw, amount))), credit_memo=memo)
        case EventKind.DISPUTE_OPENED | EventKind.DISPUTE_WON | EventKind.DISPUTE_LOST:
            payload = DisputedMoney(amount=amount, fee=draw(CENTS), earned=part(draw, amount))
        case _ if kind in STATED_KINDS:
            payload = draw(stated_payloads(kind))
        case _:
            method = draw(st.sampled_from(["card", "cash", "bank_transfer"]))
            payload = MovedMoney(amount=amount, method=method)
    return event(kind, payload, day=DAY)


@given(happened())
@settings(max_examples=600, deadline=None)
def test_open_items_change_by_what_is_booked_on_the_receivable(one: AccountingEvent) -> None:
    entry = booked(post(event=one, book=BOOK))
    on_receivable = [each for each in entry.lines if each.account == BOOK.receivable]
    owed = sum((movement.owed for movement in movements_of(one)), Decimal(0))
    assert owed == sum((each.debit - each.credit for each in on_receivable), Decimal(0))
    assert {each.party for each in on_receivable} <= {one.customer}
    assert {each.party for each in entry.lines if each not in on_receivable} <= {None}


@given(happened())
@settings(max_examples=200, deadline=None)
def test_a_reversal_takes_back_what_the_event_changed_item_by_item(one: AccountingEvent) -> None:
    entry = booked(post(event=one, book=BOOK))
    undo = msgspec.structs.replace(one, event_id=reversal_id(reversed_id=one.event_id), reverses=one.event_id)
    assert item_opened(undo) is None
    left: dict[SourceObject, Decimal] = {}
    for movement in (*movements_of(one), *movements_of(undo)):
        left[movement.item] = left.get(movement.item, Decimal(0)) + movement.owed
    assert not any(left.values())
    undone = mirror(event=undo, journal=entry)
    both = [each.debit - each.credit for each in (*entry.lines, *undone.lines) if each.account == BOOK.receivable]
    assert sum(both, Decimal(0)) == 0


def test_a_memo_on_a_paid_invoice_is_the_customer_s_until_the_refund_pays_it_out() -> None:
    memo = IssuedCreditMemo(
        number="CM-1", invoice=INVOICE, tax_total=Decimal(0), total=Decimal("100.00"), earned=Decimal(0),
        lines=(line("100.00"),), applied=Decimal("30.00"),
    )  # fmt: skip
    issued = event(EventKind.CREDIT_MEMO_ISSUED, memo, day=DAY)
    own = issued.source
    assert [(one.item, one.owed) for one in movements_of(issued)] == [
        (INVOICE, Decimal("-30.00")),
        (own, Decimal("-70.00")),
    ]
    assert item_opened(issued) == own
    paid_out = msgspec.structs.replace(refund("70.00"), credit_memo=own.outside_id)
    (back,) = movements_of(event(EventKind.REFUND_PAID, paid_out, day=DAY))
    assert (back.item, back.owed, back.affects_receivable) == (own, Decimal("70.00"), True)
    whole = msgspec.structs.replace(memo, applied=None)
    assert item_opened(event(EventKind.CREDIT_MEMO_ISSUED, whole, day=DAY)) is None, "nothing of it is left to settle"
