"""Back-pressure: when too much waits to be derived and delivered, intake says "later", and what can wait of itself does.

Whoever sends keeps what is refused and sends it again; what was accepted is never dropped. The backlog is counted now and then by
one worker into a few rows; doors read those rows at most once a second, whatever comes in. Knows no kind of work but by name.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Final

import msgspec
from sqlalchemy import Connection, text

from revline.core.problem import Mender, Problem, Retryable, define, problem
from revline.platform.store.engine import Database
from revline.platform.work.queries import moment
from revline.platform.work.tables import LIVE

CELL: Final = ""
SAMPLE_EVERY: Final = timedelta(seconds=10)
SAMPLE_PART: Final = 50
"""Counting may take one part of the time in so many, so a backlog of millions is counted less often."""
STALE_AFTER: Final = timedelta(minutes=15)
"""A count this old says nothing any more: where no worker runs nobody is refused for what one saw long ago."""
ENDS_AT_PERCENT: Final = 80
"""Held back until what was too much has come down to this part of the limit, so that doors don't flap."""
KEPT_FROM_PERCENT: Final = 10
"""Tenants with less than this part of a limit have no row."""
FRESH_SECONDS: Final = 1.0
RETRY_AFTER_SECONDS: Final = 30

define(
    code="intake.held_back",
    title="Too much waits to be worked through",
    status=429,
    retryable=Retryable.YES,
    mender=Mender.NOBODY,
    remedy="Send the same again after `Retry-After` seconds; nothing of it was taken in.",
)


class BacklogLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Beyond which intake is held back; 0 for no limit. tenant, cell: roots and documents. due_age: of the oldest due work."""

    tenant: int = 1_000_000
    cell: int = 10_000_000
    due_age: timedelta = timedelta(hours=48)


class Backlog(msgspec.Struct, frozen=True, kw_only=True):
    """What waits, of one tenant or the cell. held_by: the limit intake is held back for, "" when it isn't."""

    tenant_id: str
    underived: int
    undelivered: int
    oldest_due_at: datetime | None
    sampled_at: datetime
    held_by: str = ""
    held_since: datetime | None = None
    refused: int = 0


_TAKE_TURN: Final = text(
    """
    INSERT INTO backlog_sample (tenant_id, underived, undelivered, sampled_at, next_at, held_by)
    VALUES ('', 0, 0, :now, :now, '') ON CONFLICT DO NOTHING
    """
)
_MY_TURN: Final = text("SELECT 1 FROM backlog_sample WHERE tenant_id = '' AND next_at <= :now FOR UPDATE SKIP LOCKED")
_COUNT: Final = text(
    f"""
    SELECT lane.tenant_id, count(*) FILTER (WHERE lane.kind = :derive AND (lane.owner <> '' OR lane.due_at <= :now)) AS underived,
           coalesce(sum(lane.pending) FILTER (WHERE lane.kind = :deliver), 0) AS undelivered,
           min(lane.due_at) FILTER (WHERE lane.owner = '' AND NOT lane.waiting AND lane.due_at <= :now) AS oldest_due_at
    FROM lane WHERE lane.kind IN (:derive, :deliver) AND {LIVE}
    GROUP BY lane.tenant_id
    """
)
_KNOWN: Final = text("SELECT tenant_id, underived, undelivered, oldest_due_at, sampled_at, held_by, held_since, refused"
                     " FROM backlog_sample ORDER BY tenant_id LIMIT 10000")  # fmt: skip
_HELD: Final = text(
    "SELECT tenant_id, held_by FROM backlog_sample WHERE held_by <> '' AND sampled_at > :since"
    " ORDER BY tenant_id LIMIT 10000"
)
_WRITE: Final = text(
    """
    INSERT INTO backlog_sample (tenant_id, underived, undelivered, oldest_due_at, sampled_at, next_at, held_by, held_since)
    SELECT given.tenant_id, given.underived, given.undelivered, given.oldest_due_at, :now, :next, given.held_by,
           given.held_since
    FROM unnest(CAST(:tenants AS text[]), CAST(:underived AS bigint[]), CAST(:undelivered AS bigint[]),
                CAST(:oldest AS timestamptz[]), CAST(:held_by AS text[]), CAST(:since AS timestamptz[]))
         AS given(tenant_id, underived, undelivered, oldest_due_at, held_by, held_since)
    ORDER BY given.tenant_id
    ON CONFLICT (tenant_id) DO UPDATE SET
        underived = excluded.underived, undelivered = excluded.undelivered, oldest_due_at = excluded.oldest_due_at,
        sampled_at = excluded.sampled_at, next_at = excluded.next_at, held_by = excluded.held_by,
        held_since = excluded.held_since
    """
)
_DROP: Final = text("DELETE FROM backlog_sample WHERE tenant_id = ANY(CAST(:tenants AS text[]))")
_REFUSED: Final = text(
    """
    UPDATE backlog_sample SET refused = backlog_sample.refused + given.refused
    FROM unnest(CAST(:tenants AS text[]), CAST(:refused AS bigint[])) AS given(tenant_id, refused)
    WHERE backlog_sample.tenant_id = given.tenant_id
    """
)


def held_by(*, was: str, sample: Backlog, limits: BacklogLimits, now: datetime) -> str:
    """The limit for which intake is held back now, "" for none. Pure.

    was: what it was held back for. That ends at four fifths of the limit only.
    """
    whole = sample.tenant_id == CELL
    most = limits.cell if whole else limits.tenant
    name = "cell_backlog_max" if whole else "tenant_backlog_max"
    waiting = sample.underived + sample.undelivered
    if most and waiting > (most * ENDS_AT_PERCENT // 100 if was == name else most):
        return name
    age = now - sample.oldest_due_at if sample.oldest_due_at is not None else timedelta(0)
    bound = limits.due_age * ENDS_AT_PERCENT / 100 if was == "due_age_max_hours" else limits.due_age
    if not whole and limits.due_age and age > bound:
        return "due_age_max_hours"
    return ""


def sample_backlog(
    database: Database, *, derive: str, deliver: str, limits: BacklogLimits, now: datetime | None = None
) -> bool:
    """Timer: count what waits, if it is time and no other worker does; gives whether it was counted.

    derive, deliver: the kinds of lanes whose work is counted.
    """
    with database.control() as connection:
        at = now or moment(connection)
        connection.execute(_TAKE_TURN, {"now": at})
        if connection.execute(_MY_TURN, {"now": at}).first() is None:
            return False
        begun = time.monotonic()
        rows = connection.execute(_COUNT, {"derive": derive, "deliver": deliver, "now": at}).all()
        took = timedelta(seconds=time.monotonic() - begun)
        before = {one.tenant_id: one for one in backlogs(connection)}
        found = [
            Backlog(
                tenant_id=row.tenant_id,
                underived=row.underived,
                undelivered=int(row.undelivered),
                oldest_due_at=row.oldest_due_at,
                sampled_at=at,
            )
            for row in rows
        ]
        whole = Backlog(
            tenant_id=CELL,
            underived=sum(one.underived for one in found),
            undelivered=sum(one.undelivered for one in found),
            oldest_due_at=min((one.oldest_due_at for one in found if one.oldest_due_at), default=None),
            sampled_at=at,
        )
        _write(connection, [whole, *found], before, limits, at, at + max(SAMPLE_EVERY, took * SAMPLE_PART))
    return True


def backlogs(connection: Connection) -> tuple[Backlog, ...]:
    """The cell's and the larger tenants', as last counted."""
    return tuple(Backlog(**row._mapping) for row in connection.execute(_KNOWN))


def _write(
    connection: Connection,
    found: list[Backlog],
    before: Mapping[str, Backlog],
    limits: BacklogLimits,
    now: datetime,
    next_at: datetime,
) -> None:
    judged = []
    for one in found:
        was = before.get(one.tenant_id)
        name = held_by(was=was.held_by if was else "", sample=one, limits=limits, now=now)
        since = (was.held_since if was and was.held_by else now) if name else None
        judged.append(msgspec.structs.replace(one, held_by=name, held_since=since))
    kept = [one for one in judged if one.tenant_id == CELL or one.held_by or _is_much(one, limits)]
    parameters = {
        "tenants": [one.tenant_id for one in kept],
        "underived": [one.underived for one in kept],
        "undelivered": [one.undelivered for one in kept],
        "oldest": [one.oldest_due_at for one in kept],
        "held_by": [one.held_by for one in kept],
        "since": [one.held_since for one in kept],
        "now": now,
        "next": next_at,
    }
    connection.execute(_WRITE, parameters)
    gone = sorted(set(before) - {one.tenant_id for one in kept})
    if gone:
        connection.execute(_DROP, {"tenants": gone})


def _is_much(one: Backlog, limits: BacklogLimits) -> bool:
    return (one.underived + one.undelivered) * 100 >= max(1, limits.tenant) * KEPT_FROM_PERCENT


class Pressure:
    """What one process knows of it. Safe for threads; reads the database at most once a second."""

    def __init__(self, *, database: Database, seconds: Callable[[], float] = time.monotonic) -> None:
        self._database, self._seconds = database, seconds
        self._lock = threading.Lock()
        self._held: Mapping[str, str] = {}
        self._read_at: float | None = None
        self._refused: dict[str, int] = {}

    def held(self, tenant_id: str) -> str:
        """The limit for which a tenant's intake is held back now, "" for none."""
        with self._lock:
            now = self._seconds()
            if self._read_at is None or now - self._read_at >= FRESH_SECONDS:
                self._read()
                self._read_at = now
            return self._held.get(CELL) or self._held.get(tenant_id, "")

    def refused(self, tenant_id: str) -> Problem | None:
        """The answer to what a tenant sends, None when it is taken in. Counted."""
        limit = self.held(tenant_id)
        if not limit:
            return None
        with self._lock:
            whose = CELL if self._held.get(CELL) else tenant_id
            self._refused[whose] = self._refused.get(whose, 0) + 1
        detail = f"what waits to be derived and delivered is beyond {limit}; it is being worked through"
        return problem("intake.held_back", detail, field=limit)

    def _read(self) -> None:
        refused, self._refused = self._refused, {}
        with self._database.control() as connection:
            if refused:
                ordered = sorted(refused)
                parameters = {"tenants": ordered, "refused": [refused[name] for name in ordered]}
                connection.execute(_REFUSED, parameters)
            since = moment(connection) - STALE_AFTER
            self._held = {row.tenant_id: row.held_by for row in connection.execute(_HELD, {"since": since})}
