"""Random histories on the real thing: derived, revised, taken back, reversed, sent, refused, waived, skipped and replayed, with
wakes that a crash loses. What stands still in the end stands behind something a person was told of, or that time brings on."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from sqlalchemy import select, text

from revline.core.documents import FINISHED_STATES, Document, DocumentState, Rank
from revline.core.farside import NotSent, Outcome, PreparedStep, Rejected, Uncertain
from revline.core.problem import Problem, problem
from revline.delivery import acts, naming, queries, revisions, sweeping, waiting
from revline.delivery.chains import blockers
from revline.delivery.standstill import Standstill
from revline.delivery.tables import document_state
from revline.delivery.telling import Teller
from revline.delivery.values import SUBJECT_KIND
from revline.platform.cases.subjects import open_cases_of
from revline.platform.store.engine import Database
from revline.platform.work import queries as work_queries
from revline.platform.work.lanes import NEVER, LaneKey
from tests.fakes.far_side import FakeConnector, FarSystem
from tests.integration.delivery.world import World, document_id, journal, naming_customer

KEYS = ("k1", "k2", "k3")
EVENTS = 30
SENT = (None, None, None, None, "reject", "busy", "uncertain")


class History:
    """One history of one tenant."""

    def __init__(self, database: Database, seed: int) -> None:
        self.random = random.Random(seed)
        self.world = World(database, FakeConnector(FarSystem()))
        self.world.connector.before = self.fault
        self.documents: dict[str, Document] = {}
        self.promised: list[str] = []
        self.number = 0

    def fault(self, step: PreparedStep) -> Outcome | None:
        match self.random.choice(SENT):
            case "reject":
                return Rejected(problem=problem("erp.rejected", "no"))
            case "busy":
                return NotSent(problem=problem("erp.busy", "busy"))
            case "uncertain":
                return Uncertain(evidence="lost")
        return None

    def play(self) -> None:
        steps: tuple[Callable[[], None], ...] = (
            *(self.derive,) * 6, *(self.deliver,) * 3, self.revise, self.take_back, self.reverse, self.act, self.act,
            self.name_record, self.pass_time,
        )  # fmt: skip
        for _ in range(EVENTS):
            self.random.choice(steps)()

    def deliver(self) -> None:
        """Sometimes the process dies after the commit that finished a document and before the one that wakes what waits."""
        wake, lost = waiting.wake, self.random.random() < 0.4
        if lost:
            waiting.wake = lambda *_, **__: frozenset()  # type: ignore[assignment]
        try:
            self.world.deliver(turns=200)
        finally:
            waiting.wake = wake

    def derive(self) -> None:
        if self.promised and self.random.random() < 0.5:
            name = self.promised.pop(self.random.randrange(len(self.promised)))
        else:
            self.number += 1
            name = f"d{self.number}"
        self.write(self.made(name, self.random.choice(list(Rank)), self.random.choice(KEYS)))

    def made(self, name: str, rank: Rank, key: str, after: tuple[str, ...] = ()) -> Document:
        others = self.random.sample(sorted(self.documents), min(len(self.documents), self.random.randrange(3)))
        if self.random.random() < 0.2:
            self.number += 1
            self.promised.append(f"d{self.number}")
            others.append(self.promised[-1])
        if others and self.random.random() < 0.4:
            one = naming_customer(name, others[0], rank=rank)
            wanted = tuple(document_id(other) for other in {*others, *after})
            return _with(one, lane_key=key, predecessors=wanted)
        return journal(name, lane=key, rank=rank, after=[*others, *after])

    def write(self, document: Document) -> None:
        name = f"{document.content.memo}"  # type: ignore[union-attr]
        try:
            self.world.write(document)
        except ValueError:
            return  # against the order: an error of whoever made it, and nothing is written
        self.documents[name] = document

    def revise(self) -> None:
        name = self.some()
        if name is None:
            return
        old = self.documents[name]
        new = _with(self.made(name, old.rank, old.lane_key), amount=old.amount + 1)
        try:
            with self.unit() as unit:
                answer = revisions.new_revision(unit, tenant_id="alpha", document=new, configuration_version=2)
        except ValueError:
            return
        if not isinstance(answer, Problem):
            self.documents[name] = new
            self.world.far.lines[new.document_id] = ()

    def take_back(self) -> None:
        name = self.some()
        if name is not None:
            with self.unit() as unit:
                revisions.supersede_unsent(unit, tenant_id="alpha", document_ids=[document_id(name)])

    def reverse(self) -> None:
        name = self.some()
        if name is not None:
            self.number += 1
            old = self.documents[name]
            self.write(self.made(f"d{self.number}", old.rank, old.lane_key, (name,)))

    def act(self) -> None:
        name = self.some()
        if name is None:
            return
        shared: dict[str, Any] = {
            "tenant_id": "alpha", "document_id": document_id(name), "actor": "person:ann", "reason": "because",
            "recorded_at": self.world.clock.now(),
        }  # fmt: skip
        match self.random.randrange(4):
            case 0:
                acts.waive(self.world.database, **shared)
            case 1:
                acts.skip(self.world.database, **shared)
            case 2:
                acts.replay(self.world.database, **shared, at_end=self.random.random() < 0.5)
            case _:
                acts.resend(self.world.database, **shared)

    def name_record(self) -> None:
        name = self.some()
        if name is not None:
            naming.name_record(
                self.world.database,
                tenant_id="alpha",
                document_id=document_id(name),
                record=naming.NamedRecord(erp_id=f"by-hand-{name}", unread=True),
                read=None,
                actor="person:ann",
                reason="it is there",
                recorded_at=self.world.clock.now(),
            )

    def pass_time(self) -> None:
        self.world.pass_time(timedelta(minutes=self.random.choice((1, 10, 60))))

    def some(self) -> str | None:
        return self.random.choice(sorted(self.documents)) if self.documents else None

    def unit(self) -> Any:
        return self.world.database.unit(
            tenants=["alpha"], kind="derive", actor="person:ann", reason="test", recorded_at=self.world.clock.now()
        )

    def rest(self) -> None:
        """Everything that was going to happen has: nothing is due, and sweeps find nothing."""
        self.world.age_waits(timedelta(days=2))
        self.world.pass_time(self.world.timing.missing_predecessor * 2)
        for _ in range(20):
            self.world.deliver(turns=300)
            if not sweeping.sweep_all(self.world.database, actor="worker:test", recorded_at=self.world.clock.now()):
                break
        else:
            raise AssertionError("it never comes to rest")
        for _ in range(2):
            self.world.clock.moment += timedelta(minutes=1)
            Teller(database=self.world.database, actor="worker:test", timing=self.world.timing).tell(
                recorded_at=self.world.clock.now()
            )

    def stuck(self) -> tuple[list[str], int]:
        """Documents ahead of which nothing stands that was told of or is timed, and how many are unfinished."""
        with self.world.database.read(tenants=["alpha"]) as connection:
            ids = [one.document_id for one in self.documents.values()]
            rows = queries.deliveries_by_id(connection, tenant_id="alpha", document_ids=ids)
            left = [name for name, row in rows.items() if row.state not in FINISHED_STATES]
            found = []
            for name in left:
                ahead = blockers([name], ahead=Standstill(connection, tenant_id="alpha").ahead)
                told = open_cases_of(
                    connection, tenant_id="alpha", subjects=[(SUBJECT_KIND, one) for one in ahead] or [("", "")]
                )
                if not ahead or not all((SUBJECT_KIND, one) in told or self.timed(connection, one) for one in ahead):
                    found.append(f"{name} {rows[name].state} behind {sorted(ahead)}")
        return found, len(left)

    def described(self) -> list[str]:
        """Every lane and unfinished document, for whoever reads a failure."""
        with self.world.database.read(tenants=["alpha"]) as connection:
            rows = connection.execute(
                text(
                    "SELECT state.document_id, state.state, state.rank, state.sequence, state.set_aside_at, lane.due_at,"
                    " lane.owner, lane.parked_code, lane.waiting, lane.pending, state.problem_code,"
                    " (SELECT string_agg(predecessor_id || for_record::text, ' ') FROM wait"
                    "  WHERE wait.document_id = state.document_id AND wait.tenant_id = 'alpha') AS waits"
                    " FROM document_state AS state JOIN lane USING (tenant_id, lane_id)"
                    " WHERE state.tenant_id = 'alpha' AND state.state NOT IN ('posted', 'waived', 'superseded')"
                    " ORDER BY lane.lane_id, state.sequence"
                )
            )
            return [str(dict(row)) for row in rows.mappings()]

    def timed(self, connection: Any, name: str) -> bool:
        """Whether a document's lane is due again by itself."""
        row = connection.execute(
            select(document_state.c.lane_id).where(
                document_state.c.tenant_id == "alpha", document_state.c.document_id == name
            )
        ).one_or_none()
        if row is None:
            return False
        lane = work_queries.lane_row(connection, key=LaneKey("alpha", row.lane_id))
        return lane is not None and not lane["parked_code"] and lane["due_at"] < NEVER


def _with(document: Document, **changes: Any) -> Document:
    return msgspec.structs.replace(document, **changes)


@pytest.mark.parametrize("seed", range(6))
def test_no_history_ends_in_a_set_that_waits_for_itself(database: Database, seed: int) -> None:
    history = History(database, seed)
    history.play()
    history.rest()
    stuck, _ = history.stuck()
    assert stuck == [], "\n".join([*stuck, *history.described()])
    assert DocumentState.SENDING not in {history.world.state(name) for name in history.documents}
