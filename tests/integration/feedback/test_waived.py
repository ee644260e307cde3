"""A person decides that nothing is to be done: who follows the record hears of it."""

from __future__ import annotations

from revline.core.farside import PreparedStep, Rejected
from revline.core.problem import problem
from revline.delivery import acts
from revline.platform.cases import queries as cases
from revline.platform.cases import service as case_service
from tests.integration.derive.world import at, customer, invoice, webhook
from tests.integration.feedback.test_way_back import accept, issued
from tests.integration.feedback.world import TENANT, World

ANN = {"tenant_id": TENANT, "actor": "person:ann", "reason": "booked by hand"}


def refuse_invoices(step: PreparedStep) -> Rejected | None:
    return Rejected(problem=problem("erp.rejected", "no")) if step.kind == "invoice" else None


def test_a_waived_document_is_told_with_the_next_turn(world: World) -> None:
    world.erp.before = refuse_invoices
    accept(world, *issued())
    world.run()
    assert world.write_backs()[-1]["revline_state"] == "rejected"
    refused = [one for one in world.deliveries() if one.state == "rejected"]
    assert refused
    for one in refused:
        assert not acts.waive(world.database, document_id=one.document_id, recorded_at=world.clock.now(), **ANN)
    world.erp.before = lambda step: None
    world.run()
    assert world.write_backs()[-1]["revline_state"] == "posted"
    assert "case.resolved" in world.endpoint.types()


def test_a_waived_case_of_a_record_is_told_although_nothing_of_it_moves(world: World) -> None:
    accept(world, webhook("customer.created", customer(currency="gbp"), created=at(1)))
    accept(world, webhook("invoice.finalized", invoice(currency="gbp"), created=at(4)))
    world.run()
    with world.database.read(tenants=[TENANT]) as connection:
        found = [one for one in cases.cases(connection, tenant_id=TENANT) if one.subject_kind == "root"]
    assert found
    assert "case.opened" in world.endpoint.types()
    for one in found:
        done = case_service.waive(
            world.database,
            case_id=one.case_id,
            recorded_at=world.clock.now(),
            told=world.told.asking().waived,
            **ANN,
        )
        assert isinstance(done, int)
    world.run()
    assert "case.resolved" in world.endpoint.types()
