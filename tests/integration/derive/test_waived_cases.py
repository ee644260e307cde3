"""A person may decide that nothing is to be done about a root; the decision stands until what was decided about changes."""

from __future__ import annotations

from revline.core.problem import Problem
from revline.platform.cases import service as case_service
from tests.harness import Harness
from tests.integration.derive.world import TENANT, at, customer, invoice, open_cases, rows, tell, webhook


def waive(harness: Harness, case_id: str) -> int | Problem:
    return case_service.waive(
        harness.database,
        tenant_id=TENANT,
        case_id=case_id,
        actor="person:kim",
        reason="booked by hand",
        recorded_at=harness.clock.now(),
    )


def story(harness: Harness) -> str:
    tell(harness, webhook("customer.created", customer(currency="gbp"), created=at(1)))
    tell(harness, webhook("invoice.finalized", invoice(currency="gbp"), created=at(4)))
    (case,) = open_cases(harness)
    return case.case_id


def test_a_waived_case_of_a_root_stays_waived_when_the_root_is_derived_again(harness: Harness) -> None:
    assert waive(harness, story(harness)) == 1
    assert open_cases(harness) == []
    tell(harness, webhook("invoice.updated", invoice(currency="gbp"), created=at(6)))
    assert open_cases(harness) == []
    said = rows(harness, "SELECT state, actor, reason FROM exception_case WHERE tenant_id = :tenant")
    assert said == [("waived", "person:kim", "booked by hand")]


def test_it_opens_again_when_other_money_is_at_risk(harness: Harness) -> None:
    waive(harness, story(harness))
    tell(harness, webhook("invoice.updated", invoice(currency="gbp", total=20_000), created=at(6)))
    assert len(open_cases(harness)) == 1


def test_a_document_s_case_is_waived_with_its_document(harness: Harness) -> None:
    unknown = waive(harness, "no-such-case")
    assert isinstance(unknown, Problem)
    assert unknown.code == "case.unknown"
