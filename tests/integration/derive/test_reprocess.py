"""A booked event keeps its journal until a person asks for it to be evaluated again under the present configuration."""

from __future__ import annotations

from decimal import Decimal

from revline.derive import reprocess
from revline.derive.service import LANE_KIND
from tests.harness import Harness
from tests.integration.derive.world import TENANT, at, balance, customer, invoice, open_cases, rows, tell, webhook

RULES = "aurora/50-rules-invoices.yaml"


def issue(harness: Harness) -> str:
    tell(
        harness,
        webhook("customer.created", customer(), created=at(1)),
        webhook("invoice.finalized", invoice(), created=at(4)),
    )
    (root,) = rows(harness, "SELECT root_id FROM root WHERE tenant_id = :tenant AND kind = 'invoice'")
    return str(root[0])


def book_on_another_account(harness: Harness) -> None:
    path = harness.folder / RULES
    text = path.read_text(encoding="utf-8")
    for old, new in (
        ("{account: deferred_revenue}", "{account: revenue_product}"),
        ("account: deferred_revenue, credit", "account: revenue_product, credit"),
    ):
        text = text.replace(old, new)
    path.write_text(text, encoding="utf-8")
    harness.apply()


def ask(harness: Harness, root_id: str) -> None:
    refused = reprocess.ask(
        harness.database,
        tenant_id=TENANT,
        root_id=root_id,
        clock=harness.clock,
        actor="person:controller",
        reason="the account was wrong",
        lane_kind=LANE_KIND,
    )
    assert refused is None
    harness.derive_all()


def states(harness: Harness) -> dict[str, int]:
    found = rows(
        harness,
        "SELECT state, count(*) FROM document_state WHERE tenant_id = :tenant AND kind <> 'customer' GROUP BY state",
    )
    return {row[0]: row[1] for row in found}


def wish(harness: Harness) -> tuple[str, str]:
    (row,) = rows(harness, "SELECT state, actor FROM reprocess_request WHERE tenant_id = :tenant")
    return row[0], row[1]


def test_a_new_rule_leaves_what_is_booked_alone(harness: Harness) -> None:
    root_id = issue(harness)
    book_on_another_account(harness)
    harness.intake.request_roots(tenant_id=TENANT, subject_ids=[root_id], actor="test", reason="look again")
    harness.derive_all()
    assert balance(harness, "deferred_revenue") == Decimal("-100.00")
    assert balance(harness, "revenue_product") == 0


def test_what_is_not_sent_yet_is_taken_back_and_written_anew(harness: Harness) -> None:
    root_id = issue(harness)
    book_on_another_account(harness)
    ask(harness, root_id)
    assert balance(harness, "deferred_revenue") == 0
    assert balance(harness, "revenue_product") == Decimal("-100.00")
    assert states(harness) == {"superseded": 1, "ready": 1}
    assert wish(harness) == ("done", "person:controller")
    assert open_cases(harness) == []


def test_what_is_posted_is_undone_by_a_document_of_its_own(harness: Harness) -> None:
    root_id = issue(harness)
    with harness.database.unit(
        tenants=[TENANT], kind="test", actor="test", reason="posted", recorded_at=harness.clock.now()
    ) as unit:
        unit.connection.exec_driver_sql("UPDATE document_state SET state = 'posted' WHERE tenant_id = 'aurora'")
    book_on_another_account(harness)
    ask(harness, root_id)
    kinds = rows(
        harness,
        "SELECT kind, state FROM document_state WHERE tenant_id = :tenant AND kind <> 'customer' ORDER BY sequence",
    )
    assert [tuple(row) for row in kinds] == [("invoice", "posted"), ("invoice_void", "ready"), ("invoice", "ready")]


def test_the_same_configuration_changes_nothing(harness: Harness) -> None:
    root_id = issue(harness)
    before = rows(harness, "SELECT journal_id, content FROM journal WHERE tenant_id = :tenant ORDER BY journal_id")
    ask(harness, root_id)
    after = rows(harness, "SELECT journal_id, content FROM journal WHERE tenant_id = :tenant ORDER BY journal_id")
    assert after == before
    assert wish(harness)[0] == "done"


def test_what_is_on_its_way_is_waited_for(harness: Harness) -> None:
    root_id = issue(harness)
    with harness.database.unit(
        tenants=[TENANT], kind="test", actor="test", reason="on its way", recorded_at=harness.clock.now()
    ) as unit:
        unit.connection.exec_driver_sql(
            "UPDATE document_state SET state = 'sending' WHERE tenant_id = 'aurora' AND kind = 'invoice'"
        )
    book_on_another_account(harness)
    ask(harness, root_id)
    assert balance(harness, "deferred_revenue") == Decimal("-100.00")
    assert wish(harness)[0] == "asked"


def test_a_document_leads_to_its_root_and_nonsense_to_none(harness: Harness) -> None:
    root_id = issue(harness)
    (document,) = rows(harness, "SELECT document_id FROM document_state WHERE tenant_id = :tenant AND kind = 'invoice'")
    with harness.database.read(tenants=[TENANT]) as connection:
        assert reprocess.root_of(connection, tenant_id=TENANT, reference=document[0]) == root_id
        assert reprocess.root_of(connection, tenant_id=TENANT, reference=root_id) == root_id
        assert reprocess.root_of(connection, tenant_id=TENANT, reference="nonsense") == ""
