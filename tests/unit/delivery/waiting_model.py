"""A small model of lanes, waiting and waking over the real rules of order, need and standstill. It keeps no database.

What it takes from delivery: who may wait for whom, which lane a document goes on, what a head waits for, and the walk to what
stands still. What it plays itself: claims, wakes that a crash loses, sweeps, timers and what people do.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

import msgspec

from revline.core.documents import FINISHED_STATES, Document, DocumentKind, DocumentState, JournalContent, Rank
from revline.core.farside import ErpRecord
from revline.core.ids import SourceObject, external_reference
from revline.core.money import Amount
from revline.delivery.chains import Link, Why
from revline.delivery.needs import waits_for
from revline.delivery.order import Place, check_order, lane_of

TENANTS = ("alpha", "beta")
CONNECTIONS = ("erp", "other")
KEYS = ("k1", "k2", "k3")
WAITS_BY_STATE = {DocumentState.READY, DocumentState.HELD, DocumentState.PREPARED}
Check = Callable[..., None]
LaneOf = Callable[..., str]


@dataclass
class Row:
    """A written document. case: a person was told of it. timed: it is looked at again by itself."""

    document: Document
    tenant: str
    lane: str
    sequence: int
    state: DocumentState = DocumentState.READY
    case: bool = False
    timed: bool = False
    recorded: bool = False


@dataclass
class Lane:
    items: list[str] = field(default_factory=list)
    given: int = 0
    due: bool = False
    parked: bool = False
    waits: frozenset[str] = frozenset()
    for_record: bool = False
    timer: bool = False


def made(
    name: str, *, rank: Rank, connection: str, key: str, after: Collection[str], needs: Collection[str]
) -> Document:
    """A document; of those in `needs` it must name the far-side record."""
    parties = tuple((SourceObject(connection="s", kind="customer", outside_id=one), one) for one in sorted(needs))
    return Document(
        document_id=name,
        kind=DocumentKind.JOURNAL,
        connection=connection,
        entity="us",
        book="main",
        external_reference=external_reference(document=name * 16),
        event_id="",
        journal_id="",
        lane_key=key,
        rank=rank,
        predecessors=tuple(sorted(after)),
        currency="USD",
        amount=Amount(1),
        accounting_date=None,
        content=JournalContent(event_kind="", memo="", functional_currency="USD", lines=(), customer_documents=parties),
    )


class Model:
    """One history. check, lane_for: the rules under test."""

    def __init__(self, seed: int, *, check: Check = check_order, lane_for: LaneOf = lane_of) -> None:
        self.random = random.Random(seed)
        self.check, self.lane_for = check, lane_for
        self.rows: dict[str, Row] = {}
        self.lanes: dict[str, Lane] = {}
        self.promised: dict[str, tuple[str, str, Rank, str]] = {}
        """Documents others wait for that may come later: (tenant, connection, rank, lane key)."""
        self.told: set[str] = set()
        """Missing and recordless documents that have a case."""
        self.number = 0

    # -- what happens

    def play(self, events: int) -> None:
        acts = (
            *(self.derive,) * 8, *(self.work,) * 10, self.revise, self.supersede, self.reverse, self.waive, self.waive,
            self.resend, self.name_record, self.sweep,
        )  # fmt: skip
        for _ in range(events):
            self.random.choice(acts)()

    def derive(self) -> None:
        """A new document, or one that was waited for before it was written."""
        if self.promised and self.random.random() < 0.4:
            name = self.random.choice(sorted(self.promised))
            tenant, connection, rank, key = self.promised.pop(name)
        else:
            self.number += 1
            name = f"d{self.number}"
            tenant, connection = self.random.choice(TENANTS), self.random.choice(CONNECTIONS)
            rank, key = Rank(self.random.randrange(len(Rank))), self.random.choice(KEYS)
        self.write(name, tenant, connection, rank, key)

    def write(self, name: str, tenant: str, connection: str, rank: Rank, key: str, after: Collection[str] = ()) -> None:
        wanted = {*after, *self.some(tenant, connection)}
        needs = {one for one in wanted if self.random.random() < 0.4}
        document = made(name, rank=rank, connection=connection, key=key, after=wanted, needs=needs)
        lane_id = self.lane_for(tenant_id=tenant, document=document)
        lane = self.lanes.setdefault(lane_id, Lane())
        place = Place(rank, lane_id, lane.given + 1)
        document = self.lawful(document, place)
        for row in self.rows.values():
            if name in row.document.predecessors:
                try:
                    self.check(before=place, after=self.place(row), before_id=name, after_id=row.document.document_id)
                except ValueError:
                    return  # what waits for it says it may not be so: the error is its maker's, and nothing is written
        lane.given += 1
        self.rows[name] = Row(document=document, tenant=tenant, lane=lane_id, sequence=lane.given)
        if not lane.items:
            lane.due = True
        lane.items.append(name)

    def lawful(self, document: Document, place: Place) -> Document:
        """Without the predecessors it may not wait for."""
        allowed = []
        for name in document.predecessors:
            if name == document.document_id:
                continue
            row = self.rows.get(name)
            try:
                if row is not None:
                    self.check(before=self.place(row), after=place, before_id=name, after_id=document.document_id)
            except ValueError:
                continue
            allowed.append(name)
        return msgspec.structs.replace(document, predecessors=tuple(allowed))

    def some(self, tenant: str, connection: str) -> set[str]:
        there = [
            name
            for name, row in self.rows.items()
            if row.tenant == tenant and row.document.connection == connection and self.random.random() < 0.4
        ]
        if self.random.random() < 0.25:
            self.number += 1
            later = f"d{self.number}"
            rank, key = Rank(self.random.randrange(len(Rank))), self.random.choice(KEYS)
            self.promised[later] = (tenant, connection, rank, key)
            there.append(later)
        return set(self.random.sample(there, min(len(there), self.random.randrange(4))))

    def revise(self) -> None:
        """Reprocessing lets a document that was not sent say something else, and wait for something else."""
        row = self.one({DocumentState.READY, DocumentState.HELD, DocumentState.REJECTED})
        if row is None:
            return
        wanted = self.some(row.tenant, row.document.connection)
        fresh = msgspec.structs.replace(row.document, predecessors=tuple(sorted(wanted)))
        row.document = self.lawful(fresh, self.place(row))
        row.state, row.case, row.timed = DocumentState.READY, False, False
        self.unpark(row)

    def supersede(self) -> None:
        row = self.one({DocumentState.READY, DocumentState.HELD, DocumentState.REJECTED})
        if row is not None:
            row.state, row.case, row.timed = DocumentState.SUPERSEDED, False, False
            self.unpark(row)

    def reverse(self) -> None:
        row = self.one(set(DocumentState))
        if row is not None:
            self.number += 1
            one = row.document
            self.write(f"d{self.number}", row.tenant, one.connection, one.rank, one.lane_key, [one.document_id])

    def waive(self) -> None:
        """By a person; skipping a head is this, too."""
        row = self.one({DocumentState.READY, DocumentState.HELD, DocumentState.REJECTED, DocumentState.UNCERTAIN})
        if row is not None:
            row.state, row.case, row.timed = DocumentState.WAIVED, False, False
            self.unpark(row)
            self.finish(row)

    def resend(self) -> None:
        row = self.one({DocumentState.REJECTED, DocumentState.HELD})
        if row is not None:
            row.state, row.case, row.timed = DocumentState.READY, False, False
            self.unpark(row)

    def name_record(self) -> None:
        row = self.one({DocumentState.WAIVED, DocumentState.SUPERSEDED})
        if row is not None:
            row.recorded = True
            self.told.discard(row.document.document_id)
            self.finish(row)

    def one(self, states: Collection[DocumentState]) -> Row | None:
        found = [row for row in self.rows.values() if row.state in states]
        return self.random.choice(found) if found else None

    # -- lanes

    def work(self) -> None:
        due = [lane for lane in self.lanes.values() if lane.due and lane.items]
        if due:
            self.decide(self.random.choice(due))

    def decide(self, lane: Lane) -> None:
        row = self.rows[lane.items[0]]
        lane.due, lane.waits, lane.timer, lane.for_record = False, frozenset(), False, False
        if row.state in FINISHED_STATES:
            lane.items.pop(0)
            lane.due = bool(lane.items)
            return
        if row.state is DocumentState.REJECTED:
            lane.parked = True
            return
        states = {name: self.state(name) for name in row.document.predecessors}
        waiting = waits_for(document=row.document, predecessors=states, records=self.records())
        if waiting is not None:
            lane.waits, lane.for_record, lane.timer = (
                frozenset(waiting.predecessors),
                waiting.for_record,
                waiting.missing,
            )
            self.told |= {name for name in waiting.predecessors if waiting.for_record or self.state(name) is None}
            return
        self.send(row, lane)

    def send(self, row: Row, lane: Lane) -> None:
        came = self.random.random()
        row.timed = False
        if came < 0.6:
            row.state, row.recorded = DocumentState.POSTED, True
            lane.items.pop(0)
            lane.due = bool(lane.items)
            self.finish(row)
        elif came < 0.75:
            row.state, row.case, lane.parked = DocumentState.REJECTED, True, True
        else:
            row.state = DocumentState.HELD if came < 0.9 else DocumentState.UNCERTAIN
            row.timed = lane.timer = True

    def finish(self, row: Row) -> None:
        """Wake what waits, unless the process dies between the two."""
        if self.random.random() < 0.3:
            return
        name = row.document.document_id
        for lane in self.lanes.values():
            if name in lane.waits:
                lane.due, lane.waits = True, frozenset()

    def sweep(self) -> None:
        for lane in self.lanes.values():
            over = any(
                self.state(name) in FINISHED_STATES and (not lane.for_record or self.rows[name].recorded)
                for name in lane.waits
            )
            if over:
                lane.due, lane.waits = True, frozenset()

    def unpark(self, row: Row) -> None:
        lane = self.lanes[row.lane]
        lane.due, lane.parked, lane.waits = bool(lane.items), False, frozenset()

    def rest(self) -> None:
        """Until nothing is due; what has a timer may be looked at again later."""
        for _ in range(10_000):
            self.sweep()
            due = [lane for lane in self.lanes.values() if lane.due and lane.items]
            if not due:
                return
            for lane in due:
                self.decide(lane)
        raise AssertionError("it never comes to rest")

    # -- what is asked of it afterwards

    def unfinished(self) -> list[str]:
        return sorted(name for name, row in self.rows.items() if row.state not in FINISHED_STATES)

    def ahead(self, names: Collection[str]) -> Mapping[str, tuple[Link, ...]]:
        """As `standstill.Standstill.ahead` says it of stored documents."""
        found: dict[str, tuple[Link, ...]] = {}
        for name in names:
            row = self.rows.get(name)
            if row is None or row.state in FINISHED_STATES:
                continue
            lane = self.lanes[row.lane]
            if lane.items[0] != name:
                found[name] = (Link(document_id=lane.items[0], why=Why.LANE),)
            elif row.state in WAITS_BY_STATE:
                found[name] = self.links(row, lane)
        return found

    def links(self, row: Row, lane: Lane) -> tuple[Link, ...]:
        states = {name: self.state(name) for name in row.document.predecessors}
        open_ = [name for name, state in states.items() if state not in FINISHED_STATES]
        if open_:
            return tuple(
                Link(document_id=name, why=Why.MISSING if states[name] is None else Why.PREDECESSOR) for name in open_
            )
        return tuple(Link(document_id=name, why=Why.RECORD) for name in sorted(lane.waits) if lane.for_record)

    def after(self, names: Collection[str]) -> Mapping[str, Collection[str]]:
        """What stands directly behind, found without the walk under test."""
        behind: dict[str, set[str]] = {name: set() for name in names}
        for other in self.unfinished():
            for link in self.ahead([other]).get(other, ()):
                if link.document_id in behind:
                    behind[link.document_id].add(other)
        return behind

    def circle(self) -> list[str]:
        """Documents that wait for each other in a ring, over all they stand behind; empty when there is none."""
        steps = {name: self.all_ahead(name) for name in self.unfinished()}
        left = dict(steps)
        while True:
            free = [name for name, others in left.items() if not others & left.keys()]
            if not free:
                return sorted(left)
            for name in free:
                del left[name]

    def all_ahead(self, name: str) -> set[str]:
        row = self.rows[name]
        items = self.lanes[row.lane].items
        unfinished = {one for one in row.document.predecessors if self.state(one) not in FINISHED_STATES}
        earlier = {one for one in items[: items.index(name)] if self.state(one) not in FINISHED_STATES}
        return unfinished | earlier

    def place(self, row: Row) -> Place:
        return Place(row.document.rank, row.lane, row.sequence)

    def state(self, name: str) -> DocumentState | None:
        row = self.rows.get(name)
        return None if row is None else row.state

    def records(self) -> Mapping[str, ErpRecord]:
        return {
            name: ErpRecord(record_kind="journal", erp_id=name, state="posted")
            for name, row in self.rows.items()
            if row.recorded
        }
