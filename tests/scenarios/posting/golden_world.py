"""What the golden examples are told in: canonical objects as the direct source takes them, through translation, derivation and
posting by the starter's rules, without a database."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from typing import Any

import msgspec

from revline.connectors.direct.translate import translate
from revline.connectors.sdk.source import SourceContext
from revline.core.facts import Fact
from revline.core.ids import SourceObject
from revline.core.problem import Problem
from revline.derive.expectation import EntityScope, Need, RootFacts
from revline.derive.planning import RootPlan, plan_root
from revline.derive.roots import rule_of
from revline.subledger.posting.setup import PostingSetup
from tests.unit.posting.builders import TENANT, setup_of, starter_with

ENTITIES = ("acme-us", "a", "b", "elim")
"""The starter's entity, and the golden file's A, B and ELIM in the small letters names have here."""
ZONE = "America/New_York"
GROUP = """
apiVersion: revline/v1
kind: Connection
metadata: {name: direct-acme-us, tenant: acme}
spec: {connector: direct, entity: acme-us}
""" + "".join(
    f"""---
apiVersion: revline/v1
kind: LegalEntity
metadata: {{name: {entity}, tenant: acme}}
spec: {{title: Entity {entity}, functionalCurrency: USD, timeZone: {ZONE}}}
---
apiVersion: revline/v1
kind: Book
metadata: {{name: book-{entity}, tenant: acme}}
spec: {{entity: {entity}, framework: us_gaap}}
---
apiVersion: revline/v1
kind: Connection
metadata: {{name: direct-{entity}, tenant: acme}}
spec: {{connector: direct, entity: {entity}}}
"""
    for entity in ENTITIES[1:]
)
DEALS = (
    "    - {effectiveFrom: 2026-01-01",
    '    - {effectiveFrom: 2025-01-15, rate: "1.08"}\n    - {effectiveFrom: 2026-01-01',
)
"""The euro's rate on the day the golden invoice is paid."""
Totals = dict[tuple[str, str, str], tuple[Decimal, Decimal]]
"""(date, entity, account) to debits and credits in the functional currency."""


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """An object a source tells of. given: it happened before the example begins, so its own entries are not the example's."""

    kind: str
    data: Mapping[str, Any]
    entity: str = "acme-us"
    given: bool = False


@cache
def golden_setup() -> PostingSetup:
    """The starter's rules in the books of all four entities."""
    return setup_of(starter_with({"30-book.yaml": DEALS}, extra=GROUP))


def booked_totals(told: Iterable[Told]) -> Totals:
    """What the example's own events book, summed; everything must be booked, and nothing be awaited but what nobody tells of."""
    things = list(told)
    facts = [_fact(number, thing) for number, thing in enumerate(things, start=1)]
    given = {fact.translated.source for fact, thing in zip(facts, things, strict=True) if thing.given}
    totals: Totals = defaultdict(lambda: (Decimal(0), Decimal(0)))
    roots = {root for fact in facts for root in fact.translated.roots}
    for root in sorted(roots):
        for booking in _plan(root, facts).bookings:
            if booking.event.source in given:
                continue
            for journal in booking.journals:
                for line in journal.lines:
                    key = (journal.accounting_date.isoformat(), journal.entity, line.account)
                    debit, credit = totals[key]
                    totals[key] = (debit + line.functional_debit, credit + line.functional_credit)
    return dict(totals)


def _plan(root: SourceObject, facts: list[Fact]) -> RootPlan:
    own = tuple(fact for fact in facts if root in fact.translated.roots)
    needs = rule_of(root.kind).needs(own)
    found = {need: answers for need in needs if (answers := _answers(need, root, facts))}
    plan = plan_root(
        known=RootFacts(root=root, facts=own, found=found),
        scope=EntityScope(tenant=TENANT, entity=root.connection.removeprefix("direct-"), time_zone=ZONE),
        setup=golden_setup(),
        booked={},
        journals={},
    )
    assert plan.problems == ()
    assert plan.awaited == ()
    return plan


def _answers(need: Need, root: SourceObject, facts: list[Fact]) -> tuple[Fact, ...]:
    return tuple(
        fact
        for fact in facts
        if fact.translated.source.connection == root.connection
        and fact.translated.source.kind == need.object_kind
        and need.name in fact.translated.names
    )


def _fact(number: int, thing: Told) -> Fact:
    event = {
        "specversion": "1.0",
        "id": f"event-{number}",
        "source": "/golden",
        "type": f"revline.{thing.kind}.v1",
        "time": "2025-12-31T12:00:00Z",
        "data": thing.data,
    }
    context = SourceContext(connection=f"direct-{thing.entity}", entity=thing.entity, time_zone=ZONE, sandbox=False)
    translated = translate(body=json.dumps(event).encode(), context=context)
    assert not isinstance(translated, Problem), translated
    (one,) = translated
    return Fact(
        fact_id=f"fact-{number}",
        position=number,
        ordinal=0,
        received_at=datetime(2025, 12, 31, 12, tzinfo=UTC),
        translator="direct/1",
        body_digest="",
        translated=one,
    )
