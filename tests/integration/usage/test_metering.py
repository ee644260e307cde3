"""Metering over a real database and real files: who customers are comes from facts and from what people said."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from revline.app.kinds import registry
from revline.core.ids import SourceObject
from revline.doors import metering as doors
from revline.intake.values import Outcome
from revline.platform.store.engine import Database
from revline.subledger.usage.kinds import EventType, FieldKind, UsageField
from revline.subledger.usage.metering import record
from revline.subledger.usage.metering.kinds import Aggregation, Meter
from revline.subledger.usage.metering.service import Metering
from revline.subledger.usage.metering.values import Demand, Hierarchy, LineageDemand, MeterCatalogue
from revline.subledger.usage.versions import Window
from tests.harness import Harness
from tests.usage_rows import START, Room, usage

TENANT = "birch"
CONNECTION = "crm"
CONFIGURATION = """
---
apiVersion: revline/v1
kind: Connection
metadata: {name: crm, tenant: birch}
spec: {connector: direct, entity: birch-us}
---
apiVersion: revline/v1
kind: EventType
metadata: {name: tokens, tenant: birch}
spec:
  title: Tokens
  type: tokens
  subject: crm
  fields: {tokens: {kind: decimal, precision: 18, scale: 3}, model: {kind: text}}
---
apiVersion: revline/v1
kind: Meter
metadata: {name: tokens, tenant: birch}
spec: {title: Tokens, eventType: tokens, aggregation: sum, field: tokens, unit: token, groupBy: [model]}
"""
JANUARY = Window(start=datetime(2026, 1, 1, tzinfo=UTC), end=datetime(2026, 2, 1, tzinfo=UTC))
TOKENS = EventType(
    title="Tokens",
    type="tokens",
    subject=CONNECTION,
    fields={
        "tokens": UsageField(kind=FieldKind.DECIMAL, precision=18, scale=3),
        "model": UsageField(kind=FieldKind.TEXT),
    },
)
CATALOGUE = MeterCatalogue(
    types={"tokens": TOKENS},
    meters={
        "tokens": Meter(title="Tokens", event_type="tokens", aggregation=Aggregation.SUM, field="tokens", unit="token"),
        "peak": Meter(title="Peak", event_type="tokens", aggregation=Aggregation.MAX, field="tokens"),
    },
)


def customer(name: str) -> SourceObject:
    return SourceObject(connection=CONNECTION, kind="customer", outside_id=name)


class Place:
    """A tenant with customers, its usage and its meters."""

    def __init__(self, database: Database, folder: Path) -> None:
        self.harness = Harness(database=database, folder=folder / "configuration")
        place = folder / "configuration" / TENANT / "20-connections.yaml"
        place.write_text(place.read_text(encoding="utf-8") + CONFIGURATION, encoding="utf-8")
        self.harness.apply()
        self.database = database
        self.room = Room(database=database, folder=folder / "usage")
        self.shard = self.room.shard()
        self.metering = Metering(database=database, reader=self.room.reader)
        self.told = 0

    def known(self, name: str, **more: Any) -> None:
        self.told += 1
        event = {
            "specversion": "1.0",
            "id": f"{name}-{self.told}",
            "source": "/sales",
            "type": "revline.customer.v1",
            "time": (START + timedelta(seconds=self.told)).isoformat(),
            "data": {"outside_id": name, "name": name.title(), **more},
        }
        (verdict,) = self.harness.accept(TENANT, CONNECTION, [json.dumps(event).encode()])
        assert verdict.outcome is Outcome.ACCEPTED

    def mapped(self, subject: str, name: str | None, **more: Any) -> None:
        with self.database.unit(
            tenants=[TENANT], kind="map_subject", actor="person:ada", reason="she asked", recorded_at=START
        ) as unit:
            record.map_subject(
                unit,
                tenant_id=TENANT,
                subject=subject,
                connection=CONNECTION,
                customer=customer(name) if name else None,
                **more,
            )

    def quantities(self, hierarchy: Hierarchy = Hierarchy.OWN, **more: Any) -> dict[str, Decimal]:
        version = self.room.reader.current_version(tenant_id=TENANT)
        found = self.metering.quantities(
            tenant_id=TENANT,
            catalogue=CATALOGUE,
            demands=[Demand(meter="tokens", window=JANUARY, hierarchy=hierarchy)],
            version=version,
            **more,
        )
        assert isinstance(found, dict), found
        return {row["outside_id"]: row["quantity"] for row in found["tokens"].table.to_pylist()}

    @property
    def position(self) -> int:
        with self.database.unit(
            tenants=[TENANT], kind="look", actor="person:ada", reason="test", recorded_at=START, dry_run=True
        ) as unit:
            return unit.position_before(tenant_id=TENANT)


@pytest.fixture
def place(database: Database, tmp_path: Path) -> Iterator[Place]:
    one = Place(database, tmp_path)
    yield one
    one.harness.close()


def test_usage_of_a_customer_that_becomes_known_later_counts_without_being_sent_again(place: Place) -> None:
    place.shard.commit(birch=[usage("a", "2", subject="acme"), usage("b", "3", subject="oak")])
    place.known("acme")
    assert place.quantities() == {"acme": Decimal("2.000")}
    before = place.position
    (held,) = place.metering.held(tenant_id=TENANT, catalogue=CATALOGUE)  # type: ignore[misc]
    assert (held.subject, held.events) == ("oak", 1)
    place.known("oak")
    assert place.quantities() == {"acme": Decimal("2.000"), "oak": Decimal("3.000")}
    assert place.quantities(position=before) == {"acme": Decimal("2.000")}
    version = place.room.reader.current_version(tenant_id=TENANT)
    touched = place.metering.touched(
        tenant_id=TENANT, catalogue=CATALOGUE, since=version, until=version, position=before
    )
    assert {(each.customer.outside_id, each.meter) for each in touched} == {("oak", "tokens"), ("oak", "peak")}  # type: ignore[union-attr]


def test_a_mapping_moves_usage_from_its_day_on_and_both_customers_are_touched(place: Place) -> None:
    place.known("acme")
    place.known("oak")
    place.shard.commit(birch=[usage("a", "2"), usage("b", "3", at=START + timedelta(days=2))])
    before = place.position
    place.mapped("acme", "oak", starts_at=START + timedelta(days=1))
    assert place.quantities() == {"acme": Decimal("2.000"), "oak": Decimal("3.000")}
    version = place.room.reader.current_version(tenant_id=TENANT)
    touched = place.metering.touched(
        tenant_id=TENANT, catalogue=CATALOGUE, since=version, until=version, position=before
    )
    assert {each.customer.outside_id for each in touched} == {"acme", "oak"}  # type: ignore[union-attr]
    place.mapped("acme", None, starts_at=START + timedelta(days=1))
    assert place.quantities() == {"acme": Decimal("2.000")}


def test_a_childs_use_is_its_topmost_parents_where_that_is_asked_for(place: Place) -> None:
    place.known("group")
    place.known("region", parent="group")
    place.known("shop", parent="region")
    place.shard.commit(birch=[usage("a", "2", subject="shop"), usage("b", "3", subject="group")])
    assert place.quantities() == {"shop": Decimal("2.000"), "group": Decimal("3.000")}
    assert place.quantities(Hierarchy.PARENT) == {"group": Decimal("5.000")}


def test_a_quantity_is_the_same_before_and_after_sealing_and_its_lineage_runs_again(place: Place) -> None:
    place.known("acme")
    place.shard.commit(birch=[usage("a", "2"), usage("b", "3")], alpha=[usage("x", "99")])
    version = place.room.reader.current_version(tenant_id=TENANT)
    first = place.quantities()
    place.room.sealer.seal([TENANT])
    place.shard.commit(birch=[usage("c", "10")])
    found = place.metering.lineage(
        tenant_id=TENANT,
        catalogue=CATALOGUE,
        demand=LineageDemand(meter="tokens", customer=customer("acme"), window=JANUARY, version=version),
    )
    assert first == {"acme": Decimal("5.000")}
    assert (found.quantity, found.events, [each.id for each in found.lines]) == (Decimal("5.000"), 2, ["a", "b"])  # type: ignore[union-attr]
    balance = place.metering.live_balance(
        tenant_id=TENANT, catalogue=CATALOGUE, customer=customer("acme"), windows={"tokens": JANUARY, "peak": JANUARY}
    )
    assert {each.meter: each.quantity for each in balance} == {"tokens": Decimal("15.000"), "peak": Decimal("10.000")}  # type: ignore[union-attr]


def test_a_meter_that_is_not_there_is_a_problem(place: Place) -> None:
    found = place.metering.live_balance(
        tenant_id=TENANT, catalogue=CATALOGUE, customer=customer("acme"), windows={"bytes": JANUARY}
    )
    assert getattr(found, "code", "") == "usage.meter_unknown"


def test_doors_say_what_was_used_and_what_is_held_and_whose_a_subject_is(place: Place) -> None:
    services: Any = SimpleNamespace(
        database=place.database,
        registry=registry(),
        clock=place.harness.clock,
        metering=lambda: place.metering,
    )
    place.known("acme")
    place.shard.commit(birch=[usage("a", "2"), usage("b", "3", subject="oak"), usage("c", "4", model__text="large")])
    ask = {"tenant_id": TENANT, "customer": "crm/acme", "window": JANUARY}
    found: Any = doors.balance_of(services, **ask)
    assert [(each["group"], each["quantity"], each["unit"]) for each in found["meters"]] == [
        ({"model": "large"}, "4.000", "token"),
        ({"model": "small"}, "2.000", "token"),
    ]
    held: Any = doors.held(services, tenant_id=TENANT)
    assert [(each["subject"], each["reason"], each["events"]) for each in held] == [("oak", "no_customer", 1)]
    say = {
        "tenant_id": TENANT,
        "subject": "oak",
        "connection": CONNECTION,
        "actor": "person:ada",
        "reason": "she asked",
    }
    unknown: Any = doors.map_subject(services, customer="crm/nobody", starts_at=None, ends_at=None, **say)
    assert unknown.code == "usage.customer_unknown"
    backwards: Any = doors.map_subject(services, customer="crm/acme", starts_at=START, ends_at=START, **say)
    assert backwards.code == "usage.mapping_invalid"
    done: Any = doors.map_subject(services, customer="crm/acme", starts_at=None, ends_at=None, **say)
    assert done["position"] == place.position
    assert doors.held(services, tenant_id=TENANT) == []
    after: Any = doors.balance_of(services, **ask)
    assert [each["quantity"] for each in after["meters"]] == ["4.000", "5.000"]
    stranger: Any = doors.balance_of(services, tenant_id=TENANT, customer="crm/nobody", window=JANUARY)
    assert stranger.code == "usage.customer_unknown"
