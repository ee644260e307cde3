"""Grants and refunds of prepaid credits: their facts book nothing themselves; the credit ledger states what they come to.

The one part of derive that says something to the room of credits: the newest snapshot of each, and whom to settle again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

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
from revline.platform.store.unit import Unit
from revline.subledger.usage.credits import record as credit_record

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


def keep(unit: Unit, *, tenant_id: str, known: Mapping[str, RootFacts]) -> None:
    """Keep the newest snapshot of each grant and refund among these roots, and have the customers settled that any named."""
    customers: set[SourceObject] = set()
    for root in known.values():
        if root.root.kind not in KINDS:
            continue
        found = _snapshots(root.facts)
        for _, snapshot in found:
            customers.add(SourceObject(connection=root.root.connection, kind="customer", outside_id=snapshot.customer))
        if found:
            current = newest(fact for fact, _ in found)
            snapshot = next(each for fact, each in found if fact is current)
            credit_record.keep(unit, tenant_id=tenant_id, source=root.root, snapshot=snapshot)
    if customers:
        credit_record.ask(unit, tenant_id=tenant_id, customers=customers)


def _snapshots(facts: tuple[Fact, ...]) -> list[tuple[Fact, CreditGrant | CreditRefund]]:
    return [
        (fact, snapshot)
        for fact in facts
        if isinstance(snapshot := fact.translated.snapshot, CreditGrant | CreditRefund)
    ]


def _customer_need(outside_id: str) -> Need:
    return Need(object_kind="customer", name=Name(kind="outside_id", value=outside_id))
