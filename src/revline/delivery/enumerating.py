"""Enumeration: pages through what far systems hold and finds what broke the bounds that look-ups rely on.

One row (`erp_listing`) and one level lane a record kind of a company on a connection; any worker may take the lane, and a page is a
unit of work. This module reads and writes; the far side is asked by whoever runs the lane. What a record means is `comparing`'s.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, select

from revline.core.clock import Clock
from revline.core.farside import ChangedPage, Dated, Manifest
from revline.core.ids import lane_id
from revline.core.problem import FieldError, Mender, Problem, Retryable, define, problem
from revline.delivery.comparing import Verdict
from revline.delivery.listed import Tally, gone_after, known_by_now, take_records
from revline.delivery.tables import erp_listing
from revline.delivery.values import FarSide
from revline.platform.store.engine import Database
from revline.platform.store.unit import Unit
from revline.platform.work import queries as work_queries
from revline.platform.work import record as work_record
from revline.platform.work.lanes import PRIORITY_BULK, ClaimedLane, LaneChange, finished, retried

LANE_KIND: Final = "enumerate"
PAGE_RECORDS: Final = 200
AGAIN_AFTER: Final = timedelta(minutes=10)
"""Between two listings of changes."""
PAUSE_MAX: Final = timedelta(minutes=10)
EARLIEST: Final = datetime(2000, 1, 1, tzinfo=UTC)
"""No far system is asked what changed since before."""
CURSOR_GONE: Final = frozenset({"erp.cursor_expired", "tryton.cursor_invalid"})
FULL: Final = "full"
SINCE: Final = "since"
CHANGES: Final = "changes"

define(
    code="listing.since_invalid",
    title="Nothing can be listed since then",
    status=422,
    retryable=Retryable.NO,
    mender=Mender.SENDER,
    remedy="Give a moment that has been, with its offset, or leave it out to list everything.",
)


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """What is listed by one row. entity: one whose mapping leads to the company."""

    connection: str
    record_kind: str
    company: str
    entity: str
    pool_id: str


class ErpListing(msgspec.Struct, frozen=True, kw_only=True):
    """A row of erp_listing as a value. Counts are of the present pass, or of the last one when none is under way."""

    tenant_id: str
    connection: str
    record_kind: str
    company: str
    lane_id: str
    entity: str
    pool_id: str
    due_at: datetime
    mode: str
    pass_number: int
    cursor: str
    resume: str
    began_at: datetime | None
    ended_at: datetime | None
    full_ended_at: datetime | None
    pages: int
    records: int
    ours: int
    resolved: int
    doubled: int
    unexpected: int
    missing: int
    changed: int
    gap_at: datetime | None
    gap: str
    problem_code: str
    problem_detail: str

    @property
    def running(self) -> bool:
        """Whether a pass is under way."""
        return self.began_at is not None and (self.ended_at is None or self.ended_at < self.began_at)


def places_of(*, connection: str, far_sides: Mapping[str, FarSide]) -> tuple[Place, ...]:
    """What can be listed of a connection. far_sides: entity -> far side. A company two entities share is listed once. Pure."""
    found: dict[tuple[str, str], Place] = {}
    for entity, far in sorted(far_sides.items()):
        manifest: Manifest = far.connector.manifest
        for kind in manifest.listed:
            place = Place(
                connection=connection,
                record_kind=kind,
                company=far.mapping.company,
                entity=entity,
                pool_id=far.pool_id,
            )
            found.setdefault((kind, place.company), place)
    return tuple(found.values())


def listings(connection: Connection, *, tenant_id: str, far_connection: str = "") -> tuple[ErpListing, ...]:
    """Every listing of a tenant, or of one connection, by name."""
    table = erp_listing.c
    statement = select(*(table[name] for name in ErpListing.__struct_fields__)).where(table.tenant_id == tenant_id)
    if far_connection:
        statement = statement.where(table.connection == far_connection)
    rows = connection.execute(statement.order_by(table.connection, table.record_kind, table.company)).mappings()
    return tuple(ErpListing(**{str(name): value for name, value in row.items()}) for row in rows)


class Enumeration:
    """Writes listings. owner: who claims their lanes, "" for a door that only asks."""

    def __init__(self, *, database: Database, clock: Clock, owner: str = "") -> None:
        self._database, self._clock, self._owner = database, clock, owner

    def begin(self, *, tenant_id: str, places: Sequence[Place]) -> int:
        """Rows and lanes for places that have none yet; their first pass is a full one. Gives how many."""
        with self._database.read(tenants=[tenant_id]) as connection:
            there = {
                (one.connection, one.record_kind, one.company) for one in listings(connection, tenant_id=tenant_id)
            }
        new = [one for one in places if (one.connection, one.record_kind, one.company) not in there]
        if new:
            self._ask(tenant_id, new, mode=FULL, cursors={}, actor=f"worker:{self._owner}", reason="listed from now on")
        return len(new)

    def wake_due(self, *, tenant_id: str) -> int:
        """Ask for another run of every listing whose time has come; gives how many. Between runs their lanes are idle."""
        now = self._clock.now()
        with self._database.read(tenants=[tenant_id]) as connection:
            due = [one for one in listings(connection, tenant_id=tenant_id) if one.due_at <= now]
        if not due:
            return 0
        with self._database.unit(
            tenants=[tenant_id],
            kind="enumerate",
            actor=f"worker:{self._owner}",
            reason="its time came",
            recorded_at=now,
        ) as unit:
            for one in due:
                self._change(unit, one, due_at=now + AGAIN_AFTER)
                work_record.request(
                    unit,
                    tenant_id=tenant_id,
                    kind=LANE_KIND,
                    lane_ids=[one.lane_id],
                    priority=PRIORITY_BULK,
                    pool_id=one.pool_id,
                )
        return len(due)

    def ask(
        self,
        *,
        tenant_id: str,
        places: Sequence[Place],
        far_sides: Mapping[str, FarSide],
        since: datetime | None,
        actor: str,
        reason: str,
    ) -> tuple[Place, ...] | Problem:
        """List again, everything or since a moment; gives what will be. since: only where the far side can begin at one. Problem
        `listing.since_invalid`."""
        now = self._clock.now()
        if since is not None and not EARLIEST <= since <= now:
            instead = f"from {EARLIEST.date().isoformat()} to now"
            wrong = FieldError(pointer="since", detail="is out of bounds", instead=instead)
            return problem("listing.since_invalid", "nothing can be listed since then", errors=(wrong,))
        if not places:
            return problem("erp.kind_unsupported", "this connection's far side can't be listed")
        cursors: dict[Place, str] = {}
        for place in places:
            connector = far_sides[place.entity].connector
            if since is not None and isinstance(connector, Dated):
                cursors[place] = connector.cursor_at(moment=since)
        mode = SINCE if since is not None else FULL
        self._ask(tenant_id, places, mode=mode, cursors=cursors, actor=actor, reason=reason)
        return tuple(places)

    def entry_of(self, lane: ClaimedLane) -> ErpListing | None:
        """The row of a lane."""
        table = erp_listing.c
        statement = select(*(table[name] for name in ErpListing.__struct_fields__)).where(
            table.tenant_id == lane.tenant_id, table.lane_id == lane.lane_id
        )
        with self._database.read(tenants=[lane.tenant_id]) as connection:
            row = connection.execute(statement).mappings().one_or_none()
        return None if row is None else ErpListing(**{str(name): value for name, value in row.items()})

    def take_page(self, *, lane: ClaimedLane, entry: ErpListing, page: ChangedPage, far: FarSide) -> Tally:
        """Keep what a page shows, tell people what is wrong with it, and set the lane to its next page or its next pass."""
        now = self._clock.now()
        starts = not entry.running
        present = _started(entry, now) if starts else entry
        with self._unit(lane, "records were listed") as unit:
            tally = Tally()
            held = work_record.hold(unit.connection, owner=self._owner, lanes=[lane])
            if held and self._asked_anew(unit, entry):
                at = work_queries.moment(unit.connection)
                change = retried(lane=lane, due_at=at, failed=False)
                work_record.change(unit.connection, owner=self._owner, changes=[change], now=at)
            elif held:
                tally = take_records(unit, entry=present, far=far, records=page.records)
                last = not page.next_cursor or page.next_cursor == present.cursor
                if last:
                    known_by_now(unit, entry=present)
                if last and present.mode == FULL:
                    tally.missing += gone_after(unit, entry=present, shown=page.records)
                self._write_pass(unit, present, tally, page, last=last)
                due = work_queries.moment(unit.connection)
                change = finished(lane=lane) if last else retried(lane=lane, due_at=due, failed=False)
                work_record.change(unit.connection, owner=self._owner, changes=[change], now=due)
        return tally

    def failed(self, *, lane: ClaimedLane, entry: ErpListing, why: Problem, pause: timedelta) -> None:
        """Keep why a page was not told. A cursor the far side has forgotten is a gap: the listing begins anew, from the start."""
        gap = why.code in CURSOR_GONE and bool(entry.cursor or entry.resume)
        with self._unit(lane, "a page was not told") as unit:
            if not work_record.hold(unit.connection, owner=self._owner, lanes=[lane]):
                return
            changes: dict[str, Any] = {
                "problem_code": why.code,
                "problem_detail": why.detail[:500],
                "due_at": unit.recorded_at + min(pause, PAUSE_MAX),
            }
            if gap:
                fresh = _started(msgspec.structs.replace(entry, mode=FULL, cursor="", resume=""), self._clock.now())
                changes |= _counts(fresh) | {
                    "mode": FULL,
                    "cursor": "",
                    "resume": "",
                    "pass_number": fresh.pass_number,
                    "began_at": fresh.began_at,
                    "gap_at": unit.recorded_at,
                    "gap": f"listed on from {(entry.cursor or entry.resume)[:100]}: {why.detail}"[:500],
                }
            self._change(unit, entry, **changes)
            at = work_queries.moment(unit.connection)
            again = retried(lane=lane, due_at=at, failed=False)
            change = again if gap else LaneChange(lane=lane, read_through=lane.requested, failed=True)
            work_record.change(unit.connection, owner=self._owner, changes=[change], now=at)

    def drop(self, *, lane: ClaimedLane) -> None:
        """A lane without a row, or without a far side any more: nothing is listed until somebody asks."""
        with self._unit(lane, "there is nothing to list") as unit:
            if work_record.hold(unit.connection, owner=self._owner, lanes=[lane]):
                at = work_queries.moment(unit.connection)
                work_record.change(unit.connection, owner=self._owner, changes=[finished(lane=lane)], now=at)

    def _asked_anew(self, unit: Unit, entry: ErpListing) -> bool:
        """Whether somebody asked for another pass while this page was on its way: the page then belongs to none."""
        there = listings(unit.connection, tenant_id=entry.tenant_id, far_connection=entry.connection)
        return entry not in there

    def _ask(
        self,
        tenant_id: str,
        places: Sequence[Place],
        *,
        mode: str,
        cursors: Mapping[Place, str],
        actor: str,
        reason: str,
    ) -> None:
        with self._database.unit(
            tenants=[tenant_id], kind="enumerate", actor=actor, reason=reason, recorded_at=self._clock.now()
        ) as unit:
            there = {
                (one.connection, one.record_kind, one.company): one
                for one in listings(unit.connection, tenant_id=tenant_id)
            }
            for place in places:
                before = there.get((place.connection, place.record_kind, place.company))
                self._write_place(unit, tenant_id, place, before, mode=mode, cursor=cursors.get(place, ""))
            for pool in sorted({place.pool_id for place in places}):
                lanes = [_lane_of(tenant_id, place) for place in places if place.pool_id == pool]
                work_record.request(
                    unit, tenant_id=tenant_id, kind=LANE_KIND, lane_ids=lanes, priority=PRIORITY_BULK, pool_id=pool
                )

    def _write_place(
        self, unit: Unit, tenant_id: str, place: Place, before: ErpListing | None, *, mode: str, cursor: str
    ) -> None:
        unit.project(
            erp_listing,
            key=("connection", "record_kind", "company"),
            tenant_id=tenant_id,
            connection=place.connection,
            record_kind=place.record_kind,
            company=place.company,
            lane_id=_lane_of(tenant_id, place),
            entity=place.entity,
            pool_id=place.pool_id,
            due_at=unit.recorded_at + AGAIN_AFTER,
            mode=mode,
            pass_number=before.pass_number if before else 0,
            cursor=cursor,
            resume=cursor,
            began_at=None,
            ended_at=before.ended_at if before else None,
            full_ended_at=before.full_ended_at if before else None,
            gap_at=before.gap_at if before else None,
            gap=before.gap if before else "",
            problem_code="",
            problem_detail="",
            **_counts(None),
        )

    def _write_pass(self, unit: Unit, entry: ErpListing, tally: Tally, page: ChangedPage, *, last: bool) -> None:
        resume = page.resume or entry.resume
        ended: dict[str, Any] = {}
        if last:
            now = self._clock.now()
            ended = {"ended_at": now, "mode": CHANGES, "due_at": now + AGAIN_AFTER}
            ended |= {"full_ended_at": now} if entry.mode == FULL else {}
        self._change(
            unit,
            entry,
            pass_number=entry.pass_number,
            began_at=entry.began_at,
            cursor="" if last else page.next_cursor,
            resume=resume,
            pages=entry.pages + 1,
            records=entry.records + len(page.records),
            ours=entry.ours + tally.ours,
            resolved=entry.resolved + tally.of(Verdict.RESOLVES),
            doubled=entry.doubled + tally.of(Verdict.DOUBLED),
            unexpected=entry.unexpected + tally.of(Verdict.UNEXPECTED),
            missing=entry.missing + tally.missing,
            changed=entry.changed + tally.changed,
            problem_code="",
            problem_detail="",
            **ended,
        )

    def _change(self, unit: Unit, entry: ErpListing, **values: Any) -> None:
        unit.change(
            erp_listing,
            key=("connection", "record_kind", "company"),
            tenant_id=entry.tenant_id,
            connection=entry.connection,
            record_kind=entry.record_kind,
            company=entry.company,
            **values,
        )

    def _unit(self, lane: ClaimedLane, reason: str) -> Any:
        return self._database.unit(
            tenants=[lane.tenant_id],
            kind="enumerate",
            actor=f"worker:{self._owner}",
            reason=reason,
            recorded_at=self._clock.now(),
        )


def _started(entry: ErpListing, now: datetime) -> ErpListing:
    """The row as a new pass begins it. A pass of changes goes on from where the last one ended."""
    fresh = msgspec.structs.replace(entry, began_at=now, pass_number=entry.pass_number + 1)
    return msgspec.structs.replace(fresh, **_counts(None))


def _counts(of: ErpListing | None) -> dict[str, int]:
    names = ("pages", "records", "ours", "resolved", "doubled", "unexpected", "missing", "changed")
    return {name: 0 if of is None else getattr(of, name) for name in names}


def _lane_of(tenant_id: str, place: Place) -> str:
    key = f"{place.connection}:{place.record_kind}:{place.company}"
    return lane_id(tenant=tenant_id, kind=LANE_KIND, key=key)


def cursor_of(entry: ErpListing) -> str:
    """Where the next page begins."""
    return entry.cursor if entry.running else entry.resume
