"""What becomes of charge lines when usage changes: revisions of an open period, adjustments of a closed one."""

from __future__ import annotations

from decimal import Decimal

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from revline.subledger.usage.charges.comparing import Line, adjustments, compare
from revline.subledger.usage.charges.values import Charge, ChargeKind
from tests.unit.usage.charging import FEBRUARY, JANUARY, MARCH, charge, line, version


def revised(stored: list[Charge], computed: list[Line], *, sequence: int = 2) -> tuple[Charge, ...]:
    return compare(tenant_id="acme", stored=stored, computed=computed, usage_version=version(sequence), configuration=1)


def test_a_line_keeps_its_identity_when_its_amount_changes() -> None:
    first = charge(line("10", "1.00"))
    (second,) = revised([first], [line("12", "1.20")])
    assert second.charge_id == first.charge_id
    assert (second.revision, second.amount, second.usage_version) == (2, Decimal("1.20"), version(2))


def test_nothing_is_written_when_only_the_log_went_on() -> None:
    assert revised([charge(line("10", "1.00"))], [line("10", "1.00")], sequence=900) == ()


def test_numbers_are_compared_by_value() -> None:
    stored = charge(line("10", "1.00", digest="same"))
    assert revised([stored], [line("10.000", "1.0000", digest="same")]) == ()


def test_other_events_of_the_same_quantity_are_a_revision() -> None:
    (second,) = revised([charge(line("10", "1.00", digest="one"))], [line("10", "1.00", digest="other")])
    assert second.revision == 2


def test_a_line_whose_usage_was_all_voided_is_revised_to_nothing_once() -> None:
    (gone,) = revised([charge(line("10", "1.00"))], [])
    assert (gone.quantity, gone.amount, gone.events, gone.revision) == (0, 0, 0, 2)
    assert revised([gone], []) == ()


def test_a_free_line_that_counts_events_is_kept_and_an_empty_one_is_not_begun() -> None:
    assert [one.amount for one in revised([], [line("3", "0.00")])] == [Decimal("0.00")]
    empty = line("0", "0.00", events=0)
    assert revised([], [empty]) == ()
    assert (
        len(
            compare(
                tenant_id="acme", stored=[], computed=[empty], usage_version=version(1), configuration=1, keep_zero=True
            )
        )
        == 1
    )


def test_late_usage_of_a_closed_month_is_borne_by_the_next_open_one() -> None:
    closed = [charge(line("10", "1.00"))]
    (borne,) = adjustments(
        closed=closed, borne=[], computed=[line("15", "1.50", events=3)], bearing=FEBRUARY, origin=JANUARY
    )
    assert (borne.subject.kind, borne.subject.window, borne.subject.origin) == (
        ChargeKind.ADJUSTMENT,
        FEBRUARY,
        JANUARY,
    )
    assert (borne.quantity, borne.amount, borne.events) == (Decimal(5), Decimal("0.50"), 2)
    explanation = msgspec.json.decode(borne.explanation)
    assert (explanation["was"]["amount"], explanation["now"]["amount"], explanation["amount"]) == (
        "1.00",
        "1.50",
        "0.50",
    )


def test_a_second_late_batch_is_borne_by_the_period_then_open_less_what_is_borne_already() -> None:
    closed = [charge(line("10", "1.00"))]
    (first,) = adjustments(closed=closed, borne=[], computed=[line("15", "1.50")], bearing=FEBRUARY, origin=JANUARY)
    (second,) = adjustments(
        closed=closed, borne=[charge(first)], computed=[line("18", "1.80")], bearing=MARCH, origin=JANUARY
    )
    assert second.amount == Decimal("0.30")
    assert second.subject.charge_id("acme") != first.subject.charge_id("acme")


def test_an_adjustment_taken_back_is_revised_to_nothing() -> None:
    closed = [charge(line("10", "1.00"))]
    (first,) = adjustments(closed=closed, borne=[], computed=[line("15", "1.50")], bearing=FEBRUARY, origin=JANUARY)
    (again,) = adjustments(
        closed=closed, borne=[charge(first)], computed=[line("10", "1.00")], bearing=FEBRUARY, origin=JANUARY
    )
    assert (again.amount, again.quantity, again.events) == (0, 0, 0)
    (gone,) = revised([charge(first)], [again])
    assert gone.amount == 0


def test_usage_first_seen_after_the_close_is_an_adjustment_of_nothing() -> None:
    (borne,) = adjustments(closed=[], borne=[], computed=[line("4", "0.40")], bearing=FEBRUARY, origin=JANUARY)
    assert borne.amount == Decimal("0.40")


amounts = st.integers(min_value=0, max_value=10_000).map(lambda cents: Decimal(cents).scaleb(-2))


@given(final=amounts, batches=st.lists(amounts, min_size=1, max_size=5))
def test_what_was_charged_in_all_is_what_the_period_costs_now(final: Decimal, batches: list[Decimal]) -> None:
    closed = [charge(line("1", str(final)))]
    borne: list[Charge] = []
    windows = [FEBRUARY, MARCH, FEBRUARY, MARCH, MARCH]
    for cost, bearing in zip(batches, windows, strict=False):
        made = adjustments(closed=closed, borne=borne, computed=[line("1", str(cost))], bearing=bearing, origin=JANUARY)
        borne = [one for one in borne if one.subject not in {each.subject for each in made}] + [
            charge(one) for one in made
        ]
        assert final + sum(one.amount for one in borne) == cost
