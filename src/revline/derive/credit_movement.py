"""What should exist of a movement on a customer's credit balance: credit granted, or applied. On a root of its own. Pure."""

from __future__ import annotations

from revline.core.canonical import CreditMovement, CreditOrigin
from revline.core.events import CustomerCredit, EventKind
from revline.core.facts import Fact, Name
from revline.core.ids import SourceObject
from revline.derive.expectation import (
    EntityScope,
    Expectation,
    Findings,
    Need,
    RootFacts,
    Supported,
    make_event,
    newest_by_source,
)

APPLICATIONS = frozenset({CreditOrigin.APPLIED, CreditOrigin.UNAPPLIED, CreditOrigin.CARRIED})
"""Origins that move an amount between an invoice and the balance. Carried is one: billing settles an invoice it won't collect by
the balance, and the next invoice takes it from there."""


def needs(facts: tuple[Fact, ...]) -> tuple[Need, ...]:
    """The customer, and the credit memo the credit comes from."""
    return tuple(sorted({need for fact in facts for need in _needs_of(fact)}))


def expect(known: RootFacts, scope: EntityScope) -> Expectation:
    """One event: granted when the credit grows of its own, applied when it is set against an invoice.

    It is booked without waiting for the memo: the memo is booked by its own, and the two meet on the customer's receivable in any
    order. The memo is awaited all the same, so that one that never comes is told.
    """
    findings = Findings()
    for fact in newest_by_source(known.facts, CreditMovement):
        movement = fact.translated.snapshot
        assert isinstance(movement, CreditMovement)
        if not movement.amount:
            findings.rules[fact.fact_id] = "a movement of nothing books nothing"
            continue
        findings.awaited |= {need for need in _needs_of(fact) if not known.found.get(need)}
        customer = SourceObject(connection=known.root.connection, kind="customer", outside_id=movement.customer)
        applied = movement.origin in APPLICATIONS
        kind = EventKind.CUSTOMER_CREDIT_APPLIED if applied else EventKind.CUSTOMER_CREDIT_GRANTED
        payload = CustomerCredit(
            amount=-movement.amount if applied else movement.amount,
            origin=movement.origin,
            invoice=_invoice(movement, known.root.connection) if applied else None,
            credit_memo=movement.credit_memo,
        )
        event = make_event(known, scope, kind, fact, movement.created_at, movement.currency, customer, payload)
        findings.events.append(Supported(event=event, facts=(fact,)))
    return findings.expectation(known.facts)


def _invoice(movement: CreditMovement, connection: str) -> SourceObject | None:
    if not movement.invoice:
        return None
    return SourceObject(connection=connection, kind="invoice", outside_id=movement.invoice)


def _needs_of(fact: Fact) -> tuple[Need, ...]:
    movement = fact.translated.snapshot
    if not isinstance(movement, CreditMovement):
        return ()
    ends = [("customer", movement.customer)]
    if movement.origin is CreditOrigin.CREDIT_MEMO and movement.credit_memo:
        ends.append(("credit_memo", movement.credit_memo))
    return tuple(Need(object_kind=kind, name=Name(kind="outside_id", value=value)) for kind, value in ends)
