"""The whole way over the real store and meters: rows in memory and in files, lines, their events, their proof, the check."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from revline.core.problem import Problem
from revline.platform.store.engine import Database
from revline.subledger.usage.charges.checking import UsageCheck
from revline.subledger.usage.metering.service import Metering
from revline.subledger.usage.versions import Window
from tests.integration.usage.charges.world import CALLS, TENANT, Shop, amounts, at, policy
from tests.usage_rows import Room, Row, Shard

YEAR = Window(start=datetime(2026, 1, 1, 5, tzinfo=UTC), end=datetime(2027, 1, 1, 5, tzinfo=UTC))


class Filed:
    """A shop whose usage is stored for real."""

    def __init__(self, database: Database, folder: Path) -> None:
        self.room = Room(database=database, folder=folder / "usage")
        self.shard: Shard = self.room.shard()
        metering = Metering(database=database, reader=self.room.reader)
        self.shop = Shop(
            database, folder / "configuration", CALLS, policy(), meters=metering, versions=self.room.reader
        )
        self.check = UsageCheck(database=database, setups=self.shop.setups, meters=metering)

    def commit(self, *rows: Row) -> None:
        self.shard.commit(**{TENANT: rows})

    def seal(self) -> None:
        self.room.sealer.seal([TENANT])


def call(name: str, day: str, calls: str, *, subject: str = "ada", **more: Any) -> Row:
    """So many API calls at noon of a day."""
    return {
        "id": name, "source": "//app", "type": "api.call", "subject": subject, "occurred_at": at(day, 12),
        "typed": True, "calls__d18_6": Decimal(calls), **more,
    }  # fmt: skip


@pytest.fixture
def filed(database: Database, tmp_path: Path) -> Iterator[Filed]:
    one = Filed(database, tmp_path)
    yield one
    one.shop.close()


def test_a_line_is_the_same_from_memory_and_from_files_and_can_be_proven(filed: Filed) -> None:
    shop = filed.shop
    filed.commit(call("a", "2026-01-02", "60"), call("b", "2026-01-03", "90"))
    shop.rate("2026-01-05")
    (line,) = shop.charges()
    assert (str(line.amount), line.events) == ("12.50", 2)
    filed.seal()
    proof = shop.desk.prove(tenant_id=TENANT, charge_id=line.charge_id)
    assert not isinstance(proof, Problem)
    assert (proof.proven, proof.digest) == (True, line.digest)
    shop.rate("2026-01-06")
    assert [each.revision for each in shop.charges()] == [1]


def test_the_events_behind_a_line_sum_to_it_also_after_more_came(filed: Filed) -> None:
    shop = filed.shop
    filed.commit(call("a", "2026-01-02", "60"), call("b", "2026-01-03", "90"))
    shop.rate("2026-01-05")
    (line,) = shop.charges()
    filed.commit(call("c", "2026-01-04", "7"))
    page = shop.desk.events(tenant_id=TENANT, charge_id=line.charge_id)
    assert not isinstance(page, Problem)
    assert (page.quantity, page.events, [each.id for each in page.lines]) == (line.quantity, 2, ["a", "b"])
    shop.rate("2026-01-06")
    changed = shop.desk.changed_events(tenant_id=TENANT, charge_id=line.charge_id, revision=2)
    assert not isinstance(changed, Problem)
    assert ([each.id for each in changed.came], changed.gone, changed.whole) == (["c"], (), True)


def test_the_curve_of_a_line_sums_to_it(filed: Filed) -> None:
    shop = filed.shop
    filed.commit(call("a", "2026-01-02", "60"), call("b", "2026-01-03", "90"))
    shop.rate("2026-01-05")
    (line,) = shop.charges()
    curve = shop.desk.curve(tenant_id=TENANT, charge_id=line.charge_id)
    assert not isinstance(curve, Problem)
    assert [(point.day, str(point.quantity)) for point in curve if point.events] == [
        ("2026-01-02", "60.000000"),
        ("2026-01-03", "90.000000"),
    ]
    assert (len(curve), sum(point.quantity for point in curve)) == (31, line.quantity)


def test_a_void_that_comes_late_is_adjusted_and_named(filed: Filed) -> None:
    shop = filed.shop
    filed.commit(call("a", "2026-01-02", "60"), call("b", "2026-01-03", "10"))
    shop.rate("2026-02-04", hours=1)
    void = {
        "id": "v", "source": "//app", "type": "revline.usage.void", "subject": "ada", "typed": True,
        "occurred_at": at("2026-02-05"), "voids_source": "//app", "voids_id": "b",
    }  # fmt: skip
    filed.commit(void)
    shop.rate("2026-02-06")
    assert amounts(shop.lines()) == {
        ("ada", "usage", "calls", "2026-01"): "7.00",
        ("ada", "adjustment", "calls", "2026-02"): "-1.00",
    }
    assert shop.books() == {"2026-01": {"revenue_usage": "-6.00", "unbilled_receivable": "6.00"}}


def test_usage_of_an_unknown_customer_is_held_and_charged_once_it_is_known(filed: Filed) -> None:
    shop = filed.shop
    filed.commit(call("a", "2026-01-02", "60", subject="eve"))
    shop.rate("2026-01-05")
    assert shop.charges() == ()
    balance = filed.check.balance(tenant_id=TENANT, window=YEAR)
    assert not isinstance(balance, Problem)
    assert [(one.accepted, one.counted, one.held, one.closes) for one in balance.types] == [(1, 0, 1, True)]
    shop.tell("customer", {"outside_id": "eve", "name": "Eve"})
    shop.rate("2026-01-06")
    assert amounts(shop.lines()) == {("eve", "usage", "calls", "2026-01"): "6.00"}


def test_everything_accepted_is_accounted_for_by_count_and_quantity(filed: Filed) -> None:
    shop = filed.shop
    filed.commit(call("a", "2026-01-02", "60"), call("b", "2026-01-03", "90", subject="bob"))
    shop.rate("2026-02-04", hours=1)
    filed.commit(call("c", "2026-01-04", "7"))
    shop.rate("2026-02-06")
    balance = filed.check.balance(tenant_id=TENANT, window=YEAR)
    assert not isinstance(balance, Problem)
    (meter,) = balance.meters
    assert (meter.metered_events, meter.charged_events, str(meter.charged_quantity)) == (3, 3, "157")
    assert balance.closes
    assert [(one.meter, one.events) for one in balance.unpriced] == [("storage", 3)]
