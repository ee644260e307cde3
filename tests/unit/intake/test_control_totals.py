"""Control totals: what a source lists against what the log holds."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

from revline.core.canonical import Customer, Payment, PaymentStatus
from revline.intake.control_totals import ControlTotal, differences, summed, total_of

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def payments(count: int, amount: str, status: str = "succeeded") -> ControlTotal:
    return ControlTotal(kind="payment", currency="USD", status=status, count=count, amount=Decimal(amount))


def test_an_object_counts_with_its_amount_and_one_without_counts_alone() -> None:
    paid = Payment(
        outside_id="p", status=PaymentStatus.SUCCEEDED, currency="USD", amount=Decimal("10.05"), created_at=NOON
    )
    assert total_of(kind="payment", snapshot=paid) == payments(1, "10.05")
    assert total_of(kind="customer", snapshot=Customer(outside_id="c", name="Ada", currency="USD")) == ControlTotal(
        kind="customer", count=1
    )


def test_totals_add_up_exactly_by_currency_and_status() -> None:
    found = summed([payments(1, "0.10"), payments(2, "0.20"), payments(1, "5.00", "failed")])
    assert found == (payments(1, "5.00", "failed"), payments(3, "0.30"))


def test_equal_totals_differ_in_nothing() -> None:
    assert differences(listed=[payments(3, "0.30")], held=[payments(3, "0.30")], exact=True) == ()


def test_fewer_objects_always_differ_and_other_sums_only_where_nothing_else_came() -> None:
    fewer = differences(listed=[payments(3, "30.00")], held=[payments(2, "20.00")], exact=False)
    assert [(one.kind, one.listed, one.held) for one in fewer] == [("payment", 3, 2)]
    more = [payments(4, "40.00")]
    assert differences(listed=[payments(3, "30.00")], held=more, exact=False) == ()
    other = differences(listed=[payments(3, "30.00")], held=[payments(3, "29.99")], exact=True)
    assert "3 of 30.00 listed, 3 of 29.99 held" in other[0].detail


def test_what_could_not_be_translated_is_missing_where_the_listing_is_of_one_kind() -> None:
    unread = ControlTotal(kind="", count=1)
    found = differences(listed=[payments(2, "20.00"), unread], held=[payments(2, "20.00")], exact=False)
    assert [(one.listed, one.held) for one in found] == [(3, 2)]
