"""Whether a world kept its promises: the invariants of the design, judged by the ERPs' own books and effects and by the oracle.

Pure: what Revline's tables say comes in as `Records`, what the ERPs did as their ledgers and effects. Nothing here asks Revline
whether it was right.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Final

import msgspec

from revline.connectors.simulated.manifest import COLLECTIONS
from revline.connectors.simulated.queries import trial_balance
from revline.connectors.simulated.records import Ledger, Stored
from revline.connectors.simulated.wire import Kind
from revline.core.documents import DocumentKind
from revline.sim.judging import Balances, Expectation, balances_of, booked_balances, judge
from revline.sim.world.directory import COMPANY
from revline.sim.world.network import SimulatedErp
from revline.sim.world.records import Kept, Records
from revline.sim.world.source import SimulatedSource
from revline.sim.world.story import Story
from revline.sim.world.world import Lived

WITHOUT_EFFECT: Final = frozenset({"superseded", "waived"})
EXAMPLES_MAX: Final = 3
NEEDS_A_PERSON: Final = "erp.record_differs"


class Violation(msgspec.Struct, frozen=True, kw_only=True):
    """A promise that was not kept. invariant: a word of the design's list."""

    invariant: str
    tenant_id: str
    detail: str


def violations_of(*, lived: Lived, records: Mapping[str, Records], expectation: Expectation) -> tuple[Violation, ...]:
    """Everything that is wrong with a world, by invariant; nothing when it kept its promises."""
    found = [
        Violation(invariant="no silence", tenant_id="", detail=f"a worker ended by an error: {one}")
        for one in lived.failures
    ]
    if not lived.quiet:
        left = ", ".join(f"{one.kind} {one.what} {one.lane_id[:8]}" for one in lived.standing.left[:EXAMPLES_MAX])
        detail = f"after {lived.seconds:.0f} s there is still something to do: {left or 'inputs to take in'}"
        found.append(Violation(invariant="no silence", tenant_id="", detail=detail))
    for tenant_id, tenant in records.items():
        erp, story = lived.erps[tenant_id], lived.stories[tenant_id]
        source = lived.sources.get(tenant_id)
        told = [*_recorded(tenant, story, source), *_effects(tenant, erp, aside=lived.aside[tenant_id])]
        edited = _edits(lived, tenant_id)
        if lived.quiet:
            if source is not None:
                told += _told(tenant, erp, source)
            told += _needless(tenant, edited=edited)
            told += [*_silence(tenant), *_documents(tenant, erp), *_books(tenant, erp, story, expectation)]
        found += [Violation(invariant=name, tenant_id=tenant_id, detail=detail) for name, detail in told]
    return tuple(found)


MEANINGS: Final = {
    "a journal does not balance": "balance",
    "a journal does not balance in a currency": "balance",
    "a posted document has a new revision": "nothing posted is edited",
    "a posted document moved on": "nothing posted is edited",
    "an event rests on no fact": "lineage",
    "a document rests on no event": "lineage",
    "an event has no journal": "lineage",
    "an effect of a fact is not there": "lineage",
    "another tenant is seen": "isolation",
    "the audit chain does not hold": "audit chain",
    "an attempt is left unanswered": "no silence",
    "an attempt was made of a posted document": "exactly once",
    "a finished document is still waited for": "no silence",
    "a root waits for a name that has come": "no silence",
    "a case of our own failing": "no silence",
    "a document was sent again and again": "nothing spins",
}
"""The invariant a question belongs to; the others are conservation."""


def _recorded(tenant: Records, story: Story, source: SimulatedSource | None) -> Iterator[tuple[str, str]]:
    for meaning, example in tenant.wrong:
        yield MEANINGS.get(meaning, "conservation"), f"{meaning}: {example}"
    told = len({body for arrival in story.arrivals for body in arrival.bodies}) + story.missing
    # Telling the source makes events of its own, which are read as well, the last of them perhaps no more.
    own = 0 if source is None else len(source.tellings)
    if not told <= tenant.inputs <= told + own:
        yield "conservation", f"{told} inputs were told, {tenant.inputs} were taken in"


def _told(tenant: Records, erp: SimulatedErp, source: SimulatedSource) -> Iterator[tuple[str, str]]:
    """What the source was told of its invoices is what the ERP holds, each content once."""
    for path in source.told_wrongly()[:EXAMPLES_MAX]:
        yield "exactly once", f"{path} was told the same twice"
    if not source.tells or any(not one.finished or one.state == "waived" for one in tenant.booked):
        return
    kept, told = erp.simulator.ledger.records, source.told()
    voided = {getattr(one.body, "invoice", "") for one in kept[Kind.INVOICE_VOIDS].values()}
    for record_id, one in kept[Kind.INVOICES].items():
        number = one.record.number
        wanted = ("voided" if record_id in voided else "posted", number)
        if told.get(number, wanted) != wanted:
            yield "feedback", f"invoice {number} is {wanted[0]} in the ERP, its source was told {told[number]}"


def _edits(lived: Lived, tenant_id: str) -> bool:
    return any(one.edits for one in lived.plan.tenants if one.tenant_id == tenant_id)


def _needless(tenant: Records, *, edited: bool) -> Iterator[tuple[str, str]]:
    """Every trouble of a world passes, so nothing needs a person but what a person did in the ERP."""
    for told in tenant.told:
        if not (edited and told.startswith(NEEDS_A_PERSON)):
            yield "no needless case", told[:200]


def _effects(tenant: Records, erp: SimulatedErp, *, aside: frozenset[str]) -> Iterator[tuple[str, str]]:
    """The ERP's own effects: each intent at most once, in order; nothing that nobody meant."""
    verdict = judge(wanted=tenant.intents(aside=aside), effects=erp.effects.effects)
    if verdict.doubled:
        yield "exactly once", f"made or posted twice: {', '.join(verdict.doubled[:EXAMPLES_MAX])}"
    if verdict.unknown:
        yield "exactly once", f"in the ERP without an intent: {', '.join(verdict.unknown[:EXAMPLES_MAX])}"
    for earlier, later in verdict.out_of_order[:EXAMPLES_MAX]:
        yield "order", f"{later} took effect before {earlier}"


def _silence(tenant: Records) -> Iterator[tuple[str, str]]:
    """What is left undone says why: a case on it, or on what it waits for."""
    by_id = {one.document_id: one for one in tenant.documents}
    lanes: dict[str, list[Kept]] = defaultdict(list)
    for one in tenant.documents:
        lanes[one.lane_id].append(one)
    known: dict[str, bool] = {}

    def explained(one: Kept) -> bool:
        if one.document_id not in known:
            known[one.document_id] = False
            before = [by_id[name] for name in one.after if name in by_id]
            before += [other for other in lanes[one.lane_id] if other.sequence < one.sequence]
            missing = any(name not in by_id for name in one.after)
            known[one.document_id] = (
                one.document_id in tenant.open_cases
                or any(not other.finished and explained(other) for other in before)
                or (missing and bool(tenant.open_cases))
            )
        return known[one.document_id]

    for one in tenant.documents:
        if not one.finished and not explained(one):
            yield "no silence", f"{one.kind} {one.reference} is {one.state} and no case says why"
        if one.finished and one.document_id in tenant.open_cases:
            codes = ", ".join(tenant.open_cases[one.document_id])
            yield "no silence", f"{one.kind} {one.reference} is {one.state}, its case stays open: {codes}"


def _documents(tenant: Records, erp: SimulatedErp) -> Iterator[tuple[str, str]]:
    """What Revline says is posted is one live record, that very one, with those very entries; what it took back is none."""
    ledger = erp.simulator.ledger
    for one in tenant.booked:
        live = _live(ledger, one)
        if one.state in WITHOUT_EFFECT and not one.named:
            if live:
                yield "exactly once", f"{one.kind} {one.reference} is {one.state}, the ERP has {live[0].record.id}"
            continue
        if one.state != "posted" and not one.named:
            continue
        if len(live) != 1:
            yield "exactly once", f"{one.kind} {one.reference} is posted, the ERP holds {len(live)} records of it"
            continue
        if live[0].record.state == "draft":
            yield "exactly once", f"{one.kind} {one.reference} is posted, in the ERP it is a draft"
        if one.erp_ids != (live[0].record.id,):
            names = ", ".join(one.erp_ids) or "nothing"
            yield "lineage", f"{one.kind} {one.reference} is {live[0].record.id} in the ERP, Revline says {names}"
        booked = _entries(live[0])
        if not one.named and tenant.entries.get(one.document_id, {}) != booked:
            yield "balance", f"{one.kind} {one.reference}: Revline's copy of its entries is not what the ERP holds"


def _live(ledger: Ledger, one: Kept) -> list[Stored]:
    return ledger.find(kind=COLLECTIONS[DocumentKind(one.kind)], reference=one.reference)


def _entries(stored: Stored) -> dict[str, Decimal]:
    sums: dict[str, Decimal] = defaultdict(Decimal)
    for entry in stored.entries:
        sums[entry.account] += entry.debit - entry.credit
    return dict(sums)


def _books(tenant: Records, erp: SimulatedErp, story: Story, expectation: Expectation) -> Iterator[tuple[str, str]]:
    """With nothing left in a case, the ERP's own trial balance is what the oracle computes from the raw input."""
    if tenant.open_cases or any(
        not one.finished or (one.state == "waived" and not one.named) for one in tenant.documents
    ):
        return
    booked = booked_balances(trial_balance(ledger=erp.simulator.ledger, company=COMPANY))
    expected = balances_of(expectation=expectation, month=story.month)
    if booked != expected:
        yield "balance", f"the ERP's trial balance is not the oracle's: {_difference(booked, expected)}"


def _difference(booked: Balances, expected: Balances) -> str:
    wrong = sorted(key for key in booked.keys() | expected.keys() if booked.get(key) != expected.get(key))
    nothing = (Decimal(0), Decimal(0))
    return "; ".join(
        f"{' '.join(key)} is {booked.get(key, nothing)[1]}, should be {expected.get(key, nothing)[1]}"
        for key in wrong[:EXAMPLES_MAX]
    )
