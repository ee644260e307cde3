"""Names that are waited for: the wait ends by what brings the name, or in a case; never is it asked for without end."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import text

from revline.intake import awaiting
from tests.harness import Harness
from tests.integration.derive.world import (
    CONNECTION,
    TENANT,
    application,
    at,
    charge,
    customer,
    invoice,
    open_cases,
    rows,
    tell,
    webhook,
)


def story_up_to_the_declined_card(harness: Harness) -> None:
    tell(
        harness,
        webhook("customer.created", customer(), created=at(1)),
        webhook("invoice.finalized", invoice(), created=at(4)),
        webhook("charge.failed", {**charge("ch_0", paid=False), "status": "failed"}, created=at(5)),
        webhook("invoice_payment.paid", application(), created=at(6)),
    )


def sweep(harness: Harness) -> int:
    return harness.intake.sweep_awaited(tenant_id=TENANT) + harness.derive_all()


def begin_to_wait_without_seeing_the_charge(harness: Harness) -> None:
    """As if the run had begun to wait while the charge was being accepted."""
    with harness.database.unit(
        tenants=[TENANT], kind="test", actor="test", reason="a race", recorded_at=harness.clock.now()
    ) as unit:
        unit.connection.execute(
            text("UPDATE awaited SET state = 'waiting' WHERE tenant_id = :tenant AND name_kind = 'payment_intent'"),
            {"tenant": TENANT},
        )


def test_a_failed_charge_known_by_the_intent_s_name_does_not_make_the_root_run_for_ever(harness: Harness) -> None:
    story_up_to_the_declined_card(harness)
    sweep(harness)
    assert [sweep(harness) for _ in range(3)] == [0, 0, 0]
    harness.clock.moment += timedelta(days=4)
    sweep(harness)
    assert [case.code for case in open_cases(harness, subject_kind="awaited")] == ["intake.awaited_overdue"]
    tell(harness, webhook("charge.succeeded", charge("ch_1"), created=at(7)))
    assert open_cases(harness, subject_kind="awaited") == []
    assert ("payment.applied",) in rows(harness, "SELECT kind FROM accounting_event WHERE tenant_id = :tenant")


def test_a_fact_that_crossed_the_run_that_began_to_wait_is_found_by_the_sweep(harness: Harness) -> None:
    story_up_to_the_declined_card(harness)
    tell(harness, webhook("charge.succeeded", charge("ch_1"), created=at(7)))
    begin_to_wait_without_seeing_the_charge(harness)
    assert sweep(harness) > 0
    assert rows(harness, "SELECT 1 FROM awaited WHERE tenant_id = :tenant AND state = 'waiting'") == []


def test_many_overdue_names_hide_none_that_came(harness: Harness) -> None:
    many = [
        webhook("invoice_payment.paid", application(id=f"inpay_x{number}", invoice=f"in_x{number}"), created=at(6))
        for number in range(6)
    ]
    harness.accept(TENANT, CONNECTION, many)
    story_up_to_the_declined_card(harness)
    tell(harness, webhook("charge.succeeded", charge("ch_1"), created=at(7)))
    begin_to_wait_without_seeing_the_charge(harness)
    with harness.database.read(tenants=[TENANT]) as connection:
        found = awaiting.crossed(connection, tenant_id=TENANT, page=2)
    assert [entry.awaited.name_kind for entry in found] == ["payment_intent"]
