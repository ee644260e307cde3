"""A line keeps every digit its meter gave."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from revline.core.ids import SourceObject
from revline.subledger.usage.charges.bands import asked_for, by_band, pieces_of
from revline.subledger.usage.charges.lines import Measured, Wanted, lines_of, quantity_digest
from revline.subledger.usage.rating.kinds import UsagePrice
from revline.subledger.usage.rating.models import Band, PerUnit, TimeOfDay
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


def test_a_price_by_time_of_day_is_asked_by_the_pieces_of_its_bands() -> None:
    """Two days in Berlin, the second of 23 hours: what was used in each piece comes together by band."""
    window = Window(start=datetime(2026, 3, 27, 23, tzinfo=UTC), end=datetime(2026, 3, 29, 22, tzinfo=UTC))
    model = TimeOfDay(
        bands=(Band(name="day", start="08:00", end="20:00", unit_amount=Decimal("0.30")),), otherwise=Decimal("0.10")
    )
    price = UsagePrice(title="Power", meter="kwh", entity="de", terms=terms(model, currency="EUR"))
    wanted = Wanted(customer=CUSTOMER, window=window, price="power")
    pieces = pieces_of(price=price, wanted=wanted, time_zone="Europe/Berlin")

    assert [(each.band, each.window.end - each.window.start) for each in pieces] == [
        ("otherwise", timedelta(hours=8)),
        ("day", timedelta(hours=12)),
        ("otherwise", timedelta(hours=11)),
        ("day", timedelta(hours=12)),
        ("otherwise", timedelta(hours=4)),
    ]
    asked = list(asked_for(wanted, pieces))
    assert [each.counted for each in asked] == [each.window for each in pieces]
    answers = {("kwh", CUSTOMER, each.counted): [measured(Decimal(10), "")] for each in asked[:4]}
    key, mine = by_band(price=price, wanted=wanted, pieces=pieces, answers=answers)
    (line,), _ = lines_of(prices={"power": price}, groups_of={}, wanted=[wanted], answers={**answers, key: mine})

    assert (line.quantity, line.events, line.amount) == (Decimal(40), 4, Decimal("8.00"))
    assert lines_of(prices={"power": price}, groups_of={}, wanted=[wanted], answers=answers)[1], "never rated as unused"
