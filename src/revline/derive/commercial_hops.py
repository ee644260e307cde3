"""Lineage of what was promised: account, opportunity, quote, contract, order, subscription and invoice, by fields and links.

An object is reached from the facts that name it, and names of both spellings count (a record's long and short id, its number).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from sqlalchemy import Connection

from revline.core.facts import Fact, Name
from revline.core.ids import SourceObject, root_id
from revline.core.references import REFERS_TO, WAY, came_before, reference_name, references_of
from revline.derive.expectation import newest
from revline.intake import queries as fact_log
from revline.platform.lineage.queries import records_named
from revline.platform.lineage.walk import HOP_MEMBERS_MAX, Hop, Reference

RELATIONS: Final = {
    ("customer", "customer"): "is the parent of, or the same party as,",
    ("subscription", "invoice"): "is billed by",
    ("order", "subscription"): "is carried out by",
    ("invoice", "credit_memo"): "is credited by",
}
LEADS_TO: Final = "leads to"
NOT_SPELLINGS: Final = frozenset({REFERS_TO, "source_event", "purchase_order"})


def hops_of(connection: Connection, *, tenant_id: str, reference: Reference) -> Sequence[Hop]:
    """From a fact to the roots before it; from a root to the newest facts of what came after it."""
    if reference.kind == "fact":
        fact = fact_log.fact_by_id(connection, tenant_id=tenant_id, fact_id=reference.record_id)
        if fact is None or fact.translated.source.kind not in WAY:
            return ()
        return _before(connection, tenant_id, fact)
    if reference.kind == "root":
        source = fact_log.root_source(connection, tenant_id=tenant_id, root_id=reference.record_id)
        if source is None or source.kind not in WAY:
            return ()
        return _after(connection, tenant_id, reference, source)
    return ()


def _before(connection: Connection, tenant_id: str, fact: Fact) -> list[Hop]:
    source = fact.translated.source
    named = [one for one in _named(fact) if came_before(named=one, naming=source)]
    naming = [
        one.translated.source
        for one in _naming(connection, tenant_id, [fact])
        if not came_before(named=source, naming=one.translated.source)
    ]
    wanted = {root_id(tenant=tenant_id, source=one): one for one in (*named, *naming)}
    there = fact_log.root_sources(connection, tenant_id=tenant_id, root_ids=list(wanted))
    absent = [one for identity, one in wanted.items() if identity not in there]
    spelled = {root_id(tenant=tenant_id, source=one): one for one in _respelled(connection, tenant_id, absent)}
    derived = Reference(kind="fact", record_id=fact.fact_id)
    return [
        Hop(
            source=Reference(kind="root", record_id=identity),
            derived=derived,
            relation=RELATIONS.get((one.kind, source.kind), LEADS_TO),
        )
        for identity, one in sorted({**there, **spelled}.items())
    ][:HOP_MEMBERS_MAX]


def _after(connection: Connection, tenant_id: str, reference: Reference, source: SourceObject) -> list[Hop]:
    own = fact_log.facts_of_objects(connection, tenant_id=tenant_id, sources=[source]).get(source, ())
    if not own:
        return []
    naming = [
        one for one in _naming(connection, tenant_id, own) if came_before(named=source, naming=one.translated.source)
    ]
    wanted = [one for one in _named(newest(own)) if not came_before(named=one, naming=source)]
    found = fact_log.facts_of_objects(connection, tenant_id=tenant_id, sources=wanted)
    named = [newest(facts) for facts in found.values() if facts]
    return [
        Hop(
            source=reference,
            derived=Reference(kind="fact", record_id=one.fact_id),
            relation=RELATIONS.get((source.kind, one.translated.source.kind), LEADS_TO),
        )
        for one in (*naming, *named)
    ][:HOP_MEMBERS_MAX]


def _named(fact: Fact) -> tuple[SourceObject, ...]:
    return references_of(source=fact.translated.source, snapshot=fact.translated.snapshot)


def _naming(connection: Connection, tenant_id: str, facts: Iterable[Fact]) -> list[Fact]:
    """The newest fact of every object whose newest fact names the object of these facts, under any of its spellings."""
    source: SourceObject | None = None
    spellings: set[str] = set()
    for fact in facts:
        source = fact.translated.source
        spellings |= {name.value for name in fact.translated.names if name.kind not in NOT_SPELLINGS}
    if source is None:
        return []
    wanted = {
        reference_name(of=SourceObject(connection=source.connection, kind=source.kind, outside_id=spelling))
        for spelling in (spellings | {source.outside_id})
    }
    ids = records_named(connection, tenant_id=tenant_id, names=wanted, record_kind="fact")
    hits = fact_log.facts_by_id(connection, tenant_id=tenant_id, fact_ids=[fact_id for _, fact_id in ids])
    objects = {one.translated.source for one in hits}
    groups = fact_log.facts_of_objects(connection, tenant_id=tenant_id, sources=objects)
    current = [newest(group) for _, group in sorted(groups.items()) if group]
    return [one for one in current if {reference_name(of=each) for each in _named(one)} & wanted][:HOP_MEMBERS_MAX]


def _respelled(connection: Connection, tenant_id: str, absent: Sequence[SourceObject]) -> list[SourceObject]:
    """Objects that are known, but not by the spelling they were named with."""
    found: list[SourceObject] = []
    for one in absent[:HOP_MEMBERS_MAX]:
        kinds = ("outside_id", f"{one.kind}_number")
        names = [Name(kind=kind, value=one.outside_id) for kind in kinds]
        ids = records_named(connection, tenant_id=tenant_id, names=names, record_kind="fact")
        facts = fact_log.facts_by_id(connection, tenant_id=tenant_id, fact_ids=[fact_id for _, fact_id in ids])
        sources = {fact.translated.source for fact in facts}
        found += [each for each in sources if (each.connection, each.kind) == (one.connection, one.kind)]
    return found
