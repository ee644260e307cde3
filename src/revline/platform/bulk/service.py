"""The shell of acts on many records, for people: preview one, start it (alone or with a second person), stop it, take it up again.

What goes through the set is `runner`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Final

import msgspec
from sqlalchemy import Connection

from revline.core.clock import Clock
from revline.core.hashing import canonical_bytes
from revline.core.ids import lane_id, uuid7
from revline.core.problem import Problem, problem
from revline.platform.bulk import queries, record
from revline.platform.bulk.ports import Handler, NeedsSecondPerson, SecondPerson, nobody
from revline.platform.bulk.values import (
    SAMPLE_MAX,
    SUBJECTS_MAX,
    BulkAct,
    BulkState,
    Chosen,
    Preview,
    checked_filter,
    money_of,
)
from revline.platform.store.engine import Database
from revline.platform.store.unit import Unit
from revline.platform.work import record as work
from revline.platform.work.lanes import PRIORITY_BULK

LANE_KIND: Final = "bulk"
CHOSEN_PAGE: Final = 1_000
STOPPABLE: Final[Mapping[BulkState, frozenset[BulkState]]] = {
    BulkState.RUNNING: frozenset({BulkState.PAUSED}),
    BulkState.PAUSED: frozenset({BulkState.RUNNING}),
    BulkState.ABORTED: frozenset({BulkState.RUNNING, BulkState.PAUSED, BulkState.PROPOSED}),
}
"""State to come to: the states it may come from by a person's word."""


class BulkActs:
    """Acts on many records of one database. handlers: by kind of act. second_person: the tenant's policy."""

    def __init__(
        self,
        *,
        database: Database,
        clock: Clock,
        random_bytes: Callable[[int], bytes],
        handlers: Mapping[str, Handler],
        second_person: SecondPerson = nobody,
    ) -> None:
        self._database, self._clock, self._random_bytes = database, clock, random_bytes
        self.handlers, self._second_person = handlers, second_person

    def preview(self, *, tenant_id: str, kind: str, given: Mapping[str, str]) -> Preview | Problem:
        """What the act would touch now; nothing is written. Problems bulk.kind_unknown, bulk.filter_unknown, bulk.too_many."""
        checked = self._checked(kind, given)
        if isinstance(checked, Problem):
            return checked
        with self._database.read(tenants=[tenant_id]) as connection:
            found = self._chosen(connection, tenant_id, kind, checked)
            if isinstance(found, Problem):
                return found
        subjects = [one.subject for one in found[:SAMPLE_MAX]]
        sample = tuple(self.handlers[kind].sample(tenant_id=tenant_id, subjects=subjects))
        return msgspec.structs.replace(_preview(kind, checked, found, self._second_person(tenant_id)), sample=sample)

    def start(
        self,
        *,
        tenant_id: str,
        kind: str,
        given: Mapping[str, str],
        actor: str,
        reason: str,
        expected: int | None = None,
    ) -> BulkAct | Problem:
        """Freeze the set and begin; above the tenant's threshold it is proposed, and a second person begins it (`decide`).

        expected: the count that was shown; another one is `bulk.changed`. Problems as `preview`, bulk.empty, and bulk.running while
        an act of the same kind and filter has not ended.
        """
        checked = self._checked(kind, given)
        if isinstance(checked, Problem):
            return checked
        needs = self._second_person(tenant_id)
        act_id = str(uuid7(now=self._clock.now(), random_bytes=self._random_bytes))
        with self._unit(tenant_id, "bulk_start", actor, reason) as unit:
            # All starts of one kind and filter pass here one after the other.
            text = canonical_bytes(checked).decode()
            gate = lane_id(tenant=tenant_id, kind=LANE_KIND, key=f"start:{kind}:{text}")
            work.lock_lanes(unit, tenant_id=tenant_id, kind=LANE_KIND, lane_ids=[gate])
            other = queries.under_way(unit.connection, tenant_id=tenant_id, kind=kind, given=text)
            if other is not None:
                return problem("bulk.running", f"act {other} does the same", field=other)
            found = self._chosen(unit.connection, tenant_id, kind, checked)
            if isinstance(found, Problem):
                return found
            if not found:
                return problem("bulk.empty", f"no record that could be {kind} fits")
            if expected is not None and expected != len(found):
                return problem("bulk.changed", f"{expected} records were shown, {len(found)} are there now")
            preview = _preview(kind, checked, found, needs)
            if not preview.second_person:
                work.request(unit, tenant_id=tenant_id, kind=LANE_KIND, lane_ids=[act_id], priority=PRIORITY_BULK)
            record.freeze(unit, tenant_id=tenant_id, act_id=act_id, preview=preview, chosen=found)
        return self._read(tenant_id, act_id)

    def decide(self, *, tenant_id: str, act_id: str, apply: bool, actor: str, reason: str) -> BulkAct | Problem:
        """A second person begins or refuses a proposed act; its set stays as it was frozen. Problems bulk.unknown, bulk.ended,
        bulk.same_person."""
        with self._database.read(tenants=[tenant_id]) as connection:
            found = queries.act(connection, tenant_id=tenant_id, act_id=act_id)
        if found is None:
            return _unknown(act_id)
        if found.author == actor:
            return problem("bulk.same_person", f"{actor} proposed it", field=act_id)
        state = BulkState.RUNNING if apply else BulkState.REFUSED
        return self._move(tenant_id, act_id, state, frozenset({BulkState.PROPOSED}), actor=actor, reason=reason)

    def abort(self, *, tenant_id: str, act_id: str, actor: str, reason: str) -> BulkAct | Problem:
        """Stop it for good after the batch under way; what was done stays done, the rest keeps no outcome."""
        return self._stop(tenant_id, act_id, BulkState.ABORTED, actor=actor, reason=reason)

    def pause(self, *, tenant_id: str, act_id: str, actor: str, reason: str) -> BulkAct | Problem:
        """Stop it for now."""
        return self._stop(tenant_id, act_id, BulkState.PAUSED, actor=actor, reason=reason)

    def resume(self, *, tenant_id: str, act_id: str, actor: str, reason: str) -> BulkAct | Problem:
        """Go on with a paused one where it stopped."""
        return self._stop(tenant_id, act_id, BulkState.RUNNING, actor=actor, reason=reason)

    def _stop(self, tenant_id: str, act_id: str, state: BulkState, *, actor: str, reason: str) -> BulkAct | Problem:
        return self._move(tenant_id, act_id, state, STOPPABLE[state], actor=actor, reason=reason)

    def _move(
        self, tenant_id: str, act_id: str, state: BulkState, among: frozenset[BulkState], *, actor: str, reason: str
    ) -> BulkAct | Problem:
        with self._database.read(tenants=[tenant_id]) as connection:
            if queries.act(connection, tenant_id=tenant_id, act_id=act_id) is None:
                return _unknown(act_id)
        with self._unit(tenant_id, f"bulk_{state}", actor, reason) as unit:
            # The lane before the act's row, as the runner does it; a run that finds nothing to do ends.
            work.request(unit, tenant_id=tenant_id, kind=LANE_KIND, lane_ids=[act_id], priority=PRIORITY_BULK)
            before = record.lock(unit, tenant_id=tenant_id, act_id=act_id)
            if before is None or before.state not in among:
                return problem("bulk.ended", f"the act is {before.state if before else 'gone'}", field=act_id)
            record.write_state(
                unit, tenant_id=tenant_id, act_id=act_id, state=state, before=before, decided_by=actor, note=reason
            )
        return self._read(tenant_id, act_id)

    def _checked(self, kind: str, given: Mapping[str, str]) -> dict[str, str] | Problem:
        handler = self.handlers.get(kind)
        if handler is None:
            return problem("bulk.kind_unknown", f"there are: {', '.join(sorted(self.handlers))}", field="kind")
        return checked_filter(given, known=handler.filters)

    def _chosen(
        self, connection: Connection, tenant_id: str, kind: str, given: Mapping[str, str]
    ) -> Sequence[Chosen] | Problem:
        found: list[Chosen] = []
        after = ""
        while True:
            page, after = self.handlers[kind].choose(
                connection, tenant_id=tenant_id, given=given, after=after, limit=CHOSEN_PAGE
            )
            found += page
            if len(found) > SUBJECTS_MAX:
                return problem("bulk.too_many", f"more than {SUBJECTS_MAX} records fit")
            if not after:
                return list({one.subject: one for one in found}.values())

    def _read(self, tenant_id: str, act_id: str) -> BulkAct | Problem:
        with self._database.read(tenants=[tenant_id]) as connection:
            return queries.act(connection, tenant_id=tenant_id, act_id=act_id) or _unknown(act_id)

    def _unit(self, tenant_id: str, kind: str, actor: str, reason: str) -> AbstractContextManager[Unit]:
        return self._database.unit(
            tenants=[tenant_id], kind=kind, actor=actor, reason=reason, recorded_at=self._clock.now()
        )


def _preview(kind: str, given: Mapping[str, str], found: Sequence[Chosen], needs: NeedsSecondPerson) -> Preview:
    money = money_of(found)
    # A credit does not make what is decided about an invoice worth less.
    worth = money_of(msgspec.structs.replace(one, amount=abs(one.amount)) if one.amount else one for one in found)
    return Preview(kind=kind, filter=given, records=len(found), money=money, second_person=needs(worth), sample=())


def _unknown(act_id: str) -> Problem:
    return problem("bulk.unknown", f"there is no act {act_id[:60]!r}")
