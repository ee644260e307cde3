"""Documents: one intended effect in a far system each, with its identity, order and content.

Knows no far system and no account code.

A document names Revline's ids and neutral keys only; far-side ids and codes go in when it is sent. Its id and external
reference exist before anything is sent. Content never changes within a revision.
"""

from __future__ import annotations

from datetime import date, datetime
from enum import IntEnum, StrEnum

import msgspec

from revline.core.canonical import Address
from revline.core.ids import SourceObject
from revline.core.journal import JournalLine
from revline.core.money import Amount, decode_hook


class DocumentKind(StrEnum):
    """What the far system is asked to hold."""

    CUSTOMER = "customer"
    ITEM = "item"
    INVOICE = "invoice"
    INVOICE_VOID = "invoice_void"
    CREDIT_MEMO = "credit_memo"
    PAYMENT = "payment"
    APPLICATION = "application"
    REFUND = "refund"
    DEPOSIT = "deposit"
    JOURNAL = "journal"
    FEEDBACK = "feedback"
    USAGE = "usage"


class Rank(IntEnum):
    """Order of dependence.

    A document waits only for a lower rank, or for an earlier sequence of its own lane, so waiting can't close a circle.
    """

    MASTER = 0
    INVOICE = 1
    PAYMENT = 2
    APPLICATION = 3
    PAYOUT = 4
    JOURNAL = 5
    FEEDBACK = 6


class DocumentState(StrEnum):
    """Where a document stands. placed: in the far system as a draft; accepted: a far-side job runs; uncertain: nobody knows yet."""

    PREPARED = "prepared"
    READY = "ready"
    SENDING = "sending"
    PLACED = "placed"
    POSTED = "posted"
    ACCEPTED = "accepted"
    UNCERTAIN = "uncertain"
    HELD = "held"
    REJECTED = "rejected"
    WAIVED = "waived"
    SUPERSEDED = "superseded"
    REVERSED = "reversed"


FINISHED_STATES = frozenset(
    {DocumentState.POSTED, DocumentState.WAIVED, DocumentState.SUPERSEDED, DocumentState.REVERSED}
)
"""States in which a document needs no more work; its rows may move to history."""


class CustomerContent(msgspec.Struct, frozen=True, kw_only=True, tag="customer"):
    """A master record of one customer. code: the external reference it is found by."""

    name: str
    email: str = ""
    address: Address = Address()
    currency: str = ""
    tax_ids: tuple[tuple[str, str], ...] = ()
    outside_id: str


class ItemContent(msgspec.Struct, frozen=True, kw_only=True, tag="item"):
    """A master record of one product that native invoice lines name. account: neutral key of what its sales credit."""

    name: str
    code: str = ""
    family: str = ""
    account: str
    outside_id: str


class InvoiceContentLine(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a native invoice or credit memo. account: neutral key that the posting rule chose for it. net: without tax.

    item_document: id of the product's master document, "" where the book makes none.
    """

    source_line: str
    account: str
    description: str
    product: str = ""
    item_document: str = ""
    quantity: Amount
    net: Amount
    service_start: date | None = None
    service_end: date | None = None
    dimensions: tuple[tuple[str, str], ...] = ()


class InvoiceContentTax(msgspec.Struct, frozen=True, kw_only=True):
    """One tax line with the tax engine's own cents. account: neutral key."""

    source_line: str
    account: str
    rate: str
    description: str
    taxable: Amount
    amount: Amount
    dimensions: tuple[tuple[str, str], ...] = ()


class InvoiceContent(msgspec.Struct, frozen=True, kw_only=True, tag="invoice"):
    """A native customer invoice. customer_document: id of the customer's master document. receivable: neutral key.

    total: net lines plus taxes, in `currency`. rate: functional units per unit of `currency` that the expected journal used.
    """

    number: str
    customer_document: str
    receivable: str
    document_date: date
    due_date: date | None = None
    lines: tuple[InvoiceContentLine, ...]
    taxes: tuple[InvoiceContentTax, ...]
    total: Amount
    rate: Amount
    memo: str = ""


class InvoiceVoidContent(msgspec.Struct, frozen=True, kw_only=True, tag="invoice_void"):
    """Undo a native invoice in full on its own day. invoice_document: the document to undo."""

    invoice_document: str
    number: str


class CreditMemoContent(msgspec.Struct, frozen=True, kw_only=True, tag="credit_memo"):
    """A native credit memo: as an invoice with amounts to the customer's good, all positive here.

    applied: the part of the total that lowers its invoice, whatever comes first, memo or payment; None: all of it.
    """

    number: str
    invoice_document: str
    customer_document: str
    receivable: str
    document_date: date
    lines: tuple[InvoiceContentLine, ...]
    taxes: tuple[InvoiceContentTax, ...]
    total: Amount
    rate: Amount
    memo: str = ""
    applied: Amount | None = None


class MoneyContent(msgspec.Struct, frozen=True, kw_only=True, tag="money"):
    """A native payment, refund or deposit. from_account, to_account: neutral keys; amount positive."""

    customer_document: str
    amount: Amount
    from_account: str
    to_account: str
    reference: str
    rate: Amount
    dimensions: tuple[tuple[str, str], ...] = ()


class JournalContent(msgspec.Struct, frozen=True, kw_only=True, tag="journal"):
    """A journal entry as Revline made it. customer_documents: master document of each party named on a line."""

    event_kind: str
    memo: str
    functional_currency: str
    lines: tuple[JournalLine, ...]
    customer_documents: tuple[tuple[SourceObject, str], ...] = ()


class ApplicationContent(msgspec.Struct, frozen=True, kw_only=True, tag="application"):
    """A payment set against an invoice, both already in the far system. amount: in the document's currency."""

    invoice_document: str
    payment_document: str
    amount: Amount


class FeedbackContent(msgspec.Struct, frozen=True, kw_only=True, tag="feedback"):
    """What became of a source object, told to a source or an outbound webhook. It replaces whatever was told before.

    target: the object it is about (in the system told, or the root an outbound message speaks of). message_type: the outbound
    event's type, "" for a write-back. fields: sorted (outside field, value), named as the Feedback configuration names them.
    data: the outbound message's body as canonical JSON text, "" for a write-back.
    """

    target: SourceObject
    message_type: str = ""
    fields: tuple[tuple[str, str], ...] = ()
    data: str = ""


class UsageContent(msgspec.Struct, frozen=True, kw_only=True, tag="usage"):
    """Metered use told to a billing system, or taken back there. What is told adds to what was told before.

    customer: as the system told names it. meter: the name the system knows the meter by. value: what is told, signed: a quantity in
    `unit`, or with measure "amount" smallest units of `currency`. at: the minute it counts in, UTC; no other report of this
    customer and meter has it. window_start, window_end: the half-open billing period. charges: sorted (charge id, revision) it
    comes from; quantity, amount: what these come to in all. prepared_at: nothing was sent before it. cancels: external reference
    of an earlier report that is to count no more, "" for a report of its own.
    """

    tenant: str
    customer: SourceObject
    meter: str
    measure: str
    value: Amount
    unit: str = ""
    at: datetime
    window_start: datetime
    window_end: datetime
    charges: tuple[tuple[str, int], ...] = ()
    quantity: Amount
    amount: Amount
    currency: str
    prepared_at: datetime
    cancels: str = ""


Content = (
    CustomerContent
    | ItemContent
    | InvoiceContent
    | InvoiceVoidContent
    | CreditMemoContent
    | MoneyContent
    | JournalContent
    | ApplicationContent
    | FeedbackContent
    | UsageContent
)


class Document(msgspec.Struct, frozen=True, kw_only=True):
    """One intended effect.

    document_id: derived (`ids.document_id`). connection: where it goes, an ERP or a source. event_id: the accounting event it
    makes true, "" for master records. journal_id: the entry it carries (journal) or must produce (native), "" when none.
    lane_key: what orders it; rank: what it may wait for. predecessors: document ids that must be posted first.
    accounting_date: the day it counts, None for a master record. reverses: the document it undoes, or "".
    """

    document_id: str
    kind: DocumentKind
    connection: str
    entity: str
    book: str
    external_reference: str
    event_id: str
    journal_id: str
    lane_key: str
    rank: Rank
    predecessors: tuple[str, ...]
    currency: str
    amount: Amount
    accounting_date: date | None
    content: Content
    reverses: str = ""


def decode_document(data: bytes | str) -> Document:
    """A document from its JSON."""
    return _DECODER.decode(data)


_DECODER = msgspec.json.Decoder(Document, dec_hook=decode_hook)
