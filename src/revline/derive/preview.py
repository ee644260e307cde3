"""What facts would book if they were sent: the same pure way as derive's, written nowhere. Pure.

A root is planned twice: once as if nothing were booked, which shows all of it, and once against what is booked, which shows what
would change.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Any, Final

import msgspec

from revline.core.documents import (
    CreditMemoContent,
    Document,
    InvoiceContent,
    JournalContent,
    MoneyContent,
)
from revline.core.events import AccountingEvent
from revline.core.facts import Fact, TranslatedFact
from revline.core.farside import EntityMapping
from revline.core.ids import SourceObject
from revline.core.journal import JournalEntry
from revline.core.money import Amount
from revline.core.problem import Mender, Problem, Retryable, define, problem
from revline.delivery.loading import ClosedPeriod
from revline.delivery.values import FarSide
from revline.derive.expectation import EntityScope, Need, RootFacts
from revline.derive.planning import Booking, RootPlan, plan_root
from revline.intake.values import Awaited
from revline.subledger.posting.setup import PostingSetup

PREVIEW_POSITION: Final = 2**62
"""The place of facts that are only supposed: after everything in the log."""
REASONS_MAX: Final = 200


class Reason(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """Why something can't go on: a problem code, the field or key it is about, in words."""

    code: str
    field: str
    detail: str


class PreviewJournal(msgspec.Struct, frozen=True, kw_only=True):
    """A journal with the rule that made it and where it stands; each line names the rule's entry."""

    rule: str
    rule_file: str
    rule_line: int
    entry: JournalEntry


class PreviewDocument(msgspec.Struct, frozen=True, kw_only=True):
    """A document that would be made. missing: neutral keys the connection's Mapping lacks, as accounts.<key>."""

    document_id: str
    kind: str
    connection: str
    entity: str
    book: str
    currency: str
    amount: Amount
    accounting_date: date | None
    missing: tuple[str, ...]
    content: Mapping[str, Any]


class PreviewEvent(msgspec.Struct, frozen=True, kw_only=True):
    """An accounting event with what follows from it."""

    event: AccountingEvent
    journals: tuple[PreviewJournal, ...]
    documents: tuple[PreviewDocument, ...]


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """What would change in the books. change: book or reverse."""

    change: str
    event_id: str
    event_kind: str
    reverses: str
    currency: str
    lines: int


class RootPreview(msgspec.Struct, frozen=True, kw_only=True):
    """One root. booked: whether any of it is booked now. differences: what sending the facts would change."""

    root: SourceObject
    entity: str
    booked: bool
    events: tuple[PreviewEvent, ...]
    masters: tuple[PreviewDocument, ...]
    differences: tuple[Difference, ...]
    reasons: tuple[Reason, ...]


class Surroundings(msgspec.Struct, frozen=True, kw_only=True):
    """What a preview looks at besides facts. far_sides: by (connection, entity)."""

    scope: EntityScope
    setup: PostingSetup
    booked: Mapping[str, AccountingEvent]
    journals: Mapping[tuple[str, str], JournalEntry]
    far_sides: Mapping[tuple[str, str], FarSide | Problem]
    closed: Sequence[ClosedPeriod]


def supposed(*, given: Sequence[TranslatedFact], at: Any) -> tuple[Fact, ...]:
    """Facts that were not sent, as if they came now, in the order given. at: an aware moment."""
    return tuple(
        Fact(
            fact_id=f"preview:{number}",
            position=PREVIEW_POSITION,
            ordinal=number,
            received_at=at,
            translator="preview",
            body_digest="",
            translated=one,
        )
        for number, one in enumerate(given, start=1)
    )


def with_supposed(*, known: Iterable[Fact], given: Sequence[Fact]) -> tuple[Fact, ...]:
    """The facts of a root with the supposed ones: an edited copy stands instead of every snapshot of its object."""
    replaced = {fact.translated.source for fact in given}
    return (*(fact for fact in known if fact.translated.source not in replaced), *given)


def found_in(given: Sequence[Fact], need: Need, root: SourceObject) -> tuple[Fact, ...]:
    """The supposed facts that answer a need of a root."""
    return tuple(
        fact
        for fact in given
        if (fact.translated.source.connection, fact.translated.source.kind) == (root.connection, need.object_kind)
        and (
            need.name in fact.translated.names
            or (need.name.kind, need.name.value) == ("outside_id", fact.translated.source.outside_id)
        )
    )


def preview_root(*, known: RootFacts, around: Surroundings) -> RootPreview:
    """Everything the facts of one root make, and what it would change."""
    whole = plan_root(known=known, scope=around.scope, setup=around.setup, booked={}, journals={})
    change = plan_root(
        known=known, scope=around.scope, setup=around.setup, booked=around.booked, journals=around.journals
    )
    events = tuple(_event(booking, around) for booking in whole.bookings)
    masters = tuple(_document(document, around) for document in whole.masters)
    reasons = {*_reasons_of_plan(whole, known), *_reasons_of_plan(change, known)}
    for document in (*masters, *(document for event in events for document in event.documents)):
        reasons |= set(_reasons_of_document(document, around))
    return RootPreview(
        root=known.root,
        entity=around.scope.entity,
        booked=bool(around.booked),
        events=events,
        masters=masters,
        differences=tuple(_difference(booking) for booking in change.bookings),
        reasons=tuple(sorted(reasons))[:REASONS_MAX],
    )


def missing_keys(*, document: Document, mapping: EntityMapping) -> tuple[str, ...]:
    """Neutral keys of a document that a mapping lacks, as accounts.<key>, taxes.<rate> or dimensions.<name>.<value>."""
    accounts: set[str] = set()
    taxes: set[str] = set()
    dimensions: set[tuple[str, str]] = set()
    match document.content:
        case JournalContent(lines=lines):
            accounts |= {line.account for line in lines}
            dimensions |= {pair for line in lines for pair in line.dimensions}
        case InvoiceContent() | CreditMemoContent():
            content = document.content
            accounts |= {content.receivable, *(line.account for line in content.lines)}
            dimensions |= {pair for line in content.lines for pair in line.dimensions}
            taxes |= {tax.rate or tax.account for tax in content.taxes if tax.account not in mapping.accounts}
        case MoneyContent():
            accounts |= {document.content.from_account, document.content.to_account}
            dimensions |= set(document.content.dimensions)
    found = {f"accounts.{key}" for key in accounts if key not in mapping.accounts}
    found |= {f"taxes.{rate}" for rate in taxes if rate not in mapping.taxes}
    found |= {
        f"dimensions.{name}.{value}"
        for name, value in dimensions
        if name in mapping.dimensions and value not in mapping.dimensions[name]
    }
    return tuple(sorted(found))


def period_closed(
    *, closed: Sequence[ClosedPeriod], connection: str, company: str, day: date | None
) -> ClosedPeriod | None:
    """The closed period of a company a day lies in, or None."""
    for period in closed:
        there = (period.connection, period.company) == (connection, company)
        if there and day is not None and period.start_day <= day < period.end_day:
            return period
    return None


def reason_of(found: Problem) -> Reason:
    """A problem as a reason."""
    return Reason(code=found.code, field=found.field, detail=found.detail)


def awaited_reason(*, awaited: Awaited) -> Reason:
    """A record that has not come yet."""
    detail = f"{awaited.object_kind} {awaited.name_value} of {awaited.connection} is not known"
    return reason_of(problem("preview.reference_unknown", detail, field=awaited.object_kind))


def _event(booking: Booking, around: Surroundings) -> PreviewEvent:
    return PreviewEvent(
        event=booking.event,
        journals=tuple(
            PreviewJournal(
                rule=entry.rule,
                rule_file=around.setup.place_of(entry.rule)[0],
                rule_line=around.setup.place_of(entry.rule)[1],
                entry=entry,
            )
            for entry in booking.journals
        ),
        documents=tuple(_document(document, around) for document in booking.documents),
    )


def _document(document: Document, around: Surroundings) -> PreviewDocument:
    far = around.far_sides.get((document.connection, document.entity))
    missing = missing_keys(document=document, mapping=far.mapping) if isinstance(far, FarSide) else ()
    return PreviewDocument(
        document_id=document.document_id,
        kind=document.kind.value,
        connection=document.connection,
        entity=document.entity,
        book=document.book,
        currency=document.currency,
        amount=document.amount,
        accounting_date=document.accounting_date,
        missing=missing,
        content=msgspec.structs.asdict(document.content),
    )


def _reasons_of_plan(plan: RootPlan, known: RootFacts) -> Iterable[Reason]:
    yield from (reason_of(entry.problem) for entry in plan.problems)
    for need in plan.awaited:
        yield awaited_reason(
            awaited=Awaited(
                connection=known.root.connection,
                object_kind=need.object_kind,
                name_kind=need.name.kind,
                name_value=need.name.value,
            )
        )


def _reasons_of_document(document: PreviewDocument, around: Surroundings) -> Iterable[Reason]:
    far = around.far_sides.get((document.connection, document.entity))
    if isinstance(far, Problem):
        yield reason_of(far)
        return
    for key in document.missing:
        detail = f"the Mapping of {document.connection} for {document.entity} lacks {key}"
        yield Reason(code="mapping.missing", field=key, detail=detail)
    company = "" if far is None else far.mapping.company
    period = period_closed(
        closed=around.closed, connection=document.connection, company=company, day=document.accounting_date
    )
    if period is not None:
        detail = f"period {period.name} is closed in {document.connection}"
        yield Reason(code="erp.period_closed", field=period.name, detail=detail)


def _difference(booking: Booking) -> Difference:
    event = booking.event
    return Difference(
        change="reverse" if event.reverses else "book",
        event_id=event.event_id,
        event_kind=event.kind.value,
        reverses=event.reverses,
        currency=event.currency,
        lines=sum(len(entry.lines) for entry in booking.journals),
    )


define(
    code="preview.reference_unknown",
    title="A record that is referred to is not known",
    status=422,
    retryable=Retryable.AFTER_FIX,
    mender=Mender.SENDER,
    remedy="Send the record too, or ask with it among the facts; until it comes, what depends on it waits.",
)
