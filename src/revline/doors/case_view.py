"""A case as a person needs it to decide: what stands still, why, what was sent and answered, by which rule, and what it rests on.

For every door. It reads; what a person then does (retry, waive, correct) is the rooms' own acts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec
from sqlalchemy import Connection

from revline.core.facts import Fact
from revline.core.ids import SourceObject
from revline.core.problem import CATALOGUE
from revline.delivery import queries as deliveries
from revline.delivery.values import SUBJECT_KIND as DOCUMENT
from revline.doors.delivery_view import masked_delivery
from revline.doors.waiting_view import Page, what_waits
from revline.intake import queries as fact_log
from revline.intake.record import SUBJECT_INPUT
from revline.platform.cases import queries as cases
from revline.platform.cases.queries import Case, Transition
from revline.subledger.posting import queries as posting
from revline.subledger.posting.queries import StoredEvent, StoredJournal

FACTS_SHOWN: Final = 20
ALIKE_SHOWN: Final = 5


class Correctable(msgspec.Struct, frozen=True, kw_only=True):
    """Something a person may mend a copy of. subject_kind: fact or input. title: what the source called it."""

    subject_kind: str
    subject_id: str
    title: str


class CaseView(msgspec.Struct, frozen=True, kw_only=True):
    """Everything about one case.

    remedy, mender: of its code. root: the source object it belongs to, None when it has none. document: the document that stands
    still with its attempts, None for other subjects. journals: what it carries or must produce, with the rule that made each.
    facts: what it rests on, the newest first, at most FACTS_SHOWN. correctable: what a copy can be mended of. alike: how others of
    the same cause were closed.
    """

    case: Case
    title: str
    remedy: str
    mender: str
    history: tuple[Transition, ...]
    root: SourceObject | None
    root_id: str
    document: deliveries.Shown | None
    events: tuple[StoredEvent, ...]
    journals: tuple[StoredJournal, ...]
    facts: tuple[Fact, ...]
    correctable: tuple[Correctable, ...]
    alike: tuple[Case, ...]
    waits: Page | None


class _Subject(msgspec.Struct, frozen=True, kw_only=True):
    root_id: str = ""
    document: deliveries.Shown | None = None
    events: tuple[StoredEvent, ...] = ()
    journals: tuple[StoredJournal, ...] = ()
    correctable: tuple[Correctable, ...] = ()


def case_view(connection: Connection, *, tenant_id: str, case_id: str) -> CaseView | None:
    """The view of a case; None when the tenant has no such case."""
    case = cases.case(connection, tenant_id=tenant_id, case_id=case_id)
    if case is None:
        return None
    subject = _subject(connection, tenant_id, case)
    facts = _facts(connection, tenant_id, subject)
    entry = CATALOGUE.get(case.code)
    closed = [
        other
        for state in ("resolved", "waived")
        for other in cases.cases(
            connection, tenant_id=tenant_id, cause_id=case.cause_id, state=state, limit=ALIKE_SHOWN
        )
        if other.case_id != case_id
    ]
    root = fact_log.root_source(connection, tenant_id=tenant_id, root_id=subject.root_id) if subject.root_id else None
    return CaseView(
        case=case,
        title=entry.title if entry else case.code,
        remedy=entry.remedy if entry else "",
        mender=str(entry.mender) if entry else "",
        history=cases.transitions(connection, tenant_id=tenant_id, case_id=case_id),
        root=root,
        root_id=subject.root_id,
        document=subject.document,
        events=subject.events,
        journals=subject.journals,
        facts=facts,
        correctable=(*subject.correctable, *(_of_fact(fact) for fact in facts)),
        alike=tuple(closed[:ALIKE_SHOWN]),
        waits=(
            what_waits(connection, tenant_id=tenant_id, document_id=case.subject_id)
            if case.subject_kind == DOCUMENT and case.state == "open"
            else None
        ),
    )


def _subject(connection: Connection, tenant_id: str, case: Case) -> _Subject:
    if case.subject_kind == DOCUMENT:
        return _of_document(connection, tenant_id, case.subject_id)
    if case.subject_kind == SUBJECT_INPUT:
        kept = Correctable(subject_kind=SUBJECT_INPUT, subject_id=case.subject_id, title="the input as it came")
        return _Subject(correctable=(kept,))
    # Every other case is of a root: of what it can't book, or of a name it waits for.
    events = posting.events_of_root(connection, tenant_id=tenant_id, root_id=case.subject_id)
    journals = _journals(connection, tenant_id, [one.event.event_id for one in events])
    return _Subject(root_id=case.subject_id, events=events, journals=journals)


def _of_document(connection: Connection, tenant_id: str, document_id: str) -> _Subject:
    shown = deliveries.show(connection, tenant_id=tenant_id, document_id=document_id)
    if shown is None:
        return _Subject()
    shown = masked_delivery(shown)
    event = (
        posting.find_event(connection, tenant_id=tenant_id, event_id=shown.delivery.event_id)
        if shown.delivery.event_id
        else None
    )
    journal = (
        posting.find_journal(connection, tenant_id=tenant_id, journal_id=shown.delivery.journal_id)
        if shown.delivery.journal_id
        else None
    )
    return _Subject(
        root_id="" if event is None else event.root_id,
        document=shown,
        events=() if event is None else (event,),
        journals=() if journal is None else (journal,),
    )


def _journals(connection: Connection, tenant_id: str, event_ids: Sequence[str]) -> tuple[StoredJournal, ...]:
    found = posting.journals_of_events(connection, tenant_id=tenant_id, event_ids=event_ids) if event_ids else {}
    return tuple(journal for journals in found.values() for journal in journals)


def _facts(connection: Connection, tenant_id: str, subject: _Subject) -> tuple[Fact, ...]:
    """The facts the events rest on; of a root without events, all it has."""
    places = [place for event in subject.events for place in event.facts]
    if not places and subject.root_id:
        places = list(fact_log.places_of_root(connection, tenant_id=tenant_id, root_id=subject.root_id))
    newest = sorted(set(places), reverse=True)[:FACTS_SHOWN]
    ids = fact_log.fact_ids_at(connection, tenant_id=tenant_id, places=newest) if newest else ()
    found = fact_log.facts_by_id(connection, tenant_id=tenant_id, fact_ids=ids) if ids else ()
    return tuple(sorted(found, key=lambda fact: (fact.position, fact.ordinal), reverse=True))


def _of_fact(fact: Fact) -> Correctable:
    translated = fact.translated
    title = f"{translated.event_type} {translated.source.outside_id}"
    return Correctable(subject_kind="fact", subject_id=fact.fact_id, title=title)
