"""What was promised and not used: windows, terms cut short, cumulative promises, overage, minimums, and who pays them."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from revline.core.canonical.credits import Scope
from revline.core.money import Amount
from revline.platform.tenancy.kinds import Connection
from revline.subledger.usage.calendar import Every
from revline.subledger.usage.charges.values import ChargeKind
from revline.subledger.usage.commitments import (
    Commitment,
    Measure,
    Mode,
    NamedCommitment,
    Promise,
    check_commitment,
)
from revline.subledger.usage.credits.values import Statement
from tests.unit.usage.credits.stories import at, february, grant, january, line, march, paid, settled


def commitment(promised: str = "100.00", **more: Any) -> NamedCommitment:
    values: dict[str, Any] = {
        "title": "A promise",
        "connection": "billing",
        "customer": "cus_1",
        "currency": "USD",
        "promised": Amount(promised),
        "starts_on": date(2026, 1, 1),
        "ends_on": date(2026, 4, 1),
        **more,
    }
    return NamedCommitment(name="promise", spec=Commitment(**values))


def charged(statement: Statement) -> list[tuple[str, str, str]]:
    """(first day, of what, amount) of every line a commitment added."""
    return [
        (one.subject.window.start.date().isoformat(), one.subject.group[0][1], str(one.amount))
        for one in statement.charges
        if one.subject.kind is not ChargeKind.CREDIT
    ]


USED = [january("jan", "60.00"), february("feb", "130.00")]


def test_what_a_month_lacks_is_charged_when_it_has_ended() -> None:
    found = settled("2026-03-10", lines=USED, commitments=[commitment()])
    assert charged(found) == [("2026-01-01", "shortfall", "40.00")]
    assert [(one.counted, one.shortfall, one.overage, one.open) for one in found.commitments] == [
        (Decimal("60.00"), Decimal("40.00"), 0, False),
        (Decimal("130.00"), 0, Decimal("30.00"), False),
        (0, Decimal("100.00"), 0, True),
    ]


def test_a_cumulative_promise_counts_early_use_later_and_charges_no_cent_twice() -> None:
    promise = commitment("300.00", mode=Mode.CUMULATIVE)
    found = settled("2026-04-01", lines=[*USED, march("mar", "20.00")], commitments=[promise])
    assert charged(found) == [("2026-01-01", "shortfall", "40.00"), ("2026-03-01", "shortfall", "50.00")]
    assert [one.promised for one in found.commitments] == [Decimal("100.00"), Decimal("200.00"), Decimal("300.00")]


def test_a_shortfall_is_given_back_where_that_was_agreed() -> None:
    promise = commitment("300.00", mode=Mode.CUMULATIVE, gives_back=True)
    found = settled("2026-04-01", lines=[january("jan", "60.00"), february("feb", "180.00")], commitments=[promise])
    assert charged(found) == [
        ("2026-01-01", "shortfall", "40.00"),
        ("2026-02-01", "shortfall", "-40.00"),
        ("2026-03-01", "shortfall", "60.00"),
    ]


def test_a_promise_of_a_whole_term_is_judged_at_its_end() -> None:
    promise = commitment("500.00", every=Every.TERM)
    assert charged(settled("2026-03-31", lines=USED, commitments=[promise])) == []
    assert charged(settled("2026-04-01", lines=USED, commitments=[promise])) == [("2026-01-01", "shortfall", "310.00")]


def test_beyond_the_promise_another_price_holds() -> None:
    dearer, cheaper = commitment(overage_factor=Amount("1.5")), commitment(overage_factor=Amount("0.8"))
    assert charged(settled("2026-03-01", lines=USED, commitments=[dearer]))[-1] == ("2026-02-01", "overage", "15.00")
    assert charged(settled("2026-03-01", lines=USED, commitments=[cheaper]))[-1] == ("2026-02-01", "overage", "-6.00")


def test_a_quantity_that_is_missing_costs_its_price() -> None:
    promise = commitment(
        "1000",
        measure=Measure.QUANTITY,
        unit_price=Amount("0.015"),
        overage_factor=Amount("2"),
        ends_on=date(2026, 3, 1),
    )
    lines = [january("jan", "9.00", quantity=Decimal(600)), february("feb", "18.00", quantity=Decimal(1200))]
    found = settled("2026-03-01", lines=lines, commitments=[promise])
    assert charged(found) == [("2026-01-01", "shortfall", "6.00"), ("2026-02-01", "overage", "3.00")]


def test_the_last_window_promises_its_share_of_days() -> None:
    cut = commitment("100.00", ends_on=date(2026, 2, 15))
    found = settled("2026-03-01", commitments=[cut])
    assert charged(found) == [("2026-01-01", "shortfall", "100.00"), ("2026-02-01", "shortfall", "50.00")]
    whole = commitment("100.00", ends_on=date(2026, 2, 15), prorated=False)
    assert charged(settled("2026-03-01", commitments=[whole]))[-1][2] == "100.00"


def test_hours_of_a_day_of_23_are_23() -> None:
    promise = commitment("1.00", starts_on=date(2026, 3, 8), ends_on=date(2026, 3, 9), every=Every.HOUR)
    found = settled("2026-03-09", commitments=[promise])
    assert len(found.commitments) == 23
    assert sum(Decimal(amount) for _, _, amount in charged(found)) == Decimal(23)


def test_a_scope_another_customer_and_another_currency_do_not_count() -> None:
    promise = commitment(scope=Scope(families=("api",)), ends_on=date(2026, 2, 1))
    lines = [january("a", "60.00", product_family="api"), january("b", "60.00", product_family="storage")]
    assert charged(settled("2026-02-01", lines=lines, commitments=[promise])) == [("2026-01-01", "shortfall", "40.00")]


def test_credits_pay_a_minimum_only_where_it_says_so() -> None:
    grants = [grant("g", "500.00")]
    own = commitment(promise=Promise.MINIMUM, ends_on=date(2026, 2, 1))
    found = settled("2026-02-01", lines=[january("jan", "60.00")], commitments=[own], grants=grants)
    assert [one["due"] for one in paid(found).values()] == ["0.00", "40.00"]
    paying = commitment(promise=Promise.MINIMUM, paid_by_credits=True, ends_on=date(2026, 2, 1))
    found = settled("2026-02-01", lines=[january("jan", "60.00")], commitments=[paying], grants=grants)
    assert [one["due"] for one in paid(found).values()] == ["0.00", "0.00"]


def test_a_line_counts_in_the_window_of_its_last_moment() -> None:
    crossing = line("week", "2026-01-29", "2026-02-05", "70.00")
    found = settled("2026-03-01", lines=[crossing], commitments=[commitment()])
    assert [one.counted for one in found.commitments] == [0, Decimal("70.00")]


@given(
    amounts=st.lists(st.integers(min_value=0, max_value=100_000), min_size=12, max_size=12),
    promised=st.integers(min_value=1, max_value=1_000_000),
)
def test_cumulative_shortfalls_and_use_come_to_the_promise_or_more(amounts: list[int], promised: int) -> None:
    lines = [
        line(f"m{month}", f"2026-{month:02d}-01", f"{2026 + month // 12}-{month % 12 + 1:02d}-01", f"{cents / 100:.2f}")
        for month, cents in enumerate(amounts, start=1)
    ]
    total = Decimal(promised).scaleb(-2)
    promise = commitment(str(total), mode=Mode.CUMULATIVE, ends_on=date(2027, 1, 1))
    found = settled("2027-01-01", lines=lines, commitments=[promise])
    used = sum((each.amount for each in lines), Decimal(0))
    missing = sum((Decimal(amount) for _, _, amount in charged(found)), Decimal(0))
    assert used + missing >= total
    back = commitment(str(total), mode=Mode.CUMULATIVE, gives_back=True, ends_on=date(2027, 1, 1))
    found = settled("2027-01-01", lines=lines, commitments=[back])
    missing = sum((Decimal(amount) for _, _, amount in charged(found)), Decimal(0))
    assert missing == max(total - used, Decimal(0)), "what was too much is given back, to the cent"


@pytest.mark.parametrize(
    ("more", "pointer"),
    [
        ({"connection": "nowhere"}, "spec.connection"),
        ({"customer": ""}, "spec.customer"),
        ({"ends_on": date(2026, 1, 1)}, "spec.endsOn"),
        ({"ends_on": None, "mode": Mode.CUMULATIVE}, "spec.endsOn"),
        ({"promised": Amount("1.001")}, "spec.promised"),
        ({"promised": Amount("0")}, "spec.promised"),
        ({"currency": "US"}, "spec.currency"),
        ({"measure": Measure.QUANTITY}, "spec.unitPrice"),
        ({"overage_factor": Amount("-1")}, "spec.overageFactor"),
        ({"scope": Scope(prices=tuple(str(number) for number in range(101)))}, "spec.scope.prices"),
    ],
)
def test_a_commitment_that_can_not_be_judged_is_refused(more: dict[str, Any], pointer: str) -> None:
    others = {Connection: {"billing": Connection(connector="direct", entity="e")}}
    assert check_commitment("promise", commitment().spec, others) == ()
    assert [one.pointer for one in check_commitment("promise", commitment(**more).spec, others)] == [pointer]


def test_the_moment_of_a_charge_is_the_end_of_its_window() -> None:
    found = settled("2026-02-01", commitments=[commitment()])
    assert found.lines[0].line.draws_at == at("2026-02-01")
