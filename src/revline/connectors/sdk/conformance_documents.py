"""The documents the conformance kit sends: small, valid, of every kind, under references of their own in each run.

Pure. Knows the neutral accounts and nothing of the system under test.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import Final

import msgspec

from revline.core.documents import (
    ApplicationContent,
    Content,
    CreditMemoContent,
    CustomerContent,
    Document,
    DocumentKind,
    InvoiceContent,
    InvoiceContentLine,
    InvoiceContentTax,
    InvoiceVoidContent,
    JournalContent,
    MoneyContent,
    Rank,
)
from revline.core.farside import EntityMapping
from revline.core.ids import SourceObject, document_id, external_reference, journal_id
from revline.core.journal import JournalLine
from revline.core.money import Rounding, convert, known_currency

ONE: Final = Decimal(1)
NET: Final = Decimal("100.00")
TAX: Final = Decimal("20.00")
TOTAL: Final = Decimal("120.00")
ZERO: Final = Decimal("0.00")

RECEIVABLE: Final = "accounts_receivable"
DEFERRED: Final = "deferred_revenue"
TAX_PAYABLE: Final = "tax_payable"
CLEARING: Final = "processor_clearing"
BANK: Final = "bank"
NEUTRAL_ACCOUNTS: Final = (RECEIVABLE, DEFERRED, TAX_PAYABLE, CLEARING, BANK)
"""Neutral keys the adapter's mapping must give codes for."""

_RANKS: Final = {
    DocumentKind.CUSTOMER: Rank.MASTER,
    DocumentKind.APPLICATION: Rank.APPLICATION,
    DocumentKind.PAYMENT: Rank.PAYMENT,
    DocumentKind.REFUND: Rank.PAYMENT,
    DocumentKind.DEPOSIT: Rank.PAYOUT,
    DocumentKind.JOURNAL: Rank.JOURNAL,
}


class World(msgspec.Struct, frozen=True, kw_only=True):
    """Where the documents go. currency: functional currency of the company, with two decimals. day: in an open period, as is
    the last day of its month. nonce: makes this run's references unlike any other's.

    What follows is optional; a case that needs what is not there is not tried. rates: currency -> functional units per unit, for
    foreign ones that journals and invoices may be in (name one with no, one with two and one with three decimals if the system
    knows them). dimension: (dimension, a value, another value), both mapped. other_mapping, other_currency: a second company.
    name_max: characters a customer's name may have. large: an amount the system holds that a float can't.
    """

    nonce: str
    currency: str
    day: date
    mapping: EntityMapping
    rates: Mapping[str, Decimal] = {}
    dimension: tuple[str, str, str] | None = None
    other_mapping: EntityMapping | None = None
    other_currency: str = ""
    name_max: int = 80
    large: Decimal | None = Decimal("999999999999999.99")


def document(
    *,
    world: World,
    name: str,
    kind: DocumentKind,
    content: Content,
    amount: Decimal,
    predecessors: tuple[str, ...] = (),
    currency: str = "",
) -> Document:
    """A document of this world; the same name and kind give the same document. currency: the world's unless another is named."""
    identity = document_id(subject=f"{world.nonce}-{name}", document_kind=kind.value, connection="conformance")
    return Document(
        document_id=identity,
        kind=kind,
        connection="conformance",
        entity="conformance",
        book="conformance",
        external_reference=external_reference(document=identity),
        event_id="" if kind is DocumentKind.CUSTOMER else f"event-{name}",
        journal_id=journal_id(event=f"event-{name}", book="conformance"),
        lane_key=identity,
        rank=_RANKS.get(kind, Rank.INVOICE),
        predecessors=predecessors,
        currency=currency or world.currency,
        amount=amount,
        accounting_date=None if kind is DocumentKind.CUSTOMER else world.day,
        content=content,
    )


def customer(*, world: World, name: str = "customer", called: str = "", currency: str = "") -> Document:
    """A customer. called: what people call it."""
    content = CustomerContent(
        name=called or f"Conformance {world.nonce}",
        currency=currency or world.currency,
        outside_id=f"{world.nonce}-{name}",
    )
    return document(world=world, name=name, kind=DocumentKind.CUSTOMER, content=content, amount=ZERO)


def invoice(
    *,
    world: World,
    buyer: Document,
    name: str = "invoice",
    nets: tuple[Decimal, ...] = (NET,),
    tax: Decimal = TAX,
    currency: str = "",
    rate: Decimal = ONE,
) -> Document:
    """An invoice with a line for each net and a manual tax line over all of them."""
    total = sum(nets, tax)
    content = InvoiceContent(
        number=f"C-{world.nonce}-{name}",
        customer_document=buyer.document_id,
        receivable=RECEIVABLE,
        document_date=world.day,
        lines=_lines(nets),
        taxes=_taxes(sum(nets, ZERO), tax),
        total=total,
        rate=rate,
    )
    return document(
        world=world,
        name=name,
        kind=DocumentKind.INVOICE,
        content=content,
        amount=total,
        predecessors=(buyer.document_id,),
        currency=currency,
    )


def void(*, world: World, of: Document, name: str = "void") -> Document:
    """The void of an invoice."""
    content = InvoiceVoidContent(invoice_document=of.document_id, number="")
    return document(
        world=world,
        name=name,
        kind=DocumentKind.INVOICE_VOID,
        content=content,
        amount=of.amount,
        predecessors=(of.document_id,),
    )


def credit_memo(*, world: World, of: Document, buyer: Document, name: str = "credit-memo") -> Document:
    """A credit memo over the whole of an invoice of one line of NET."""
    content = CreditMemoContent(
        number=f"C-{world.nonce}-{name}",
        invoice_document=of.document_id,
        customer_document=buyer.document_id,
        receivable=RECEIVABLE,
        document_date=world.day,
        lines=_lines((NET,)),
        taxes=_taxes(NET, TAX),
        total=TOTAL,
        rate=ONE,
    )
    return document(
        world=world,
        name=name,
        kind=DocumentKind.CREDIT_MEMO,
        content=content,
        amount=TOTAL,
        predecessors=(of.document_id, buyer.document_id),
    )


def money(
    *, world: World, kind: DocumentKind, buyer: Document, name: str = "money", amount: Decimal = TOTAL
) -> Document:
    """A payment, a refund or a deposit."""
    sides = {
        DocumentKind.PAYMENT: (RECEIVABLE, CLEARING),
        DocumentKind.REFUND: (CLEARING, RECEIVABLE),
        DocumentKind.DEPOSIT: (CLEARING, BANK),
    }
    party = "" if kind is DocumentKind.DEPOSIT else buyer.document_id
    content = MoneyContent(
        customer_document=party,
        amount=amount,
        from_account=sides[kind][0],
        to_account=sides[kind][1],
        reference=f"{world.nonce}-{name}",
        rate=ONE,
    )
    waits = (party,) if party else ()
    return document(world=world, name=name, kind=kind, content=content, amount=amount, predecessors=waits)


def application(
    *, world: World, of: Document, payment: Document, amount: Decimal, name: str = "application"
) -> Document:
    """A payment set against an invoice."""
    content = ApplicationContent(invoice_document=of.document_id, payment_document=payment.document_id, amount=amount)
    return document(
        world=world,
        name=name,
        kind=DocumentKind.APPLICATION,
        content=content,
        amount=amount,
        predecessors=(of.document_id, payment.document_id),
    )


def journal(
    *,
    world: World,
    name: str = "journal",
    debit: str = BANK,
    credit: str = CLEARING,
    amount: Decimal = NET,
    buyer: Document | None = None,
    currency: str = "",
    rate: Decimal = ONE,
    dimensions: tuple[tuple[str, str], ...] = (),
) -> Document:
    """A journal of two lines; with a buyer the credit line carries the customer.

    amount: in `currency`, the world's unless another is named; rate: functional units per unit of it.
    """
    party = None
    if buyer is not None:
        party = SourceObject(connection="conformance", kind="customer", outside_id=buyer.document_id)
    functional = convert(amount=amount, rate=rate, currency=known_currency(world.currency), rounding=Rounding.HALF_UP)

    def line(number: int, account: str, of: SourceObject | None) -> JournalLine:
        return JournalLine(
            line=number,
            account=account,
            debit=amount if number == 1 else ZERO,
            credit=ZERO if number == 1 else amount,
            currency=currency or world.currency,
            functional_debit=functional if number == 1 else ZERO,
            functional_credit=ZERO if number == 1 else functional,
            rate=rate,
            rate_source="identity" if rate == ONE else "conformance",
            dimensions=dimensions,
            party=of,
        )

    content = JournalContent(
        event_kind="payout.paid",
        memo=f"conformance {name}",
        functional_currency=world.currency,
        lines=(line(1, debit, None), line(2, credit, party)),
        customer_documents=((party, buyer.document_id),) if party is not None and buyer is not None else (),
    )
    waits = (buyer.document_id,) if buyer is not None else ()
    return document(
        world=world,
        name=name,
        kind=DocumentKind.JOURNAL,
        content=content,
        amount=amount,
        predecessors=waits,
        currency=currency,
    )


def _lines(nets: tuple[Decimal, ...]) -> tuple[InvoiceContentLine, ...]:
    return tuple(
        InvoiceContentLine(
            source_line=str(number), account=DEFERRED, description=f"Month {number}", quantity=ONE, net=net
        )
        for number, net in enumerate(nets, start=1)
    )


def _taxes(net: Decimal, amount: Decimal) -> tuple[InvoiceContentTax, ...]:
    if not amount:
        return ()
    tax = InvoiceContentTax(
        source_line="1", account=TAX_PAYABLE, rate="standard", description="Tax", taxable=net, amount=amount
    )
    return (tax,)
