"""The link of a charge and the line that bills it, and how its accrual is taken back by it: never both, never neither."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

from revline.subledger.usage.charges.accruing import Billing
from revline.subledger.usage.outward.accruals import BillingLink, billings
from revline.subledger.usage.outward.values import BilledLine


def line(amount: str, *, number: int = 1, accrued: str = "", day: date = date(2026, 4, 1)) -> BilledLine:
    return BilledLine(
        invoice="in_1", line=f"il_{number}", quantity=Decimal(1), unit_price=Decimal(amount), amount=Decimal(amount),
        billed_on=day, accrued=accrued,
    )  # fmt: skip


def link(*lines: BilledLine, **amounts: str) -> BillingLink:
    given = {name: Decimal(amount) for name, amount in amounts.items()}
    return BillingLink(amounts=given, currency="USD", lines=lines)


def test_a_line_takes_all_of_an_accrual_back_on_its_day_whatever_it_billed() -> None:
    assert billings([link(line("280.00"), c1="300.00")]) == {
        "c1": Billing(charge_id="c1", day=date(2026, 4, 1), cleared=Decimal(0))
    }


def test_of_several_lines_the_first_day_counts() -> None:
    found = billings([link(line("200.00", day=date(2026, 4, 3)), line("100.00", number=2), c1="300.00")])
    assert found["c1"].day == date(2026, 4, 1)


def test_a_line_that_credits_the_accrued_account_itself_clears_what_it_billed() -> None:
    found = billings([link(line("310.00", accrued="unbilled_receivable"), c1="300.00")])
    assert found["c1"].cleared == Decimal("310.00")


def test_a_line_that_bills_several_charges_clears_each_in_proportion_to_the_cent() -> None:
    clears = line("100.00", accrued="unbilled_receivable")
    found = billings([link(clears, a="1.00", b="1.00", c="1.00")])
    assert [found[name].cleared for name in "abc"] == [Decimal("33.34"), Decimal("33.33"), Decimal("33.33")]
    assert sum(each.cleared for each in found.values()) == Decimal("100.00")
    nothing = billings([link(clears, a="0.00", b="0.00")])
    assert [nothing[name].cleared for name in "ab"] == [Decimal("100.00"), Decimal("0")]


def test_no_line_is_no_link() -> None:
    assert billings([link(c1="300.00")]) == {}
