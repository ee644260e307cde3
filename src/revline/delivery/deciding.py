"""Decides for the heads of claimed lanes: reads them, resolves their far sides, prepares what is to be sent. Writes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final, cast

import msgspec
import psycopg
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from revline.core.farside import EntityMapping, ErpConnector
from revline.core.problem import Problem
from revline.delivery import loading
from revline.delivery.decide import decide, refused_state
from revline.delivery.marking import Ready
from revline.delivery.outcome import settle
from revline.delivery.pauses import Uniform
from revline.delivery.plan import Plan
from revline.delivery.ports import Directory, Journals
from revline.delivery.settlements import Settlement, context_of, failed_here
from revline.delivery.values import (
    Decided,
    Done,
    FarSide,
    Head,
    Hold,
    Later,
    Loaded,
    LookUp,
    Refuse,
    Send,
    Timing,
    WaitFor,
)
from revline.delivery.waiting import Waiting
from revline.platform.logs import log
from revline.platform.store.engine import Database
from revline.platform.work.epochs import Epoch
from revline.platform.work.lanes import ClaimedLane

NOWHERE: Final = FarSide(
    connector=cast(ErpConnector, None),
    mapping=EntityMapping(company="", accounts={}),
    functional_currency="",
    pool_id="",
    configuration_version=0,
)
"""Stands in where no far side could be resolved; such a head is only ever refused."""
DATABASE_AWAY: Final = (
    OperationalError,
    InterfaceError,
    PoolTimeoutError,
    psycopg.OperationalError,
    psycopg.InterfaceError,
)
"""What is sent straight through the driver raises psycopg's own errors, other statements SQLAlchemy's. The same turn runs again;
answers are kept."""


class Decisions(msgspec.Struct, kw_only=True):
    """What is to be done for the heads of some lanes. settlements: to be written at once. strays: lanes without a document."""

    ready: list[Ready] = []
    settlements: list[Settlement] = []
    waits: list[Waiting] = []
    strays: tuple[ClaimedLane, ...] = ()


class Decider:
    """Decides with what one process knows: configuration, plans, epoch. uniform: randomness for pauses."""

    def __init__(
        self,
        *,
        database: Database,
        directory: Directory,
        journals: Journals,
        plans: Plan,
        epoch: Epoch,
        timing: Timing,
        uniform: Uniform,
    ) -> None:
        self._database, self._directory, self._journals = database, directory, journals
        self._plans, self._timing, self._uniform = plans, timing, uniform
        self.epoch = epoch

    def decide(self, lanes: Sequence[ClaimedLane], *, now: datetime) -> Decisions:
        """What is to be done for these lanes' heads. now: database time. Raises what a database raises that is away."""
        tenants = sorted({lane.tenant_id for lane in lanes})
        with self._database.read(tenants=tenants) as connection:
            loaded = loading.load(connection, lanes=lanes, journals=self._journals)
        for lane in loaded.strays:
            log().error("delivery.head_without_document", tenant_id=lane.tenant_id, lane_id=lane.lane_id)
        found = Decisions(strays=loaded.strays)
        for head in loaded.heads:
            try:
                self._decide_one(head, loaded.closed, found, now)
            except DATABASE_AWAY:
                raise
            except Exception as error:  # noqa: BLE001 - a document our own code fails on parks its own lane only
                lane = head.lane
                log().error("delivery.undecidable", tenant_id=lane.tenant_id, lane_id=lane.lane_id, exc_info=error)
                found.settlements.append(self._refusal(Head(loaded=head, far=NOWHERE), failed_here(), now))
        return found

    def _decide_one(
        self, loaded: Loaded, closed: Sequence[loading.ClosedPeriod], found: Decisions, now: datetime
    ) -> None:
        standing = loaded.standing
        far = self._directory.far_side(
            tenant_id=standing.tenant_id, connection=standing.connection, entity=standing.entity
        )
        if isinstance(far, Problem):
            found.settlements.append(self._refusal(Head(loaded=loaded, far=NOWHERE), far, now))
            return
        self._plans.learn(far)
        head = Head(loaded=_with_period(loaded, closed, far), far=far)
        policy = self._directory.held(tenant_id=standing.tenant_id, document=loaded.document)
        decision = decide(head=head, now=now, epoch=self.epoch, policy=policy)
        match decision:
            case Send():
                prepared = far.connector.prepare(document=loaded.document, step=decision.step, context=context_of(head))
                if isinstance(prepared, Problem):
                    found.settlements.append(self._refusal(head, prepared, now))
                else:
                    found.ready.append(Ready(head=head, decision=decision, prepared=prepared))
            case LookUp():
                found.ready.append(Ready(head=head, decision=decision))
            case WaitFor():
                found.waits.append(Waiting(head=head, decision=decision))
            case Later() | Hold() | Refuse() | Done():
                result = Decided(head=head, decision=decision)
                found.settlements.append(settle(result=result, now=now, timing=self._timing, uniform=self._uniform))

    def _refusal(self, head: Head, why: Problem, now: datetime) -> Settlement:
        refuse = Refuse(problem=why, state=refused_state(head.loaded.standing.state))
        return settle(result=Decided(head=head, decision=refuse), now=now, timing=self._timing, uniform=self._uniform)


def _with_period(loaded: Loaded, closed: Sequence[loading.ClosedPeriod], far: FarSide) -> Loaded:
    day = loaded.document.accounting_date
    if day is None:
        return loaded
    for period in closed:
        if (
            period.tenant_id == loaded.standing.tenant_id
            and period.connection == loaded.standing.connection
            and period.company == far.mapping.company
            and period.start_day <= day < period.end_day
        ):
            return msgspec.structs.replace(loaded, closed=period.name)
    return loaded
