"""The cases of a root hold all the money behind them, now; and roots that name each other come to rest."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from revline.sim import stripe_catalogue as catalogue
from revline.sim import stripe_objects as shapes
from tests.harness import Harness
from tests.integration.derive.world import (
    CONNECTION,
    TENANT,
    application,
    at,
    balance,
    charge,
    customer,
    invoice,
    open_cases,
    rows,
    tell,
    webhook,
)


def refund(outside_id: str, amount: int, *, day: int = 12, of: str = "ch_1") -> bytes:
    made: dict[str, Any] = shapes.refund(
        outside_id=outside_id, charge=charge(of), transaction="txn_9", amount=amount, created=at(day), status="succeeded",
        reason=None,
    )  # fmt: skip
    return webhook("refund.created", made, created=at(day))


def credit_note(amount: int, refund_id: str) -> bytes:
    sold = invoice()
    line = catalogue.credit_note_line(
        outside_id="cnli_1", credited=sold["lines"]["data"][0], amount=amount, discounts=(), taxes=()
    )
    made = catalogue.credit_note(
        outside_id="cn_1", number="CN-1", invoice=sold, line=line, created=at(10), after_payment=True, refund=refund_id
    )
    return webhook("credit_note.created", made, created=at(10))


def paid(harness: Harness) -> None:
    tell(
        harness,
        webhook("customer.created", customer(), created=at(1)),
        webhook("invoice.finalized", invoice(), created=at(4)),
        webhook("charge.succeeded", charge(), created=at(5)),
        webhook("invoice_payment.paid", application(), created=at(5)),
    )


def money(harness: Harness) -> list[tuple[str, Decimal | None, str]]:
    return [(case.code, case.amount, case.currency) for case in open_cases(harness)]


def test_two_refunds_beyond_the_payment_are_one_case_over_both(harness: Harness) -> None:
    paid(harness)
    tell(harness, refund("re_1", 10_000), refund("re_2", 3_000, day=13))
    assert money(harness) == [("derive.refund_exceeds_payment", Decimal("30.00"), "USD")]
    (first,) = rows(harness, "SELECT openings, opened_at FROM exception_case WHERE tenant_id = :tenant")
    tell(harness, refund("re_3", 500, day=14))
    assert money(harness) == [("derive.refund_exceeds_payment", Decimal("35.00"), "USD")]
    assert rows(harness, "SELECT openings, opened_at FROM exception_case WHERE tenant_id = :tenant") == [first]


def test_an_invoice_and_a_payment_that_wake_each_other_come_to_rest(harness: Harness) -> None:
    """The intent was paid twice, so each payment wakes the invoice; the invoice's memo names a refund and wakes the payment."""
    paid(harness)
    tell(harness, webhook("charge.succeeded", charge("ch_2", created=at(6)), created=at(6)))
    tell(harness, refund("re_1", 4_000))
    harness.accept(TENANT, CONNECTION, [credit_note(4_000, "re_1")])
    harness.derive_all(limit=100)
    assert balance(harness, "deferred_revenue") == Decimal("-60.00")
    assert open_cases(harness) == []
