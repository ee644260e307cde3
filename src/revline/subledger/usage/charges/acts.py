"""What people do with charges: rate now, close a period or an entity's books, decide about late usage that is held.

Each act is an audited unit of work; lines are written by customers' runs alone, which the acts ask for.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any

from revline.core.clock import Clock
from revline.core.ids import SourceObject
from revline.core.problem import Mender, Problem, Retryable, define, problem
from revline.platform.cases.service import RetryHandler
from revline.platform.store.engine import Database
from revline.platform.work import record as work
from revline.subledger.usage.charges import queries, record
from revline.subledger.usage.charges.ports import Setups
from revline.subledger.usage.charges.setup import EVERY_METER, Touch
from revline.subledger.usage.charges.state import LANE_KIND, Decision, PeriodState
from revline.subledger.usage.metering.values import CUSTOMER

define(
    code="usage.charge_unknown",
    title="No such charge line",
    status=404,
    retryable=Retryable.NO,
    mender=Mender.SENDER,
    remedy="List the lines: `revline usage charges`.",
)
define(
    code="usage.no_events",
    title="This line is made of other lines",
    status=409,
    retryable=Retryable.NO,
    mender=Mender.SENDER,
    remedy="Ask for the events of the lines it is made of; its explanation names the figures.",
)
define(
    code="usage.period_unknown",
    title="No such billing period",
    status=404,
    retryable=Retryable.NO,
    mender=Mender.SENDER,
    remedy="List the periods: `revline usage periods`.",
)
define(
    code="usage.period_not_over",
    title="The billing period has not ended",
    status=409,
    retryable=Retryable.AFTER_FIX,
    mender=Mender.SENDER,
    remedy="Close it when it has ended.",
)
define(
    code="usage.not_held",
    title="This revision does not wait for a decision",
    status=409,
    retryable=Retryable.NO,
    mender=Mender.SENDER,
    remedy="Look at the line's newest revision, and decide about that.",
)
define(
    code="usage.entity_unknown",
    title="No connection of customers belongs to this legal entity",
    status=422,
    retryable=Retryable.NO,
    mender=Mender.SENDER,
    remedy="Name a LegalEntity that customers buy from.",
)
define(
    code="usage.books_not_over",
    title="Books can't be closed through a day to come",
    status=409,
    retryable=Retryable.NO,
    mender=Mender.SENDER,
    remedy="Close them through a day that is over.",
)


class ChargeActs:
    """Acts on one database's charges."""

    def __init__(self, *, database: Database, setups: Setups, clock: Clock) -> None:
        self._database, self._setups, self._clock = database, setups, clock

    def close_period(self, *, tenant_id: str, period_id: str, actor: str, reason: str) -> Problem | None:
        """Close a billing period that has ended; later usage of it is late. Closing it again changes nothing."""
        with self._unit(tenant_id, "usage_close", actor, reason) as unit:
            period = queries.period_by_id(unit.connection, tenant_id=tenant_id, period_id=period_id)
            if period is None:
                return problem("usage.period_unknown", f"no period {period_id[:40]!r}", field="period")
            if period.window.end > self._clock.now():
                return problem("usage.period_not_over", f"it ends at {period.window.end.isoformat()}", field="period")
            if period.state is PeriodState.OPEN:
                record.ask(unit, tenant_id=tenant_id, customers=[period.customer])
                record.close_period(unit, tenant_id=tenant_id, period_id=period_id)
        return None

    def close_books(self, *, tenant_id: str, entity: str, through: date, actor: str, reason: str) -> Problem | None:
        """An entity's books take no accruals of usage up to and with a day; what changes later counts after it."""
        setup = self._setups.charging_setup(tenant_id=tenant_id)
        if isinstance(setup, Problem):
            return setup
        if entity not in {seller.entity for seller in setup.sellers.values()}:
            return problem("usage.entity_unknown", f"{entity[:60]!r} sells nothing here", field="entity")
        if through >= self._clock.now().date():
            return problem("usage.books_not_over", f"{through.isoformat()} is not over", field="through")
        with self._unit(tenant_id, "usage_close_books", actor, reason) as unit:
            record.close_books(unit, tenant_id=tenant_id, entity=entity, through=through)
        return None

    def decide(
        self, *, tenant_id: str, charge_id: str, revision: int, decision: Decision, actor: str, reason: str
    ) -> Problem | None:
        """Say of a held revision that it counts, or that it never will."""
        with self._unit(tenant_id, f"usage_{decision.value}", actor, reason) as unit:
            found = queries.revisions_of(unit.connection, tenant_id=tenant_id, charge_id=charge_id, limit=1)
            if not found:
                return problem("usage.charge_unknown", f"no line {charge_id[:40]!r}", field="charge")
            newest = found[0]
            empty = not (newest.amount or newest.quantity or newest.events)
            if not newest.held or newest.revision != revision or empty or newest.subject.origin is None:
                return problem("usage.not_held", f"revision {revision} of {charge_id} is not held", field="revision")
            tick = queries.newest_tick(unit.connection, tenant_id=tenant_id)
            touch = Touch(customer=newest.subject.customer, window=newest.subject.origin, meter=EVERY_METER)
            record.ask(unit, tenant_id=tenant_id, customers=[newest.subject.customer])
            record.touch(unit, tenant_id=tenant_id, touches=[touch], position=0 if tick is None else tick.position)
            record.decide(unit, tenant_id=tenant_id, charge_id=charge_id, revision=revision, decision=decision)
        return None

    def _unit(self, tenant_id: str, kind: str, actor: str, reason: str) -> Any:
        return self._database.unit(
            tenants=[tenant_id], kind=kind, actor=actor, reason=reason, recorded_at=self._clock.now()
        )


def retry_handler(*, database: Database, clock: Clock) -> RetryHandler:
    """Computes customers again (a case's retry); gives how many."""

    def retry(*, tenant_id: str, subject_ids: Sequence[str], actor: str, reason: str) -> int:
        customers = [
            SourceObject(connection=connection, kind=CUSTOMER, outside_id=outside_id)
            for connection, _, outside_id in (each.partition("/") for each in subject_ids)
        ]
        with database.unit(
            tenants=[tenant_id], kind="request", actor=actor, reason=reason, recorded_at=clock.now()
        ) as unit:
            record.ask(unit, tenant_id=tenant_id, customers=customers)
            tick = queries.newest_tick(unit.connection, tenant_id=tenant_id)
            periods = [
                Touch(customer=each.customer, window=each.window, meter=EVERY_METER)
                for customer in customers
                for each in queries.periods_of(unit.connection, tenant_id=tenant_id, customer=customer)
            ]
            record.touch(unit, tenant_id=tenant_id, touches=periods, position=0 if tick is None else tick.position)
        return len(customers)

    return retry


def retry_lanes(*, database: Database, clock: Clock) -> RetryHandler:
    """Runs customers' lanes again whose run failed; gives how many."""

    def retry(*, tenant_id: str, subject_ids: Sequence[str], actor: str, reason: str) -> int:
        with database.unit(
            tenants=[tenant_id], kind="request", actor=actor, reason=reason, recorded_at=clock.now()
        ) as unit:
            work.request(unit, tenant_id=tenant_id, kind=LANE_KIND, lane_ids=subject_ids)
        return len(subject_ids)

    return retry
