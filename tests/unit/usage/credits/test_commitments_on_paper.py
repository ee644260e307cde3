"""A commitment comes to what a person would work out month by month, whatever was promised and used."""

from __future__ import annotations

from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from revline.core.money import Amount
from revline.subledger.usage.calendar import Every, plus_months
from revline.subledger.usage.commitments import Commitment, Measure, Mode, NamedCommitment
from revline.subledger.usage.credits.values import Line
from revline.subledger.usage.judging import judge
from tests.unit.usage.credits.stories import CUSTOMER, ZONE, at, line

START = date(2026, 1, 1)
CENT = Decimal("0.01")
MONTHS = 6


def commitment(promised: str, months: int = MONTHS, **fields: object) -> NamedCommitment:
    made = {
        "title": "A promise",
        "connection": CUSTOMER.connection,
        "customer": CUSTOMER.outside_id,
        "currency": "USD",
        "promised": Amount(promised),
        "starts_on": START,
        "ends_on": plus_months(day=START, months=months),
    }
    return NamedCommitment(name="promise", spec=Commitment(**{**made, **fields}))  # type: ignore[arg-type]


def used(month: int, amount: str, quantity: str = "0") -> Line:
    first, after = plus_months(day=START, months=month), plus_months(day=START, months=month + 1)
    return line(f"l{month}", first.isoformat(), after.isoformat(), amount, quantity=Decimal(quantity))


def come_to(one: NamedCommitment, lines: list[Line], *, months: int = MONTHS) -> list[dict[str, Decimal]]:
    """What each month adds, by shortfall and overage."""
    end = plus_months(day=START, months=months)
    found = judge(commitment=one, lines=lines, at=at(end.isoformat()), time_zone=ZONE)
    added: list[dict[str, Decimal]] = [{} for _ in found.windows]
    starts = [each.window.start for each in found.windows]
    for charge in found.charges:
        added[starts.index(charge.subject.window.start)][charge.subject.group[0][1]] = charge.amount
    return added


def money(number: Fraction) -> Decimal:
    return (Decimal(number.numerator) / Decimal(number.denominator)).quantize(CENT, rounding=ROUND_HALF_UP)


amounts = st.integers(-50_000, 200_000).map(lambda cents: Decimal(cents).scaleb(-2))
promises = st.integers(1, 400_000).map(lambda cents: format(Decimal(cents).scaleb(-2), "f"))
factors = st.sampled_from(["0", "0.5", "0.8", "1", "1.25", "2"])


@settings(max_examples=120, deadline=None)
@given(promises, st.lists(amounts, min_size=MONTHS, max_size=MONTHS), factors)
def test_windowed_months_stand_alone(promised: str, spent: list[Decimal], factor: str) -> None:
    one = commitment(promised, overage_factor=Amount(factor))
    found = come_to(one, [used(month, str(amount)) for month, amount in enumerate(spent)])

    for amount, added in zip(spent, found, strict=True):
        missing = max(Decimal(promised) - amount, Decimal(0))
        beyond = money(Fraction(max(amount - Decimal(promised), Decimal(0))) * (Fraction(factor) - 1))
        wanted = {"shortfall": missing, "overage": beyond}
        assert added == {name: each for name, each in wanted.items() if each}


@settings(max_examples=120, deadline=None)
@given(promises, st.lists(amounts, min_size=MONTHS, max_size=MONTHS), st.booleans(), factors)
def test_cumulative_months_carry_what_was_used_early(
    promised: str, spent: list[Decimal], gives_back: bool, factor: str
) -> None:
    one = commitment(promised, mode=Mode.CUMULATIVE, gives_back=gives_back, overage_factor=Amount(factor))
    found = come_to(one, [used(month, str(amount)) for month, amount in enumerate(spent)])

    charged = to_date = beyond = Decimal(0)
    for month, (amount, added) in enumerate(zip(spent, found, strict=True), start=1):
        to_date += amount
        behind = max(money(Fraction(promised) * month / MONTHS) - to_date, Decimal(0))
        owed = behind - charged
        if owed < 0 and not gives_back:
            owed = Decimal(0)
        charged += owed
        over = max(to_date - Decimal(promised), Decimal(0))
        more = money(Fraction(over - beyond) * (Fraction(factor) - 1))
        beyond = over
        wanted = {"shortfall": owed, "overage": more}
        assert added == {name: each for name, each in wanted.items() if each}
    if gives_back:
        assert to_date + charged >= Decimal(promised), "by the end no less than the promise was charged"


@settings(max_examples=60, deadline=None)
@given(promises, st.lists(amounts.filter(lambda each: each >= 0), min_size=MONTHS, max_size=MONTHS))
def test_use_that_never_falls_back_and_what_is_charged_are_the_promise_or_more(
    promised: str, spent: list[Decimal]
) -> None:
    lines = [used(month, str(amount)) for month, amount in enumerate(spent)]
    charged = {
        mode: sum(
            (sum(added.values(), Decimal(0)) for added in come_to(commitment(promised, mode=mode), lines)), Decimal(0)
        )
        for mode in Mode
    }

    assert sum(spent, charged[Mode.CUMULATIVE]) >= Decimal(promised)
    assert sum(spent, charged[Mode.WINDOWED]) >= Decimal(promised) * MONTHS


def test_a_missing_quantity_costs_its_unit_price_and_overage_its_share_of_what_was_charged() -> None:
    one = commitment(
        "1000", months=2, measure=Measure.QUANTITY, unit_price=Amount("0.015"), overage_factor=Amount("0.8")
    )
    found = come_to(one, [used(0, "9.35", "623.5"), used(1, "20.00", "1600")], months=2)

    assert found == [{"shortfall": Decimal("5.65")}, {"overage": Decimal("-1.50")}]


def test_a_window_the_term_cuts_short_promises_its_days() -> None:
    one = commitment("31.00", every=Every.MONTH, ends_on=date(2026, 2, 15))
    found = come_to(one, [], months=2)

    assert found == [{"shortfall": Decimal("31.00")}, {"shortfall": Decimal("15.50")}]


@pytest.mark.parametrize("digits", [30, 38])
def test_quantities_of_many_digits_are_judged_exactly(digits: int) -> None:
    """38 digits are what a meter may give: none of them may be lost on the way to a shortfall."""
    whole = "1" + "0" * 15
    quantity = f"{10**15 - 1}." + "9" * (digits - 15)
    one = commitment(whole, months=1, measure=Measure.QUANTITY, unit_price=Amount("1"))
    found = judge(commitment=one, lines=[used(0, "0", quantity)], at=at("2026-02-01"), time_zone=ZONE)

    assert found.windows[0].counted == Decimal(quantity)
    assert found.windows[0].shortfall == Decimal("0." + "0" * (digits - 16) + "1")
