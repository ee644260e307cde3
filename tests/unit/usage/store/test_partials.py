"""Partial aggregates say what reading the events says, to the last digit."""

from __future__ import annotations

from collections import defaultdict
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from revline.subledger.usage.store.layout import plain_table
from revline.subledger.usage.store.partials import partials_of
from revline.subledger.usage.store.values import DAY_MINUTES, Condition, PartialFilter, PartialSpec
from tests.usage_rows import START, Row, table_of, usage

WIDE = "wide__d38_6"


def rows_of(given_rows: list[Row]) -> list[Row]:
    return [
        {"shard": 0, "sequence": number, "received_at": START, **row} for number, row in enumerate(given_rows, start=1)
    ]


def by_hand(rows: list[Row], spec: PartialSpec, minutes: int) -> dict[tuple[Any, ...], tuple[Any, ...]]:
    """Event by event."""
    found: dict[tuple[Any, ...], list[Row]] = defaultdict(list)
    length = timedelta(minutes=minutes)
    for row in rows:
        if row["type"] == spec.event_type and row["typed"] and all(passes(row, one) for one in spec.filters):
            start = START.replace(hour=0) - timedelta(days=60)
            bucket = start + (row["occurred_at"] - start) // length * length
            found[bucket, row["subject"], *(row.get(name) or "" for name in spec.groups)].append(row)
    return {key: summed(each, spec.value) for key, each in found.items()}


def passes(row: Row, one: PartialFilter) -> bool:
    value = row.get(one.column)
    match one.condition:
        case Condition.IN:
            return value in one.values
        case Condition.NOT_IN:
            return value not in one.values
        case Condition.AT_LEAST:
            return value is not None and value >= Decimal(one.values[0])
        case Condition.BELOW:
            return value is not None and value < Decimal(one.values[0])
        case Condition.PRESENT:
            return value is not None
        case Condition.ABSENT:
            return value is None


def summed(rows: list[Row], column: str) -> tuple[Any, ...]:
    having = [row for row in rows if column and row.get(column) is not None]
    head = (len(rows), sum(row["sequence"] for row in rows), len(having))
    if not having:
        return (*head, None, None, None, None, None)
    values, at = [row[column] for row in having], max(row["occurred_at"] for row in having)
    latest = max(row[column] for row in having if row["occurred_at"] == at)
    return (*head, sum(values), min(values), max(values), at, latest)


def by_partials(rows: list[Row], spec: PartialSpec, minutes: int) -> dict[tuple[Any, ...], tuple[Any, ...]]:
    found = partials_of(plain_table([table_of(rows)]), specs=[spec], minutes=[DAY_MINUTES])
    scale = Decimal(10) ** -int(spec.value.rpartition("_")[2] or 0) if spec.value else Decimal(1)

    def number(value: Decimal | None) -> Decimal | None:
        return None if value is None else value * scale

    return {
        (row["bucket"], row["subject"], *(row[f"group_{index}"] for index in range(1, len(spec.groups) + 1))): (
            row["events"], int(row["sequences"]), row["with_value"], number(row["total"]), number(row["smallest"]),
            number(row["largest"]), row["latest_at"], number(row["latest"]),
        )
        for row in (found.to_pylist() if found else [])
        if row["minutes"] == minutes and row["spec"] == spec.spec_id
    }  # fmt: skip


SPECS = (
    PartialSpec(event_type="tokens", value="tokens__d18_3"),
    PartialSpec(event_type="tokens", value=WIDE, groups=("model__text",)),
    PartialSpec(event_type="tokens", groups=("model__text", "cached__boolean"), minutes=15),
    PartialSpec(
        event_type="tokens", value="tokens__d18_3", filters=(PartialFilter(column="model__text", values=("a",)),)
    ),
    PartialSpec(
        event_type="tokens",
        filters=(
            PartialFilter(column="model__text", condition=Condition.NOT_IN, values=("a",)),
            PartialFilter(column="tokens__d18_3", condition=Condition.AT_LEAST, values=("0",)),
        ),
    ),
    PartialSpec(
        event_type="seats", value="tokens__d18_3", filters=(PartialFilter(column=WIDE, condition=Condition.ABSENT),)
    ),
)

amounts = st.decimals(min_value=-(10**15) + 1, max_value=10**15 - 1, places=3)
wide_amounts = st.decimals(min_value=-(10**20), max_value=10**20, places=6)


@st.composite
def events(draw: st.DrawFn) -> Row:
    moment = START + timedelta(seconds=draw(st.integers(-5_000, 100_000)))
    row = usage(
        "id",
        None,
        subject=draw(st.sampled_from(["x", "y"])),
        kind=draw(st.sampled_from(["tokens", "tokens", "seats"])),
        at=moment,
        typed=draw(st.booleans() | st.just(value=True)),
    )
    model, cached = draw(st.sampled_from(["a", "b", None])), draw(st.sampled_from([True, False]))
    value, wide = draw(st.none() | amounts), draw(st.none() | wide_amounts)
    return {**row, "model__text": model, "cached__boolean": cached, "tokens__d18_3": value, WIDE: wide}


@pytest.mark.parametrize("spec", SPECS)
@settings(max_examples=60, deadline=None)
@given(given_rows=st.lists(events(), min_size=1, max_size=40))
def test_partials_are_what_the_events_are(spec: PartialSpec, given_rows: list[Row]) -> None:
    rows = rows_of(given_rows)
    as_text = [{**row, "cached__boolean": str(row["cached__boolean"]).lower()} for row in rows]
    for minutes in (spec.minutes, DAY_MINUTES):
        assert by_partials(rows, spec, minutes) == by_hand(as_text, spec, minutes)


def test_a_sum_beyond_64_bits_is_exact() -> None:
    most = "999999999999999.999"
    rows = rows_of([usage(str(number), most) for number in range(20)])
    spec = PartialSpec(event_type="tokens", value="tokens__d18_3")
    ((*_, total, _, _, _, _),) = by_partials(rows, spec, 60).values()
    assert total == 20 * Decimal(most)


def test_the_latest_of_one_instant_is_the_greatest_whatever_came_first() -> None:
    for order in (["3", "9", "4"], ["9", "4", "3"]):
        rows = rows_of([usage(str(number), amount) for number, amount in enumerate(order)])
        ((*_, latest),) = by_partials(rows, PartialSpec(event_type="tokens", value="tokens__d18_3"), 60).values()
        assert latest == 9


def test_a_quarter_hour_is_a_bucket_where_the_zone_needs_it() -> None:
    rows = rows_of([usage("a", at=START), usage("b", at=START + timedelta(minutes=16))])
    quarter = PartialSpec(event_type="tokens", minutes=15)
    assert [key[0] for key in by_partials(rows, quarter, 15)] == [START, START + timedelta(minutes=15)]
    assert len(by_partials(rows, PartialSpec(event_type="tokens"), 60)) == 1


def test_events_without_a_column_are_counted_and_have_no_value() -> None:
    rows = rows_of([usage("a"), usage("b")])
    found = by_partials(rows, PartialSpec(event_type="tokens", value="gone__d18_0", groups=("lost__text",)), 60)
    assert found == {(START, "acme", ""): (2, 3, 0, None, None, None, None, None)}
    assert partials_of(plain_table([table_of(rows)]), specs=[PartialSpec(event_type="gone")]) is None
