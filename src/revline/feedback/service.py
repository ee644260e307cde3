"""The shell of the way back: claim roots whose standing may have changed, work out what is to be told, write it in one unit.

It comes after everything else and can stop nothing: what fails here parks its own root, with a case.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

import msgspec
from sqlalchemy import Connection

from revline.core.clock import Clock
from revline.core.documents import Rank
from revline.core.problem import Problem, problem
from revline.delivery.order import delivery_lane
from revline.delivery.standings import refused_connections
from revline.delivery.values import LANE_KIND as DELIVERY
from revline.feedback import record, telling
from revline.feedback.ports import Configurations, FeedbackConfiguration
from revline.feedback.reading import read_standings, relayed_roots
from revline.feedback.values import (
    ENDPOINT_GONE,
    LANE_KIND,
    SUBJECT_KIND,
    Message,
    RootStanding,
    Told,
    WriteBack,
    message_target,
    root_of_lane,
)
from revline.platform.cases.record import NewCase, open_cases, resolve_cases
from revline.platform.config.queries import first_position
from revline.platform.logs import log
from revline.platform.store.engine import Database
from revline.platform.store.unit import Unit
from revline.platform.work import record as work_record
from revline.platform.work import service as work
from revline.platform.work.epochs import Epoch
from revline.platform.work.lanes import ClaimedLane, finished, parked

ROOTS_PER_UNIT: Final = 50
SUBSCRIPTION: Final = "WebhookSubscription"


class Draft(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be told. messages: by target, oldest first. told: what each target was told before."""

    write_backs: tuple[WriteBack, ...]
    messages: Mapping[str, tuple[Message, ...]]
    told: Mapping[str, Told]

    def lanes(self, tenant_id: str) -> tuple[str, ...]:
        """The delivery lanes it writes to."""
        places = {(one.connection, one.target_id) for one in self.write_backs}
        places |= {(found[0].connection, target) for target, found in self.messages.items()}
        return tuple(
            delivery_lane(tenant_id=tenant_id, connection=connection, lane_key=target, rank=Rank.FEEDBACK)
            for connection, target in places
        )


class Feedback:
    """Runs feedback lanes. owner: this worker's id; every write is fenced by it."""

    def __init__(
        self,
        *,
        database: Database,
        configurations: Configurations,
        clock: Clock,
        owner: str,
        epoch: int,
        lease: timedelta = work.DEFAULT_LEASE,
    ) -> None:
        self._database, self._configurations, self._clock = database, configurations, clock
        self._owner, self._lease = owner, lease
        self.epoch = Epoch(number=epoch)

    def turn(self, *, limit: int = 200) -> int:
        """Claim up to `limit` due roots, fairly over tenants, and tell what is to be told of them; gives how many roots."""
        return work.run_due(
            self._database,
            kind=LANE_KIND,
            owner=self._owner,
            limit=limit,
            lanes_per_tenant=ROOTS_PER_UNIT,
            lanes_per_unit=ROOTS_PER_UNIT,
            lease=self._lease,
            unit=self._unit,
            give_up=self._give_up,
        )

    def _unit(self, tenant_id: str, claimed_at: datetime, lanes: Sequence[ClaimedLane]) -> None:
        configuration = self._configurations.feedback_configuration(tenant_id=tenant_id)
        with self._database.unit(
            tenants=[tenant_id],
            kind="feedback",
            actor=f"worker:{self._owner}",
            reason="what became of it changed",
            recorded_at=self._clock.now(),
        ) as unit:
            relayed: frozenset[str] = frozenset()
            if not isinstance(configuration, Problem) and configuration.tells:
                relayed = self._tell(unit, tenant_id, lanes, configuration)
            held = work_record.hold(unit.connection, owner=self._owner, lanes=lanes)
            mine = [lane for lane in lanes if lane.key in held]
            if relayed:
                record.ask(unit, tenant_id=tenant_id, root_ids=relayed)
            resolve_cases(
                unit,
                tenant_id=tenant_id,
                subject_kind=SUBJECT_KIND,
                subject_ids=[root_of_lane(lane.lane_id) for lane in mine],
            )
            changes = [finished(lane=lane) for lane in mine]
            work_record.change(unit.connection, owner=self._owner, changes=changes, now=claimed_at)

    def _tell(
        self, unit: Unit, tenant_id: str, lanes: Sequence[ClaimedLane], configuration: FeedbackConfiguration
    ) -> frozenset[str]:
        """Work out what is to be told; where it is anything, lock its lanes in order and work it out again for good."""
        through = unit.position_before(tenant_id=tenant_id)
        root_ids = [root_of_lane(lane.lane_id) for lane in lanes]
        standings = read_standings(
            unit.connection,
            tenant_id=tenant_id,
            root_ids=root_ids,
            entities=configuration.entities,
            through=through,
            with_links=bool(configuration.feedbacks),
        )
        first = draft(unit.connection, tenant_id, standings, configuration, through)
        if first.write_backs or first.messages:
            work_record.lock_lanes(unit, tenant_id=tenant_id, kind=DELIVERY, lane_ids=first.lanes(tenant_id))
            held = work_record.hold(unit.connection, owner=self._owner, lanes=lanes)
            ours = {root_of_lane(lane.lane_id) for lane in lanes if lane.key in held}
            mine = [one for one in standings if one.root_id in ours]
            final = draft(unit.connection, tenant_id, mine, configuration, through)
            self._write(unit, tenant_id, final, configuration, through)
        if not configuration.feedbacks:
            return frozenset()
        return relayed_roots(unit.connection, tenant_id=tenant_id, root_ids=root_ids)

    def _write(
        self, unit: Unit, tenant_id: str, final: Draft, configuration: FeedbackConfiguration, through: int
    ) -> None:
        writer = record.Writer(unit=unit, tenant_id=tenant_id, configuration=configuration, epoch=self.epoch.number)
        for one in final.write_backs:
            writer.write_back(one, final.told.get(one.target_id))
        endpoints = sorted({found[0].connection for found in final.messages.values()})
        gone = refused_connections(
            unit.connection, tenant_id=tenant_id, connections=endpoints, problem_code=ENDPOINT_GONE
        )
        for target, found in sorted(final.messages.items()):
            before = final.told.get(target)
            if found[0].connection in gone:
                if before is None or not before.owed:
                    writer.owe(found[0], before)
                continue
            writer.messages(found, before, through=through)
        writer.finish()

    def _give_up(self, tenant_id: str, claimed_at: datetime, lane: ClaimedLane) -> None:
        """Park a root with a case. It reads nothing of the root, since that may be what failed."""
        log().exception("feedback.root_failed", tenant_id=tenant_id, lane_id=lane.lane_id)
        cause = problem("internal.unexpected", "feedback failed on this record; the operator's log has the trace")
        with self._database.unit(
            tenants=[tenant_id],
            kind="feedback",
            actor=f"worker:{self._owner}",
            reason="feedback failed",
            recorded_at=self._clock.now(),
        ) as unit:
            if work_record.hold(unit.connection, owner=self._owner, lanes=[lane]):
                root_id = root_of_lane(lane.lane_id)
                case = NewCase(tenant_id=tenant_id, subject_kind=SUBJECT_KIND, subject_id=root_id, problem=cause)
                open_cases(unit, cases=[case])
                change = parked(lane=lane, code=cause.code)
                work_record.change(unit.connection, owner=self._owner, changes=[change], now=claimed_at)


def draft(
    connection: Connection,
    tenant_id: str,
    standings: Sequence[RootStanding],
    configuration: FeedbackConfiguration,
    through: int,
) -> Draft:
    """What is to be told of these roots, by what was told before."""
    wanted = [
        one for each in standings for one in telling.write_backs(standing=each, feedbacks=configuration.feedbacks)
    ]
    targets = {
        message_target(tenant_id=tenant_id, subscription=name, root_id=each.root_id): (name, each)
        for each in standings
        for name in configuration.subscriptions
    }
    told = record.told_of(connection, tenant_id=tenant_id, target_ids={one.target_id for one in wanted} | set(targets))
    begun = {
        name: first_position(connection, tenant_id=tenant_id, kind=SUBSCRIPTION, name=name)
        for name in configuration.subscriptions
    }
    messages: dict[str, tuple[Message, ...]] = {}
    for target, (name, each) in targets.items():
        before = told.get(target)
        found = telling.messages(
            standing=each,
            name=name,
            subscription=configuration.subscriptions[name],
            after=max(begun[name], 0 if before is None else before.through),
            through=through,
        )
        if found:
            messages[target] = found
    return Draft(write_backs=telling.due_write_backs(wanted=wanted, told=told), messages=messages, told=told)
