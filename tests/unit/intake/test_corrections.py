"""What a corrected copy may be, where it stands among snapshots, and what it is worth."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import msgspec
import pytest

from revline.core.canonical import Refund, StatedEvent
from revline.core.canonical.stated import RecognizedRevenue
from revline.core.facts import Fact, TranslatedFact
from revline.core.ids import SourceObject
from revline.core.problem import Problem
from revline.intake.corrections import above, corrected, worth

D = Decimal
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
STATED = StatedEvent(
    outside_id="ev_1",
    event="revenue.recognized",
    occurred_on=date(2026, 3, 1),
    currency="USD",
    payload=RecognizedRevenue(amount=D("-5000.00")),
)


def refund(payment: str, amount: str) -> TranslatedFact:
    source = SourceObject(connection="stripe-us", kind="refund", outside_id="re_1")
    return TranslatedFact(
        source=source,
        source_event="evt_1",
        event_type="refund.created",
        occurred_at=NOON,
        content_digest=amount,
        order_key=(1, 5),
        snapshot=Refund(
            outside_id="re_1",
            payment=payment,
            status="succeeded",
            currency="USD",
            amount=D(amount),
            earned=D("0.00"),
            created_at=NOON,
        ),
        roots=(SourceObject(connection="stripe-us", kind="payment", outside_id=payment),),
    )


ORIGINAL = Fact(
    fact_id="f_1",
    position=1,
    ordinal=0,
    received_at=NOON,
    translator="stripe/1",
    body_digest="",
    translated=refund("ch_1", "10.00"),
)


def copy(made: TranslatedFact) -> TranslatedFact | Problem:
    return corrected(made=[made], original=ORIGINAL, correction_id="c_1", decided_at=NOON)


def test_a_copy_that_moves_to_another_root_is_refused_since_the_original_would_stay_booked_on_its_own() -> None:
    moved = copy(refund("ch_2", "10.00"))
    assert isinstance(moved, Problem)
    assert moved.code == "correction.other_object"
    assert isinstance(copy(refund("ch_1", "12.00")), TranslatedFact)


def test_a_correction_stands_above_its_original_and_earlier_corrections_and_below_what_comes_later() -> None:
    first, second = (above((1, 5), decided_at=NOON + timedelta(microseconds=number)) for number in (0, 1))
    assert (1, 5) < first < second < (1, 6)
    assert first < above(first, decided_at=NOON) < second


@pytest.mark.parametrize("kind", ["before", "after"])
def test_a_stated_event_is_worth_what_it_states(kind: str) -> None:
    small = msgspec.structs.replace(STATED, payload=RecognizedRevenue(amount=D("1.00")))
    value = worth(STATED, small) if kind == "before" else worth(small, STATED)
    assert (value.currency, value.amount) == ("USD", D("5000.00"))
