"""Ticks: when a tenant's charges are computed, and of what. A tick is a fact of our own with the usage log's version and the time.

What changed since the tick before is asked of metering; periods whose time has come and customers a configuration names are added.
Runs compute at the newest tick, never at the present moment, so a replay of the ticks gives the same charges.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final

import msgspec
from sqlalchemy import Connection

from revline.core.clock import Clock
from revline.core.ids import lane_id
from revline.core.problem import Problem
from revline.platform.store.engine import Database
from revline.platform.store.unit import position_now
from revline.platform.work import record as work_record
from revline.subledger.usage.charges import queries, record
from revline.subledger.usage.charges.ports import (
    CommitmentsAlone,
    Credits,
    Meters,
    Setups,
    Subscriptions,
    Versions,
    no_subscriptions,
)
from revline.subledger.usage.charges.setup import (
    EVERY_METER,
    ChargingSetup,
    Touch,
    plan_periods,
    standing_periods,
)
from revline.subledger.usage.charges.state import Tick, customer_lane
from revline.subledger.usage.metering.values import Touched
from revline.subledger.usage.versions import UsageVersion

TICK_KIND: Final = "usage_tick"
DEFAULT_EVERY: Final = timedelta(minutes=15)
BEGINNING: Final = UsageVersion(watermarks=())


class Ticked(msgspec.Struct, frozen=True, kw_only=True):
    """What a tick asked for. periods: (customer, period, meter) to rate. customers: whose charges are computed."""

    periods: int
    customers: int


class Ticker:
    """Makes ticks of one database's tenants. every: how far apart at least while usage comes in."""

    def __init__(
        self,
        *,
        database: Database,
        setups: Setups,
        meters: Meters,
        versions: Versions,
        clock: Clock,
        owner: str,
        subscriptions: Subscriptions = no_subscriptions,
        paying: Credits | None = None,
        every: timedelta = DEFAULT_EVERY,
    ) -> None:
        self._database, self._setups, self._meters, self._versions = database, setups, meters, versions
        self._clock, self._owner, self._subscriptions, self._every = clock, owner, subscriptions, every
        self._credits: Credits = paying or CommitmentsAlone()
        self._looked: dict[str, datetime] = {}
        """When this process looked last and found nothing worth a tick, so that it does not look again each second."""

    def sweep(self, *, tenant_id: str) -> int:
        """Timer: a tick if one is due; gives how many customers it asked to compute."""
        setup = self._setups.charging_setup(tenant_id=tenant_id)
        if isinstance(setup, Problem) or not (setup.prices or setup.commitments):
            return 0
        now = self._clock.now()
        with self._database.read(tenants=[tenant_id]) as connection:
            last = queries.newest_tick(connection, tenant_id=tenant_id)
            # What was due at the last tick was asked for then; one that stands still must not make a tick a second.
            look_at = None if last is None else queries.next_look(connection, tenant_id=tenant_id, after=last.as_of)
        came = look_at is not None and look_at <= now
        looked = self._looked.get(tenant_id)
        since = None if last is None else max(last.as_of, looked or last.as_of)
        if since is not None and not came and now - since < self._every:
            return 0
        self._looked[tenant_id] = now
        made = self.tick(tenant_id=tenant_id, actor=f"worker:{self._owner}", reason="usage is rated")
        return 0 if isinstance(made, Problem) else made.customers

    def tick(self, *, tenant_id: str, actor: str, reason: str) -> Ticked | Problem:
        """A tick now: what changed since the last one, at the log's present version."""
        setup = self._setups.charging_setup(tenant_id=tenant_id)
        if isinstance(setup, Problem):
            return setup
        now = self._clock.now()
        with self._database.read(tenants=[tenant_id]) as connection:
            last = queries.newest_tick(connection, tenant_id=tenant_id)
            position = position_now(connection, tenant_id=tenant_id)
        version = self._versions.current_version(tenant_id=tenant_id)
        touched = self._meters.touched(
            tenant_id=tenant_id,
            catalogue=setup.catalogue,
            since=self._since(setup, last),
            until=version,
            position=0 if last is None else last.read_position,
        )
        if isinstance(touched, Problem):
            return touched
        with self._database.read(tenants=[tenant_id]) as connection:
            touches, others = self._asked(connection, setup, touched, last, now)
        with self._database.unit(
            tenants=[tenant_id], kind="usage_tick", actor=actor, reason=reason, recorded_at=now
        ) as unit:
            lane = lane_id(tenant=tenant_id, kind=TICK_KIND, key=tenant_id)
            work_record.lock_lanes(unit, tenant_id=tenant_id, kind=TICK_KIND, lane_ids=[lane])
            newest = queries.newest_tick(unit.connection, tenant_id=tenant_id)
            if _position(newest) != _position(last):
                return Ticked(
                    periods=0, customers=0
                )  # somebody else's tick came between; the next one sees what changed since
            if last is not None and not touches and not others and _same(last, version, setup):
                return Ticked(periods=0, customers=0)
            record.write_tick(
                unit,
                tenant_id=tenant_id,
                usage_version=version,
                as_of=now,
                configuration=setup.version,
                read_position=position,
                touches=touches,
                others=others,
            )
        customers = {each.customer for each in touches}
        return Ticked(periods=len(touches), customers=len(customers) + len(others))

    def _since(self, setup: ChargingSetup, last: Tick | None) -> UsageVersion:
        """From which version on usage is looked at. A new meter or price counts what came before it: then all of it."""
        if last is None:
            return BEGINNING
        if last.configuration == setup.version:
            return last.usage_version
        before = self._setups.charging_setup_at(tenant_id=setup.tenant_id, version=last.configuration)
        same = isinstance(before, ChargingSetup) and (before.catalogue, before.prices) == (
            setup.catalogue,
            setup.prices,
        )
        return last.usage_version if same else BEGINNING

    def _asked(
        self,
        connection: Connection,
        setup: ChargingSetup,
        touched: Iterable[Touched],
        last: Tick | None,
        now: datetime,
    ) -> tuple[tuple[Touch, ...], frozenset[str]]:
        tenant_id = setup.tenant_id
        changed = list(touched)
        customers = {each.customer for each in changed}
        found = set(
            plan_periods(
                setup,
                touched=changed,
                as_of=now,
                subscriptions=self._subscriptions(connection, tenant_id=tenant_id, customers=customers),
            )
        )
        standing = standing_periods(setup, since=now if last is None else last.as_of, as_of=now)
        known = queries.known_periods(connection, tenant_id=tenant_id, customers={each.customer for each in standing})
        found.update(each for each in standing if (each.customer, each.window) not in known)
        if last is not None and last.configuration != setup.version:
            found.update(
                Touch(customer=customer, window=window, meter=EVERY_METER)
                for customer, window in queries.open_periods(connection, tenant_id=tenant_id)
            )
        credited = self._credits.changed(
            connection, tenant_id=tenant_id, position=0 if last is None else last.read_position
        )
        others = queries.lanes_to_look_at(connection, tenant_id=tenant_id, as_of=now) | {
            customer_lane(tenant_id=tenant_id, customer=customer) for customer in credited
        }
        return tuple(sorted(found)), others


def _same(last: Tick, version: UsageVersion, setup: ChargingSetup) -> bool:
    """Whether neither the log nor the configuration went on since a tick."""
    return last.usage_version == version and last.configuration == setup.version


def _position(tick: Tick | None) -> int:
    return 0 if tick is None else tick.position
