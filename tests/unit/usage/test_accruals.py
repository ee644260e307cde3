"""Usage that is not billed yet stands accrued, and is taken back by the line that bills it: never both, never neither."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import msgspec

from revline.core.canonical import StatedEvent
from revline.core.canonical.stated import RecognizedRevenue
from revline.subledger.usage.outward.accruals import Accrual, BillingLink, accrual_events
from revline.subledger.usage.outward.values import BilledLine

MARCH = Accrual(
    charge_id="c1", customer="cus_ada", currency="USD", amount=Decimal("300.00"), last_day=date(2026, 3, 31)
)


def line(amount: str, *, number: int = 1, accrued: str = "", day: date = date(2026, 4, 1)) -> BilledLine:
    return BilledLine(
        invoice="in_1", line=f"il_{number}", quantity=Decimal(1), unit_price=Decimal(amount), amount=Decimal(amount),
        billed_on=day, accrued=accrued,
    )  # fmt: skip


def link(*lines: BilledLine) -> BillingLink:
    return BillingLink(charge_id="c1", currency="USD", lines=lines)


def amounts(found: tuple[StatedEvent, ...]) -> list[tuple[str, str, date, bool]]:
    made = []
    for one in found:
        assert isinstance(one.payload, RecognizedRevenue)
        made.append((one.outside_id, str(one.payload.amount), one.occurred_on, one.voided))
    return made


def test_what_nobody_billed_is_accrued_on_the_last_day_of_its_window() -> None:
    assert amounts(accrual_events(accrual=MARCH, link=None)) == [("c1.accrued", "300.00", date(2026, 3, 31), False)]


def test_the_line_that_bills_it_takes_all_of_it_back_whatever_it_billed() -> None:
    found = accrual_events(accrual=MARCH, link=link(line("280.00")))
    assert amounts(found)[1] == ("c1.billed", "-300.00", date(2026, 4, 1), False)


def test_several_lines_take_it_back_once_on_the_first_day() -> None:
    found = accrual_events(accrual=MARCH, link=link(line("200.00", day=date(2026, 4, 3)), line("100.00", number=2)))
    assert amounts(found)[1:] == [("c1.billed", "-300.00", date(2026, 4, 1), False)]


def test_a_line_that_credits_the_accrued_account_itself_leaves_only_the_difference() -> None:
    exact = accrual_events(accrual=MARCH, link=link(line("300.00", accrued="unbilled_receivable")))
    assert [one.outside_id for one in exact] == ["c1.accrued"]
    more = accrual_events(accrual=MARCH, link=link(line("310.00", accrued="unbilled_receivable")))
    assert amounts(more)[1] == ("c1.billed", "10.00", date(2026, 4, 1), False)


def test_an_invoice_that_was_voided_gives_the_accrual_back() -> None:
    found = accrual_events(accrual=MARCH, link=None, stated=("c1.accrued", "c1.billed"))
    assert [(each[0], each[3]) for each in amounts(found)] == [("c1.accrued", False), ("c1.billed", True)]


def test_a_charge_that_is_no_more_takes_back_both() -> None:
    gone = msgspec.structs.replace(MARCH, voided=True)
    found = accrual_events(accrual=gone, link=link(line("300.00")), stated=("c1.accrued", "c1.billed"))
    assert [(each[0], each[3]) for each in amounts(found)] == [("c1.accrued", True), ("c1.billed", True)]
    assert accrual_events(accrual=gone, link=None) == ()


def test_the_account_ends_at_zero_in_every_order_of_revision_and_bill() -> None:
    for amount in ("300.00", "250.00", "0.01"):
        for lines in ((line("300.00"),), (line("300.00", accrued="unbilled_receivable"),)):
            revised = msgspec.structs.replace(MARCH, amount=Decimal(amount))
            stated = accrual_events(accrual=revised, link=link(*lines))
            on_account = sum(one.payload.amount for one in stated if isinstance(one.payload, RecognizedRevenue)) - sum(
                each.amount for each in lines if each.accrued
            )
            assert on_account == 0
