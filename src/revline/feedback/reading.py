"""Reads the standings of roots for one run: a few queries through the other rooms' reads for all roots together."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Final

from sqlalchemy import Connection

from revline.core.canonical import Invoice, Subscription
from revline.core.facts import Fact, Name
from revline.core.ids import SourceObject
from revline.core.ids import root_id as root_id_of
from revline.delivery import standings as documents
from revline.derive.expectation import by_source, newest
from revline.derive.record import MASTER_NAME, ROOT_SUBJECT
from revline.feedback.values import RootStanding
from revline.intake import queries as fact_log
from revline.intake.awaiting import SUBJECT_AWAITED
from revline.platform.cases import subjects as cases
from revline.platform.lineage.queries import records_named
from revline.subledger.posting import queries as posting
from revline.subledger.receivables.balances import balances_of_items

DOCUMENT_SUBJECT: Final = "document"
LINKED_MAX: Final = 100
RELAYING_KINDS: Final = frozenset({"subscription", "subscription_schedule", "order", "contract"})
"""Objects nothing is posted of, but through which invoices find what they are linked to."""


def read_standings(
    connection: Connection,
    *,
    tenant_id: str,
    root_ids: Sequence[str],
    entities: Mapping[str, str],
    through: int,
    with_links: bool,
) -> tuple[RootStanding, ...]:
    """The standing of each root that is there. entities: by source connection. through: last position the log is read to."""
    roots = fact_log.root_sources(connection, tenant_id=tenant_id, root_ids=root_ids)
    events = posting.placed_events(connection, tenant_id=tenant_id, root_ids=list(roots), through=through)
    masters = _masters(connection, tenant_id, roots)
    event_roots = {event.event_id: root_id for root_id, found in events.items() for _, event in found}
    every = documents.standings(
        connection, tenant_id=tenant_id, event_ids=list(event_roots), document_ids=list(masters)
    )
    owners = {one.document_id: event_roots.get(one.event_id) or masters.get(one.document_id, "") for one in every}
    moved = documents.transitions(connection, tenant_id=tenant_id, document_ids=list(owners), through=through)
    subjects = {(DOCUMENT_SUBJECT, document_id): root_id for document_id, root_id in owners.items()}
    subjects |= {(kind, root_id): root_id for root_id in roots for kind in (ROOT_SUBJECT, SUBJECT_AWAITED)}
    open_now = cases.open_cases_of(connection, tenant_id=tenant_id, subjects=list(subjects))
    changed = cases.changes_of(connection, tenant_id=tenant_id, subjects=list(subjects), through=through)
    balances = balances_of_items(connection, tenant_id=tenant_id, item_ids=list(roots))
    linked = _linked(connection, tenant_id, roots) if with_links else {}
    return tuple(
        RootStanding(
            tenant_id=tenant_id,
            root_id=root_id,
            root=root,
            entity=entities.get(root.connection, ""),
            events=events.get(root_id, ()),
            documents=tuple(one for one in every if owners[one.document_id] == root_id),
            transitions=tuple(one for one in moved if owners[one.document_id] == root_id),
            cases=tuple(one for subject, of in subjects.items() if of == root_id for one in open_now.get(subject, ())),
            case_changes=tuple(one for one in changed if subjects[one.subject] == root_id),
            balance=balances.get(root_id),
            linked=linked.get(root_id, ()),
        )
        for root_id, root in sorted(roots.items())
    )


def relayed_roots(connection: Connection, *, tenant_id: str, root_ids: Sequence[str]) -> frozenset[str]:
    """Roots that may have found something to tell because a subscription, order or contract among these was linked.

    Both ends are looked at: whatever is named by one of these, and whatever one of these names.
    """
    roots = fact_log.root_sources(connection, tenant_id=tenant_id, root_ids=root_ids)
    relaying = {root_id: root for root_id, root in roots.items() if root.kind in RELAYING_KINDS}
    if not relaying:
        return frozenset()
    facts = fact_log.facts_of_roots(connection, tenant_id=tenant_id, root_ids=list(relaying))
    newest_facts = [fact for found in facts.values() for fact in _newest(found)]
    linked = {link for fact in newest_facts for link in _links(fact)}
    billed = _billed(connection, tenant_id, linked) | {one for fact in newest_facts for one in _latest_invoice(fact)}
    named = {_name(one) for one in (*relaying.values(), *linked)}
    records = records_named(connection, tenant_id=tenant_id, names=named, record_kind="fact")
    others = fact_log.facts_by_id(connection, tenant_id=tenant_id, fact_ids=[fact_id for _, fact_id in records])
    places = {(fact.position, fact.ordinal) for fact in others}
    found_roots = {
        root_id
        for position, ordinal in sorted(places)
        for root_id in fact_log.roots_of_fact(connection, tenant_id=tenant_id, position=position, ordinal=ordinal)
    }
    found_roots |= {root_id_of(tenant=tenant_id, source=one) for one in (*linked, *billed)}
    sources = fact_log.root_sources(connection, tenant_id=tenant_id, root_ids=found_roots)
    return frozenset(root_id for root_id, source in sources.items() if source.kind not in RELAYING_KINDS)


def _masters(connection: Connection, tenant_id: str, roots: Collection[str]) -> dict[str, str]:
    """Root id by id of the master document that is made of it."""
    names = [Name(kind=MASTER_NAME, value=root_id) for root_id in sorted(roots)]
    found = records_named(connection, tenant_id=tenant_id, names=names, record_kind="document")
    return {document_id: name.value for name, document_id in found}


def _linked(
    connection: Connection, tenant_id: str, roots: Mapping[str, SourceObject]
) -> dict[str, tuple[SourceObject, ...]]:
    """What stands for each root in other systems: what its own objects, its subscriptions and its contract name, and what
    names those."""
    facts = fact_log.facts_of_roots(connection, tenant_id=tenant_id, root_ids=list(roots))
    own = {root_id: _newest(found) for root_id, found in facts.items()}
    carriers = {root_id: {roots[root_id], *_carriers(roots[root_id], found)} for root_id, found in own.items()}
    others = fact_log.facts_of_objects(
        connection,
        tenant_id=tenant_id,
        sources={one for found in carriers.values() for one in found} - set(roots.values()),
    )
    naming = _naming(connection, tenant_id, {one for found in carriers.values() for one in found})
    linked: dict[str, tuple[SourceObject, ...]] = {}
    for root_id, found in own.items():
        every = {link for fact in found for link in _links(fact)}
        for carrier in carriers[root_id]:
            every |= {link for fact in _newest(others.get(carrier, ())) for link in _links(fact)}
            every |= naming.get(carrier, set())
        linked[root_id] = tuple(sorted(every - {roots[root_id]}))[:LINKED_MAX]
    return linked


def _carriers(root: SourceObject, facts: Iterable[Fact]) -> set[SourceObject]:
    """The subscriptions and contracts an invoice bills."""
    found: set[tuple[str, str]] = set()
    for fact in facts:
        snapshot = fact.translated.snapshot
        if isinstance(snapshot, Invoice):
            found |= {("subscription", snapshot.subscription), ("contract", snapshot.contract)}
            found |= {("subscription", line.subscription) for line in snapshot.lines}
        elif isinstance(snapshot, Subscription):
            found.add(("subscription_schedule", snapshot.schedule))
    return {
        SourceObject(connection=root.connection, kind=kind, outside_id=outside_id)
        for kind, outside_id in found
        if outside_id
    }


def _naming(
    connection: Connection, tenant_id: str, objects: Collection[SourceObject]
) -> dict[SourceObject, set[SourceObject]]:
    """Which objects of other systems name these as theirs."""
    names = {_name(one) for one in objects}
    records = records_named(connection, tenant_id=tenant_id, names=names, record_kind="fact")
    facts = fact_log.facts_by_id(connection, tenant_id=tenant_id, fact_ids=[fact_id for _, fact_id in records])
    sources = {fact.translated.source for fact in facts if _links(fact)}
    whole = fact_log.facts_of_objects(connection, tenant_id=tenant_id, sources=sources)
    found: dict[SourceObject, set[SourceObject]] = {}
    for source, its in whole.items():
        for link in _links(newest(its)):
            if link in objects:
                found.setdefault(link, set()).add(source)
    return found


def _billed(connection: Connection, tenant_id: str, linked: Collection[SourceObject]) -> set[SourceObject]:
    """The newest invoices of linked subscriptions: of several invoices, an order is told about the newest."""
    facts = fact_log.facts_of_objects(connection, tenant_id=tenant_id, sources=set(linked))
    return {one for found in facts.values() for one in _latest_invoice(newest(found))}


def _latest_invoice(fact: Fact) -> tuple[SourceObject, ...]:
    snapshot = fact.translated.snapshot
    if not isinstance(snapshot, Subscription) or not snapshot.latest_invoice:
        return ()
    source = fact.translated.source
    return (SourceObject(connection=source.connection, kind="invoice", outside_id=snapshot.latest_invoice),)


def _newest(facts: Iterable[Fact]) -> list[Fact]:
    return [newest(group) for group in by_source(facts).values()]


def _links(fact: Fact) -> tuple[SourceObject, ...]:
    links: tuple[SourceObject, ...] = getattr(fact.translated.snapshot, "links", ())
    return links


def _name(one: SourceObject) -> Name:
    return Name(kind=one.kind, value=one.outside_id)
