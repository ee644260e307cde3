"""What a root's standing comes to: one posting state over all its books, its ERP numbers, its money, its problem. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from revline.core.documents import DocumentKind, DocumentState
from revline.core.events import AccountingEvent, EventKind, IssuedCreditMemo, IssuedInvoice, MovedMoney
from revline.core.money import amount_text
from revline.delivery.standings import DocumentStanding
from revline.feedback.values import PostingState, RootStanding, Summary

PRINCIPAL: Final = frozenset(
    {
        EventKind.INVOICE_ISSUED,
        EventKind.INVOICE_VOIDED,
        EventKind.CREDIT_MEMO_ISSUED,
        EventKind.CREDIT_MEMO_VOIDED,
        EventKind.PAYMENT_RECEIVED,
        EventKind.PAYOUT_PAID,
    }
)
"""Events whose documents are the source object itself; a fee or an application is not what its posting state means."""
VOIDS: Final = frozenset({EventKind.INVOICE_VOIDED, EventKind.CREDIT_MEMO_VOIDED})
MEMOS: Final = frozenset({EventKind.CREDIT_MEMO_ISSUED, EventKind.CREDIT_MEMO_VOIDED})
"""Events of a credit memo, which belong to its invoice's root where it has one: they are not the invoice itself."""
VALUE_LENGTH_MAX: Final = 255


def summary(standing: RootStanding) -> Summary | None:
    """None when nothing is booked or refused of the root, so that there is nothing to tell."""
    live = _live(event for _, event in standing.events)
    chosen = [event for event in live if event.kind in PRINCIPAL] or live
    ids = {event.event_id for event in chosen}
    masters = {DocumentKind.CUSTOMER.value, DocumentKind.ITEM.value}
    documents = tuple(
        one
        for one in standing.documents
        if one.state is not DocumentState.SUPERSEDED and (one.event_id in ids or one.kind in masters)
    )
    own = _itself(chosen)
    state = _state(standing, documents, voided=any(event.kind in VOIDS for event in own))
    if state is None:
        return None
    first = min(own, key=lambda event: (event.occurred_at, event.event_id), default=None)
    payload = None if first is None else first.payload
    code, detail = _problem(standing, documents)
    issued = isinstance(payload, IssuedInvoice | IssuedCreditMemo)
    total = payload.total if isinstance(payload, IssuedInvoice | IssuedCreditMemo) else None
    return Summary(
        state=state,
        documents=_spoken_for(documents, own),
        day=None if first is None else first.accounting_date,
        number=payload.number if issued and isinstance(payload, IssuedInvoice | IssuedCreditMemo) else "",
        currency="" if first is None else first.currency,
        total=payload.amount if isinstance(payload, MovedMoney) else total,
        problem_code=code,
        problem_detail=detail,
    )


def neutral_fields(*, standing: RootStanding, found: Summary) -> Mapping[str, str]:
    """Every field that can be told, as text: amounts plain in their currency, days ISO 8601, "" where there is none."""
    documents, balance = found.documents, standing.balance
    money = {} if balance is None else {"amount_applied": balance.applied, "amount_open": abs(balance.owed)}
    days = sorted({str(day) for one in documents if (day := one.erp_date or one.accounting_date) is not None})
    fields = {
        "posting_state": found.state.value,
        "erp_connection": _joined(one.connection for one in documents),
        "erp_number": _joined(one.erp_number for one in documents),
        "erp_id": _joined(one.erp_id for one in documents),
        "external_reference": _joined(one.external_reference for one in documents),
        "accounting_date": days[0] if days else "" if found.day is None else found.day.isoformat(),
        "entity": standing.entity,
        "currency": found.currency,
        "amount_total": "" if found.total is None else amount_text(found.total),
        "problem_code": found.problem_code,
        "problem_detail": found.problem_detail,
        "outside_id": standing.root.outside_id,
        "number": found.number,
        "amount_applied": "",
        "amount_open": "",
        **{name: amount_text(amount) for name, amount in money.items()},
    }
    return {name: value[:VALUE_LENGTH_MAX] for name, value in fields.items()}


def _live(events: Iterable[AccountingEvent]) -> list[AccountingEvent]:
    every = list(events)
    undone = {event.reverses for event in every if event.reverses}
    return [event for event in every if not event.reverses and event.event_id not in undone]


def _itself(events: list[AccountingEvent]) -> list[AccountingEvent]:
    """The events that are the source object itself: of an invoice with its credit memos, the invoice's."""
    if all(event.kind is not EventKind.INVOICE_ISSUED for event in events):
        return events
    return [event for event in events if event.kind not in MEMOS]


def _state(standing: RootStanding, documents: tuple[DocumentStanding, ...], *, voided: bool) -> PostingState | None:
    states = {one.state for one in documents}
    refused = any(one.subject[0] == "root" for one in standing.cases)
    if DocumentState.REJECTED in states or (refused and not documents):
        return PostingState.REJECTED
    if DocumentState.HELD in states or (standing.cases and not documents):
        return PostingState.HELD
    if not documents:
        return None
    if states <= {DocumentState.POSTED, DocumentState.WAIVED, DocumentState.REVERSED}:
        return PostingState.VOIDED if voided else PostingState.POSTED
    return PostingState.PENDING


def _spoken_for(documents: tuple[DocumentStanding, ...], events: list[AccountingEvent]) -> tuple[DocumentStanding, ...]:
    """The documents whose number people look for: a void's own number is nobody's, and a credit memo's is its own."""
    speaking = {event.event_id for event in events if event.kind not in VOIDS}
    named = tuple(one for one in documents if one.event_id in speaking)
    return tuple(sorted(named or documents, key=lambda one: (one.connection, one.book, one.document_id)))


def _problem(standing: RootStanding, documents: tuple[DocumentStanding, ...]) -> tuple[str, str]:
    """Of the documents told first, then of anything else of the root."""
    ids = {one.document_id for one in documents}
    ordered = sorted(
        standing.cases, key=lambda one: (one.subject[1] not in ids and one.subject[0] != "root", one.code, one.case_id)
    )
    if ordered:
        return ordered[0].code, ordered[0].detail
    stuck = sorted((one.problem_code, one.problem_detail) for one in documents if one.problem_code)
    return stuck[0] if stuck else ("", "")


def _joined(values: Iterable[str]) -> str:
    """Distinct values in the order given; a document of several books has several numbers."""
    return ", ".join(dict.fromkeys(value for value in values if value))
