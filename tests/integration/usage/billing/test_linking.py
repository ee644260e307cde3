"""Charging is told what bills its lines, once for each change, and is asked to compute the customer again."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

from revline.app.usage_billing import link_charges
from revline.core.ids import SourceObject
from revline.subledger.usage.charges.accruing import Billing
from revline.subledger.usage.charges.record import LANE_KIND
from revline.subledger.usage.outward.queries import billings_by_charge
from tests.integration.usage.billing.world import SOURCE, TENANT, World

ADA = SourceObject(connection=SOURCE, kind="customer", outside_id="cus_ada")
BILLED = Billing(charge_id="c1", day=date(2026, 2, 1), cleared=Decimal("3.00"))


def link(world: World, billing: Billing | None) -> tuple[dict[str, Billing], int]:
    """What is known then, and how often charging was asked."""
    with world.database.unit(
        tenants=[TENANT], kind="test", actor="test", reason="a test", recorded_at=world.harness.clock.now()
    ) as unit:
        link_charges(unit, tenant_id=TENANT, customer=ADA, billings={"c1": billing, "c2": None})
    with world.database.read(tenants=[TENANT]) as connection:
        known = billings_by_charge(connection, tenant_id=TENANT, charge_ids=["c1", "c2"])
        statement = "SELECT coalesce(sum(requested), 0) FROM lane WHERE kind = %s"
        asked = connection.exec_driver_sql(statement, (LANE_KIND,)).scalar_one()
    return dict(known), int(asked)


def test_a_link_is_kept_changed_and_taken_away_and_each_change_asks_once(world: World) -> None:
    assert link(world, BILLED) == ({"c1": BILLED}, 1)
    assert link(world, BILLED) == ({"c1": BILLED}, 1)
    assert link(world, None) == ({}, 2)
    assert link(world, None) == ({}, 2)
