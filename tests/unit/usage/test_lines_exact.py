"""A line keeps every digit its meter gave."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

from revline.core.ids import SourceObject
from revline.subledger.usage.charges.lines import Measured, Wanted, lines_of, quantity_digest
from revline.subledger.usage.rating.kinds import UsagePrice
from revline.subledger.usage.rating.models import PerUnit
from revline.subledger.usage.versions import Window
from tests.unit.usage.rating.terms import terms

WINDOW = Window(start=datetime(2026, 1, 1, tzinfo=UTC), end=datetime(2026, 2, 1, tzinfo=UTC))
CUSTOMER = SourceObject(connection="billing", kind="customer", outside_id="cus_1")
MANY_DIGITS = Decimal("98765432109876543210987654.000000000001")


def measured(quantity: Decimal, region: str) -> Measured:
    return Measured(values=(region,), quantity=quantity, events=1, sequences=7)


def test_groups_together_are_summed_without_losing_a_digit() -> None:
    price = UsagePrice(
        title="Calls", meter="calls", entity="us", terms=terms(PerUnit(unit_amount=Decimal("0.000000000001")))
    )
    answers = {("calls", CUSTOMER, WINDOW): [measured(MANY_DIGITS, "eu"), measured(Decimal("0.000000000001"), "us")]}
    (line,), unrated = lines_of(
        prices={"calls": price},
        groups_of={"calls": ("region",)},
        wanted=[Wanted(customer=CUSTOMER, window=WINDOW, price="calls")],
        answers=answers,
    )

    assert unrated == ()
    assert line.quantity == Decimal("98765432109876543210987654.000000000002")
    assert line.amount == Decimal("98765432109876.54")


def test_two_quantities_that_differ_in_their_last_digit_have_two_digests() -> None:
    one = measured(MANY_DIGITS, "eu")
    other = measured(Decimal("98765432109876543210987654.000000000002"), "eu")

    assert quantity_digest([one]) != quantity_digest([other])
