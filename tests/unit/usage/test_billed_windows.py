"""Meters asked for billed windows: no customer's windows overlap in one question, groups of one window add up."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from revline.core.ids import SourceObject
from revline.subledger.usage.metering.values import CustomerWindow, Metered
from revline.subledger.usage.outward.measuring import add_rows, without_overlaps
from revline.subledger.usage.versions import Window

START = datetime(2026, 3, 1, tzinfo=UTC)


def asked(customer: str, first: int, last: int) -> CustomerWindow:
    window = Window(start=START + timedelta(days=first), end=START + timedelta(days=last))
    return CustomerWindow(customer=SourceObject(connection="s", kind="customer", outside_id=customer), window=window)


WINDOWS = st.lists(
    st.builds(
        lambda name, first, length: asked(name, first, first + length),
        st.sampled_from("ab"),
        st.integers(0, 20),
        st.integers(1, 10),
    ),
    max_size=20,
)


@given(WINDOWS)
def test_every_window_is_asked_once_and_beside_none_it_overlaps(windows: list[CustomerWindow]) -> None:
    groups = without_overlaps(windows)
    assert sorted(one for group in groups for one in group) == sorted(set(windows))
    for group in groups:
        for one in group:
            for other in group:
                apart = one.window.end <= other.window.start or other.window.end <= one.window.start
                assert one == other or one.customer != other.customer or apart


def test_windows_that_follow_one_another_are_one_question() -> None:
    assert len(without_overlaps([asked("a", 0, 1), asked("a", 1, 2), asked("b", 0, 2)])) == 1


def test_groups_of_one_window_add_up_exactly() -> None:
    one = asked("a", 0, 31)
    moment = pa.timestamp("us", tz="UTC")
    table = pa.table(
        {
            "connection": ["s", "s"],
            "outside_id": ["a", "a"],
            "window_start": pa.array([one.window.start] * 2, moment),
            "window_end": pa.array([one.window.end] * 2, moment),
            "group": [["eu"], ["us"]],
            "quantity": pa.array([Decimal("0.10"), Decimal("0.20")], pa.decimal128(38, 2)),
        }
    )
    found: dict[CustomerWindow, Decimal] = {}
    add_rows(Metered(meter="m", scale=2, unit="unit", group_by=("region",), table=table), into=found)
    assert found == {one: Decimal("0.30")}
