"""Which far-side records a document is sent with."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

from revline.core.documents import Document, DocumentKind, InvoiceContent, InvoiceContentLine, Rank
from revline.delivery.needs import referenced

DAY = date(2026, 1, 15)


def test_an_invoice_is_sent_with_its_customer_and_the_items_of_its_lines() -> None:
    lines = tuple(
        InvoiceContentLine(
            source_line=str(number),
            account="revenue",
            description="",
            item_document=item,
            quantity=Decimal(1),
            net=Decimal(1),
        )
        for number, item in enumerate(("item-1", "item-2", ""))
    )
    content = InvoiceContent(
        number="1",
        customer_document="customer-1",
        receivable="accounts_receivable",
        document_date=DAY,
        lines=lines,
        taxes=(),
        total=Decimal(3),
        rate=Decimal(1),
    )
    document = Document(
        document_id="d",
        kind=DocumentKind.INVOICE,
        connection="erp",
        entity="e",
        book="b",
        external_reference="R",
        event_id="",
        journal_id="",
        lane_key="l",
        rank=Rank.INVOICE,
        predecessors=(),
        currency="USD",
        amount=Decimal(3),
        accounting_date=DAY,
        content=content,
    )
    assert set(referenced(document)) == {"customer-1", "item-1", "item-2"}
