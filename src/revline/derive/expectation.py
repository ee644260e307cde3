"""What derive works with: the facts of a root, and what should exist because of them. Values only."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date, datetime

import msgspec

from revline.core.canonical import CanonicalObject, Customer, Product
from revline.core.clock import local_date
from revline.core.events import AccountingEvent, EventKind, Payload
from revline.core.facts import Fact, Name
from revline.core.ids import SourceObject, event_id
from revline.core.money import Amount
from revline.core.problem import Problem


class EntityScope(msgspec.Struct, frozen=True, kw_only=True):
    """What of the legal entity decides the shape of events: its name and the zone its days are counted in.

    native_items: one of its books has products as records of its ERP, so that lines wait for the products they name.
    masters: the connection's customers and products are those that invoices name, so the ERP is told of them; a CRM's are not.
    """

    tenant: str
    entity: str
    time_zone: str
    native_items: bool = False
    masters: bool = True


class Need(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """Another object's facts this root must see: an object kind of the same connection, known by a name."""

    object_kind: str
    name: Name


class Supported(msgspec.Struct, frozen=True, kw_only=True):
    """An event that should exist and the facts that say so."""

    event: AccountingEvent
    facts: tuple[Fact, ...]


class Blocked(msgspec.Struct, frozen=True, kw_only=True):
    """Something that can't be booked, why, and the money behind it."""

    problem: Problem
    fact: Fact
    amount: Amount
    currency: str


class Expectation(msgspec.Struct, frozen=True, kw_only=True):
    """What should exist of one root.

    events: in the order they are booked. awaited: needs that no fact answers yet. blocked: what became a case.
    silent: facts that make nothing, with the rule that says so. master: the customer or product whose master record this root is,
    and the fact that says so. wakes: other roots that a fact of this one changes; they are derived again.
    """

    events: tuple[Supported, ...] = ()
    awaited: tuple[Need, ...] = ()
    blocked: tuple[Blocked, ...] = ()
    silent: tuple[tuple[Fact, str], ...] = ()
    master: tuple[Customer | Product, Fact] | None = None
    wakes: tuple[SourceObject, ...] = ()


class RootFacts(msgspec.Struct, frozen=True, kw_only=True):
    """Everything known of a root: its own facts, and the facts that answer its needs."""

    root: SourceObject
    facts: tuple[Fact, ...]
    found: Mapping[Need, tuple[Fact, ...]] = {}


def newest(facts: Iterable[Fact]) -> Fact:
    """The newest snapshot by the connector's declared order; equal orders go by content, so arrival never decides."""
    return max(facts, key=lambda fact: (fact.translated.order_key, fact.translated.content_digest))


def by_source(facts: Iterable[Fact]) -> dict[SourceObject, list[Fact]]:
    """Facts grouped by the object they are snapshots of, objects in order of their ids."""
    groups: dict[SourceObject, list[Fact]] = {}
    for fact in facts:
        groups.setdefault(fact.translated.source, []).append(fact)
    return dict(sorted(groups.items()))


def newest_by_source(facts: Iterable[Fact], kind: type[CanonicalObject]) -> list[Fact]:
    """The newest snapshot of every object of one canonical kind, in order of their ids."""
    return [
        newest(group)
        for group in by_source(fact for fact in facts if isinstance(fact.translated.snapshot, kind)).values()
    ]


def was_pushed(facts: Iterable[Fact], source: SourceObject) -> bool:
    """Whether any message told of the object; else it is known from listings only, which may leave times out.

    While messages tell of an object, a time they have not told yet is waited for: a guessed day would make the books depend on
    which message came first.
    """
    return any("." in fact.translated.event_type for fact in facts if fact.translated.source == source)


SUPERSEDED = "a newer snapshot of the same object speaks"
"""The rule by which an older snapshot makes nothing."""


def silent_rest(
    facts: Iterable[Fact], *, used: Iterable[Fact], rules: Mapping[str, str]
) -> tuple[tuple[Fact, str], ...]:
    """Every fact that supports nothing, with why: `rules` by fact id, else that a newer snapshot speaks."""
    taken = {fact.fact_id for fact in used}
    return tuple((fact, rules.get(fact.fact_id, SUPERSEDED)) for fact in facts if fact.fact_id not in taken)


class Findings:
    """What a root's rule has found so far. events: in the order they are booked. rules: by fact id, why a fact makes nothing."""

    def __init__(self) -> None:
        self.events: list[Supported] = []
        self.awaited: set[Need] = set()
        self.blocked: list[Blocked] = []
        self.rules: dict[str, str] = {}
        self.wakes: set[SourceObject] = set()

    def expectation(self, facts: Iterable[Fact]) -> Expectation:
        """All of it, with a word on every fact of the root that supports nothing."""
        used = [fact for entry in self.events for fact in entry.facts] + [entry.fact for entry in self.blocked]
        return Expectation(
            events=tuple(self.events),
            awaited=tuple(sorted(self.awaited)),
            blocked=tuple(self.blocked),
            silent=silent_rest(facts, used=used, rules=self.rules),
            wakes=tuple(sorted(self.wakes)),
        )


def make_event(
    known: RootFacts,
    scope: EntityScope,
    kind: EventKind,
    fact: Fact,
    when: datetime,
    currency: str,
    customer: SourceObject | None,
    payload: Payload,
    day: date | None = None,
) -> AccountingEvent:
    """The event of one kind that a fact's object has on this root; `day` where the source names a day and not a moment."""
    source = fact.translated.source
    counted = day or local_date(moment=when, time_zone=scope.time_zone)
    return AccountingEvent(
        event_id=event_id(tenant=scope.tenant, source=source, event_kind=kind.value, ordinal=0),
        kind=kind,
        root=known.root,
        source=source,
        entity=scope.entity,
        currency=currency,
        occurred_at=when,
        document_date=counted,
        accounting_date=counted,
        customer=customer,
        payload=payload,
    )
