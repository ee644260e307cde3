"""What should exist of what was promised before it was billed: nothing in the books, and a word why. Pure.

Opportunities, quotes, orders and contracts bind nobody to pay an amount; the invoice does, and revenue follows the contract with
its invoices. They are kept so that every invoice leads back to them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from revline.core.canonical import Contract, Opportunity, Order, OrderStatus, Quote
from revline.core.facts import Fact
from revline.derive.expectation import EntityScope, Expectation, Need, RootFacts, newest, silent_rest

RULES: Final[Mapping[str, str]] = {
    "opportunity": "an opportunity is a hope: nothing is owed before an order",
    "quote": "a quote is an offer: nothing is owed before it is ordered and billed",
    "order": "an order is booked when it is billed: its invoices are",
    "contract": "a contract is booked by its invoices and by what is recognised of it",
}
LOST: Final = "the opportunity was lost"
NOT_ACTIVATED: Final = "the order is not activated: the customer is not bound yet"
CANCELED: Final = "the order was canceled before anything more was billed of it"


def needs(facts: tuple[Fact, ...]) -> tuple[Need, ...]:
    """What was promised stands alone."""
    return ()


def expect(known: RootFacts, scope: EntityScope) -> Expectation:
    """No event; the newest snapshot says why."""
    del scope
    if not known.facts:
        return Expectation()
    current = newest(known.facts)
    return Expectation(silent=silent_rest(known.facts, used=(), rules={current.fact_id: _rule(known, current)}))


def _rule(known: RootFacts, fact: Fact) -> str:
    match fact.translated.snapshot:
        case Order(status=OrderStatus.DRAFT):
            return NOT_ACTIVATED
        case Order(status=OrderStatus.CANCELED):
            return CANCELED
        case Opportunity(closed=True, won=False):
            return LOST
        case Opportunity() | Quote() | Order() | Contract():
            return RULES[known.root.kind]
    return f"nothing is booked of a {known.root.kind}"
