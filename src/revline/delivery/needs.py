"""Which far-side records a document must name, and what it waits for. Pure; knows no connector.

A predecessor that is finished is enough for order. A document that names its record needs more: one that was waived because the
far system needs no effect has none, and whatever needs it stands still until a person says which record it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from revline.core.documents import (
    FINISHED_STATES,
    CreditMemoContent,
    Document,
    DocumentKind,
    DocumentState,
    InvoiceContent,
    JournalContent,
)
from revline.core.farside import ErpRecord
from revline.delivery.values import WaitFor

RECORDLESS: Final = frozenset({DocumentState.WAIVED, DocumentState.SUPERSEDED})
"""Finished states a document can be in without a far-side record."""
UNDONE_BY_RECORD: Final = frozenset({DocumentKind.INVOICE_VOID})
"""Kinds that undo a record by naming it; other reversals are effects of their own and name none."""


def referenced(document: Document) -> tuple[str, ...]:
    """Documents whose far-side records this one's content names, or may be compared with."""
    return tuple(name for name in {*_named(document), document.reverses} if name)


def records_needed(document: Document) -> frozenset[str]:
    """Documents without whose far-side records this one can't be made."""
    undone = {document.reverses} if document.kind in UNDONE_BY_RECORD else set()
    return frozenset(name for name in {*_named(document), *undone} if name)


def waits_for(
    *,
    document: Document,
    predecessors: Mapping[str, DocumentState | None],
    records: Mapping[str, ErpRecord],
) -> WaitFor | None:
    """What a document waits for; None when it may go.

    predecessors: state by document id, None for one that isn't written yet. records: what the far side holds, by document id.
    What is not finished is waited for first; only then what is finished without the record this document names. One that has a
    record of its own has begun, and named what it needed.
    """
    unfinished = tuple(sorted(name for name, state in predecessors.items() if state not in FINISHED_STATES))
    if unfinished:
        return WaitFor(predecessors=unfinished, missing=any(predecessors[name] is None for name in unfinished))
    if document.document_id in records:
        return None
    needed = records_needed(document)
    lacking = tuple(
        sorted(
            name
            for name, state in predecessors.items()
            if state in RECORDLESS and name in needed and name not in records
        )
    )
    return WaitFor(predecessors=lacking, missing=False, for_record=True) if lacking else None


def role_of(*, document: Document, name: str) -> str:
    """What a predecessor is to a document, in a word: customer, item, invoice, payment, or what it undoes."""
    content = document.content
    roles = (("customer_document", "customer"), ("invoice_document", "invoice"), ("payment_document", "payment"))
    for field, role in roles:
        if getattr(content, field, "") == name:
            return role
    if isinstance(content, JournalContent) and any(other == name for _, other in content.customer_documents):
        return "customer"
    if isinstance(content, InvoiceContent | CreditMemoContent) and any(
        line.item_document == name for line in content.lines
    ):
        return "item"
    return "entry it undoes" if document.reverses == name else "document"


def _named(document: Document) -> set[str]:
    content = document.content
    names = {getattr(content, field, "") for field in ("customer_document", "invoice_document", "payment_document")}
    if isinstance(content, JournalContent):
        names |= {name for _, name in content.customer_documents}
    if isinstance(content, InvoiceContent | CreditMemoContent):
        names |= {line.item_document for line in content.lines}
    return names
