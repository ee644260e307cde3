"""The same thing has the same id and the same bytes in every run; different things never do."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from revline.core.clock import Period, from_unix_seconds, local_date, month_of
from revline.core.hashing import canonical_bytes
from revline.core.ids import (
    SourceObject,
    derived_id,
    event_id,
    external_reference,
    rebooked_id,
    reversal_id,
    uuid7,
)

PARTS = st.lists(st.text(max_size=12), min_size=1, max_size=4)


@given(one=PARTS, other=PARTS)
def test_lists_of_parts_never_share_an_id(one: list[str], other: list[str]) -> None:
    assert (derived_id(*one) == derived_id(*other)) == (one == other)


def test_ids_are_what_they_always_were() -> None:
    source = SourceObject(connection="stripe-us", kind="invoice", outside_id="in_1")
    identity = event_id(tenant="northwind", source=source, event_kind="invoice.issued", ordinal=0)
    assert identity == "hbfz2ccp6korohhti65kplh2oe"
    assert external_reference(document=identity) == "HBFZ2CCP6KOROHHT"
    assert len({identity, reversal_id(reversed_id=identity), rebooked_id(reversal=identity)}) == 3


def test_canonical_bytes_do_not_depend_on_order_zone_or_minus_zero() -> None:
    moment = datetime(2026, 1, 1, 12, tzinfo=UTC)
    there = moment.astimezone(timezone(timedelta(hours=5)))
    one = canonical_bytes({"b": Decimal("-0.00"), "a": moment, "c": {"y", "x"}})
    assert one == canonical_bytes({"c": {"x", "y"}, "a": there, "b": Decimal("0.00")})
    assert one == b'{"a":"2026-01-01T12:00:00.000000Z","b":"0.00","c":["x","y"]}'


def test_a_float_has_no_canonical_form() -> None:
    with pytest.raises(TypeError):
        canonical_bytes({"amount": 0.1})


def test_periods_are_half_open_and_days_are_local() -> None:
    december = month_of(day=datetime(2026, 12, 31, tzinfo=UTC).date())
    assert december == Period(start=december.start, end=december.start.replace(year=2027, month=1))
    assert december.end not in december
    moment = from_unix_seconds(seconds=1_767_232_800)  # 2026-01-01 02:00 UTC
    assert local_date(moment=moment, time_zone="America/New_York").isoformat() == "2025-12-31"
    assert local_date(moment=moment, time_zone="Europe/Berlin").isoformat() == "2026-01-01"


def test_a_uuid_of_a_received_thing_orders_by_time() -> None:
    early, late = (
        uuid7(now=datetime(2026, 1, day, tzinfo=UTC), random_bytes=lambda count: b"\xff" * count) for day in (1, 2)
    )
    assert early < late
    assert early.version == 7
