"""The shell that keeps the ledger: claims customers that something changed for, settles each and posts the differences.

Everything of one customer is settled anew each time, from its grants, refunds and charge lines; the ledger says what is new.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from typing import Final

import msgspec
from sqlalchemy import Connection

from revline.core.canonical import CreditGrant, CreditRefund
from revline.core.clock import Clock
from revline.core.ids import SourceObject, uuid7
from revline.core.problem import Problem, ProblemError, problem
from revline.intake.values import Channels
from revline.platform.cases.record import NewCase, open_cases
from revline.platform.cases.service import RetryHandler
from revline.platform.logs import log
from revline.platform.store.engine import Database
from revline.platform.store.unit import Unit
from revline.platform.work import record as work_record
from revline.platform.work import service as work
from revline.platform.work.lanes import ClaimedLane, finished, parked
from revline.subledger.usage.credits import queries, record
from revline.subledger.usage.credits.deltas import deltas
from revline.subledger.usage.credits.facts import TRANSLATOR
from revline.subledger.usage.credits.lines import lines_of
from revline.subledger.usage.credits.ports import Charges, CreditSetup, Setups, no_charges
from revline.subledger.usage.credits.settling import settle
from revline.subledger.usage.credits.values import Statement

HOLDERS_PER_UNIT: Final = 20


class Settled(msgspec.Struct, frozen=True, kw_only=True):
    """A customer's statement with what it was settled from."""

    statement: Statement
    grants: tuple[CreditGrant, ...]
    refunds: tuple[CreditRefund, ...]


def settle_customer(
    connection: Connection,
    *,
    tenant_id: str,
    customer: SourceObject,
    setup: CreditSetup,
    charges: Charges,
    at: datetime,
) -> Settled | Problem:
    """The statement of a customer as of `at`, from all that is known. Writes nothing. Problems: `connection.unknown`,
    `credits.too_many`."""
    zone = setup.zones.get(customer.connection)
    if zone is None:
        return problem(
            "connection.unknown", f"no entity sells at {customer.connection[:60]!r}", field=customer.connection
        )
    holder = record.holder_of(tenant_id=tenant_id, customer=customer)
    grants = queries.grants_of(connection, tenant_id=tenant_id, holder_id=holder)
    refunds = queries.refunds_of(connection, tenant_id=tenant_id, holder_id=holder)
    known = charges(connection, tenant_id=tenant_id, customer=customer)
    found = settle(
        tenant_id=tenant_id,
        lines=lines_of(tenant_id=tenant_id, charges=known.charges, closed_until=known.closed_until),
        commitments=[one for one in setup.commitments if one.customer == customer],
        grants=grants,
        refunds=refunds,
        at=at,
        time_zone=zone,
        closed_until=known.closed_until,
    )
    return found if isinstance(found, Problem) else Settled(statement=found, grants=grants, refunds=refunds)


class CreditKeeper:
    """Runs credit lanes. owner: this worker's id; every write is fenced by it."""

    def __init__(
        self,
        *,
        database: Database,
        setups: Setups,
        channels: Channels,
        clock: Clock,
        random_bytes: Callable[[int], bytes],
        owner: str,
        charges: Charges = no_charges,
        lease: timedelta = work.DEFAULT_LEASE,
    ) -> None:
        self._database, self._setups, self._channels = database, setups, channels
        self._clock, self._random_bytes = clock, random_bytes
        self._owner, self._charges, self._lease = owner, charges, lease

    def turn(self, *, limit: int = 100) -> int:
        """Claim up to `limit` due customers, fairly over tenants, and settle them; gives how many."""
        return work.run_due(
            self._database,
            kind=record.LANE_KIND,
            owner=self._owner,
            limit=limit,
            lanes_per_tenant=HOLDERS_PER_UNIT,
            lanes_per_unit=HOLDERS_PER_UNIT,
            lease=self._lease,
            unit=self._unit,
            give_up=self._give_up,
        )

    def sweep(self, *, tenant_id: str) -> int:
        """Timer: asks for customers whose credits expire or whose window has ended by now; gives how many."""
        now = self._clock.now()
        with self._database.read(tenants=[tenant_id]) as connection:
            customers = queries.due(connection, tenant_id=tenant_id, now=now)
        if customers:
            with self._opened(tenant_id, "credits expire") as unit:
                record.ask(unit, tenant_id=tenant_id, customers=customers)
        return len(customers)

    def _unit(self, tenant_id: str, claimed_at: datetime, lanes: Sequence[ClaimedLane]) -> None:
        setup = self._setups.credit_setup(tenant_id=tenant_id)
        if isinstance(setup, Problem):
            raise ProblemError(setup)
        with self._opened(tenant_id, "grants, use or time changed") as unit:
            held = work_record.hold(unit.connection, owner=self._owner, lanes=lanes)
            mine = [lane for lane in lanes if lane.key in held]
            holders = queries.holders_by_id(
                unit.connection, tenant_id=tenant_id, holder_ids=[lane.lane_id for lane in mine]
            )
            for _, customer in sorted(holders.items()):
                self._settle(unit, tenant_id, customer, setup)
            changes = [finished(lane=lane) for lane in mine]
            work_record.change(unit.connection, owner=self._owner, changes=changes, now=claimed_at)

    def _settle(self, unit: Unit, tenant_id: str, customer: SourceObject, setup: CreditSetup) -> None:
        channel = self._channels.channel(tenant_id=tenant_id, connection=customer.connection)
        found = settle_customer(
            unit.connection,
            tenant_id=tenant_id,
            customer=customer,
            setup=setup,
            charges=self._charges,
            at=unit.recorded_at,
        )
        if isinstance(channel, Problem):
            raise ProblemError(channel)
        if isinstance(found, Problem):
            raise ProblemError(found)
        holder = record.holder_of(tenant_id=tenant_id, customer=customer)
        posted = queries.posted_of(unit.connection, tenant_id=tenant_id, holder_id=holder)
        missing = deltas(entries=found.statement.entries, posted=posted)
        elsewhere = self._moved(unit, tenant_id, customer, found, {one.place.key.grant_id for one in missing})
        record.post(
            unit,
            channel=msgspec.structs.replace(channel, translator=TRANSLATOR),
            customer=customer,
            statement=found.statement,
            deltas=missing,
            grants=(*found.grants, *elsewhere),
            refunds=found.refunds,
            look_at=next_look(found.statement, found.grants),
            new_id=self._new_id,
        )

    def _moved(
        self, unit: Unit, tenant_id: str, customer: SourceObject, found: Settled, wanted: set[str]
    ) -> tuple[CreditGrant, ...]:
        """Grants that were given to somebody else since they were posted here."""
        known = {one.outside_id for one in (*found.grants, *found.statement.top_ups)}
        others = (
            queries.grant_by_id(
                unit.connection, tenant_id=tenant_id, source_connection=customer.connection, outside_id=name
            )
            for name in sorted(wanted - known)
        )
        return tuple(one for one in others if one is not None)

    def _give_up(self, tenant_id: str, claimed_at: datetime, lane: ClaimedLane) -> None:
        """Park a customer with a case that says why."""
        log().exception("credits.holder_failed", tenant_id=tenant_id, lane_id=lane.lane_id)
        failure = sys.exc_info()[1]
        unexpected = problem(
            "internal.unexpected", "settling failed on this customer; the operator's log has the trace"
        )
        cause = failure.problem if isinstance(failure, ProblemError) else unexpected
        with self._opened(tenant_id, "settling failed") as unit:
            if work_record.hold(unit.connection, owner=self._owner, lanes=[lane]):
                case = NewCase(
                    tenant_id=tenant_id, subject_kind=record.SUBJECT_KIND, subject_id=lane.lane_id, problem=cause
                )
                open_cases(unit, cases=[case])
                change = parked(lane=lane, code=cause.code)
                work_record.change(unit.connection, owner=self._owner, changes=[change], now=claimed_at)

    def _opened(self, tenant_id: str, reason: str) -> AbstractContextManager[Unit]:
        return self._database.unit(
            tenants=[tenant_id],
            kind="credits",
            actor=f"worker:{self._owner}",
            reason=reason,
            recorded_at=self._clock.now(),
        )

    def _new_id(self, moment: datetime) -> str:
        return str(uuid7(now=moment, random_bytes=self._random_bytes))


def next_look(statement: Statement, grants: Sequence[CreditGrant]) -> datetime | None:
    """When time alone changes a statement next: the next end or beginning of a grant, the end of an open window."""
    moments = [one.expires_at for one in statement.balances if one.left and one.expires_at is not None]
    moments += [one.line.draws_at for one in statement.lines]
    moments += [judged.window.end for judged in statement.commitments]
    moments += [grant.granted_at for grant in grants]
    return min((moment for moment in moments if moment > statement.at), default=None)


def retry_handler(*, database: Database, clock: Clock) -> RetryHandler:
    """How a customer whose settling failed is tried again."""

    def retry(*, tenant_id: str, subject_ids: Sequence[str], actor: str, reason: str) -> int:
        with database.unit(
            tenants=[tenant_id], kind="retry", actor=actor, reason=reason, recorded_at=clock.now()
        ) as unit:
            work_record.request(unit, tenant_id=tenant_id, kind=record.LANE_KIND, lane_ids=subject_ids)
        return len(subject_ids)

    return retry
