"""Housekeeping of a worker: what is past its published life is removed, in bounded pages; what holds back cleaning is told of.

Facts, journals, documents, their attempts and transitions, cases and the audit chain are kept for the tenant's life; nothing here
touches them. What is removed can be made anew, or is a copy of what stands elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Final

import msgspec

from revline.core.clock import Clock
from revline.delivery.housekeeping import forget_waits, needed_lanes
from revline.delivery.values import LANE_KIND as DELIVERY
from revline.derive.service import LANE_KIND as DERIVE
from revline.intake.housekeeping import forget_rereads
from revline.platform.access.housekeeping import forget_sessions
from revline.platform.bulk.housekeeping import forget_items
from revline.platform.bulk.service import LANE_KIND as BULK
from revline.platform.logs import log
from revline.platform.settings import Settings
from revline.platform.store.engine import Database
from revline.platform.store.housekeeping import forget_keys, holders
from revline.platform.tenancy.queries import active_tenants
from revline.platform.work import housekeeping as work
from revline.platform.work import queries as work_queries
from revline.platform.work.lanes import LaneKey

TENANTS_PER_UNIT: Final = 50
PAGES_PER_TURN: Final = 10
"""The most pages of one kind in a turn, so that a turn ends soon; what is left comes in the next one."""
PROCESSES_KEPT: Final = timedelta(days=7)


class Retention(msgspec.Struct, frozen=True, kw_only=True):
    """How long what may go is kept. every: the timer. long_transaction: what is told of."""

    lanes: timedelta = timedelta(days=30)
    acts: timedelta = timedelta(days=90)
    rereads: timedelta = timedelta(days=30)
    long_transaction: timedelta = timedelta(minutes=5)
    every: timedelta = timedelta(minutes=1)


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """What a turn removed, by what it was, and what holds back cleaning, in words."""

    removed: Mapping[str, int]
    holding: tuple[str, ...]


def retention_of(settings: Settings) -> Retention:
    """As the settings say."""
    return Retention(
        lanes=timedelta(days=settings.keep_lanes_days),
        acts=timedelta(days=settings.keep_acts_days),
        rereads=timedelta(days=settings.keep_rereads_days),
        long_transaction=timedelta(minutes=settings.long_transaction_minutes),
    )


class Keeper:
    """One worker's housekeeping. Several workers may do it at once: each page is taken by one of them."""

    def __init__(self, *, database: Database, clock: Clock, retention: Retention | None = None) -> None:
        self._database, self._clock = database, clock
        self.retention = retention or Retention()
        self._after: dict[str, LaneKey] = {}

    def turn(self) -> Kept:
        """One round over everything, bounded."""
        with self._database.control() as connection:
            now = work_queries.moment(connection)
            tenants = active_tenants(connection)
            found = holders(connection, now=now, older_than=self.retention.long_transaction)
        for one in found:
            log().warning("database.cleaning_held", count=one.transactions, application=one.name, state=one.state)
        removed = {f"{kind} lanes": self._lanes(kind) for kind in (DERIVE, BULK, DELIVERY)}
        removed["processes"] = work.forget_processes(self._database, before=now - PROCESSES_KEPT)
        removed["sessions"] = forget_sessions(self._database, before=self._clock.now())
        for start in range(0, len(tenants), TENANTS_PER_UNIT):
            for name, count in self._of_tenants(tenants[start : start + TENANTS_PER_UNIT]).items():
                removed[name] = removed.get(name, 0) + count
        kept = Kept(
            removed={name: count for name, count in removed.items() if count},
            holding=tuple(one.said(now) for one in found),
        )
        for name, count in kept.removed.items():
            log().info("keeping.removed", kind=name, count=count)
        return kept

    def _of_tenants(self, tenants: tuple[str, ...]) -> dict[str, int]:
        now, recorded_at = self._clock.now(), self._clock.now()
        database = self._database
        works: dict[str, Callable[[], int]] = {
            "idempotency keys": lambda: forget_keys(database, tenants=tenants, before=now, recorded_at=recorded_at),
            "records of acts": lambda: forget_items(
                database, tenants=tenants, before=now - self.retention.acts, recorded_at=recorded_at
            ),
            "rereads": lambda: forget_rereads(
                database, tenants=tenants, before=now - self.retention.rereads, recorded_at=recorded_at
            ),
            "waits": lambda: forget_waits(database, tenants=tenants, recorded_at=recorded_at),
        }
        return {name: _in_pages(remove) for name, remove in works.items()}

    def _lanes(self, kind: str) -> int:
        removed = 0
        with self._database.control() as connection:
            before = work_queries.moment(connection) - self.retention.lanes
        for _ in range(PAGES_PER_TURN):
            walked = work.remove_idle(
                self._database,
                kind=kind,
                after=self._after.get(kind, work.START),
                before=before,
                recorded_at=self._clock.now(),
                needed=needed_lanes if kind == DELIVERY else work.nobody,
            )
            self._after[kind], removed = walked.after, removed + walked.removed
            if walked.after == work.START:
                break
        return removed


def _in_pages(remove: Callable[[], int]) -> int:
    removed = 0
    for _ in range(PAGES_PER_TURN):
        found = remove()
        removed += found
        if not found:
            break
    return removed
