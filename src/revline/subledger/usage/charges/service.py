"""The shell of charging: claim customers that are due, read what is known of them, rate what was touched, write it in one unit.

Many customers of a tenant share a batch: one query a meter and one unit of work for all of them. The usage log is read with no
transaction open. A customer whose run fails unexpectedly is run alone and then parked, so it can't stop its neighbours.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

import msgspec

from revline.core.clock import Clock
from revline.core.ids import SourceObject, uuid7
from revline.core.problem import Problem, ProblemError, problem
from revline.intake.values import Channel, Channels
from revline.platform.cases.record import NewCase, open_cases
from revline.platform.logs import log
from revline.platform.store.engine import Database
from revline.platform.work import record as work_record
from revline.platform.work import service as work
from revline.platform.work.lanes import ClaimedLane, LaneChange, finished, parked, retried
from revline.subledger.usage.charges import queries, record
from revline.subledger.usage.charges.booking import Rated
from revline.subledger.usage.charges.measuring import rate_dues
from revline.subledger.usage.charges.planning import CustomerPlan, plan_customer
from revline.subledger.usage.charges.ports import (
    CommitmentsAlone,
    Credits,
    Meters,
    Setups,
    Subscriptions,
    no_subscriptions,
)
from revline.subledger.usage.charges.rating import Due, configuration_of, due_periods
from revline.subledger.usage.charges.reading import customer_states
from revline.subledger.usage.charges.setup import ChargingSetup
from revline.subledger.usage.charges.state import LANE_KIND, CustomerState, Tick
from revline.subledger.usage.charges.statements import Settled

CUSTOMERS_PER_UNIT: Final = 500
LEASE: Final = timedelta(minutes=2)
LOOK_AGAIN: Final = timedelta(seconds=30)
"""After the log could not be read."""


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """What a batch works with. states: by lane. settled: by customer."""

    tick: Tick
    setups: Mapping[int, ChargingSetup]
    states: Mapping[str, CustomerState]
    settled: Mapping[SourceObject, Settled]


class Charging:
    """Runs customers' lanes. owner: this worker's id; every write is fenced by it. paying: prepaid credits, if any are kept."""

    def __init__(
        self,
        *,
        database: Database,
        setups: Setups,
        meters: Meters,
        channels: Channels,
        clock: Clock,
        random_bytes: Callable[[int], bytes],
        owner: str,
        paying: Credits | None = None,
        subscriptions: Subscriptions = no_subscriptions,
        lease: timedelta = LEASE,
    ) -> None:
        self._database, self._setups, self._meters, self._channels = database, setups, meters, channels
        self._clock, self._random_bytes, self._owner, self._lease = clock, random_bytes, owner, lease
        self._credits: Credits = paying or CommitmentsAlone()
        self._subscriptions = subscriptions

    def turn(self, *, limit: int = CUSTOMERS_PER_UNIT) -> int:
        """Claim up to `limit` due customers, fairly over tenants, and compute their charges; gives how many customers."""
        return work.run_due(
            self._database,
            kind=LANE_KIND,
            owner=self._owner,
            limit=limit,
            lanes_per_tenant=CUSTOMERS_PER_UNIT,
            lanes_per_unit=CUSTOMERS_PER_UNIT,
            lease=self._lease,
            unit=self._batch,
            give_up=self._give_up,
        )

    def _batch(self, tenant_id: str, claimed_at: datetime, lanes: Sequence[ClaimedLane]) -> None:
        found = self._read(tenant_id, [lane.lane_id for lane in lanes])
        if isinstance(found, Problem):
            again = [retried(lane=lane, due_at=claimed_at + LOOK_AGAIN) for lane in lanes]
            self._release(tenant_id, again, claimed_at)
            return
        if found is None:
            self._release(tenant_id, [finished(lane=lane) for lane in lanes], claimed_at)
            return
        dues = {
            lane: due_periods(setups=found.setups, state=state, tick=found.tick) for lane, state in found.states.items()
        }
        try:
            rated = rate_dues(
                meters=self._meters,
                setups=found.setups,
                tick=found.tick,
                dues=[due for mine in dues.values() for due in mine],
            )
        except ProblemError as failure:
            log().warning("usage.log_unreadable", tenant_id=tenant_id, code=failure.problem.code)
            again = [retried(lane=lane, due_at=claimed_at + LOOK_AGAIN) for lane in lanes]
            self._release(tenant_id, again, claimed_at)
            return
        plans = {lane: self._plan(found, state, dues[lane], rated) for lane, state in found.states.items()}
        self._write(tenant_id, claimed_at, lanes, found.tick, plans)

    def _plan(self, found: Found, state: CustomerState, dues: Sequence[Due], rated: Rated) -> CustomerPlan:
        return plan_customer(
            setups=found.setups,
            tick=found.tick,
            state=state,
            dues=dues,
            rated=rated,
            settled=found.settled.get(state.customer),
        )

    def _read(self, tenant_id: str, lane_ids: Sequence[str]) -> Found | Problem | None:
        """Everything known of these lanes' customers as of the newest tick; None before the first."""
        with self._database.read(tenants=[tenant_id]) as connection:
            tick = queries.newest_tick(connection, tenant_id=tenant_id)
            if tick is None:
                return None
            states = customer_states(connection, tenant_id=tenant_id, lane_ids=lane_ids, tick=tick)
            customers = {state.customer for state in states.values()}
            subscribed = self._subscriptions(connection, tenant_id=tenant_id, customers=customers)
        states = {
            lane: msgspec.structs.replace(state, subscribed=frozenset(subscribed.get(state.customer, ())))
            for lane, state in states.items()
        }
        setups = self._setups_of(tenant_id, tick, states)
        if isinstance(setups, Problem):
            return setups
        with self._database.read(tenants=[tenant_id]) as connection:
            settled = self._credits.settled(connection, setup=setups[tick.configuration], customers=customers)
        return Found(tick=tick, setups=setups, states=states, settled=settled)

    def _setups_of(
        self, tenant_id: str, tick: Tick, states: Mapping[str, CustomerState]
    ) -> dict[int, ChargingSetup] | Problem:
        """The configuration of the tick, and of every run that closed a period of these customers."""
        wanted = {tick.configuration} | {
            configuration_of(state, tick, period.window) for state in states.values() for period in state.periods
        }
        setups: dict[int, ChargingSetup] = {}
        for version in sorted(wanted):
            setup = self._setups.charging_setup_at(tenant_id=tenant_id, version=version)
            if isinstance(setup, Problem):
                return setup
            setups[version] = setup
        return setups

    def _write(
        self,
        tenant_id: str,
        claimed_at: datetime,
        lanes: Sequence[ClaimedLane],
        tick: Tick,
        plans: Mapping[str, CustomerPlan],
    ) -> None:
        work.renew(self._database, owner=self._owner, lanes=lanes, lease=self._lease)
        channels = self._channels_of(tenant_id, plans)
        with self._database.unit(
            tenants=[tenant_id],
            kind="charge",
            actor=f"worker:{self._owner}",
            reason=f"usage as of tick {tick.position}",
            recorded_at=self._clock.now(),
        ) as unit:
            held = work_record.hold(unit.connection, owner=self._owner, lanes=lanes)
            mine = [lane for lane in lanes if lane.key in held]
            ours = [plans[lane.lane_id] for lane in mine if lane.lane_id in plans]
            able = [plan for plan in ours if plan.customer.connection in channels]
            unable = [plan for plan in ours if plan.customer.connection not in channels]
            cases = record.write_plans(
                unit, tenant_id=tenant_id, channels=channels, plans=able, tick=tick, new_id=self._new_id
            )
            record.conclude(
                unit, tenant_id=tenant_id, customers=[plan.customer for plan in able], kept_cases=cases, tick=tick
            )
            record.refuse(unit, tenant_id=tenant_id, customers=[plan.customer for plan in unable])
            self._credits.revised(
                unit, tenant_id=tenant_id, customers=[plan.customer for plan in able if plan.revisions]
            )
            changes: list[LaneChange] = [finished(lane=lane) for lane in mine]
            work_record.change(unit.connection, owner=self._owner, changes=changes, now=claimed_at)

    def _channels_of(self, tenant_id: str, plans: Mapping[str, CustomerPlan]) -> dict[str, Channel]:
        """Through which connection each customer's accounting events go into the log."""
        names = {plan.customer.connection for plan in plans.values()}
        found = {name: self._channels.channel(tenant_id=tenant_id, connection=name) for name in sorted(names)}
        return {name: channel for name, channel in found.items() if isinstance(channel, Channel)}

    def _release(self, tenant_id: str, changes: Sequence[LaneChange], claimed_at: datetime) -> None:
        with self._database.unit(
            tenants=[tenant_id],
            kind="charge",
            actor=f"worker:{self._owner}",
            reason="nothing to compute now",
            recorded_at=self._clock.now(),
        ) as unit:
            work_record.hold(unit.connection, owner=self._owner, lanes=[each.lane for each in changes])
            work_record.change(unit.connection, owner=self._owner, changes=changes, now=claimed_at)

    def _give_up(self, tenant_id: str, claimed_at: datetime, lane: ClaimedLane) -> None:
        """Park a customer with a case. It reads nothing of the customer, since that may be what failed."""
        log().exception("usage.run_failed", tenant_id=tenant_id, lane_id=lane.lane_id)
        cause = problem("internal.unexpected", "computing charges failed; the operator's log has the trace")
        with self._database.unit(
            tenants=[tenant_id],
            kind="charge",
            actor=f"worker:{self._owner}",
            reason="computing charges failed",
            recorded_at=self._clock.now(),
        ) as unit:
            if work_record.hold(unit.connection, owner=self._owner, lanes=[lane]):
                case = NewCase(
                    tenant_id=tenant_id, subject_kind=record.LANE_SUBJECT, subject_id=lane.lane_id, problem=cause
                )
                open_cases(unit, cases=[case])
                change = parked(lane=lane, code=cause.code)
                work_record.change(unit.connection, owner=self._owner, changes=[change], now=claimed_at)

    def _new_id(self, moment: datetime) -> str:
        return str(uuid7(now=moment, random_bytes=self._random_bytes))
