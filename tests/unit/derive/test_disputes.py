"""What should exist of disputes, whatever order their snapshots came in, and of other movements on the processor's balance."""

from __future__ import annotations

from decimal import Decimal
from itertools import permutations

import pytest
from msgspec.structs import replace

from revline.core.canonical import BalanceTransaction, Dispute, DisputeMovement, DisputeStatus
from revline.core.events import DisputedMoney, EventKind, MovedMoney
from revline.core.facts import Fact, Name
from revline.derive.expectation import Expectation, Need
from tests.unit.derive.test_derive import PAYMENT, at, expect, fact, kinds, source

D = Decimal
TAKEN = DisputeMovement(outside_id="txn_1", currency="USD", amount=D("-100.00"), fee=D("15.00"), created_at=at(10))
RETURNED = DisputeMovement(outside_id="txn_2", currency="USD", amount=D("100.00"), fee=D("-15.00"), created_at=at(25))
RANKS = {"inquiry": 0, "open": 2, "prevented": 3, "lost": 3, "won": 5}
PAID = fact("payment", PAYMENT)


def told(
    status: DisputeStatus, *movements: DisputeMovement, pushed: bool = True, serial: int = 0, **more: object
) -> Fact:
    values: dict[str, object] = {
        "outside_id": "dp_1", "payment": "ch_1", "status": status, "currency": "USD", "amount": D("100.00"),
        "earned": D("0.00"), "created_at": at(9), "movements": movements,
    }  # fmt: skip
    one = fact("dispute", Dispute(**(values | more)), rank=RANKS[status], serial=serial)  # type: ignore[arg-type]
    if not pushed:
        return one
    return replace(one, translated=replace(one.translated, event_type="charge.dispute.updated"))


def of(*facts: Fact) -> Expectation:
    return expect("payment", "ch_1", PAID, *facts)


def money(expectation: Expectation) -> list[tuple[str, str, str, str, int]]:
    found = []
    for entry in expectation.events[1:]:
        payload = entry.event.payload
        assert isinstance(payload, DisputedMoney)
        day = entry.event.accounting_date.day
        found.append((entry.event.kind.value, str(payload.amount), str(payload.fee), str(payload.earned), day))
    return found


OPENED = ("dispute.opened", "100.00", "15.00", "0.00", 10)


@pytest.mark.parametrize("status", [DisputeStatus.INQUIRY, DisputeStatus.PREVENTED, DisputeStatus.OPEN])
def test_a_dispute_that_moved_no_money_books_nothing(status: DisputeStatus) -> None:
    expectation = of(told(status))
    assert kinds(expectation) == [EventKind.PAYMENT_RECEIVED]
    assert [rule for _, rule in expectation.silent] == ["a dispute that moved no money books nothing"]


def test_a_dispute_is_opened_by_the_money_that_was_taken() -> None:
    expectation = of(told(DisputeStatus.OPEN, TAKEN))
    assert money(expectation) == [OPENED]
    event = expectation.events[1].event
    assert (event.root, event.source, event.customer) == (
        source("payment", "ch_1"),
        source("dispute", "dp_1"),
        source("customer", "cus_1"),
    )


@pytest.mark.parametrize("order", list(permutations(range(4))))
def test_a_dispute_that_is_won_in_any_order(order: tuple[int, ...]) -> None:
    """The closing may be told before the money is back, and the money's message may have no movement of the opening."""
    life = [
        told(DisputeStatus.OPEN),
        told(DisputeStatus.OPEN, TAKEN, serial=1),
        told(DisputeStatus.WON, TAKEN, serial=2, closed_at=at(24)),
        told(DisputeStatus.WON, RETURNED, serial=3),
    ]
    expectation = of(*(life[index] for index in order))
    assert money(expectation) == [OPENED, ("dispute.won", "100.00", "15.00", "0.00", 25)]
    assert expectation.awaited == ()


def test_a_dispute_that_is_won_awaits_the_money() -> None:
    expectation = of(told(DisputeStatus.WON, TAKEN, closed_at=at(24)))
    assert money(expectation) == [OPENED]
    assert expectation.awaited == (Need(object_kind="dispute", name=Name(kind="outside_id", value="dp_1")),)


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_a_dispute_that_is_lost_splits_what_was_earned(order: tuple[int, ...]) -> None:
    life = [
        told(DisputeStatus.OPEN, TAKEN, earned=D("40.00")),
        told(DisputeStatus.LOST, TAKEN, serial=1, closed_at=at(20), earned=D("40.00")),
        told(DisputeStatus.LOST, TAKEN, serial=2, earned=D("40.00")),
    ]
    expectation = of(*(life[index] for index in order))
    assert money(expectation) == [OPENED, ("dispute.lost", "100.00", "0.00", "40.00", 20)]


def test_a_loss_without_its_day_waits_for_the_message_that_has_it_and_a_listing_has_none() -> None:
    waiting = of(told(DisputeStatus.LOST, TAKEN))
    assert money(waiting) == [OPENED]
    assert [need.object_kind for need in waiting.awaited] == ["dispute"]
    listed = of(told(DisputeStatus.LOST, TAKEN, pushed=False))
    assert money(listed)[1] == ("dispute.lost", "100.00", "0.00", "0.00", 10)


def test_what_a_lost_dispute_gave_back_is_not_lost() -> None:
    """Funds may be reinstated although the dispute is lost, as for a payment that was refunded in part before."""
    part = replace(RETURNED, amount=D("30.00"), fee=D("0.00"))
    expectation = of(told(DisputeStatus.LOST, TAKEN, part, closed_at=at(26)))
    assert [entry[:2] for entry in money(expectation)] == [
        ("dispute.opened", "100.00"),
        ("dispute.won", "30.00"),
        ("dispute.lost", "70.00"),
    ]


def test_a_loss_that_an_appeal_won_is_no_loss() -> None:
    lost = told(DisputeStatus.LOST, TAKEN, closed_at=at(20))
    won = told(DisputeStatus.WON, TAKEN, RETURNED, serial=2, closed_at=at(26))
    assert [entry[0] for entry in money(of(lost, won))] == ["dispute.opened", "dispute.won"]


def test_a_dispute_awaits_the_payment_it_takes_back() -> None:
    expectation = expect("payment", "ch_1", told(DisputeStatus.OPEN, TAKEN))
    assert expectation.events == ()
    assert [need.object_kind for need in expectation.awaited] == ["payment"]


def test_what_a_won_dispute_did_not_give_back_is_a_case_beside_its_events() -> None:
    part = replace(RETURNED, amount=D("60.00"))
    expectation = of(told(DisputeStatus.WON, TAKEN, part, closed_at=at(26)))
    assert money(expectation) == [OPENED, ("dispute.won", "60.00", "15.00", "0.00", 25)]
    assert [(one.problem.code, one.amount) for one in expectation.blocked] == [("derive.dispute_unusual", D("40.00"))]


def test_a_claim_in_another_currency_is_booked_in_the_one_that_moved() -> None:
    expectation = of(told(DisputeStatus.OPEN, TAKEN, currency="EUR", amount=D("92.00")))
    assert money(expectation) == [OPENED]
    assert expectation.events[1].event.currency == "USD"


@pytest.mark.parametrize(
    ("movements", "code", "amount"),
    [
        ((replace(TAKEN, currency="EUR"),), "derive.settlement_other_currency", "100.00"),
        ((TAKEN, replace(TAKEN, outside_id="txn_9")), "derive.dispute_unusual", "200.00"),
        ((TAKEN, RETURNED, replace(TAKEN, outside_id="txn_9")), "derive.dispute_unusual", "100.00"),
    ],
)
def test_a_dispute_that_has_no_entry_is_a_case_over_what_stays_away(
    movements: tuple[DisputeMovement, ...], code: str, amount: str
) -> None:
    expectation = of(told(DisputeStatus.OPEN, *movements))
    assert kinds(expectation) == [EventKind.PAYMENT_RECEIVED]
    assert [(one.problem.code, one.amount) for one in expectation.blocked] == [(code, D(amount))]


def balance(kind: str, **changes: object) -> Fact:
    values: dict[str, object] = {
        "outside_id": "txn_5", "transaction_type": kind, "source": "", "currency": "USD", "amount": D("-2.00"),
        "fee": D("0.00"), "net": D("-2.00"), "created_at": at(14), "reporting_category": "",
    }  # fmt: skip
    return fact("balance_transaction", BalanceTransaction(**(values | changes)))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        ("stripe_fee", {}),
        ("stripe_fx_fee", {}),
        ("adjustment", {"reporting_category": "fee"}),
        ("refund", {"source": "re_1", "amount": D("-10.00"), "fee": D("2.00"), "net": D("-12.00")}),
    ],
)
def test_a_fee_of_the_processors_own_is_charged(kind: str, changes: dict[str, object]) -> None:
    expectation = expect("balance_transaction", "txn_5", balance(kind, **changes))
    assert kinds(expectation) == [EventKind.PROCESSOR_FEE_CHARGED]
    payload = expectation.events[0].event.payload
    assert isinstance(payload, MovedMoney)
    assert payload.amount == D("2.00")


@pytest.mark.parametrize(
    ("kind", "category", "mover"),
    [("refund", "refund", "refund"), ("refund_failure", "", "refund"), ("adjustment", "dispute_reversal", "dispute")],
)
def test_what_a_refund_or_dispute_moved_is_booked_by_it_and_it_is_awaited(kind: str, category: str, mover: str) -> None:
    one = balance(kind, source="x_1", reporting_category=category, fee=D("0.00"))
    need = Need(object_kind=mover, name=Name(kind="outside_id", value="x_1"))
    waiting = expect("balance_transaction", "txn_5", one)
    assert (waiting.events, waiting.awaited, waiting.blocked) == ((), (need,), ())
    assert [rule for _, rule in waiting.silent] == [
        f"the {mover} itself is booked, not its movement on the processor's balance"
    ]
    assert expect("balance_transaction", "txn_5", one, found={need: (PAID,)}).awaited == ()


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        ("transfer", {}),
        ("adjustment", {"reporting_category": "other_adjustment"}),
        ("stripe_fee", {"amount": D("2.00"), "net": D("2.00")}),
        ("refund", {"source": "re_1", "fee": D("-2.00"), "net": D("0.00")}),
    ],
)
def test_other_movements_are_a_case_with_the_money(kind: str, changes: dict[str, object]) -> None:
    expectation = expect("balance_transaction", "txn_5", balance(kind, **changes))
    assert expectation.events == ()
    assert [one.problem.code for one in expectation.blocked] == ["derive.movement_unbooked"]
