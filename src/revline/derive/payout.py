"""What should exist of a payout: paid, and failed where the bank sent it back. Pure."""

from __future__ import annotations

from revline.core.canonical import BalanceTransaction, Payout
from revline.core.events import EventKind, MovedMoney
from revline.core.facts import Fact, Name
from revline.derive.expectation import (
    EntityScope,
    Expectation,
    Need,
    RootFacts,
    Supported,
    make_event,
    newest_by_source,
    silent_rest,
    was_pushed,
)


def needs(facts: tuple[Fact, ...]) -> tuple[Need, ...]:
    """A payout stands alone."""
    return ()


def expect(known: RootFacts, scope: EntityScope) -> Expectation:
    """The events of one payout root. A payout that failed was paid before: both stand, the second mirrors the first."""
    events: list[Supported] = []
    rules: dict[str, str] = {}
    awaited: set[Need] = set()
    for fact in newest_by_source(known.facts, Payout):
        payout = fact.translated.snapshot
        assert isinstance(payout, Payout)
        if payout.status not in {"paid", "failed"} or not payout.amount:
            rules[fact.fact_id] = f"a payout that is {payout.status} is not at the bank"
            continue
        money = MovedMoney(amount=payout.amount, reference=payout.outside_id)
        paid = make_event(
            known,
            scope,
            EventKind.PAYOUT_PAID,
            fact,
            payout.created_at,
            payout.currency,
            None,
            money,
            payout.arrival_date,
        )
        events.append(Supported(event=paid, facts=(fact,)))
        if payout.status == "failed" and not payout.failed_at and was_pushed(known.facts, fact.translated.source):
            awaited.add(Need(object_kind="payout", name=Name(kind="outside_id", value=payout.outside_id)))
        elif payout.status == "failed":
            back_on = None if payout.failed_at else payout.arrival_date
            when = payout.failed_at or payout.created_at
            kind = EventKind.PAYOUT_FAILED
            failed = make_event(known, scope, kind, fact, when, payout.currency, None, money, back_on)
            events.append(Supported(event=failed, facts=(fact,)))
    for fact in newest_by_source(known.facts, BalanceTransaction):
        rules[fact.fact_id] = "the payout itself is booked, not its movement on the processor's balance"
    used = [fact for entry in events for fact in entry.facts]
    return Expectation(
        events=tuple(events),
        awaited=tuple(sorted(awaited)),
        silent=silent_rest(known.facts, used=used, rules=rules),
    )
