"""What should exist of a product: a master record where the entity's books have items, and no accounting event. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from revline.core.canonical import InvoiceLine, Product
from revline.core.facts import Fact, Name
from revline.derive.expectation import (
    EntityScope,
    Expectation,
    Findings,
    Need,
    RootFacts,
    newest_by_source,
    silent_rest,
)

NOT_BILLED: Final = "the connection bills nobody: the billing system's products go to the ERP"
NO_ITEMS: Final = "no book of the entity keeps products as records"


def needs(facts: tuple[Fact, ...]) -> tuple[Need, ...]:
    """A product stands alone."""
    return ()


def expect(known: RootFacts, scope: EntityScope) -> Expectation:
    """The newest snapshot's master record. A product the source deleted keeps its record: invoices name it."""
    current = next(iter(newest_by_source(known.facts, Product)), None)
    if current is None:
        return Expectation(silent=silent_rest(known.facts, used=(), rules={}))
    if not scope.masters:
        return Expectation(silent=silent_rest(known.facts, used=(), rules={current.fact_id: NOT_BILLED}))
    if not scope.native_items:
        rules = {current.fact_id: NO_ITEMS}
        return Expectation(silent=silent_rest(known.facts, used=(), rules=rules))
    product = current.translated.snapshot
    assert isinstance(product, Product)
    return Expectation(master=(product, current), silent=silent_rest(known.facts, used=(current,), rules={}))


def line_needs(lines: Iterable[InvoiceLine]) -> set[Need]:
    """The products that lines name."""
    return {
        Need(object_kind="product", name=Name(kind="outside_id", value=line.product)) for line in lines if line.product
    }


def await_products(lines: Iterable[InvoiceLine], known: RootFacts, scope: EntityScope, findings: Findings) -> None:
    """Await the products of lines that no fact tells of yet, where the books have items that lines must name."""
    if scope.native_items:
        findings.awaited |= {need for need in line_needs(lines) if not known.found.get(need)}
