"""What is intended in the ERP for an event: kind, lane, rank, what it waits for, and content taken from the journal."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import msgspec

from revline.core.canonical import Customer
from revline.core.documents import (
    ApplicationContent,
    Document,
    DocumentKind,
    InvoiceContent,
    InvoiceVoidContent,
    JournalContent,
    MoneyContent,
    Rank,
    decode_document,
)
from revline.core.events import AccountingEvent, AppliedPayment, EventKind
from revline.core.hashing import canonical_bytes
from revline.core.ids import SourceObject, rebooked_id, reversal_id, root_id
from revline.core.journal import JournalEntry
from revline.core.problem import Problem
from revline.subledger.posting.documents import documents_of
from revline.subledger.posting.kinds import Maker
from revline.subledger.posting.masters import customer_document, customer_document_id
from revline.subledger.posting.post import post
from revline.subledger.posting.setup import BookSetup
from tests.unit.posting.builders import CUSTOMER, TENANT, booked, event, invoice, line, money, refund, starter_book

DAY = date(2026, 2, 1)
INVOICE = SourceObject(connection="stripe-us", kind="invoice", outside_id="invoice_1")
PAYMENT = SourceObject(connection="stripe-us", kind="payment", outside_id="payment_1")
PARTY = customer_document_id(tenant=TENANT, customer=CUSTOMER, connection="erp")


def only(
    happened: AccountingEvent, *, book: BookSetup | None = None, mirrored: JournalEntry | None = None
) -> tuple[Document, JournalEntry | None]:
    """The one document of an event, with its journal."""
    kept = book or starter_book()
    entry = post(event=happened, book=kept, mirrored=mirrored)
    assert not isinstance(entry, Problem), entry
    documents = documents_of(tenant=TENANT, event=happened, journal=entry, book=kept)
    assert isinstance(documents, tuple), documents
    (document,) = documents
    assert canonical_bytes(decode_document(canonical_bytes(document))) == canonical_bytes(document)
    return document, entry


def with_maker(kind: EventKind, maker: Maker) -> BookSetup:
    book = starter_book()
    return msgspec.structs.replace(book, makers={**book.makers, kind: maker})


SOLD = invoice(
    line("100.00", number=1, family="hardware", tax="20.00"),
    line("-30.00", number=2, tax="-6.00"),
    line("50.00", number=3),
)


def test_a_native_invoice_has_the_journals_accounts_line_by_line_and_the_tax_engines_cents() -> None:
    document, entry = only(event(EventKind.INVOICE_ISSUED, SOLD, day=DAY))
    content = document.content
    assert isinstance(content, InvoiceContent)
    assert entry is not None
    assert (document.kind, document.rank) == (DocumentKind.INVOICE, Rank.INVOICE)
    assert document.lane_key == root_id(tenant=TENANT, source=INVOICE)
    assert document.predecessors == (PARTY,) == (content.customer_document,)
    assert document.journal_id == entry.journal_id
    assert [(each.account, each.net, each.quantity) for each in content.lines] == [
        ("revenue_product", Decimal("100.00"), Decimal(2)),
        ("deferred_revenue", Decimal("-30.00"), Decimal(2)),
        ("deferred_revenue", Decimal("50.00"), Decimal(2)),
    ]
    assert [(each.amount, each.taxable, each.rate) for each in content.taxes] == [
        (Decimal("20.00"), Decimal("100.00"), "txr_1"),
        (Decimal("-6.00"), Decimal("-30.00"), "txr_1"),
    ]
    net = sum((each.net for each in content.lines), Decimal(0))
    assert content.total == net + sum((each.amount for each in content.taxes), Decimal(0)) == document.amount
    assert content.receivable == "accounts_receivable"


def test_a_void_undoes_the_native_invoice_on_the_invoices_lane_after_it() -> None:
    issued, entry = only(event(EventKind.INVOICE_ISSUED, SOLD, day=DAY))
    void, _ = only(event(EventKind.INVOICE_VOIDED, SOLD, day=date(2026, 3, 1)), mirrored=entry)
    assert void.kind is DocumentKind.INVOICE_VOID
    assert void.content == InvoiceVoidContent(invoice_document=issued.document_id, number="INV-1")
    assert void.lane_key == issued.lane_key
    assert void.predecessors == (issued.document_id,)
    assert void.reverses == issued.document_id
    assert void.accounting_date == date(2026, 3, 1)


def test_a_reversed_native_invoice_is_voided_too() -> None:
    happened = event(EventKind.INVOICE_ISSUED, SOLD, day=DAY)
    issued, entry = only(happened)
    undo = msgspec.structs.replace(
        happened, event_id=reversal_id(reversed_id=happened.event_id), reverses=happened.event_id
    )
    void, _ = only(undo, mirrored=entry)
    assert (void.kind, void.reverses) == (DocumentKind.INVOICE_VOID, issued.document_id)
    assert void.document_id != issued.document_id


def test_a_journal_carries_its_lines_and_waits_for_the_customers_it_names() -> None:
    document, entry = only(event(EventKind.PAYMENT_RECEIVED, money("1440.00"), day=DAY))
    content = document.content
    assert isinstance(content, JournalContent)
    assert entry is not None
    assert (document.kind, document.rank, document.amount) == (DocumentKind.JOURNAL, Rank.PAYMENT, Decimal("1440.00"))
    assert document.lane_key == root_id(tenant=TENANT, source=PAYMENT)
    assert content.lines == entry.lines
    assert content.customer_documents == ((CUSTOMER, PARTY),)
    assert document.predecessors == (PARTY,)


def test_a_failed_refund_undoes_the_refunds_document_on_the_payments_lane() -> None:
    paid, entry = only(event(EventKind.REFUND_PAID, refund("90.00", "31.00"), day=DAY, root="payment"))
    failed, _ = only(
        event(EventKind.REFUND_FAILED, refund("90.00", "31.00"), day=date(2026, 2, 9), root="payment"), mirrored=entry
    )
    assert paid.lane_key == failed.lane_key == root_id(tenant=TENANT, source=PAYMENT)
    assert failed.reverses == paid.document_id
    assert failed.predecessors == (paid.document_id,)


def test_an_application_waits_for_invoice_and_payment_it_finds_by_their_identity_alone() -> None:
    issued, _ = only(event(EventKind.INVOICE_ISSUED, SOLD, day=DAY))
    received, _ = only(event(EventKind.PAYMENT_RECEIVED, money("144.00"), day=DAY))
    payload = AppliedPayment(invoice=INVOICE, payment=PAYMENT, amount=Decimal("144.00"))
    applied, entry = only(event(EventKind.PAYMENT_APPLIED, payload, day=DAY, root="invoice"))
    assert entry is None
    assert applied.content == ApplicationContent(
        invoice_document=issued.document_id, payment_document=received.document_id, amount=Decimal("144.00")
    )
    assert applied.rank is Rank.APPLICATION
    assert applied.lane_key == applied.document_id
    assert set(applied.predecessors) == {issued.document_id, received.document_id}


def test_applications_of_two_books_in_one_erp_are_two_documents() -> None:
    payload = AppliedPayment(invoice=INVOICE, payment=PAYMENT, amount=Decimal("10.00"))
    happened = event(EventKind.PAYMENT_APPLIED, payload, day=DAY, root="invoice")
    book = starter_book()
    first, _ = only(happened, book=book)
    second, _ = only(happened, book=msgspec.structs.replace(book, name="statutory"))
    assert first.document_id != second.document_id
    undone = msgspec.structs.replace(happened, event_id="undoing", reverses=happened.event_id)
    assert only(undone, book=book)[0].reverses == first.document_id


def test_an_application_names_the_document_of_the_invoice_as_it_was_booked_again() -> None:
    happened = event(EventKind.INVOICE_ISSUED, SOLD, day=DAY)
    again = msgspec.structs.replace(happened, event_id=rebooked_id(reversal=reversal_id(reversed_id=happened.event_id)))
    issued, _ = only(again)
    payload = AppliedPayment(invoice=INVOICE, payment=PAYMENT, amount=Decimal("144.00"))
    documents = documents_of(
        tenant=TENANT,
        event=event(EventKind.PAYMENT_APPLIED, payload, day=DAY, root="invoice"),
        journal=None,
        book=starter_book(),
        invoice_event=again.event_id,
    )
    assert isinstance(documents, tuple)
    assert issued.document_id in documents[0].predecessors


def test_a_native_payment_moves_money_from_the_receivable_to_clearing() -> None:
    book = with_maker(EventKind.PAYMENT_RECEIVED, Maker.NATIVE)
    document, _ = only(event(EventKind.PAYMENT_RECEIVED, money("10.00"), day=DAY), book=book)
    content = document.content
    assert isinstance(content, MoneyContent)
    assert (content.from_account, content.to_account) == ("accounts_receivable", "processor_clearing")
    assert (content.customer_document, content.reference) == (PARTY, "ref_1")


def test_a_native_refund_that_the_rule_splits_is_a_problem_and_not_half_a_refund() -> None:
    book = with_maker(EventKind.REFUND_PAID, Maker.NATIVE)
    happened = event(EventKind.REFUND_PAID, refund("90.00", "31.00"), day=DAY)
    split = documents_of(tenant=TENANT, event=happened, journal=booked(post(event=happened, book=book)), book=book)
    assert isinstance(split, Problem)
    assert split.code == "posting.native_impossible"


def test_nothing_is_sent_under_the_policy_none_or_when_nothing_moves() -> None:
    kept = with_maker(EventKind.PAYMENT_RECEIVED, Maker.NONE)
    happened = event(EventKind.PAYMENT_RECEIVED, money("10.00"), day=DAY)
    assert documents_of(tenant=TENANT, event=happened, journal=booked(post(event=happened, book=kept)), book=kept) == ()
    free = event(EventKind.INVOICE_ISSUED, invoice(line("0.00")), day=DAY)
    book = starter_book()
    assert documents_of(tenant=TENANT, event=free, journal=booked(post(event=free, book=book)), book=book) == ()


def test_a_document_is_the_same_whatever_rule_or_version_made_it() -> None:
    changed = starter_book({"51-rules-money.yaml": ("processor_clearing", "clearing")})
    happened = event(EventKind.PAYMENT_RECEIVED, money("10.00"), day=DAY)
    one, _ = only(happened)
    other, _ = only(happened, book=changed)
    assert one.document_id == other.document_id
    assert one.external_reference == other.external_reference
    assert one.content != other.content


def test_a_customer_is_one_master_record_of_its_connection() -> None:
    customer = Customer(outside_id="cus_1", name="Example Ltd", email="pay@example.test")
    document = customer_document(tenant=TENANT, entity="acme-us", connection="erp", customer=customer, source=CUSTOMER)
    assert document.document_id == PARTY == document.lane_key
    assert (document.rank, document.kind, document.accounting_date) == (Rank.MASTER, DocumentKind.CUSTOMER, None)
