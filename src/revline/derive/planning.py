"""One root from its facts to everything that should be written: events, journals, documents, cases, dispositions. Pure.

This is the middle of the way: it calls the root's rule, compares with what is booked, and has posting make journals and documents.
What one event can't be posted for is that event's problem; the root's other events go on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Final

import msgspec

from revline.core.canonical import Customer
from revline.core.documents import Document
from revline.core.events import MIRRORS, AccountingEvent, AppliedPayment, EventKind, IssuedCreditMemo, IssuedInvoice
from revline.core.facts import Fact
from revline.core.ids import SourceObject, event_id, rebooked_id
from revline.core.journal import JournalEntry
from revline.core.money import Amount
from revline.core.problem import Problem, problem
from revline.derive.compare import changes, live_event
from revline.derive.expectation import EntityScope, Expectation, Need, RootFacts, Supported
from revline.derive.roots import rule_of
from revline.subledger.posting.documents import documents_of
from revline.subledger.posting.masters import customer_document, item_document
from revline.subledger.posting.post import post
from revline.subledger.posting.setup import BookSetup, PostingSetup

ZERO: Final = Decimal(0)
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
    """Everything one derive run of one root writes. renewed: documents of earlier runs as they should read now. wakes: roots to
    derive again because of it."""

    bookings: tuple[Booking, ...]
    reversed_count: int
    masters: tuple[Document, ...]
    renewed: tuple[Document, ...]
    awaited: tuple[Need, ...]
    problems: tuple[RootProblem, ...]
    dispositions: tuple[Disposition, ...]
    wakes: tuple[SourceObject, ...] = ()


def plan_root(
    *,
    known: RootFacts,
    scope: EntityScope,
    setup: PostingSetup,
    booked: Mapping[str, AccountingEvent],
    journals: Mapping[JournalKey, JournalEntry],
    reprocess: bool = False,
) -> RootPlan:
    """What one run writes. booked: every event of the root ever booked; journals: their journals by (event, book).

    A booked event keeps its journals whatever configuration is active now; reprocess evaluates it again, and where the present
    configuration books it differently it is reversed and booked again.
    """
    expectation = rule_of(known.root.kind).expect(known, scope)
    books = setup.books_of(scope.entity)
    stale: frozenset[str] = frozenset()
    if reprocess:
        trial = _Work(scope=scope, books=books, events=dict(booked), journals=dict(journals))
        stale = frozenset(trial.stale(expectation.events))
    change = changes(booked=booked, expected=expectation.events, stale=stale)
    work = _Work(scope=scope, books=books, events=dict(booked), journals=dict(journals))
    for reversal in change.reversals:
        work.book(Supported(event=reversal, facts=()))
    stuck = {rebooked_id(reversal=one.event_id) for one in change.reversals if one.event_id not in work.events}
    for entry in change.bookings:
        if entry.event.event_id not in stuck:
            work.book(entry)
    problems = [
        RootProblem(problem=each.problem, amount=each.amount, currency=each.currency) for each in expectation.blocked
    ]
    masters, unmade = _masters(expectation, known, scope, books)
    problems += [RootProblem(problem=each, amount=ZERO, currency="") for each in unmade]
    return RootPlan(
        bookings=tuple(work.bookings),
        reversed_count=len(change.reversals),
        masters=masters,
        renewed=tuple(work.renewed_documents(expectation.events)),
        awaited=expectation.awaited,
        problems=(*problems, *work.problems),
        dispositions=tuple(_dispositions(expectation, work, masters, unmade)),
        wakes=expectation.wakes,
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
        if original is None and event.kind in MIRRORS:
            missing = f"{event.kind} mirrors {MIRRORS[event.kind]}, which is not booked"
            self._fail(event, problem("posting.original_missing", missing, field=event.kind))
            return
        entries: list[JournalEntry] = []
        documents: list[Document] = []
        for book in self.books:
            mirrored = None if original is None else self.journals.get((original.event_id, book.name))
            if original is not None and mirrored is None and event.kind is not EventKind.PAYMENT_APPLIED:
                continue  # the original made no entry in this book, so there is nothing to mirror
            entry = post(event=event, book=book, mirrored=mirrored)
            made: tuple[Document, ...] | Problem = ()
            if not isinstance(entry, Problem):
                made = self._documents(event, entry, book)
            failure = entry if isinstance(entry, Problem) else made if isinstance(made, Problem) else None
            if failure is not None:
                self._fail(event, failure)
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

    def stale(self, expected: Iterable[Supported]) -> Iterable[str]:
        """First ids of live events that the present configuration books differently, and of those that mirror one."""
        found: set[str] = set()
        for entry in expected:
            live = live_event(base=entry.event.event_id, booked=self.events)
            if live is None or (MIRRORS.get(live.kind) and self._first_id(live, MIRRORS[live.kind]) in found):
                found |= {entry.event.event_id} if live is not None else set()
                continue
            original = self._original(live)
            for book in self.books:
                kept = self.journals.get((live.event_id, book.name))
                mirrored = None if original is None else self.journals.get((original.event_id, book.name))
                if original is not None and mirrored is None:
                    continue
                entry_now = post(event=live, book=book, mirrored=mirrored)
                if isinstance(entry_now, Problem):
                    self._fail(live, entry_now)
                elif (None if entry_now is None else entry_now.lines) != (None if kept is None else kept.lines):
                    found.add(entry.event.event_id)
        return found

    def _first_id(self, event: AccountingEvent, kind: EventKind) -> str:
        return event_id(tenant=self.scope.tenant, source=event.source, event_kind=kind.value, ordinal=0)

    def renewed_documents(self, expected: Iterable[Supported]) -> Iterable[Document]:
        """Documents of applications and credit memos booked before whose invoice was booked again and is another document."""
        made_now = {booking.event.event_id for booking in self.bookings}
        for entry in expected:
            live = live_event(base=entry.event.event_id, booked=self.events)
            if live is None or live.event_id in made_now or self._invoice_event(live) in {"", self._first_issue(live)}:
                continue
            for book in self.books:
                made = self._documents(live, self.journals.get((live.event_id, book.name)), book)
                yield from () if isinstance(made, Problem) else made

    def _documents(
        self, event: AccountingEvent, entry: JournalEntry | None, book: BookSetup
    ) -> tuple[Document, ...] | Problem:
        return documents_of(
            tenant=self.scope.tenant, event=event, journal=entry, book=book, invoice_event=self._invoice_event(event)
        )

    def _first_issue(self, event: AccountingEvent) -> str:
        if not isinstance(event.payload, AppliedPayment | IssuedCreditMemo) or event.payload.invoice is None:
            return ""
        kind = EventKind.INVOICE_ISSUED.value
        return event_id(tenant=self.scope.tenant, source=event.payload.invoice, event_kind=kind, ordinal=0)

    def _invoice_event(self, event: AccountingEvent) -> str:
        """For an application or a credit memo: the event its invoice stands by now; "" while there is none."""
        base = self._first_issue(event)
        live = live_event(base=base, booked=self.events) if base else None
        return "" if live is None else live.event_id

    def _fail(self, event: AccountingEvent, why: Problem) -> None:
        self.problems.append(RootProblem(problem=why, amount=_money(event), currency=event.currency))

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
) -> tuple[tuple[Document, ...], tuple[Problem, ...]]:
    """The master record in each ERP of the entity, and why one can't be made.

    Books of one ERP share it; the items of the first by name that has them say how.
    """
    if expectation.master is None:
        return (), ()
    subject, _ = expectation.master
    made: dict[str, Document] = {}
    problems: dict[str, Problem] = {}
    for book in books:
        if not book.erp or book.erp in made or book.erp in problems:
            continue
        place = {"tenant": scope.tenant, "entity": scope.entity, "connection": book.erp}
        if isinstance(subject, Customer):
            made[book.erp] = customer_document(**place, customer=subject, source=known.root)
        elif book.items is not None:
            item = item_document(**place, items=book.items, product=subject, source=known.root)
            if isinstance(item, Problem):
                problems[book.erp] = item
            else:
                made[book.erp] = item
    return tuple(made[erp] for erp in sorted(made)), tuple(problems[erp] for erp in sorted(problems))


def _dispositions(
    expectation: Expectation, work: _Work, masters: tuple[Document, ...], unmade: tuple[Problem, ...]
) -> Iterable[Disposition]:
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
        failed |= {fact.fact_id} if unmade else set()
    # A fact may have effects and a case: what it says in full is booked, what else it says is not.
    failed |= {blocked.fact.fact_id for blocked in expectation.blocked}
    for fact_id, ids in effects.items():
        yield _disposition(facts[fact_id], "case" if fact_id in failed else "effects", tuple(ids), "")
    for blocked in expectation.blocked:
        if blocked.fact.fact_id not in effects:
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
    return abs(payload.total if isinstance(payload, IssuedInvoice | IssuedCreditMemo) else payload.amount)
