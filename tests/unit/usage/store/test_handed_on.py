"""What the log hands on is found by tenant in the stored columns, of whatever type it is and however many commits it came in."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from revline.core.problem import Problem
from revline.subledger.usage.decoding.catalogue import TypeCatalogue
from revline.subledger.usage.decoding.decode import decode
from revline.subledger.usage.kinds import EventType, FieldKind, UsageField
from revline.subledger.usage.log.values import CommittedBatch
from revline.subledger.usage.store.tail import Tail

RECEIVED = datetime(2026, 2, 1, 8, 0, 0, 250, tzinfo=UTC)
TOKENS = EventType(
    title="Tokens",
    type="tokens",
    fields={
        "amount": UsageField(kind=FieldKind.DECIMAL, precision=18, scale=3, required=True),
        "calls": UsageField(kind=FieldKind.DECIMAL),
        "model": UsageField(kind=FieldKind.TEXT),
        "cached": UsageField(kind=FieldKind.BOOLEAN),
        "user": UsageField(kind=FieldKind.TEXT, personal=True),
    },
)
STORAGE = EventType(
    title="Storage",
    type="storage",
    fields={
        "bytes": UsageField(kind=FieldKind.DECIMAL, precision=30, scale=0),
        "until": UsageField(kind=FieldKind.TIME),
    },
)


def batch(tenant_id: str, first: int, *events: dict[str, Any], types: tuple[EventType, ...] = (TOKENS, STORAGE)) -> Any:
    catalogue = TypeCatalogue(tenant_id=tenant_id, seed=7, types={one.type: one for one in types})
    decoded = decode(json.dumps(events).encode(), catalogue)
    assert not isinstance(decoded, Problem)
    assert decoded.invalid == ()
    return CommittedBatch(
        tenant_id=tenant_id,
        shard=3,
        first_sequence=first,
        received_at=RECEIVED,
        count=decoded.storable,
        rows=decoded.rows,
        events=decoded.events,
    )


def event(number: int, kind: str, data: Any, **more: Any) -> dict[str, Any]:
    time = f"2026-01-31T23:59:59.{number:06d}Z"
    return {
        "id": f"e{number}",
        "source": "app",
        "type": kind,
        "subject": f"s{number}",
        "time": time,
        "data": data,
        **more,
    }


def rows_of(*batches: Any) -> dict[str, list[dict[str, Any]]]:
    tail = Tail()
    tail.on_committed(batches)
    found = {name: tail.after(tenant_id=name, sealed={}) for name in ("north", "south")}
    assert all(
        one is not None and one.through == {3: max(each.last_sequence for each in batches)} for one in found.values()
    )
    return {name: [] if one.table is None else one.table.to_pylist() for name, one in found.items()}


def test_a_plain_event_is_a_row() -> None:
    data = {"amount": 12.5, "calls": 3, "model": "large", "cached": True, "user": "ann"}
    (row,) = rows_of(batch("north", 41, event(1, "tokens", data)))["north"]
    assert row == {
        "shard": 3,
        "sequence": 41,
        "received_at": RECEIVED,
        "occurred_at": datetime(2026, 1, 31, 23, 59, 59, 1, tzinfo=UTC),
        "type": "tokens",
        "subject": "s1",
        "source": "app",
        "id": "e1",
        "voids_source": None,
        "voids_id": None,
        "rest": None,
        "typed": True,
        "amount__d18_3": Decimal("12.500"),
        "calls__d18_0": Decimal(3),
        "model__text": "large",
        "cached__boolean": True,
        "user__personal": "ann",
    }


def test_what_was_not_sent_is_null() -> None:
    (row,) = rows_of(batch("north", 1, event(1, "tokens", {"amount": "-0.001"})))["north"]
    assert row["amount__d18_3"] == Decimal("-0.001")
    assert {"calls__d18_0", "model__text", "cached__boolean", "user__personal"}.isdisjoint(row)


def test_many_commits_of_many_tenants_and_types_keep_each_tenants_sequences() -> None:
    found = rows_of(
        batch("south", 1, event(1, "tokens", {"amount": 1})),
        batch("north", 2, event(2, "storage", {"bytes": 10**29}), event(3, "tokens", {"amount": 2})),
        batch("south", 4, event(4, "storage", {"bytes": 5, "until": "2026-03-01T00:00:00+01:00"})),
        batch("north", 5, event(5, "tokens", {"amount": 3})),
    )
    assert [(row["sequence"], row["id"]) for row in found["north"]] == [(2, "e2"), (3, "e3"), (5, "e5")]
    assert [(row["sequence"], row["type"]) for row in found["south"]] == [(1, "tokens"), (4, "storage")]
    assert found["north"][0]["bytes__d30_0"] == Decimal(10**29)
    assert found["south"][1]["until__time"] == datetime(2026, 2, 28, 23, tzinfo=UTC)


def test_an_event_of_an_unknown_type_keeps_its_data_and_is_not_typed() -> None:
    (row,) = rows_of(batch("north", 1, event(1, "surprise", {"b": 2, "a": "x"})))["north"]
    assert (row["typed"], json.loads(row["rest"])) == (False, {"a": "x", "b": 2})


def test_a_void_and_an_amendment_name_what_they_take_back() -> None:
    void = event(1, "revline.usage.void", {"source": "app", "id": "old", "reason": "wrong"})
    amend = event(
        2, "revline.usage.amend", {"source": "app", "id": "old2", "type": "tokens", "data": {"amount": "7.25"}}
    )
    voided, amended = rows_of(batch("north", 1, void, amend))["north"]
    assert (voided["voids_source"], voided["voids_id"], voided["typed"]) == ("app", "old", True)
    assert (amended["voids_id"], amended["type"], amended["amount__d18_3"]) == ("old2", "tokens", Decimal("7.250"))


def test_an_event_without_a_time_happened_when_it_was_received() -> None:
    given = event(1, "tokens", {"amount": 1})
    del given["time"]
    (row,) = rows_of(batch("north", 1, given))["north"]
    assert row["occurred_at"] == RECEIVED


def test_a_tenant_finds_no_field_of_another_however_many_there_are() -> None:
    tail, batches = Tail(), []
    for number in range(40):
        fields = {f"f{number}_{each}": UsageField(kind=FieldKind.DECIMAL) for each in range(8)}
        own = EventType(title="Own", type="own", fields=fields)
        data = {f"f{number}_0": number}
        batches.append(batch(f"t{number}", number + 1, event(number, "own", data), types=(own,)))
    tail.on_committed(batches)
    for number in range(40):
        found = tail.after(tenant_id=f"t{number}", sealed={})
        assert found is not None
        assert found.table is not None
        named = [name for name in found.table.column_names if name.startswith("f")]
        assert (named, found.table[named[0]].to_pylist()) == ([f"f{number}_0__d18_0"], [Decimal(number)])
