"""Products as records of an ERP: the account the book's conditions choose, and lines that name the record and wait for it."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import msgspec
import pytest

from revline.core.canonical import Product
from revline.core.documents import CreditMemoContent, Document, DocumentKind, InvoiceContent, ItemContent, Rank
from revline.core.events import AccountingEvent, EventKind, IssuedCreditMemo
from revline.core.ids import SourceObject
from revline.core.problem import Problem
from revline.subledger.posting.documents import documents_of
from revline.subledger.posting.kinds import Maker
from revline.subledger.posting.masters import customer_document_id, item_document, item_document_id
from revline.subledger.posting.post import post
from revline.subledger.posting.setup import BookSetup
from tests.unit.posting.builders import CUSTOMER, TENANT, booked, event, invoice, line, starter_book, starter_with

DAY = date(2026, 2, 1)
PRODUCT = SourceObject(connection="stripe-us", kind="product", outside_id="prod_1")
INVOICE = SourceObject(connection="stripe-us", kind="invoice", outside_id="invoice_1")
ITEMS = """
  items:
    maker: native
    accounts:
      - {when: product.family == "hardware", account: revenue_product}
      - {account: deferred_revenue}
"""
WITH_ITEMS = {"30-book.yaml": ("  receivable: accounts_receivable\n", f"  receivable: accounts_receivable{ITEMS}")}
PARTY = customer_document_id(tenant=TENANT, customer=CUSTOMER, connection="erp")
RECORD = item_document_id(tenant=TENANT, product=PRODUCT, connection="erp")


def book_with_items() -> BookSetup:
    book = starter_book(WITH_ITEMS)
    return msgspec.structs.replace(book, makers={**book.makers, EventKind.CREDIT_MEMO_ISSUED: Maker.NATIVE})


@pytest.mark.parametrize(("family", "account"), [("hardware", "revenue_product"), ("", "deferred_revenue")])
def test_a_product_is_one_master_record_with_the_account_its_sales_credit(family: str, account: str) -> None:
    items = book_with_items().items
    assert items is not None
    product = Product(outside_id="prod_1", name="Router", family=family, code="R-1")
    document = item_document(
        tenant=TENANT, entity="acme-us", connection="erp", items=items, product=product, source=PRODUCT
    )
    assert not isinstance(document, Problem)
    assert (document.document_id, document.lane_key) == (RECORD, RECORD)
    assert (document.kind, document.rank, document.predecessors) == (DocumentKind.ITEM, Rank.MASTER, ())
    expected = ItemContent(name="Router", code="R-1", family=family, account=account, outside_id="prod_1")
    assert document.content == expected


def test_a_product_no_condition_takes_is_a_problem_and_gets_no_guessed_account() -> None:
    items = book_with_items().items
    assert items is not None
    only_hardware = msgspec.structs.replace(items, accounts=items.accounts[:1])
    product = Product(outside_id="prod_1", name="Seat")
    refused = item_document(
        tenant=TENANT, entity="acme-us", connection="erp", items=only_hardware, product=product, source=PRODUCT
    )
    assert isinstance(refused, Problem)
    assert refused.code == "posting.account_missing"


def test_a_native_invoice_s_lines_name_their_product_s_record_and_wait_for_it() -> None:
    book = book_with_items()
    sold = invoice(line("100.00", number=1), msgspec.structs.replace(line("5.00", number=2), product=""))
    happened = event(EventKind.INVOICE_ISSUED, sold, day=DAY)
    made = documents_of(tenant=TENANT, event=happened, journal=booked(post(event=happened, book=book)), book=book)
    assert isinstance(made, tuple)
    content = made[0].content
    assert isinstance(content, InvoiceContent)
    assert [each.item_document for each in content.lines] == [RECORD, ""]
    assert set(made[0].predecessors) == {PARTY, RECORD}


def test_without_items_no_line_names_a_record() -> None:
    book = starter_book()
    happened = event(EventKind.INVOICE_ISSUED, invoice(line("100.00")), day=DAY)
    made = documents_of(tenant=TENANT, event=happened, journal=booked(post(event=happened, book=book)), book=book)
    assert isinstance(made, tuple)
    assert made[0].predecessors == (PARTY,)


def test_a_native_credit_memo_is_to_the_customer_s_good_and_waits_for_its_invoice() -> None:
    book = book_with_items()
    sold = invoice(line("100.00", number=1, tax="20.00"), line("40.00", number=2, family="hardware"))
    memo = IssuedCreditMemo(
        number="CM-1",
        invoice=INVOICE,
        tax_total=sold.tax_total,
        total=sold.total,
        earned=Decimal("35.00"),
        lines=sold.lines,
    )
    issued = event(EventKind.INVOICE_ISSUED, sold, day=DAY)
    (demanded,) = tuple_of(issued, book)
    credited = event(EventKind.CREDIT_MEMO_ISSUED, memo, day=DAY, root="invoice")
    (document,) = tuple_of(credited, book)
    content = document.content
    assert isinstance(content, CreditMemoContent)
    assert (document.kind, document.rank, document.amount) == (
        DocumentKind.CREDIT_MEMO,
        Rank.INVOICE,
        Decimal("160.00"),
    )
    assert content.invoice_document == demanded.document_id
    assert set(document.predecessors) == {PARTY, RECORD, demanded.document_id}
    assert [(each.account, each.net) for each in content.lines] == [
        ("deferred_revenue", Decimal("75.00")),
        ("credit_notes_contra_revenue", Decimal("30.00")),
        ("credit_notes_contra_revenue", Decimal("25.00")),
        ("credit_notes_contra_revenue", Decimal("10.00")),
    ]
    assert [(each.amount, each.rate) for each in content.taxes] == [(Decimal("20.00"), "txr_1")]
    total = sum((each.net for each in content.lines), Decimal(0)) + sum(
        (each.amount for each in content.taxes), Decimal(0)
    )
    assert total == content.total == sold.total
    assert document.lane_key == demanded.lane_key, "it follows the invoice it credits"
    assert content.applied is None
    settled = msgspec.structs.replace(memo, applied=Decimal("20.00"))
    (later,) = tuple_of(event(EventKind.CREDIT_MEMO_ISSUED, settled, day=DAY, root="invoice"), book)
    assert isinstance(later.content, CreditMemoContent)
    assert later.content.applied == Decimal("20.00"), "the rest is paid out and lowers no invoice"


def test_a_credit_memo_that_was_voided_is_undone_by_a_journal() -> None:
    book = book_with_items()
    sold = invoice(line("100.00"))
    memo = IssuedCreditMemo(
        number="CM-1", invoice=None, tax_total=sold.tax_total, total=sold.total, earned=Decimal(0), lines=sold.lines
    )
    issued = event(EventKind.CREDIT_MEMO_ISSUED, memo, day=DAY)
    (first,) = tuple_of(issued, book)
    voided = event(EventKind.CREDIT_MEMO_VOIDED, memo, day=date(2026, 3, 1))
    entry = booked(post(event=voided, book=book, mirrored=booked(post(event=issued, book=book))))
    made = documents_of(tenant=TENANT, event=voided, journal=entry, book=book)
    assert isinstance(made, tuple)
    assert (made[0].kind, made[0].reverses) == (DocumentKind.JOURNAL, first.document_id)


@pytest.mark.parametrize(
    ("text", "detail"),
    [
        ("maker: journal", "a product is no journal"),
        ("maker: native", "names the account its sales credit"),
        ("maker: native\n    accounts: [{account: Revenue}]", "no neutral account key"),
        ('maker: native\n    accounts: [{when: product.colour == "red", account: bank}]', "colour"),
        ("maker: native\n    accounts: [{account: bank}, {account: cash}]", "always taken"),
    ],
)
def test_items_that_can_t_work_are_an_error_of_the_folder(text: str, detail: str) -> None:
    old = "  receivable: accounts_receivable\n"
    errors = starter_with({"30-book.yaml": (old, f"{old}  items:\n    {text}\n")}).errors
    assert [one for one in errors if detail in one.detail], errors


def test_native_credit_memos_need_native_invoices() -> None:
    old = "    - {event: invoice.issued, maker: native}\n    - {event: payment.applied, maker: native}\n"
    new = "    - {event: credit_memo.issued, maker: native}\n"
    errors = starter_with({"30-book.yaml": (old, new)}).errors
    assert [one.detail for one in errors] == [
        "the ERP's own credit memos credit its own invoices, and this book sends none"
    ]


@pytest.mark.parametrize(
    ("policy", "detail"),
    [
        ("{event: credit_memo.voided, maker: none}", "credit_memo.voided undoes credit_memo.issued"),
        (
            "{event: credit_memo.issued, maker: none}\n    - {event: credit_memo.voided, maker: journal}",
            "credit_memo.voided",
        ),
        ("{event: refund.failed, maker: none}", "refund.failed undoes refund.paid"),
        (
            "{event: payout.paid, maker: none}\n    - {event: payout.failed, maker: journal}",
            "payout.failed undoes payout.paid",
        ),
        ("{event: payment.received, maker: none}", "payments are applied in the ERP, and this book sends none"),
    ],
)
def test_what_undoes_an_entry_reaches_the_erp_with_it(policy: str, detail: str) -> None:
    old = "    - {event: payment.applied, maker: native}\n"
    errors = starter_with({"30-book.yaml": (old, f"{old}    - {policy}\n")}).errors
    assert [one for one in errors if detail in one.detail], errors


@pytest.mark.parametrize("kind", ["credit_memo.issued", "refund.paid", "payout.paid"])
def test_what_undoes_an_entry_follows_its_maker_when_nothing_is_said(kind: str) -> None:
    old = "    - {event: payment.applied, maker: native}\n"
    assert starter_with({"30-book.yaml": (old, f"{old}    - {{event: {kind}, maker: none}}\n")}).errors == ()


def tuple_of(happened: AccountingEvent, book: BookSetup) -> tuple[Document, ...]:
    made = documents_of(tenant=TENANT, event=happened, journal=booked(post(event=happened, book=book)), book=book)
    assert isinstance(made, tuple), made
    return made
