"""An event and its journal in one book to the documents intended in that book's ERP. Pure; knows no far system."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

import msgspec

from revline.core.documents import (
    ApplicationContent,
    Content,
    Document,
    DocumentKind,
    InvoiceVoidContent,
    JournalContent,
    MoneyContent,
    Rank,
)
from revline.core.events import (
    MIRRORS,
    STATED_KINDS,
    AccountingEvent,
    AppliedPayment,
    EventKind,
    IssuedCreditMemo,
    IssuedInvoice,
    MovedMoney,
)
from revline.core.ids import SourceObject, document_id, event_id, external_reference, journal_id, root_id
from revline.core.journal import JournalEntry
from revline.core.problem import Mender, Problem, Retryable, define, problem
from revline.subledger.posting.billing_documents import credit_memo_content, invoice_content
from revline.subledger.posting.kinds import Maker
from revline.subledger.posting.masters import customer_document_id
from revline.subledger.posting.setup import BookSetup

ZERO: Final = Decimal(0)

NATIVE_KINDS: Final[dict[EventKind, DocumentKind]] = {
    EventKind.INVOICE_ISSUED: DocumentKind.INVOICE,
    EventKind.INVOICE_VOIDED: DocumentKind.INVOICE_VOID,
    EventKind.CREDIT_MEMO_ISSUED: DocumentKind.CREDIT_MEMO,
    EventKind.PAYMENT_RECEIVED: DocumentKind.PAYMENT,
    EventKind.PAYMENT_APPLIED: DocumentKind.APPLICATION,
    EventKind.REFUND_PAID: DocumentKind.REFUND,
    EventKind.PAYOUT_PAID: DocumentKind.DEPOSIT,
}
"""Kinds of event an ERP has a document of its own for; the others are journals whatever the policy of what they mirror."""

RANKS: Final[dict[EventKind, Rank]] = {
    EventKind.INVOICE_ISSUED: Rank.INVOICE,
    EventKind.INVOICE_VOIDED: Rank.INVOICE,
    EventKind.INVOICE_MARKED_UNCOLLECTIBLE: Rank.INVOICE,
    EventKind.CREDIT_MEMO_ISSUED: Rank.INVOICE,
    EventKind.CREDIT_MEMO_VOIDED: Rank.INVOICE,
    EventKind.CUSTOMER_CREDIT_GRANTED: Rank.PAYMENT,
    EventKind.CUSTOMER_CREDIT_APPLIED: Rank.PAYMENT,
    EventKind.PAYMENT_RECEIVED: Rank.PAYMENT,
    EventKind.PAYMENT_APPLIED: Rank.APPLICATION,
    EventKind.PROCESSOR_FEE_CHARGED: Rank.PAYMENT,
    EventKind.REFUND_PAID: Rank.PAYMENT,
    EventKind.REFUND_FAILED: Rank.PAYMENT,
    EventKind.DISPUTE_OPENED: Rank.PAYMENT,
    EventKind.DISPUTE_WON: Rank.PAYMENT,
    EventKind.DISPUTE_LOST: Rank.PAYMENT,
    EventKind.PAYOUT_PAID: Rank.PAYOUT,
    EventKind.PAYOUT_FAILED: Rank.PAYOUT,
    **dict.fromkeys(STATED_KINDS, Rank.JOURNAL),
}
"""How far along the way each kind of event stands, whoever makes its entry."""


class _Place(msgspec.Struct, frozen=True, kw_only=True):
    """What every document of one event in one book shares."""

    tenant: str
    event: AccountingEvent
    book: BookSetup
    journal: JournalEntry | None
    undone: str
    invoice_event: str


def documents_of(
    *,
    tenant: str,
    event: AccountingEvent,
    journal: JournalEntry | None,
    book: BookSetup,
    mirrored_kind: EventKind | None = None,
    invoice_event: str = "",
) -> tuple[Document, ...] | Problem:
    """The documents of an event in a book: none under the policy none or when nothing moves, else one.

    native: the ERP's own document, which must come to `journal`; otherwise the journal itself. An application names the
    documents of the first booking of its invoice and payment, so it needs no row of another root. A document waits for the
    customer and the products it names and for what it undoes.

    mirrored_kind: kind of the event whose journal `journal.reverses` is, when it is
    not the one in `events.MIRRORS` (a reversal undoes an event of its own kind, which is the default). invoice_event: for an
    application or a credit memo, the event its invoice stands by now when it was booked again; the first booking by default.
    """
    maker = book.maker(event.kind)
    if maker is Maker.NONE or not book.erp or (event.kind is not EventKind.PAYMENT_APPLIED and not _moves(journal)):
        return ()
    undone = ""
    if event.kind is EventKind.PAYMENT_APPLIED and event.reverses:
        entry = journal_id(event=event.reverses, book=book.name)
        undone = document_id(subject=entry, document_kind=DocumentKind.APPLICATION, connection=book.erp)
    if journal is not None and journal.reverses:
        original = mirrored_kind or (event.kind if event.reverses else MIRRORS.get(event.kind, event.kind))
        undone = document_id(
            subject=journal.reverses,
            document_kind=document_kind(kind=original, reversal=False, book=book),
            connection=book.erp,
        )
    place = _Place(tenant=tenant, event=event, book=book, journal=journal, undone=undone, invoice_event=invoice_event)
    kind = document_kind(kind=event.kind, reversal=bool(event.reverses), book=book)
    match kind:
        case DocumentKind.APPLICATION:
            return (_application(place),)
        case DocumentKind.INVOICE:
            return (_invoice(place),)
        case DocumentKind.INVOICE_VOID:
            return (_invoice_void(place),)
        case DocumentKind.CREDIT_MEMO:
            return (_credit_memo(place),)
        case DocumentKind.PAYMENT | DocumentKind.REFUND | DocumentKind.DEPOSIT:
            document = _money(place, kind)
            return document if isinstance(document, Problem) else (document,)
    return (_journal(place),)


def document_kind(*, kind: EventKind, reversal: bool, book: BookSetup) -> DocumentKind:
    """The kind of document an event of this kind is sent as.

    A reversed native invoice is voided, a reversed application is an application of the negative amount; other reversals are
    journals.
    """
    native = NATIVE_KINDS.get(kind) if book.maker(kind) is Maker.NATIVE else None
    if not reversal:
        return native or DocumentKind.JOURNAL
    if native is DocumentKind.APPLICATION:
        return native
    return DocumentKind.INVOICE_VOID if native is DocumentKind.INVOICE else DocumentKind.JOURNAL


def _moves(journal: JournalEntry | None) -> bool:
    return journal is not None and bool(journal.lines)


def _entry(place: _Place) -> JournalEntry:
    if place.journal is None:
        raise ValueError(f"{place.event.kind} needs its journal")
    return place.journal


def _document(
    place: _Place, kind: DocumentKind, content: Content, amount: Decimal, predecessors: tuple[str, ...]
) -> Document:
    event, book = place.event, place.book
    # The journal's id also where there is none: it tells the books apart that send to one ERP.
    subject = journal_id(event=event.event_id, book=book.name)
    identity = document_id(subject=subject, document_kind=kind, connection=book.erp)
    own_lane = kind is DocumentKind.APPLICATION
    return Document(
        document_id=identity,
        kind=kind,
        connection=book.erp,
        entity=event.entity,
        book=book.name,
        external_reference=external_reference(document=identity),
        event_id=event.event_id,
        journal_id=place.journal.journal_id if place.journal else "",
        lane_key=(place.undone or identity) if own_lane else root_id(tenant=place.tenant, source=event.root),
        rank=RANKS[event.kind],
        predecessors=tuple(sorted(set(predecessors))),
        currency=event.currency,
        amount=amount,
        accounting_date=event.accounting_date,
        content=content,
        reverses=place.undone,
    )


def _customer(place: _Place) -> str:
    if place.event.customer is None:
        return ""
    return customer_document_id(tenant=place.tenant, customer=place.event.customer, connection=place.book.erp)


def _waits_for(*ids: str) -> tuple[str, ...]:
    return tuple(each for each in ids if each)


def _journal(place: _Place) -> Document:
    entry = _entry(place)
    parties = sorted({line.party for line in entry.lines if line.party is not None})
    customers = tuple(
        (party, customer_document_id(tenant=place.tenant, customer=party, connection=place.book.erp))
        for party in parties
    )
    content = JournalContent(
        event_kind=entry.event_kind,
        memo=entry.memo,
        functional_currency=entry.functional_currency,
        lines=entry.lines,
        customer_documents=customers,
    )
    amount = sum((line.debit for line in entry.lines), ZERO)
    predecessors = _waits_for(place.undone, *(identity for _, identity in customers))
    return _document(place, DocumentKind.JOURNAL, content, amount, predecessors)


def _invoice(place: _Place) -> Document:
    content = invoice_content(tenant=place.tenant, event=place.event, entry=_entry(place), book=place.book)
    predecessors = _waits_for(_customer(place), *(line.item_document for line in content.lines))
    return _document(place, DocumentKind.INVOICE, content, content.total, predecessors)


def _credit_memo(place: _Place) -> Document:
    payload = place.event.payload
    if not isinstance(payload, IssuedCreditMemo):
        raise TypeError("a native credit memo is made of an issued credit memo")
    invoice = ""
    if payload.invoice is not None:
        invoice = first_document_id(
            tenant=place.tenant,
            source=payload.invoice,
            kind=EventKind.INVOICE_ISSUED,
            book=place.book,
            event=place.invoice_event,
        )
    content = credit_memo_content(
        tenant=place.tenant, event=place.event, entry=_entry(place), book=place.book, invoice_document=invoice
    )
    predecessors = _waits_for(_customer(place), invoice, *(line.item_document for line in content.lines))
    return _document(place, DocumentKind.CREDIT_MEMO, content, content.total, predecessors)


def _invoice_void(place: _Place) -> Document:
    payload = place.event.payload
    number = payload.number if isinstance(payload, IssuedInvoice) else ""
    amount = payload.total if isinstance(payload, IssuedInvoice) else ZERO
    content = InvoiceVoidContent(invoice_document=place.undone, number=number)
    return _document(place, DocumentKind.INVOICE_VOID, content, amount, _waits_for(place.undone))


def _money(place: _Place, kind: DocumentKind) -> Document | Problem:
    entry = _entry(place)
    debits = [line for line in entry.lines if line.debit]
    credits_ = [line for line in entry.lines if line.credit]
    if len(debits) != 1 or len(credits_) != 1:
        detail = f"a native {kind} has one account on each side; the rule made {len(entry.lines)} lines"
        return problem("posting.native_impossible", detail, field=f"{place.book.name}:{place.event.kind}")
    debit, credit = debits[0], credits_[0]
    named = debit.party or credit.party
    customer = (
        customer_document_id(tenant=place.tenant, customer=named, connection=place.book.erp)
        if named is not None
        else ""
    )
    payload = place.event.payload
    content = MoneyContent(
        customer_document=customer,
        amount=debit.debit,
        from_account=credit.account,
        to_account=debit.account,
        reference=(payload.reference if isinstance(payload, MovedMoney) else "") or place.event.source.outside_id,
        rate=debit.rate,
        dimensions=debit.dimensions,
    )
    return _document(place, kind, content, debit.debit, _waits_for(customer, place.undone))


def _application(place: _Place) -> Document:
    payload = place.event.payload
    if not isinstance(payload, AppliedPayment):
        raise TypeError("an application is made of an applied payment")
    tenant, book = place.tenant, place.book
    invoice = first_document_id(
        tenant=tenant, source=payload.invoice, kind=EventKind.INVOICE_ISSUED, book=book, event=place.invoice_event
    )
    payment = first_document_id(tenant=tenant, source=payload.payment, kind=EventKind.PAYMENT_RECEIVED, book=book)
    amount = -payload.amount if place.event.reverses else payload.amount
    content = ApplicationContent(invoice_document=invoice, payment_document=payment, amount=amount)
    return _document(place, DocumentKind.APPLICATION, content, amount, _waits_for(invoice, payment, place.undone))


def first_document_id(*, tenant: str, source: SourceObject, kind: EventKind, book: BookSetup, event: str = "") -> str:
    """The id of the document that an object's event makes in a book, known before it is made. event: "" for the first booking."""
    booked = event or event_id(tenant=tenant, source=source, event_kind=kind.value, ordinal=0)
    return document_id(
        subject=journal_id(event=booked, book=book.name),
        document_kind=document_kind(kind=kind, reversal=False, book=book),
        connection=book.erp,
    )


define(
    code="posting.native_impossible",
    title="The entry does not fit the ERP's own document",
    status=422,
    retryable=Retryable.AFTER_FIX,
    mender=Mender.CONFIGURATION,
    remedy="State the policy journal for this event in the book, or give it a rule with one debit and one credit.",
)
