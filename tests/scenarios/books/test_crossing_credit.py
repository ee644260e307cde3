"""Memos, refunds, credit and voids that tell of the same money: whatever comes first, it is booked once."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from itertools import permutations
from typing import Any

import pytest

from revline.sim import stripe_catalogue as catalogue
from revline.sim import stripe_objects as shapes
from revline.subledger.posting.setup import PostingSetup
from tests.integration.derive.world import at, charge, customer, invoice, webhook
from tests.scenarios.books.any_order import World

Message = tuple[bytes, bool]
"""(body, is an object)."""


def credit_note(amount: int, *, after_payment: bool, **more: Any) -> Message:
    sold = invoice()
    line = catalogue.credit_note_line(
        outside_id="cnli_1", credited=sold["lines"]["data"][0], amount=amount, discounts=(), taxes=()
    )
    made = catalogue.credit_note(
        outside_id="cn_1", number="CN-1", invoice=sold, line=line, created=at(10), after_payment=after_payment
    )
    return webhook("credit_note.created", {**made, **more}, created=at(10)), False


def refund(outside_id: str, amount: int, day: int) -> Message:
    made = shapes.refund(
        outside_id=outside_id, charge=charge(), transaction="txn_9", amount=amount, created=at(day), status="succeeded",
        reason=None,
    )  # fmt: skip
    return webhook("refund.created", made, created=at(day)), False


def linked(**amounts: int) -> list[dict[str, Any]]:
    return [{"amount_refunded": amount, "refund": name, "type": "refund"} for name, amount in amounts.items()]


def sold() -> list[Message]:
    return [
        (webhook("customer.created", customer(), created=at(1)), False),
        (webhook("invoice.finalized", invoice(), created=at(4)), False),
    ]


def paid() -> list[Message]:
    return [*sold(), (webhook("charge.succeeded", charge(), created=at(5)), False)]


def void_after_memo() -> list[Message]:
    """100.00 demanded, 40.00 of it credited while it was open, then all of it voided."""
    void = invoice(status="void", status_transitions={"voided_at": at(20)})
    return [
        *sold(),
        credit_note(4_000, after_payment=False),
        (webhook("invoice.voided", void, created=at(20)), False),
    ]


def refund_and_credit() -> list[Message]:
    """A memo over 100.00 of a paid invoice: 60.00 given back, 40.00 kept as credit."""
    moved = catalogue.customer_balance_transaction(
        outside_id="cbtxn_1", customer="cus_1", amount=-4_000, currency="usd", kind="credit_note", created=at(10),
        invoice="in_1", credit_note="cn_1", ending=-4_000,
    )  # fmt: skip
    note = credit_note(10_000, after_payment=True, refunds=linked(re_1=6_000), customer_balance_transaction="cbtxn_1")
    return [*paid(), note, refund("re_1", 6_000, 11), (json.dumps(moved).encode(), True)]


def two_refunds() -> list[Message]:
    """A memo over 50.00 that two refunds pay out, and a goodwill refund that no memo names."""
    note = credit_note(5_000, after_payment=True, refunds=linked(re_1=3_000, re_2=2_000))
    return [*paid()[1:], note, refund("re_1", 3_000, 11), refund("re_2", 2_000, 12), refund("re_3", 500, 13)]


@pytest.mark.parametrize(
    ("story", "wanted"),
    [
        (void_after_memo, {}),
        (
            refund_and_credit,
            {"processor_clearing": "40.00", "customer_credit_balance": "-40.00"},
        ),
        (
            two_refunds,
            {"processor_clearing": "45.00", "deferred_revenue": "-45.00"},
        ),
    ],
)
def test_in_every_order_each_amount_is_booked_once(
    setup: PostingSetup, story: Callable[[], list[Message]], wanted: dict[str, str]
) -> None:
    messages = story()
    first: World | None = None
    for order in permutations(messages):
        world = World(setup)
        for body, is_object in order:
            world.arrive(body, is_object)
        assert by_account(world) == {account: Decimal(amount) for account, amount in wanted.items()}
        if first is None:
            first = world
        assert world.balances() == first.balances(), "each on its own day"
        if not world.corrected() and not first.corrected():
            assert world.books() == first.books()


def by_account(world: World) -> dict[str, Decimal]:
    sums: dict[str, Decimal] = {}
    for (account, _, _), amount in world.balances().items():
        sums[account] = sums.get(account, Decimal(0)) + amount
    return {account: amount for account, amount in sums.items() if amount}
