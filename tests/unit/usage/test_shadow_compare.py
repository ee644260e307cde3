"""An invoice line of metered use against what was expected: the difference and what it is made of."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from revline.core.ids import SourceObject
from revline.subledger.usage.outward.compare import compare_line, gather, paired, totals, unrated
from revline.subledger.usage.outward.values import (
    Billed,
    BilledLine,
    BillingSubject,
    Cause,
    Direction,
    Expected,
    Finding,
    Tolerance,
)
from revline.subledger.usage.versions import Window

STRICT = Tolerance()
ADA = SourceObject(connection="stripe", kind="customer", outside_id="cus_ada")
MARCH = Window(start=datetime(2026, 3, 1, tzinfo=UTC), end=datetime(2026, 4, 1, tzinfo=UTC))
CALLS = BillingSubject(customer=ADA, price="price_calls", window=MARCH)


def expecting(quantity: str, amount: str, **given: object) -> Expected:
    made = Expected(subject=CALLS, currency="USD", quantity=Decimal(quantity), amount=Decimal(amount))
    return msgspec.structs.replace(made, **given)


def line(number: int, quantity: str, unit: str, amount: str) -> BilledLine:
    return BilledLine(
        invoice="in_1", line=f"il_{number}", quantity=Decimal(quantity), unit_price=Decimal(unit),
        amount=Decimal(amount), billed_on=date(2026, 4, 1),
    )  # fmt: skip


def billed(*lines: BilledLine, subject: BillingSubject = CALLS, currency: str = "USD") -> Billed:
    return Billed(subject=subject, currency=currency, lines=lines)


def parts(finding: Finding) -> dict[Cause, Decimal]:
    return {part.cause: part.amount for part in finding.parts}


def test_what_was_billed_as_expected_needs_no_work() -> None:
    found = compare_line(
        expected=expecting("100", "10.00"), billed=billed(line(1, "100", "0.10", "10.00")), tolerance=STRICT
    )
    assert (found.direction, found.cause, found.parts, found.tolerated) == (Direction.EQUAL, None, (), True)


def test_too_few_units_are_leakage_by_quantity_at_our_own_price() -> None:
    expected = expecting("100", "10.00", at_billed_quantity=Decimal("9.00"))
    found = compare_line(expected=expected, billed=billed(line(1, "90", "0.10", "9.00")), tolerance=STRICT)
    assert (found.direction, found.difference, parts(found)) == (
        Direction.LEAKAGE,
        Decimal("-1.00"),
        {Cause.QUANTITY: Decimal("-1.00")},
    )
    assert found.parts[0].quantity == -10


def test_another_unit_price_is_a_difference_of_price() -> None:
    expected = expecting("100", "10.00", unit_prices=(Decimal("0.10"),))
    found = compare_line(expected=expected, billed=billed(line(1, "100", "0.12", "12.00")), tolerance=STRICT)
    assert (found.direction, parts(found)) == (Direction.OVERBILLED, {Cause.PRICE: Decimal("2.00")})


def test_our_own_prices_over_other_tiers_are_a_difference_of_tiers() -> None:
    expected = expecting("150", "12.50", unit_prices=(Decimal("0.10"), Decimal("0.05")))
    theirs = billed(line(1, "150", "0.10", "15.00"))
    assert compare_line(expected=expected, billed=theirs, tolerance=STRICT).cause is Cause.TIER


def test_lines_of_a_tiered_price_are_one_bill() -> None:
    expected = expecting("150", "12.50", unit_prices=(Decimal("0.10"), Decimal("0.05")))
    theirs = billed(line(1, "100", "0.10", "10.00"), line(2, "50", "0.05", "2.50"))
    assert compare_line(expected=expected, billed=theirs, tolerance=STRICT).direction is Direction.EQUAL


def test_a_smallest_unit_a_line_is_rounding_and_nobodys_work() -> None:
    expected = expecting("150", "12.50")
    theirs = billed(line(1, "100", "0.10", "10.01"), line(2, "50", "0.05", "2.51"))
    found = compare_line(expected=expected, billed=theirs, tolerance=STRICT)
    assert (found.cause, found.tolerated, found.difference) == (Cause.ROUNDING, True, Decimal("0.02"))


def test_a_yen_is_a_whole_smallest_unit() -> None:
    expected = expecting("7", "700", currency="JPY")
    found = compare_line(expected=expected, billed=billed(line(1, "7", "100", "701"), currency="JPY"), tolerance=STRICT)
    assert found.cause is Cause.ROUNDING


def test_usage_known_after_the_invoice_is_late_and_not_a_wrong_quantity() -> None:
    expected = expecting("110", "11.00", quantity_then=Decimal(100), amount_then=Decimal("10.00"))
    found = compare_line(expected=expected, billed=billed(line(1, "100", "0.10", "10.00")), tolerance=STRICT)
    assert parts(found) == {Cause.LATE_USAGE: Decimal("-1.00")}


def test_late_usage_a_wrong_quantity_and_a_wrong_price_are_told_apart() -> None:
    expected = expecting(
        "110", "11.00", quantity_then=Decimal(100), amount_then=Decimal("10.00"), at_billed_quantity=Decimal("9.00"),
        unit_prices=(Decimal("0.10"),),
    )  # fmt: skip
    found = compare_line(expected=expected, billed=billed(line(1, "90", "0.09", "8.10")), tolerance=STRICT)
    assert parts(found) == {
        Cause.LATE_USAGE: Decimal("-1.00"),
        Cause.QUANTITY: Decimal("-1.00"),
        Cause.PRICE: Decimal("-0.90"),
    }


def test_usage_nobody_billed_and_a_bill_nobody_used() -> None:
    missing = compare_line(expected=expecting("100", "10.00"), billed=None, tolerance=STRICT)
    assert (missing.cause, missing.direction, missing.difference) == (
        Cause.USED_WITHOUT_BILL,
        Direction.LEAKAGE,
        Decimal("-10.00"),
    )
    unused = compare_line(expected=None, billed=billed(line(1, "5", "1", "5.00")), tolerance=STRICT)
    assert (unused.cause, unused.direction) == (Cause.BILLED_WITHOUT_USAGE, Direction.OVERBILLED)
    with pytest.raises(ValueError, match="nothing to compare"):
        compare_line(expected=None, billed=None, tolerance=STRICT)


def test_a_line_of_an_unknown_meter_says_so() -> None:
    found = unrated(billed=billed(line(1, "5", "1", "5.00")), cause=Cause.UNKNOWN_METER, tolerance=STRICT)
    assert (found.cause, found.difference, found.lines) == (Cause.UNKNOWN_METER, Decimal("5.00"), (("in_1", "il_1"),))


def test_two_currencies_are_never_subtracted() -> None:
    theirs = billed(line(1, "100", "0.10", "10.00"), currency="EUR")
    found = compare_line(expected=expecting("100", "10.00"), billed=theirs, tolerance=Tolerance(percent=Decimal(200)))
    assert (found.cause, found.billed_amount, found.tolerated) == (Cause.CURRENCY, Decimal(0), False)


@pytest.mark.parametrize(
    ("tolerance", "tolerated"),
    [
        (Tolerance(amount=Decimal("1.00")), True),
        (Tolerance(amount=Decimal("0.99")), False),
        (Tolerance(percent=Decimal("10")), True),
        (Tolerance(percent=Decimal("9.9")), False),
    ],
)
def test_a_tolerance_is_an_amount_or_a_share(tolerance: Tolerance, tolerated: bool) -> None:
    theirs = billed(line(1, "90", "0.10", "9.00"))
    assert compare_line(expected=expecting("100", "10.00"), billed=theirs, tolerance=tolerance).tolerated is tolerated


AMOUNTS = st.decimals(min_value=-10_000, max_value=10_000, places=2)
QUANTITIES = st.decimals(min_value=0, max_value=10_000, places=3)


@given(QUANTITIES, AMOUNTS, QUANTITIES, AMOUNTS, QUANTITIES, AMOUNTS, st.none() | AMOUNTS)
def test_the_parts_add_up_to_the_difference(
    quantity: Decimal, amount: Decimal, then: Decimal, amount_then: Decimal, theirs: Decimal, paid: Decimal,
    at_billed: Decimal | None,
) -> None:  # fmt: skip
    expected = expecting(
        str(quantity), str(amount), quantity_then=then, amount_then=amount_then, at_billed_quantity=at_billed
    )
    found = compare_line(expected=expected, billed=billed(line(1, str(theirs), "1", str(paid))), tolerance=STRICT)
    assert sum(part.amount for part in found.parts) == found.difference == paid - amount
    assert (found.direction is Direction.EQUAL) == (paid == amount)


def test_an_expectation_meets_the_same_window_first_and_the_nearest_else() -> None:
    by_the_second = Window(start=datetime(2026, 3, 1, 10, 33, tzinfo=UTC), end=datetime(2026, 4, 1, 10, 33, tzinfo=UTC))
    before = Window(start=datetime(2026, 2, 1, tzinfo=UTC), end=datetime(2026, 3, 1, tzinfo=UTC))
    shifted = billed(line(1, "1", "1", "1.00"), subject=msgspec.structs.replace(CALLS, window=by_the_second))
    exact = billed(line(2, "1", "1", "1.00"))
    earlier = billed(line(3, "1", "1", "1.00"), subject=msgspec.structs.replace(CALLS, window=before))
    mine = expecting("1", "1.00")
    assert paired(expected=[mine], billed=[shifted, exact]) == ((mine, exact), (None, shifted))
    assert paired(expected=[mine], billed=[earlier, shifted]) == ((mine, shifted), (None, earlier))
    assert paired(expected=[mine], billed=[earlier]) == ((mine, None), (None, earlier))


def test_lines_are_gathered_by_subject_and_currency_in_any_order() -> None:
    found = [(CALLS, "USD", line(2, "1", "1", "1.00")), (CALLS, "USD", line(1, "1", "1", "1.00"))]
    assert gather(found) == gather(found[::-1])
    assert [each.line for each in gather(found)[0].lines] == ["il_1", "il_2"]


def test_a_report_counts_what_needs_work_by_cause() -> None:
    short = compare_line(expected=expecting("100", "10.00"), billed=None, tolerance=STRICT)
    same = compare_line(expected=expecting("1", "1.00"), billed=billed(line(1, "1", "1", "1.00")), tolerance=STRICT)
    assert totals([short, same]) == {("USD", Cause.USED_WITHOUT_BILL, Direction.LEAKAGE): (1, Decimal("-10.00"))}
