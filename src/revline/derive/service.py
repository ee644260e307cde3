"""The shell of derive: claim roots, read what is known of them, plan each purely, write all of it in one unit of work.

Many roots of one tenant share a unit, since each unit is one step of the tenant's position counter. A root whose plan fails
unexpectedly is run alone and then parked, so it can't stop its neighbours.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Final

import msgspec
from sqlalchemy import Connection

from revline.core.clock import Clock
from revline.core.events import AppliedPayment
from revline.core.ids import root_id as root_id_of
from revline.core.problem import Mender, Problem, Retryable, define, problem
from revline.derive import credit, record, reprocess
from revline.derive.expectation import RootFacts
from revline.derive.planning import RootPlan, plan_root
from revline.derive.ports import Configurations, DeriveConfiguration, Told, nobody
from revline.derive.record import awaited_of
from revline.derive.roots import rule_of
from revline.intake import queries as fact_log
from revline.platform.logs import log
from revline.platform.store.engine import Database
from revline.platform.store.unit import Unit
from revline.platform.work import record as work_record
from revline.platform.work import service as work
from revline.platform.work.batches import batches_of, run_batch
from revline.platform.work.epochs import Epoch
from revline.platform.work.lanes import ClaimedLane, LaneChange, finished, parked
from revline.subledger.posting import queries as posting
from revline.subledger.usage.credits import record as credit_record

define(
    code="derive.configuration_missing",
    title="Nothing is configured for this record",
    status=409,
    retryable=Retryable.AFTER_FIX,
    mender=Mender.CONFIGURATION,
    remedy="Apply a configuration that gives the connection an entity with a book, then retry the cause.",
)

LANE_KIND: Final = "derive"
ROOTS_PER_UNIT: Final = 50
AWAITED_LIMIT: Final = timedelta(days=3)
"""How long a root waits for a record others refer to before people are told."""


class DeriveResult(msgspec.Struct, frozen=True, kw_only=True):
    """What one turn did."""

    roots: int
    events: int


class Derive:
    """Runs derive lanes. owner: this worker's id; every write is fenced by it. lease: of claimed roots.

    epoch: the cell's; what may have been derived in an earlier one is written with that. An old one costs look-ups, no doubles.
    """

    def __init__(
        self,
        *,
        database: Database,
        configurations: Configurations,
        clock: Clock,
        owner: str,
        epoch: int,
        lease: timedelta = work.DEFAULT_LEASE,
        told: Told = nobody,
    ) -> None:
        self._database = database
        self._configurations = configurations
        self._clock = clock
        self._owner = owner
        self.epoch = Epoch(number=epoch)
        self._lease = lease
        self._told = told

    def turn(self, *, limit: int = 200) -> DeriveResult:
        """Claim up to `limit` due roots, fairly over tenants, and derive them; zero roots when none is due."""
        claim = work.claim(
            self._database,
            kind=LANE_KIND,
            owner=self._owner,
            limit=limit,
            lanes_per_tenant=ROOTS_PER_UNIT,
            lease=self._lease,
        )
        events = 0
        for tenant_id, lanes in batches_of(claim.lanes, size=ROOTS_PER_UNIT):
            events += sum(
                run_batch(
                    lanes,
                    unit=partial(self._unit, tenant_id, claim.now),
                    give_up=partial(self._give_up, tenant_id, claim.now),
                )
            )
        return DeriveResult(roots=len(claim.lanes), events=events)

    def _unit(self, tenant_id: str, claimed_at: datetime, lanes: Sequence[ClaimedLane]) -> int:
        configuration = self._configurations.derive_configuration(tenant_id=tenant_id)
        with self._database.unit(
            tenants=[tenant_id],
            kind="derive",
            actor=f"worker:{self._owner}",
            reason="facts arrived",
            recorded_at=self._clock.now(),
        ) as unit:
            held = work_record.hold(unit.connection, owner=self._owner, lanes=lanes)
            mine = [lane for lane in lanes if lane.key in held]
            now = self._clock.now()
            seen_through = unit.position_before(tenant_id=tenant_id)
            known = known_roots(unit.connection, tenant_id, [lane.lane_id for lane in mine])
            wishes = reprocess.wishes_of(unit.connection, tenant_id=tenant_id, root_ids=list(known))
            plans: dict[str, RootPlan] = {}
            refused: dict[str, Problem] = {}
            if isinstance(configuration, Problem):
                refused = dict.fromkeys(known, configuration)
            else:
                plans, refused = plans_of(unit.connection, tenant_id, known, configuration, wishes)
            writer = record.Writer(
                unit=unit,
                tenant_id=tenant_id,
                epoch=self.epoch,
                deadline=now + AWAITED_LIMIT,
                seen_through=seen_through,
            )
            if not isinstance(configuration, Problem):
                writer.write_plans(plans=plans, known=known, configuration=configuration, reprocessed=wishes.asked)
            writer.write_refusals(
                refused=refused, roots={root_id: known[root_id].root for root_id in refused}, places=_places(known)
            )
            reprocess.conclude(unit, tenant_id=tenant_id, wishes=wishes, plans=plans)
            _tell_credits(unit, tenant_id, known)
            woken = _woken(unit.connection, tenant_id, plans, known)
            work_record.request(unit, tenant_id=tenant_id, kind=LANE_KIND, lane_ids=woken)
            self._told(unit, tenant_id=tenant_id, root_ids=_touched(tenant_id, plans) | refused.keys())
            again_at = claimed_at + reprocess.LOOK_AGAIN
            changes: list[LaneChange] = [
                finished(lane=lane, again_at=again_at if lane.lane_id in wishes.later else None) for lane in mine
            ]
            work_record.change(unit.connection, owner=self._owner, changes=changes, now=claimed_at)
        return sum(len(plan.bookings) for plan in plans.values())

    def _give_up(self, tenant_id: str, claimed_at: datetime, lane: ClaimedLane) -> int:
        """Park a root with a case. It reads no fact's content, since that may be what failed."""
        log().exception("derive.root_failed", tenant_id=tenant_id, root_id=lane.lane_id)
        cause = problem("internal.unexpected", "derive failed on this record; the operator's log has the trace")
        with self._database.unit(
            tenants=[tenant_id],
            kind="derive",
            actor=f"worker:{self._owner}",
            reason="derive failed",
            recorded_at=self._clock.now(),
        ) as unit:
            if work_record.hold(unit.connection, owner=self._owner, lanes=[lane]):
                root_id = lane.lane_id
                writer = record.Writer(unit=unit, tenant_id=tenant_id, epoch=self.epoch, deadline=self._clock.now())
                writer.write_refusals(
                    refused={root_id: cause},
                    roots=fact_log.root_sources(unit.connection, tenant_id=tenant_id, root_ids=[root_id]),
                    places={root_id: fact_log.places_of_root(unit.connection, tenant_id=tenant_id, root_id=root_id)},
                )
                change = parked(lane=lane, code=cause.code)
                work_record.change(unit.connection, owner=self._owner, changes=[change], now=claimed_at)
        return 0


def _woken(
    connection: Connection, tenant_id: str, plans: Mapping[str, RootPlan], known: Mapping[str, RootFacts]
) -> set[str]:
    """Roots that a fact of a planned one changes; of two facts that cross, the one derived later sees the other and wakes it.

    A root wakes others once for each fact of its own, never because it was woken: roots that name each other would go on for ever.
    """
    wakers = {root_id: plan for root_id, plan in plans.items() if plan.wakes}
    read = record.read_through(connection, tenant_id=tenant_id, root_ids=list(wakers))
    return {
        root_id_of(tenant=tenant_id, source=source)
        for root_id, plan in wakers.items()
        if any(fact.position > read.get(root_id, 0) for fact in known[root_id].facts)
        for source in plan.wakes
    } - plans.keys()


def _tell_credits(unit: Unit, tenant_id: str, known: Mapping[str, RootFacts]) -> None:
    """The room of credits keeps the newest snapshot of grants and refunds, and settles whoever has them."""
    found = credit.known_of(known)
    for source, snapshot in found.snapshots:
        credit_record.keep(unit, tenant_id=tenant_id, source=source, snapshot=snapshot)
    credit_record.ask(unit, tenant_id=tenant_id, customers=found.customers)


def _touched(tenant_id: str, plans: Mapping[str, RootPlan]) -> set[str]:
    """The planned roots, and the payments that were applied to them: how much of those is left has changed too."""
    payloads = (booking.event.payload for plan in plans.values() for booking in plan.bookings)
    paid_by = {payload.payment for payload in payloads if isinstance(payload, AppliedPayment)}
    return {*plans, *(root_id_of(tenant=tenant_id, source=payment) for payment in paid_by)}


def _places(known: Mapping[str, RootFacts]) -> dict[str, list[tuple[int, int]]]:
    return {root_id: [(fact.position, fact.ordinal) for fact in root.facts] for root_id, root in known.items()}


def known_roots(connection: Connection, tenant_id: str, root_ids: Sequence[str]) -> dict[str, RootFacts]:
    """Each root with all its facts and the facts that answer its needs, in a few queries for all of them."""
    sources = fact_log.root_sources(connection, tenant_id=tenant_id, root_ids=root_ids)
    facts = fact_log.facts_of_roots(connection, tenant_id=tenant_id, root_ids=list(sources))
    needs = {root_id: rule_of(source.kind).needs(facts[root_id]) for root_id, source in sources.items()}
    wanted = {root_id: {need: awaited_of(need, sources[root_id]) for need in needs[root_id]} for root_id in sources}
    found = fact_log.facts_by_names(
        connection, tenant_id=tenant_id, wanted={one for pairs in wanted.values() for one in pairs.values()}
    )
    return {
        root_id: RootFacts(
            root=source,
            facts=facts[root_id],
            found={need: found[one] for need, one in wanted[root_id].items() if found.get(one)},
        )
        for root_id, source in sorted(sources.items())
    }


def plans_of(
    connection: Connection,
    tenant_id: str,
    known: Mapping[str, RootFacts],
    configuration: DeriveConfiguration,
    wishes: reprocess.Wishes,
) -> tuple[dict[str, RootPlan], dict[str, Problem]]:
    """A plan for every root whose connection belongs to an entity with a book; a problem for the others.

    A wish that can't be carried out is a problem of its root's plan; the root's facts are derived all the same.
    """
    booked = posting.events_of_roots(connection, tenant_id=tenant_id, root_ids=list(known))
    event_ids = [event_id for events in booked.values() for event_id in events]
    stored = posting.journals_of_events(connection, tenant_id=tenant_id, event_ids=event_ids) if event_ids else {}
    journals = {(one.entry.event_id, one.entry.book): one.entry for found in stored.values() for one in found}
    plans: dict[str, RootPlan] = {}
    refused: dict[str, Problem] = {}
    for root_id, root in known.items():
        scope = configuration.scopes.get(root.root.connection)
        if scope is None or not configuration.setup.books_of(scope.entity):
            refused[root_id] = problem(
                "derive.configuration_missing",
                f"connection {root.root.connection} has no entity with a book in version {configuration.version}",
                field=root.root.connection,
            )
            continue
        plan = partial(
            plan_root,
            known=root,
            scope=scope,
            setup=configuration.setup,
            booked=booked.get(root_id, {}),
            journals=journals,
        )
        plans[root_id] = plan(reprocess=root_id in wishes.asked)
        why = (
            reprocess.refusal(connection, tenant_id=tenant_id, plan=plans[root_id]) if root_id in wishes.asked else None
        )
        if why is not None:
            plans[root_id] = reprocess.refused(plan(), why)
    return plans, refused
