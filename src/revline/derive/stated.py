"""What should exist of an event an outside subledger states: that event, unless the subledger took it back. Pure."""

from __future__ import annotations

from datetime import UTC, datetime, time
from typing import Final
from zoneinfo import ZoneInfo

from revline.core.canonical import StatedEvent
from revline.core.events import STATED_KINDS, EventKind
from revline.core.facts import Fact, Name
from revline.core.ids import SourceObject
from revline.core.money import Currency, currency, in_scale
from revline.core.problem import Problem
from revline.derive.expectation import (
    Blocked,
    EntityScope,
    Expectation,
    Findings,
    Need,
    RootFacts,
    Supported,
    make_event,
    newest_by_source,
)

VOIDED: Final = "the subledger took the event back"


def needs(facts: tuple[Fact, ...]) -> tuple[Need, ...]:
    """The customer it names, where it names one."""
    named = {
        snapshot.customer
        for fact in facts
        if isinstance(snapshot := fact.translated.snapshot, StatedEvent) and snapshot.customer
    }
    return tuple(sorted(_customer_need(outside_id) for outside_id in named))


def expect(known: RootFacts, scope: EntityScope) -> Expectation:
    """The one event of the newest snapshot; none when that is voided, so that what was booked is reversed."""
    findings = Findings()
    for fact in newest_by_source(known.facts, StatedEvent):
        stated = fact.translated.snapshot
        assert isinstance(stated, StatedEvent)
        wrong = _wrong_amount(stated)
        if stated.voided:
            findings.rules[fact.fact_id] = VOIDED
        elif wrong is not None:
            amount = stated.payload.amount
            findings.blocked.append(Blocked(problem=wrong, fact=fact, amount=abs(amount), currency=stated.currency))
        else:
            findings.events.append(_supported(known, scope, fact, stated, findings))
    return findings.expectation(known.facts)


def _supported(known: RootFacts, scope: EntityScope, fact: Fact, stated: StatedEvent, findings: Findings) -> Supported:
    customer = None
    if stated.customer:
        customer = SourceObject(connection=known.root.connection, kind="customer", outside_id=stated.customer)
        if not known.found.get(_customer_need(stated.customer)):
            findings.awaited.add(_customer_need(stated.customer))
    kind = EventKind(stated.event)
    assert isinstance(stated.payload, STATED_KINDS[kind]), "the source takes a payload of the event's kind alone"
    # Stated is a day, not a moment: it begins where the entity keeps its books.
    when = datetime.combine(stated.occurred_on, time(), ZoneInfo(scope.time_zone)).astimezone(UTC)
    event = make_event(known, scope, kind, fact, when, stated.currency, customer, stated.payload, stated.occurred_on)
    return Supported(event=event, facts=(fact,))


def _wrong_amount(stated: StatedEvent) -> Problem | None:
    """Why the amount can't be booked: an unknown currency, or more digits than the currency has."""
    money = currency(stated.currency)
    scaled = in_scale(amount=stated.payload.amount, currency=money) if isinstance(money, Currency) else money
    return scaled if isinstance(scaled, Problem) else None


def _customer_need(outside_id: str) -> Need:
    return Need(object_kind="customer", name=Name(kind="outside_id", value=outside_id))
