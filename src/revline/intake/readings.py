"""What a reading of a source means for the log: a page or an object taken in, its cursor and control totals, its lane settled.

Knows no source and makes no call: the loop that does gives the bodies. Taking in and settling are two units, so a crash between
them costs a second reading of what are duplicates then.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec

from revline.core.clock import Clock
from revline.core.facts import Fact, Incomplete, TranslatedFact
from revline.core.hashing import canonical_bytes, digest_text
from revline.core.problem import Problem, Retryable, problem
from revline.intake import following, queries, rereading
from revline.intake.control_totals import ControlTotal, summed, total_of
from revline.intake.following import Cursor
from revline.intake.rereading import Reread
from revline.intake.service import Intake
from revline.intake.values import INPUTS_PER_UNIT_MAX, Channel, Form, Input, Outcome, Verdict, WhenUnreadable
from revline.platform.store.engine import Database
from revline.platform.work import record as work
from revline.platform.work.lanes import ClaimedLane, LaneChange, finished, parked, retried
from revline.platform.work.queries import moment

CONTENT_TYPE: Final = "application/json"
GONE: Final = "gone"
STATES: Final = {Outcome.ACCEPTED: "read", Outcome.DUPLICATE: "read", Outcome.CONFLICT: "kept", Outcome.KEPT: "kept"}


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """A page as the loop got it. next_cursor: where to go on; more: whether there is more now; total: the source's own count."""

    bodies: tuple[bytes, ...]
    next_cursor: str
    more: bool
    total: int | None = None


class Readings:
    """Writes what readings gave. owner: this worker's id; every write on a lane is fenced by it."""

    def __init__(self, *, database: Database, intake: Intake, clock: Clock, owner: str) -> None:
        self._database, self._intake, self._clock, self._owner = database, intake, clock, owner

    def entry_of(self, *, lane: ClaimedLane) -> Reread | Cursor | None:
        """The object a lane asks for, or the cursor it asks to move; None when nothing is known of it."""
        with self._database.read(tenants=[lane.tenant_id]) as connection:
            if lane.kind == rereading.REREAD:
                rereads = rereading.rereads(connection, tenant_id=lane.tenant_id, reread_ids=[lane.lane_id])
                return rereads.get(lane.lane_id)
            cursors = following.cursors_by_id(connection, tenant_id=lane.tenant_id, cursor_ids=[lane.lane_id])
            return cursors.get(lane.lane_id)

    def take_object(self, *, channel: Channel, lane: ClaimedLane, entry: Reread, body: bytes | None) -> None:
        """An object was read; None: the source has it no more."""
        if body is None:
            self._take_gone(channel=channel, lane=lane, entry=entry)
            return
        made = channel.translate_object(body=body)
        if not isinstance(made, Problem) and any(_same(one, entry) for one in made if isinstance(one, Incomplete)):
            detail = f"{entry.object_kind} {entry.source.outside_id[:120]!r} was read and is still incomplete"
            why = problem("intake.reread_incomplete", detail, field=entry.object_kind)
            self._settle_reread(lane=lane, entry=entry, change=parked(lane=lane, code=why.code), why=why)
            return
        verdict = self._accept(channel=channel, bodies=[body], form=Form.OBJECT, reason="read again")[0]
        state = STATES.get(verdict.outcome, "kept")
        self._settle_reread(lane=lane, entry=entry, change=finished(lane=lane), state=state)

    def take_page(
        self,
        *,
        channel: Channel,
        lane: ClaimedLane,
        entry: Cursor,
        page: Page,
        again_after: timedelta,
        now: datetime,
    ) -> None:
        """A page was read: its inputs are taken in, the cursor moves, the totals grow; at the end of a listing they are compared.

        again_after: how long until a change stream is looked at again once it was read to its end. now: database time.
        """
        form = Form.OBJECT if entry.purpose == following.BACKFILL else Form.MESSAGE
        verdicts = self._accept(channel=channel, bodies=page.bodies, form=form, reason=f"{entry.purpose} of a source")
        read_at = self._clock.now()
        listed = totals_of(channel=channel, bodies=page.bodies) if form is Form.OBJECT else ()
        count = {outcome: sum(one.outcome is outcome for one in verdicts) for outcome in Outcome}
        entry = msgspec.structs.replace(
            entry,
            cursor=page.next_cursor,
            state="running" if page.more else "finished" if form is Form.OBJECT else "following",
            pages=entry.pages + 1,
            seen=entry.seen + len(page.bodies),
            taken=entry.taken + count[Outcome.ACCEPTED],
            duplicates=entry.duplicates + count[Outcome.DUPLICATE],
            refused=entry.refused + count[Outcome.KEPT] + count[Outcome.CONFLICT] + count[Outcome.INVALID],
            source_total=entry.source_total if page.total is None else page.total,
            totals=summed([*entry.totals, *listed]),
            last_page_at=read_at,
            finished_at=None if page.more else read_at,
            problem_code="",
        )
        self._settle_page(lane=lane, entry=entry, more=page.more, again_after=again_after, now=now)

    def failed(self, *, lane: ClaimedLane, entry: Reread | Cursor, why: Problem, pause: timedelta | None) -> None:
        """Nothing could be read. What may pass by itself is tried again after a pause (None: never), and told when it lasts; the
        rest stands still with a case."""
        stands = pause is None or why.retryable is not Retryable.YES
        with self._unit(lane.tenant_id, "a source could not be read") as unit:
            if not work.hold(unit.connection, owner=self._owner, lanes=[lane]):
                return
            now = moment(unit.connection)
            change = parked(lane=lane, code=why.code)
            if pause is not None and not stands:
                change = retried(lane=lane, due_at=now + pause)
            work.change(unit.connection, owner=self._owner, changes=[change], now=now)
            if isinstance(entry, Reread):
                if stands:
                    rereading.refuse(unit, tenant_id=lane.tenant_id, entry=entry, why=why, state="refused")
            elif stands:
                following.stop(unit, tenant_id=lane.tenant_id, entry=entry, why=why)
            else:
                tries = lane.attempts + 1
                following.failed(unit, tenant_id=lane.tenant_id, entry=entry, why=why, tries=tries)

    def give_up(self, *, lane: ClaimedLane) -> None:
        """Our own code failed on a lane: it stands still with a case, and holds up nothing else."""
        cause = problem("internal.unexpected", "reading failed on this record; the operator's log has the trace")
        entry = self.entry_of(lane=lane)
        if entry is not None:
            self.failed(lane=lane, entry=entry, why=cause, pause=None)

    def give_back(self, *, lane: ClaimedLane) -> None:
        """Nothing was read and nothing is wrong: whoever is free goes on."""
        with self._database.control() as connection:
            if work.hold(connection, owner=self._owner, lanes=[lane]):
                now = moment(connection)
                change = retried(lane=lane, due_at=now, failed=False)
                work.change(connection, owner=self._owner, changes=[change], now=now)

    def start_over(
        self, *, lane: ClaimedLane, entry: Cursor, object_kinds: Sequence[str], pool_id: str, now: datetime
    ) -> None:
        """The source forgot where its changes were read to: every kind is listed again, and the stream followed from its begin."""
        with self._unit(lane.tenant_id, "the source forgot its cursor") as unit:
            if work.hold(unit.connection, owner=self._owner, lanes=[lane]):
                following.ask_backfill(
                    unit,
                    tenant_id=lane.tenant_id,
                    source_connection=entry.connection,
                    object_kinds=object_kinds,
                    now=self._clock.now(),
                    pool_id=pool_id,
                    cursor="",
                )
                change = finished(lane=lane, again_at=now)
                work.change(unit.connection, owner=self._owner, changes=[change], now=now)
                fresh = msgspec.structs.replace(entry, cursor="", state="running", problem_code="")
                following.write(unit, tenant_id=lane.tenant_id, entry=fresh)

    def begin_changes(self, *, tenant_id: str, source_connection: str, pool_id: str) -> None:
        """Follow a connection's change stream from where the source still has it."""
        with self._unit(tenant_id, "the configuration wants changes followed") as unit:
            now = self._clock.now()
            following.ask_changes(
                unit, tenant_id=tenant_id, source_connection=source_connection, now=now, pool_id=pool_id
            )

    def drop(self, *, lane: ClaimedLane) -> None:
        """A lane of which nothing is known asks for nothing."""
        with self._database.control() as connection:
            if work.hold(connection, owner=self._owner, lanes=[lane]):
                now = moment(connection)
                work.change(connection, owner=self._owner, changes=[finished(lane=lane)], now=now)

    def sweep(self, *, tenant_id: str) -> int:
        """Timer: a case for every object that was not read by its deadline; gives how many."""
        with self._database.read(tenants=[tenant_id]) as connection:
            late = rereading.overdue(connection, tenant_id=tenant_id, now=self._clock.now())
        if late:
            with self._unit(tenant_id, "objects to be read again") as unit:
                rereading.mark_overdue(unit, tenant_id=tenant_id, entries=late)
        return len(late)

    def _accept(self, *, channel: Channel, bodies: Sequence[bytes], form: Form, reason: str) -> tuple[Verdict, ...]:
        now = self._clock.now()
        verdicts: list[Verdict] = []
        for start in range(0, len(bodies), INPUTS_PER_UNIT_MAX):
            inputs = [
                Input(body=body, content_type=CONTENT_TYPE, received_at=now)
                for body in bodies[start : start + INPUTS_PER_UNIT_MAX]
            ]
            verdicts += self._intake.accept(
                channel=channel,
                inputs=inputs,
                actor=f"worker:{self._owner}",
                reason=reason,
                form=form,
                when_unreadable=WhenUnreadable.KEEP,
            )
        return tuple(verdicts)

    def _take_gone(self, *, channel: Channel, lane: ClaimedLane, entry: Reread) -> None:
        with self._database.read(tenants=[lane.tenant_id]) as connection:
            facts = queries.facts_of_objects(connection, tenant_id=lane.tenant_id, sources=[entry.source])
        newest = max(facts.get(entry.source, ()), key=lambda fact: fact.translated.order_key, default=None)
        if newest is not None and hasattr(newest.translated.snapshot, "deleted"):
            if not newest.translated.snapshot.deleted:
                self._intake.accept_made(
                    channel=channel,
                    fact=removed(newest, at=self._clock.now()),
                    body=canonical_bytes({"id": entry.source.outside_id, "object": entry.object_kind, GONE: True}),
                    actor=f"worker:{self._owner}",
                    reason="the source has it no more",
                )
            self._settle_reread(lane=lane, entry=entry, change=finished(lane=lane), state=GONE)
            return
        detail = f"the source has no {entry.object_kind} {entry.source.outside_id[:120]!r} any more"
        why = problem("intake.reread_gone", detail, field=entry.object_kind)
        self._settle_reread(lane=lane, entry=entry, change=finished(lane=lane), state=GONE, why=why)

    def _settle_reread(
        self, *, lane: ClaimedLane, entry: Reread, change: LaneChange, state: str = "", why: Problem | None = None
    ) -> None:
        with self._unit(lane.tenant_id, "an object was read again") as unit:
            if not work.hold(unit.connection, owner=self._owner, lanes=[lane]):
                return
            if why is not None:
                rereading.refuse(unit, tenant_id=lane.tenant_id, entry=entry, why=why, state=state or "refused")
            elif state:
                rereading.conclude(unit, tenant_id=lane.tenant_id, entry=entry, lane=lane, state=state)
            work.change(unit.connection, owner=self._owner, changes=[change], now=moment(unit.connection))

    def _settle_page(
        self, *, lane: ClaimedLane, entry: Cursor, more: bool, again_after: timedelta, now: datetime
    ) -> None:
        tenant_id = lane.tenant_id
        follows = entry.purpose == following.CHANGES and not more
        again_at = now if more else now + again_after if follows else None
        change = finished(lane=lane, again_at=again_at)
        if follows:
            # Nothing is left to do now: the lane waits for its next look, and a worker that ends when idle may end.
            change = msgspec.structs.replace(change, waiting=True)
        with self._unit(tenant_id, "a page was read") as unit:
            if not work.hold(unit.connection, owner=self._owner, lanes=[lane]):
                return
            work.change(unit.connection, owner=self._owner, changes=[change], now=now)
            following.write(unit, tenant_id=tenant_id, entry=entry)
            if more or entry.purpose == following.CHANGES or not entry.whole:
                following.goes_on(unit, tenant_id=tenant_id, entry=entry)
                return
            found = following.compare(
                unit.connection,
                tenant_id=tenant_id,
                source_connection=entry.connection,
                listed=entry.totals,
                since=entry.started_position,
            )
            following.report(unit, tenant_id=tenant_id, entry=entry, found=found)

    def _unit(self, tenant_id: str, reason: str) -> Any:
        return self._database.unit(
            tenants=[tenant_id],
            kind="reading",
            actor=f"worker:{self._owner}",
            reason=reason,
            recorded_at=self._clock.now(),
        )


def removed(newest: Fact, *, at: datetime) -> TranslatedFact:
    """The fact that an object was removed at its source: the newest snapshot, marked so, just above it in its order."""
    before = newest.translated
    source_event = f"{before.source.outside_id}@{GONE}-{newest.position}.{newest.ordinal}"
    return msgspec.structs.replace(
        before,
        source_event=source_event,
        event_type=f"{before.source.kind}.{GONE}",
        occurred_at=at,
        content_digest=digest_text([source_event]),
        order_key=(*before.order_key[:-1], before.order_key[-1] + 1) if before.order_key else (1,),
        snapshot=msgspec.structs.replace(before.snapshot, deleted=True),
    )


def _same(one: Incomplete, entry: Reread) -> bool:
    return (one.source, one.object_kind) == (entry.source, entry.object_kind)


def totals_of(*, channel: Channel, bodies: Sequence[bytes]) -> tuple[ControlTotal, ...]:
    """What the listing itself says, object by object; the first fact of an object is of the object itself. What the source removed
    and lists all the same counts on neither side."""
    found = []
    for body in bodies:
        made = channel.translate_object(body=body)
        facts = () if isinstance(made, Problem) else tuple(one for one in made if isinstance(one, TranslatedFact))
        if facts and getattr(facts[0].snapshot, "deleted", False):
            continue
        if facts:
            found.append(total_of(kind=facts[0].source.kind, snapshot=facts[0].snapshot))
        else:
            found.append(ControlTotal(kind="", count=1))
    return tuple(found)
