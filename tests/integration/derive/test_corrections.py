"""Facts that change what was booked: voids after write-offs, applications taken back, invoices booked again, late rates."""

from __future__ import annotations

from decimal import Decimal

import msgspec
from sqlalchemy import text

from revline.core.documents import ApplicationContent, Document, decode_document
from tests.harness import Harness
from tests.integration.derive.world import (
    TENANT,
    application,
    at,
    balance,
    charge,
    customer,
    invoice,
    open_cases,
    rows,
    tell,
    webhook,
)


def documents(harness: Harness, kind: str) -> list[Document]:
    """The newest revision of every document of a kind, in the order they were written."""
    found = rows(
        harness,
        "SELECT DISTINCT ON (revision.document_id) revision.document_id, revision.content"
        " FROM document_revision AS revision JOIN document USING (tenant_id, document_id)"
        " WHERE revision.tenant_id = :tenant AND document.kind = :kind"
        " ORDER BY revision.document_id, revision.revision DESC",
        kind=kind,
    )
    order = {row[0]: number for number, row in enumerate(rows(
        harness, "SELECT document_id FROM document WHERE tenant_id = :tenant ORDER BY position, ordinal"
    ))}  # fmt: skip
    return [decode_document(content) for _, content in sorted(found, key=lambda row: order[row[0]])]


def retry(harness: Harness) -> None:
    subjects = sorted({case.subject_id for case in open_cases(harness)})
    harness.intake.request_roots(tenant_id=TENANT, subject_ids=subjects, actor="test", reason="mended")
    harness.derive_all()


def paid_story(harness: Harness) -> None:
    tell(
        harness,
        webhook("customer.created", customer(), created=at(1)),
        webhook("invoice.finalized", invoice(), created=at(4)),
        webhook("charge.succeeded", charge(), created=at(5)),
        webhook("invoice_payment.paid", application(), created=at(5)),
    )


def test_an_invoice_written_off_and_then_voided_leaves_nothing_anywhere(harness: Harness) -> None:
    given_up = invoice(status="uncollectible", status_transitions={"marked_uncollectible_at": at(20)})
    moments = {"marked_uncollectible_at": at(20), "voided_at": at(25)}
    tell(harness, webhook("customer.created", customer(), created=at(1)))
    tell(harness, webhook("invoice.marked_uncollectible", given_up, created=at(20)))
    assert balance(harness, "bad_debt_expense") == Decimal("100.00")
    tell(harness, webhook("invoice.voided", invoice(status="void", status_transitions=moments), created=at(25)))
    assert {key[2]: amount for key, amount in harness.totals(TENANT).items() if Decimal(amount[0])} == {}
    assert open_cases(harness) == []


def test_an_application_that_is_taken_back_asks_for_its_undoing_and_crashes_nothing(harness: Harness) -> None:
    paid_story(harness)
    tell(harness, webhook("invoice_payment.canceled", application(status="canceled"), created=at(9)))
    assert open_cases(harness) == []
    first, undone = documents(harness, "application")
    assert undone.reverses == first.document_id
    assert first.document_id in undone.predecessors
    assert undone.lane_key == first.lane_key
    assert undone.amount == -first.amount


def test_an_application_that_is_not_sent_yet_names_the_invoice_as_it_was_booked_again(harness: Harness) -> None:
    paid_story(harness)
    changed = invoice(description="Another memo")
    tell(harness, webhook("invoice.updated", changed, created=at(7)))
    first, second = documents(harness, "invoice")
    (applied,) = documents(harness, "application")
    assert isinstance(applied.content, ApplicationContent)
    assert applied.content.invoice_document == second.document_id != first.document_id
    (void,) = documents(harness, "invoice_void")
    assert void.reverses == first.document_id
    lanes = {one.lane_key for one in (first, void, second)}
    assert len(lanes) == 1, "the old one is undone before the new one is sent"
    predecessors = rows(
        harness,
        "SELECT predecessor_id FROM document_predecessor WHERE tenant_id = :tenant AND document_id = :document",
        document=applied.document_id,
    )
    assert (second.document_id,) in predecessors


def test_an_application_that_comes_after_its_invoice_was_booked_again_names_that(harness: Harness) -> None:
    tell(harness, webhook("customer.created", customer(), created=at(1)))
    tell(harness, webhook("invoice.finalized", invoice(), created=at(4)))
    tell(harness, webhook("invoice.updated", invoice(description="Another memo"), created=at(5)))
    tell(harness, webhook("charge.succeeded", charge(), created=at(6)))
    tell(harness, webhook("invoice_payment.paid", application(), created=at(6)))
    (applied,) = documents(harness, "application")
    assert isinstance(applied.content, ApplicationContent)
    assert applied.content.invoice_document == documents(harness, "invoice")[-1].document_id


def test_an_event_without_a_rate_is_a_case_and_is_booked_when_the_rate_is_there(harness: Harness) -> None:
    pounds = invoice(currency="gbp")
    moments = {"voided_at": at(25)}
    tell(harness, webhook("customer.created", customer(currency="gbp"), created=at(1)))
    tell(harness, webhook("invoice.finalized", pounds, created=at(4)))
    assert [(case.code, case.currency, case.amount) for case in open_cases(harness)] == [
        ("posting.rate_missing", "GBP", Decimal("100.00"))
    ]
    void = invoice(currency="gbp", status="void", status_transitions=moments)
    tell(harness, webhook("invoice.voided", void, created=at(25)))
    assert rows(harness, "SELECT 1 FROM accounting_event WHERE tenant_id = :tenant") == []
    add_pounds(harness)
    retry(harness)
    assert open_cases(harness) == []
    kinds = rows(harness, "SELECT kind FROM accounting_event WHERE tenant_id = :tenant ORDER BY kind")
    assert kinds == [("invoice.issued",), ("invoice.voided",)]


def add_pounds(harness: Harness) -> None:
    rate = (
        "\n---\napiVersion: revline/v1\nkind: RateTable\nmetadata: {name: gbp-usd, tenant: aurora}\n"
        'spec: {source: treasury, from: GBP, to: USD, rates: [{effectiveFrom: 2026-01-01, rate: "1.30"}]}\n'
    )
    path = harness.folder / TENANT / "30-books.yaml"
    path.write_text(path.read_text(encoding="utf-8") + rate, encoding="utf-8")
    harness.apply()


def test_in_a_book_kept_here_alone_no_void_is_booked_before_its_invoice(harness: Harness) -> None:
    path = harness.folder / TENANT / "30-books.yaml"
    head, _, rest = path.read_text(encoding="utf-8").partition("---")
    of_the_erp = ("erp:", "company:", "maker", "policies")
    lines = [line for line in head.splitlines() if not any(word in line for word in of_the_erp)]
    path.write_text("\n".join(lines) + "\n---" + rest, encoding="utf-8")
    harness.apply()
    void = invoice(currency="gbp", status="void", status_transitions={"voided_at": at(25)})
    tell(harness, webhook("customer.created", customer(currency="gbp"), created=at(1)))
    tell(harness, webhook("invoice.voided", void, created=at(25)))
    assert rows(harness, "SELECT kind FROM accounting_event WHERE tenant_id = :tenant") == []
    add_pounds(harness)
    retry(harness)
    assert balance(harness, "accounts_receivable") == 0
    assert len(rows(harness, "SELECT 1 FROM journal WHERE tenant_id = :tenant")) == 2


def test_an_open_invoice_without_the_day_it_was_finalised_is_a_case_and_no_draft(harness: Harness) -> None:
    undated = invoice(status_transitions={"finalized_at": None})
    tell(harness, webhook("customer.created", customer(), created=at(1)))
    tell(harness, webhook("invoice.updated", undated, created=at(4)))
    assert [(case.code, case.amount) for case in open_cases(harness)] == [("derive.day_missing", Decimal("100.00"))]
    tell(harness, webhook("invoice.finalized", invoice(), created=at(5)))
    assert open_cases(harness) == []


def customer_content(harness: Harness) -> list[tuple[str, int]]:
    return [
        (msgspec.json.decode(content)["content"]["name"], revision)
        for content, revision in rows(
            harness,
            "SELECT revision.content, state.revision FROM document_state AS state"
            " JOIN document_revision AS revision USING (tenant_id, document_id, revision)"
            " WHERE state.tenant_id = :tenant AND state.kind = 'customer'",
        )
    ]


def test_a_customer_s_record_that_is_not_sent_yet_says_what_the_newest_snapshot_says(harness: Harness) -> None:
    tell(harness, webhook("customer.created", customer(), created=at(1)))
    tell(harness, webhook("customer.updated", customer(name="Acme Holding"), created=at(2)))
    assert customer_content(harness) == [("Acme Holding", 2)]
    tell(harness, webhook("customer.updated", customer(name="Acme"), created=at(1) + 60))
    assert customer_content(harness) == [("Acme Holding", 2)], "an older snapshot says nothing"


def test_an_update_of_a_customer_whose_record_is_posted_is_said_not_to_be_carried(harness: Harness) -> None:
    tell(harness, webhook("customer.created", customer(), created=at(1)))
    post_everything(harness)
    tell(harness, webhook("customer.updated", customer(name="Acme Holding"), created=at(2)))
    assert customer_content(harness) == [("Acme", 1)]
    said = rows(
        harness,
        "SELECT verdict, rule FROM disposition WHERE tenant_id = :tenant AND rule LIKE '%not carried%'",
    )
    assert said == [("none", "the record was posted before this update; updates are not carried to the ERP yet")]


def post_everything(harness: Harness) -> None:
    with harness.database.unit(
        tenants=[TENANT], kind="test", actor="test", reason="as delivered", recorded_at=harness.clock.now()
    ) as unit:
        unit.connection.execute(
            text("UPDATE document_state SET state = 'posted' WHERE tenant_id = :tenant"), {"tenant": TENANT}
        )
