"""Grants and refunds of prepaid credits: their facts book nothing themselves; the credit ledger states what they come to.
Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from revline.core.canonical import CreditGrant, CreditRefund
from revline.core.facts import Fact, Name
from revline.core.ids import SourceObject
from revline.derive.expectation import (
    EntityScope,
    Expectation,
    Need,
    RootFacts,
    newest,
    silent_rest,
)

STATED_BY_LEDGER: Final = "the credit ledger states what is booked of it"
KINDS: Final = frozenset({"credit_grant", "credit_refund"})


def needs(facts: tuple[Fact, ...]) -> tuple[Need, ...]:
    """The customer who has the credits."""
    named = {snapshot.customer for _, snapshot in _snapshots(facts)}
    return tuple(sorted(_customer_need(outside_id) for outside_id in named))


def expect(known: RootFacts, scope: EntityScope) -> Expectation:
    """No event; the customer is awaited where it is not known yet."""
    del scope
    found = _snapshots(known.facts)
    if not found:
        return Expectation(silent=silent_rest(known.facts, used=(), rules={}))
    current = newest(fact for fact, _ in found)
    need = _customer_need(next(each.customer for fact, each in found if fact is current))
    return Expectation(
        awaited=() if known.found.get(need) else (need,),
        silent=silent_rest(known.facts, used=(), rules={current.fact_id: STATED_BY_LEDGER}),
    )


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """What roots say of credits. snapshots: the newest of each grant and refund, with its root. customers: whoever any snapshot
    named, the former holder of a grant too."""

    snapshots: tuple[tuple[SourceObject, CreditGrant | CreditRefund], ...]
    customers: frozenset[SourceObject]


def known_of(known: Mapping[str, RootFacts]) -> Known:
    """What is said among these roots."""
    snapshots: list[tuple[SourceObject, CreditGrant | CreditRefund]] = []
    customers: set[SourceObject] = set()
    for root in known.values():
        found = _snapshots(root.facts) if root.root.kind in KINDS else []
        for _, snapshot in found:
            customers.add(SourceObject(connection=root.root.connection, kind="customer", outside_id=snapshot.customer))
        if found:
            current = newest(fact for fact, _ in found)
            snapshots.append((root.root, next(each for fact, each in found if fact is current)))
    return Known(snapshots=tuple(snapshots), customers=frozenset(customers))


def _snapshots(facts: tuple[Fact, ...]) -> list[tuple[Fact, CreditGrant | CreditRefund]]:
    return [
        (fact, snapshot)
        for fact in facts
        if isinstance(snapshot := fact.translated.snapshot, CreditGrant | CreditRefund)
    ]


def _customer_need(outside_id: str) -> Need:
    return Need(object_kind="customer", name=Name(kind="outside_id", value=outside_id))
