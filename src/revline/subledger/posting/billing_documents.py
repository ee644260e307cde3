"""What the ERP's own invoices and credit memos say: the lines and taxes that must come to the expected journal. Pure."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from revline.core.canonical import InvoiceLine, TaxAmount
from revline.core.documents import CreditMemoContent, InvoiceContent, InvoiceContentLine, InvoiceContentTax
from revline.core.events import AccountingEvent, IssuedCreditMemo, IssuedInvoice
from revline.core.ids import SourceObject
from revline.core.journal import JournalEntry, JournalLine
from revline.subledger.posting.masters import customer_document_id, item_document_id
from revline.subledger.posting.post import UNNAMED_TAX
from revline.subledger.posting.setup import BookSetup

ZERO: Final = Decimal(0)
TO_THE_CUSTOMER: Final = -1
"""Sign of a credit memo's amounts: what an invoice credits, a credit memo debits."""


def invoice_content(*, tenant: str, event: AccountingEvent, entry: JournalEntry, book: BookSetup) -> InvoiceContent:
    """The native invoice that must come to the journal: a line for each line of it that is neither tax nor receivable."""
    payload = event.payload
    if not isinstance(payload, IssuedInvoice):
        raise TypeError("a native invoice is made of an issued invoice")
    lines, taxes = _parts(tenant, event, entry, book, payload.lines, sign=1)
    return InvoiceContent(
        number=payload.number,
        customer_document=_customer(tenant, event, book),
        receivable=_receivable(entry, book),
        document_date=event.document_date,
        due_date=payload.due_date,
        lines=lines,
        taxes=taxes,
        total=payload.total,
        rate=entry.lines[0].rate,
        memo=payload.memo or entry.memo,
    )


def credit_memo_content(
    *, tenant: str, event: AccountingEvent, entry: JournalEntry, book: BookSetup, invoice_document: str
) -> CreditMemoContent:
    """The native credit memo that must come to the journal. Amounts are positive to the customer's good."""
    payload = event.payload
    if not isinstance(payload, IssuedCreditMemo):
        raise TypeError("a native credit memo is made of an issued credit memo")
    lines, taxes = _parts(tenant, event, entry, book, payload.lines, sign=TO_THE_CUSTOMER)
    return CreditMemoContent(
        number=payload.number,
        invoice_document=invoice_document,
        customer_document=_customer(tenant, event, book),
        receivable=_receivable(entry, book),
        document_date=event.document_date,
        lines=lines,
        taxes=taxes,
        total=payload.total,
        rate=entry.lines[0].rate,
        memo=payload.memo or entry.memo,
        applied=payload.applied,
    )


def _customer(tenant: str, event: AccountingEvent, book: BookSetup) -> str:
    if event.customer is None:
        return ""
    return customer_document_id(tenant=tenant, customer=event.customer, connection=book.erp)


def _receivable(entry: JournalEntry, book: BookSetup) -> str:
    return next((line.account for line in entry.lines if line.party is not None), book.receivable)


def _parts(
    tenant: str,
    event: AccountingEvent,
    entry: JournalEntry,
    book: BookSetup,
    sources: tuple[InvoiceLine, ...],
    *,
    sign: int,
) -> tuple[tuple[InvoiceContentLine, ...], tuple[InvoiceContentTax, ...]]:
    by_id = {line.outside_id: line for line in sources}
    others = tuple(line for line in entry.lines if line.party is None)
    per_source: dict[str, int] = {}
    for line in others:
        if not line.tax_rate:
            per_source[line.source_line] = per_source.get(line.source_line, 0) + 1
    lines = []
    for line in others:
        if line.tax_rate:
            continue
        source = by_id.get(line.source_line)
        item = ""
        if book.items is not None and source is not None and source.product:
            product = SourceObject(connection=event.source.connection, kind="product", outside_id=source.product)
            item = item_document_id(tenant=tenant, product=product, connection=book.erp)
        lines.append(_line(line, source, item, alone=per_source[line.source_line] == 1, sign=sign))
    return tuple(lines), _taxes(others, sources, sign=sign)


def _line(line: JournalLine, source: InvoiceLine | None, item: str, *, alone: bool, sign: int) -> InvoiceContentLine:
    """The line that must produce a journal line. When a rule made several lines of one, each has quantity 1."""
    return InvoiceContentLine(
        source_line=line.source_line,
        account=line.account,
        description=line.description or (source.product_name if source else ""),
        product=source.product if source else "",
        item_document=item,
        quantity=source.quantity if source is not None and alone else Decimal(1),
        net=sign * (line.credit - line.debit),
        service_start=source.service_start if source else None,
        service_end=source.service_end if source else None,
        dimensions=line.dimensions,
    )


def _taxes(
    lines: tuple[JournalLine, ...], sources: tuple[InvoiceLine, ...], *, sign: int
) -> tuple[InvoiceContentTax, ...]:
    waiting: dict[str, list[TaxAmount]] = {
        line.outside_id: [tax for tax in line.taxes if tax.amount] for line in sources
    }
    found: list[InvoiceContentTax] = []
    for line in lines:
        if not line.tax_rate:
            continue
        taxes = waiting.get(line.source_line, [])
        amount = sign * (line.credit - line.debit)
        tax = next((each for each in taxes if each.amount == amount and _rate_of(each) == line.tax_rate), None)
        if tax is not None:
            taxes.remove(tax)
        found.append(
            InvoiceContentTax(
                source_line=line.source_line,
                account=line.account,
                rate=tax.rate if tax else "",
                description=line.description,
                taxable=tax.taxable if tax else ZERO,
                amount=amount,
                dimensions=line.dimensions,
            )
        )
    return tuple(found)


def _rate_of(tax: TaxAmount) -> str:
    return tax.rate or UNNAMED_TAX
