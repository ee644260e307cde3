"""One root from its facts to everything that should be written: events, journals, documents, cases, dispositions. Pure.

This is the middle of the way: it calls the root's rule, compares with what is booked, and has posting make journals and documents.
What one event can't be posted for is that event's problem; the root's other events go on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal

import msgspec

from revline.core.documents import Document
from revline.core.events import MIRRORS, AccountingEvent, IssuedInvoice
from revline.core.facts import Fact
from revline.core.ids import event_id
from revline.core.journal import JournalEntry
from revline.core.money import Amount
from revline.core.problem import Problem
from revline.derive.compare import changes, live_event
from revline.derive.expectation import EntityScope, Expectation, Need, RootFacts, Supported
from revline.derive.roots import rule_of
from revline.subledger.posting.documents import customer_document, documents_of
from revline.subledger.posting.post import post
from revline.subledger.posting.setup import BookSetup, PostingSetup

JournalKey = tuple[str, str]
"""(event id, book)."""


class Booking(msgspec.Struct, frozen=True, kw_only=True):
    """One event to write with what follows from it in every book of its entity."""

    event: AccountingEvent
    facts: tuple[Fact, ...]
    journals: tuple[JournalEntry, ...]
    documents: tuple[Document, ...]


class RootProblem(msgspec.Struct, frozen=True, kw_only=True):
    """Why something of the root can't be booked, and the money behind it."""

    problem: Problem
    amount: Amount
    currency: str


class Disposition(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a fact under this root. verdict: effects, none (rule says why), awaited or case."""

    fact_position: int
    fact_ordinal: int
    verdict: str
    effects: tuple[str, ...] = ()
    rule: str = ""


class RootPlan(msgspec.Struct, frozen=True, kw_only=True):
    """Everything one derive run of one root writes."""

    bookings: tuple[Booking, ...]
    reversed_count: int
    masters: tuple[Document, ...]
    awaited: tuple[Need, ...]
    problems: tuple[RootProblem, ...]
    dispositions: tuple[Disposition, ...]


def plan_root(
    *,
    known: RootFacts,
    scope: EntityScope,
    setup: PostingSetup,
    booked: Mapping[str, AccountingEvent],
    journals: Mapping[JournalKey, JournalEntry],
) -> RootPlan:
    """What one run writes. booked: every event of the root ever booked; journals: their journals by (event, book)."""
    expectation = rule_of(known.root.kind).expect(known, scope)
    change = changes(booked=booked, expected=expectation.events)
    books = setup.books_of(scope.entity)
    work = _Work(scope=scope, books=books, events=dict(booked), journals=dict(journals))
    for reversal in change.reversals:
        work.book(Supported(event=reversal, facts=()))
    for entry in change.bookings:
        work.book(entry)
    problems = [
        RootProblem(problem=each.problem, amount=each.amount, currency=each.currency) for each in expectation.blocked
    ]
    masters = _masters(expectation, known, scope, books)
    return RootPlan(
        bookings=tuple(work.bookings),
        reversed_count=len(change.reversals),
        masters=masters,
        awaited=expectation.awaited,
        problems=(*problems, *work.problems),
        dispositions=tuple(_dispositions(expectation, work, masters)),
    )


class _Work:
    """Books events one after another; each sees the journals of those before it."""

    def __init__(
        self,
        *,
        scope: EntityScope,
        books: tuple[BookSetup, ...],
        events: dict[str, AccountingEvent],
        journals: dict[JournalKey, JournalEntry],
    ) -> None:
        self.scope, self.books, self.events, self.journals = scope, books, events, journals
        self.bookings: list[Booking] = []
        self.problems: list[RootProblem] = []

    def book(self, supported: Supported) -> None:
        """Post one event in every book of the entity, or note why it can't be."""
        event = supported.event
        original = self._original(event)
        entries: list[JournalEntry] = []
        documents: list[Document] = []
        for book in self.books:
            mirrored = None if original is None else self.journals.get((original.event_id, book.name))
            if original is not None and mirrored is None:
                continue  # the original made no entry in this book, so there is nothing to mirror
            entry = post(event=event, book=book, mirrored=mirrored)
            made: tuple[Document, ...] | Problem = ()
            if not isinstance(entry, Problem):
                made = documents_of(tenant=self.scope.tenant, event=event, journal=entry, book=book)
            failure = entry if isinstance(entry, Problem) else made if isinstance(made, Problem) else None
            if failure is not None:
                self.problems.append(RootProblem(problem=failure, amount=_money(event), currency=event.currency))
                return
            if isinstance(entry, JournalEntry):
                entries.append(entry)
            assert not isinstance(made, Problem)
            documents.extend(made)
        self.events[event.event_id] = event
        self.journals |= {(event.event_id, entry.book): entry for entry in entries}
        self.bookings.append(
            Booking(event=event, facts=supported.facts, journals=tuple(entries), documents=tuple(documents))
        )

    def _original(self, event: AccountingEvent) -> AccountingEvent | None:
        """The event this one undoes or mirrors, if it is booked."""
        if event.reverses:
            return self.events.get(event.reverses)
        kind = MIRRORS.get(event.kind)
        if kind is None:
            return None
        base = event_id(tenant=self.scope.tenant, source=event.source, event_kind=kind.value, ordinal=0)
        return live_event(base=base, booked=self.events)


def _masters(
    expectation: Expectation, known: RootFacts, scope: EntityScope, books: Iterable[BookSetup]
) -> tuple[Document, ...]:
    if expectation.master is None:
        return ()
    customer, _ = expectation.master
    return tuple(
        customer_document(
            tenant=scope.tenant, entity=scope.entity, connection=erp, customer=customer, source=known.root
        )
        for erp in sorted({book.erp for book in books if book.erp})
    )


def _dispositions(expectation: Expectation, work: _Work, masters: tuple[Document, ...]) -> Iterable[Disposition]:
    """One for each fact of the root: its effects, a case, or none with the rule."""
    effects: dict[str, list[str]] = {}
    facts: dict[str, Fact] = {}
    failed: set[str] = set()
    for entry in expectation.events:
        live = live_event(base=entry.event.event_id, booked=work.events)
        for fact in entry.facts:
            facts[fact.fact_id] = fact
            made = effects.setdefault(fact.fact_id, [])
            if live is None:
                failed.add(fact.fact_id)
            else:
                made.append(live.event_id)
    if expectation.master is not None:
        fact = expectation.master[1]
        facts[fact.fact_id] = fact
        effects.setdefault(fact.fact_id, []).extend(document.document_id for document in masters)
    for fact_id, ids in effects.items():
        yield _disposition(facts[fact_id], "case" if fact_id in failed else "effects", tuple(ids), "")
    for blocked in expectation.blocked:
        yield _disposition(blocked.fact, "case", (), blocked.problem.code)
    for fact, rule in expectation.silent:
        yield _disposition(fact, "awaited" if rule.startswith("awaits") else "none", (), rule)


def _disposition(fact: Fact, verdict: str, effects: tuple[str, ...], rule: str) -> Disposition:
    return Disposition(
        fact_position=fact.position, fact_ordinal=fact.ordinal, verdict=verdict, effects=effects, rule=rule
    )


def _money(event: AccountingEvent) -> Decimal:
    """The money an event is about, positive."""
    payload = event.payload
    return abs(payload.total if isinstance(payload, IssuedInvoice) else payload.amount)
