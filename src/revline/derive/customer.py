"""What should exist of a customer: a master record, and no accounting event. Pure."""

from __future__ import annotations

from typing import Final

from revline.core.canonical import Customer
from revline.core.facts import Fact
from revline.derive.expectation import (
    EntityScope,
    Expectation,
    Need,
    RootFacts,
    newest_by_source,
    silent_rest,
)

NOT_BILLED: Final = "the connection bills nobody: the billing system's customer goes to the ERP, a link joins the two"


def needs(facts: tuple[Fact, ...]) -> tuple[Need, ...]:
    """A customer stands alone."""
    return ()


def expect(known: RootFacts, scope: EntityScope) -> Expectation:
    """The newest snapshot's master record. A customer the source deleted keeps its record: books name it."""
    current = next(iter(newest_by_source(known.facts, Customer)), None)
    if current is None:
        return Expectation(silent=silent_rest(known.facts, used=(), rules={}))
    if not scope.masters:
        return Expectation(silent=silent_rest(known.facts, used=(), rules={current.fact_id: NOT_BILLED}))
    customer = current.translated.snapshot
    assert isinstance(customer, Customer)
    return Expectation(master=(customer, current), silent=silent_rest(known.facts, used=(current,), rules={}))
