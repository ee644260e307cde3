"""Credit notes, credit balance and disputes as documented become canonical ones on the right roots."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from revline.connectors.stripe.translate import translate
from revline.core.canonical import (
    CreditMemo,
    CreditMemoStatus,
    CreditMovement,
    CreditOrigin,
    Customer,
    Dispute,
    DisputeStatus,
    Payout,
)
from revline.core.facts import Incomplete, Name
from revline.core.ids import SourceObject
from revline.core.problem import Problem
from tests.contract.stripe.inputs import NEW_YORK, event, fact, imported, incomplete, refusal, stripe_object

D = Decimal


def root(kind: str, outside_id: str) -> SourceObject:
    return SourceObject(connection="stripe_us", kind=kind, outside_id=outside_id)


def memo_of(**changes: object) -> CreditMemo:
    snapshot = fact("credit_note.created", stripe_object("credit_note", **changes)).snapshot
    assert isinstance(snapshot, CreditMemo)
    return snapshot


def test_a_credit_note_is_a_memo_on_the_root_of_its_invoice() -> None:
    translated = fact("credit_note.created", stripe_object("credit_note"))
    memo = translated.snapshot
    assert isinstance(memo, CreditMemo)
    assert translated.source == root("credit_memo", "cn_1")
    assert translated.roots == (root("invoice", "in_A1"),)
    assert (memo.number, memo.invoice, memo.status) == ("A-0001-CN-01", "in_A1", CreditMemoStatus.ISSUED)
    assert (memo.total, memo.tax_total, memo.earned) == (D("34.80"), D("5.80"), D("0.00"))
    assert (memo.applied_amount, memo.refunded_amount, memo.credited_amount) == (D("10.00"), D("24.80"), D("0.00"))
    assert memo.issued_at == datetime.fromtimestamp(1_793_890_000, UTC), "effective_at is the date on the paper"
    assert {Name(kind="refund", value="re_1"), Name(kind="credit_memo_number", value="A-0001-CN-01")} <= set(
        translated.names
    )


def test_a_credited_line_is_net_of_discounts_and_of_tax_inside_the_price() -> None:
    seats, goodwill = memo_of().lines
    assert (seats.amount, seats.net, seats.quantity, seats.unit_price) == (D("20.00"), D("19.00"), D(2), D("10.00"))
    assert (seats.credited_line, goodwill.credited_line) == ("il_seats", "")
    assert [(tax.amount, tax.rate_percent, tax.jurisdiction) for tax in seats.taxes] == [(D("3.80"), D(20), "DE")]
    assert (goodwill.net, goodwill.taxes[0].inclusive, goodwill.taxes[0].rate_percent) == (D("10.00"), True, None)


def test_what_a_memo_left_the_customer_as_credit() -> None:
    memo = memo_of(customer_balance_transaction="cbtxn_1", refunds=[], out_of_band_amount=480)
    assert (memo.credited_amount, memo.out_of_band_amount, memo.refunds) == (D("20.00"), D("4.80"), ())


def test_a_voided_memo_outranks_the_memo_and_one_with_more_refunds_is_newer() -> None:
    issued = fact("credit_note.created", stripe_object("credit_note", refunds=[]))
    linked = fact("credit_note.updated", stripe_object("credit_note"))
    voided = fact(
        "credit_note.voided", stripe_object("credit_note", status="void", voided_at=1_793_950_000, refunds=[])
    )
    assert voided.order_key > linked.order_key > issued.order_key
    assert isinstance(voided.snapshot, CreditMemo)
    assert voided.snapshot.voided_at == datetime.fromtimestamp(1_793_950_000, UTC)


def test_a_memo_without_an_invoice_has_a_root_of_its_own() -> None:
    assert fact("credit_note.created", stripe_object("credit_note", invoice=None)).roots == (
        root("credit_memo", "cn_1"),
    )


def test_a_memo_that_does_not_add_up_or_goes_on() -> None:
    problem = refusal(
        "credit_note.created", stripe_object("credit_note", total=3_980, shipping_cost={"amount_total": 500})
    )
    assert (problem.code, problem.field) == ("stripe.credit_note_inconsistent", "shipping_cost")
    thing = stripe_object("credit_note")
    thing["lines"]["has_more"] = True
    asked = incomplete("credit_note.created", thing)
    assert (asked.source, asked.object_kind) == (root("credit_memo", "cn_1"), "credit_note")


@pytest.mark.parametrize(
    ("kind", "origin"),
    [
        ("adjustment", CreditOrigin.ADJUSTMENT),
        ("applied_to_invoice", CreditOrigin.APPLIED),
        ("unapplied_from_invoice", CreditOrigin.UNAPPLIED),
        ("credit_note", CreditOrigin.CREDIT_MEMO),
        ("invoice_overpaid", CreditOrigin.OVERPAYMENT),
        ("invoice_too_small", CreditOrigin.CARRIED),
    ],
)
def test_a_credit_movement_is_positive_when_the_customers_credit_grows(kind: str, origin: CreditOrigin) -> None:
    (translated,) = imported(stripe_object("customer_balance_transaction", type=kind))
    movement = translated.snapshot
    assert isinstance(movement, CreditMovement)
    assert (movement.origin, movement.amount, movement.ending_balance) == (origin, D("15.00"), D("25.00"))
    assert (movement.credit_memo, translated.roots) == ("cn_1", (root("credit_movement", "cbtxn_1"),))


def test_an_unknown_type_of_credit_movement_is_refused() -> None:
    thing = stripe_object("customer_balance_transaction", type="gift")
    assert refusal("some.event", thing).field == "type"


@pytest.mark.parametrize("field", [b'"balance": 0', b'"invoice_credit_balance": {"usd": 0}'])
def test_a_credit_balance_that_moved_is_read(field: bytes) -> None:
    """No event tells of the movements; customer.updated only says that the balance is another."""
    body = event("customer.updated", stripe_object("customer", balance=-1_500))
    moved = body.replace(b'"data": {', b'"data": {"previous_attributes": {' + field + b"}, ")
    found = translate(body=moved, context=NEW_YORK)
    assert not isinstance(found, Problem)
    told, asked = found
    assert isinstance(asked, Incomplete)
    assert isinstance(told.snapshot, Customer)  # type: ignore[union-attr]
    assert (asked.source, asked.object_kind) == (root("customer", "cus_Alder1"), "customer_balance_transactions")
    assert len(imported_of(event("customer.updated", stripe_object("customer")))) == 1


def imported_of(body: bytes) -> tuple[object, ...]:
    found = translate(body=body, context=NEW_YORK)
    assert not isinstance(found, Problem)
    return found


def test_a_whole_list_is_every_member_and_a_part_is_refused() -> None:
    other = stripe_object("customer_balance_transaction", id="cbtxn_2", amount=500, type="applied_to_invoice")
    whole = {"object": "list", "has_more": False, "data": [stripe_object("customer_balance_transaction"), other]}
    assert [one.source.outside_id for one in imported(whole)] == ["cbtxn_1", "cbtxn_2"]
    with pytest.raises(AssertionError, match="list_incomplete"):
        imported(whole | {"has_more": True})


def test_the_members_of_a_reconciled_payout_are_read() -> None:
    asked = incomplete("payout.reconciliation_completed", stripe_object("payout"))
    assert (asked.source, asked.object_kind) == (root("payout", "po_1"), "payout_balance_transactions")
    assert isinstance(fact("payout.paid", stripe_object("payout")).snapshot, Payout)


def test_a_dispute_is_on_the_root_of_its_charge_with_the_money_it_moved() -> None:
    translated = fact("charge.dispute.funds_withdrawn", stripe_object("dispute"))
    dispute = translated.snapshot
    assert isinstance(dispute, Dispute)
    assert (translated.source, translated.roots) == (root("dispute", "dp_1"), (root("payment", "ch_1"),))
    assert (dispute.status, dispute.amount, dispute.closed_at) == (DisputeStatus.OPEN, D("100.00"), None)
    (taken,) = dispute.movements
    assert (taken.amount, taken.fee, taken.created_at) == (
        D("-100.00"),
        D("15.00"),
        datetime.fromtimestamp(1_793_800_000, UTC),
    )


@pytest.mark.parametrize(
    ("status", "canonical"),
    [
        ("warning_needs_response", "inquiry"), ("warning_under_review", "inquiry"), ("warning_closed", "inquiry"),
        ("needs_response", "open"), ("under_review", "open"), ("prevented", "prevented"), ("lost", "lost"),
        ("appeal_needs_response", "lost"), ("appeal_under_review", "lost"), ("won", "won"),
    ],
)  # fmt: skip
def test_every_status_of_a_dispute(status: str, canonical: str) -> None:
    snapshot = fact("charge.dispute.updated", stripe_object("dispute", status=status)).snapshot
    assert isinstance(snapshot, Dispute)
    assert snapshot.status == canonical


def test_a_dispute_goes_on_by_its_status_and_only_its_closing_tells_when() -> None:
    lives = [
        fact(
            "charge.dispute.created", stripe_object("dispute", status="warning_needs_response"), created=1_793_999_999
        ),
        fact("charge.dispute.created", stripe_object("dispute", balance_transactions=[])),
        fact("charge.dispute.funds_withdrawn", stripe_object("dispute")),
        fact("charge.dispute.closed", stripe_object("dispute", status="lost"), created=1_793_900_000),
        fact("charge.dispute.updated", stripe_object("dispute", status="appeal_under_review"), created=1_793_950_000),
        fact("charge.dispute.closed", stripe_object("dispute", status="won"), created=1_793_960_000),
    ]
    assert [one.order_key for one in lives] == sorted(one.order_key for one in lives)
    closed = [one.snapshot.closed_at for one in lives if isinstance(one.snapshot, Dispute)]
    assert [moment is not None for moment in closed] == [False, False, False, True, False, True]


def test_a_dispute_whose_movements_are_ids_only_is_refused() -> None:
    problem = refusal("charge.dispute.created", stripe_object("dispute", balance_transactions=["txn_1"]))
    assert problem.field == "balance_transactions"


def test_a_refund_of_a_payment_record_is_money_from_elsewhere() -> None:
    holders = [
        {"amount_refunded": 2_000, "refund": "re_1", "type": "refund", "payment_record_refund": None},
        {"amount_refunded": 480, "refund": None, "type": "payment_record_refund", "payment_record_refund": {}},
    ]
    memo = memo_of(refunds=holders)
    assert (memo.refunds, memo.refund_amounts, memo.refunded_amount) == (("re_1",), (D("20.00"),), D("20.00"))
    assert (memo.out_of_band_amount, memo.credited_amount) == (D("4.80"), D("0.00"))


def older_memo_of(**changes: object) -> CreditMemo:
    """Before a note could be part of each: it has one type, and one refund without its amount."""
    thing = stripe_object("credit_note", **{"out_of_band_amount": None, "customer_balance_transaction": None} | changes)
    for name in ("pre_payment_amount", "post_payment_amount", "refunds"):
        thing.pop(name, None)
    snapshot = fact("credit_note.created", thing).snapshot
    assert isinstance(snapshot, CreditMemo)
    return snapshot


def test_the_one_refund_of_an_older_note_pays_out_what_nothing_else_did() -> None:
    after = older_memo_of(type="post_payment", refund="re_1", out_of_band_amount=480)
    assert (after.refunds, after.refund_amounts, after.applied_amount) == (("re_1",), (D("30.00"),), D("0.00"))
    before = older_memo_of(type="pre_payment", refund=None)
    assert (before.refunds, before.refunded_amount, before.applied_amount) == ((), D("0.00"), D("34.80"))
    kept = older_memo_of(type="post_payment", refund=None, customer_balance_transaction="cbtxn_1")
    assert (kept.credited_amount, kept.refunds) == (D("34.80"), ())


def test_an_older_note_with_a_refund_and_credit_needs_the_credit_whole() -> None:
    thing = stripe_object("credit_note", type="post_payment", refund="re_1", customer_balance_transaction="cbtxn_1")
    for name in ("pre_payment_amount", "post_payment_amount", "refunds"):
        thing.pop(name, None)
    assert refusal("credit_note.created", thing).code == "stripe.object_invalid"
