"""Charges told to billing: claim customers whose charges changed, work out what is still to be told, write it as documents.

The same way as everything that goes back: a document in the transaction that decides it, delivery does the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection, RowMapping, select

from revline.core.clock import Clock
from revline.core.documents import Document, DocumentKind, Rank, UsageContent
from revline.core.facts import Name
from revline.core.ids import SourceObject, derived_id, external_reference, root_id
from revline.core.problem import Problem, problem
from revline.delivery import record as delivery
from revline.delivery.order import delivery_lane
from revline.delivery.values import LANE_KIND as DELIVERY
from revline.intake.queries import root_sources
from revline.platform.cases.record import NewCase, open_cases, resolve_cases
from revline.platform.lineage.record import add_names
from revline.platform.logs import log
from revline.platform.store.engine import Database
from revline.platform.store.unit import Unit
from revline.platform.work import record as work_record
from revline.platform.work import service as work
from revline.platform.work.epochs import Epoch
from revline.platform.work.lanes import ClaimedLane, finished, parked
from revline.subledger.usage.outward.comparing import renamed
from revline.subledger.usage.outward.ports import BillingConfiguration, BillingConnection, Charges, Configurations
from revline.subledger.usage.outward.queries import billed_of
from revline.subledger.usage.outward.record import TELLING_KIND, TELLING_PREFIX
from revline.subledger.usage.outward.tables import usage_told
from revline.subledger.usage.outward.telling import Due, Telling, Told, Untold, after_telling, due_tellings
from revline.subledger.usage.versions import Window

SUBJECT_KIND: Final = "usage_target"
"""What a case of charges that can't be told names as its subject kind; its id is the customer's root."""
LANE_SUBJECT: Final = "usage_telling"
PoolOf = Callable[[str, str], str]
"""The capacity pool of a connection: (tenant, connection)."""


class UsageTelling:
    """Runs the lanes. owner: this worker's id; every write is fenced by it."""

    def __init__(
        self,
        *,
        database: Database,
        configurations: Configurations,
        charges: Charges,
        pool_of: PoolOf,
        clock: Clock,
        owner: str,
        epoch: int,
        lease: timedelta = work.DEFAULT_LEASE,
    ) -> None:
        self._database, self._configurations, self._charges = database, configurations, charges
        self._pool_of, self._clock, self._owner, self._lease = pool_of, clock, owner, lease
        self.epoch = Epoch(number=epoch)

    def turn(self, *, limit: int = 50) -> int:
        """Claim up to `limit` due customers, fairly over tenants, and tell what is to be told of them; gives how many."""
        return work.run_due(
            self._database,
            kind=TELLING_KIND,
            owner=self._owner,
            limit=limit,
            lanes_per_tenant=limit,
            lanes_per_unit=1,
            lease=self._lease,
            unit=self._customer,
            give_up=self._give_up,
        )

    def _customer(self, tenant_id: str, claimed_at: datetime, lanes: Sequence[ClaimedLane]) -> None:
        (lane,) = lanes
        found = self._configurations.usage_billing(tenant_id=tenant_id)
        now = self._clock.now()
        with self._database.unit(
            tenants=[tenant_id],
            kind="usage_telling",
            actor=f"worker:{self._owner}",
            reason="charges changed",
            recorded_at=now,
        ) as unit:
            again: list[datetime] = []
            if not isinstance(found, Problem):
                again = self._tell(unit, tenant_id, lane, found, now)
            if work_record.hold(unit.connection, owner=self._owner, lanes=[lane]):
                resolve_cases(unit, tenant_id=tenant_id, subject_kind=LANE_SUBJECT, subject_ids=[lane.lane_id])
                again_at = claimed_at + (min(again) - now) if again else None
                change = finished(lane=lane, again_at=again_at)
                work_record.change(unit.connection, owner=self._owner, changes=[change], now=claimed_at)

    def _tell(
        self, unit: Unit, tenant_id: str, lane: ClaimedLane, found: BillingConfiguration, now: datetime
    ) -> list[datetime]:
        """Write what is due; gives when more may be. Delivery's lanes are locked before ours are looked at for good."""
        root = lane.lane_id.removeprefix(TELLING_PREFIX)
        customer = root_sources(unit.connection, tenant_id=tenant_id, root_ids=[root]).get(root)
        if customer is None:
            return []
        dues = self._dues(unit.connection, tenant_id, customer, found, now)
        lanes = [
            delivery_lane(tenant_id=tenant_id, connection=name, lane_key=one.target_id, rank=Rank.FEEDBACK)
            for name, due in dues.items()
            for one in due.tellings
        ]
        work_record.lock_lanes(unit, tenant_id=tenant_id, kind=DELIVERY, lane_ids=lanes)
        if not work_record.hold(unit.connection, owner=self._owner, lanes=[lane]):
            return []
        for _, due in sorted(dues.items()):
            self._write(unit, tenant_id, due, found.version, now)
        cases = [_case(tenant_id, root, name, one) for name, due in sorted(dues.items()) for one in due.untold]
        kept = open_cases(unit, cases=cases)
        resolve_cases(unit, tenant_id=tenant_id, subject_kind=SUBJECT_KIND, subject_ids=[root], keep=kept)
        return [due.again_at for due in dues.values() if due.again_at is not None]

    def _dues(
        self,
        connection: Connection,
        tenant_id: str,
        customer: SourceObject,
        found: BillingConfiguration,
        now: datetime,
    ) -> Mapping[str, Due]:
        charges = self._charges(connection, tenant_id=tenant_id, customer=customer)
        told = told_of(connection, tenant_id=tenant_id, customer=customer)
        name, theirs = billed_of(
            connection, tenant_id=tenant_id, customer_root=root_id(tenant=tenant_id, source=customer)
        )

        def billed(billing: BillingConnection) -> frozenset[tuple[str, Window]]:
            if billing.name != name:
                return frozenset()
            return frozenset((one.subject.price, one.subject.window) for one in renamed(theirs, billing.prices))

        return {
            each.name: due_tellings(
                tenant_id=tenant_id, billing=each, charges=charges, told=told, billed=billed(each), now=now
            )
            for each in found.by_connection.values()
            if each.spec.reports
        }

    def _write(self, unit: Unit, tenant_id: str, due: Due, version: int, now: datetime) -> None:
        documents = [document_of(one, tenant_id=tenant_id, prepared_at=now) for one in due.tellings]
        delivery.write_documents(
            unit,
            tenant_id=tenant_id,
            documents=documents,
            pool_of=lambda one: self._pool_of(tenant_id, one.connection),
            configuration_version=version,
            epoch=self.epoch.number,
        )
        targets = [one.target_id for one in due.tellings]
        known = told_by_target(unit.connection, tenant_id=tenant_id, target_ids=targets)
        for one, document in zip(due.tellings, documents, strict=True):
            names = [Name(kind="charge_id", value=charge_id) for charge_id, _ in one.charges]
            add_names(unit, tenant_id=tenant_id, names=names, record_kind="document", record_id=document.document_id)
            _remember(unit, tenant_id, one, after_telling(one, before=known.get(one.target_id), now=now))

    def _give_up(self, tenant_id: str, claimed_at: datetime, lane: ClaimedLane) -> None:
        """Park a customer with a case; its next request wakes it."""
        log().exception("usage_telling.lane_failed", tenant_id=tenant_id, lane_id=lane.lane_id)
        cause = problem(
            "internal.unexpected", "telling billing failed on this record; the operator's log has the trace"
        )
        with self._database.unit(
            tenants=[tenant_id],
            kind="usage_telling",
            actor=f"worker:{self._owner}",
            reason="telling billing failed",
            recorded_at=self._clock.now(),
        ) as unit:
            if work_record.hold(unit.connection, owner=self._owner, lanes=[lane]):
                case = NewCase(tenant_id=tenant_id, subject_kind=LANE_SUBJECT, subject_id=lane.lane_id, problem=cause)
                open_cases(unit, cases=[case])
                change = parked(lane=lane, code=cause.code)
                work_record.change(unit.connection, owner=self._owner, changes=[change], now=claimed_at)


def document_of(one: Telling, *, tenant_id: str, prepared_at: datetime) -> Document:
    """The document of a report; its id follows from the target and the number of the report."""
    identity = derived_id("usage-told", one.target_id, one.ordinal)
    content = UsageContent(
        tenant=tenant_id,
        customer=one.customer,
        meter=one.report.meter,
        measure=one.report.measure.value,
        value=one.value,
        unit=one.unit,
        at=one.at,
        window_start=one.window.start,
        window_end=one.window.end,
        charges=one.charges,
        quantity=one.quantity,
        amount=one.amount,
        currency=one.currency,
        prepared_at=prepared_at,
    )
    return Document(
        document_id=identity,
        kind=DocumentKind.USAGE,
        connection=one.connection,
        entity="",
        book="",
        external_reference=external_reference(document=identity),
        event_id="",
        journal_id="",
        lane_key=one.target_id,
        rank=Rank.FEEDBACK,
        predecessors=(),
        currency=one.currency,
        amount=abs(one.amount),
        accounting_date=None,
        content=content,
    )


def told_of(connection: Connection, *, tenant_id: str, customer: SourceObject) -> Mapping[str, Told]:
    """What was told of a customer, by target."""
    root = root_id(tenant=tenant_id, source=customer)
    statement = select(usage_told).where(usage_told.c.tenant_id == tenant_id, usage_told.c.customer_root == root)
    return {row["target_id"]: _told(row) for row in connection.execute(statement).mappings()}


def told_by_target(connection: Connection, *, tenant_id: str, target_ids: Sequence[str]) -> Mapping[str, Told]:
    """What these targets were told."""
    statement = select(usage_told).where(
        usage_told.c.tenant_id == tenant_id, usage_told.c.target_id.in_(sorted(target_ids))
    )
    return {row["target_id"]: _told(row) for row in connection.execute(statement).mappings()} if target_ids else {}


def _told(row: RowMapping) -> Told:
    return Told(**{name: row[name] for name in Told.__struct_fields__})


def _remember(unit: Unit, tenant_id: str, one: Telling, now_told: Told) -> None:
    unit.project(
        usage_told,
        key=("target_id",),
        tenant_id=tenant_id,
        target_id=one.target_id,
        connection=one.connection,
        customer_root=root_id(tenant=tenant_id, source=one.customer),
        price=one.price,
        window_start=one.window.start,
        window_end=one.window.end,
        told=now_told.told,
        ordinal=now_told.ordinal,
        first_at=now_told.first_at,
        last_at=now_told.last_at,
        told_at=now_told.told_at,
    )


def _case(tenant_id: str, root: str, connection: str, one: Untold) -> NewCase:
    return NewCase(
        tenant_id=tenant_id,
        subject_kind=SUBJECT_KIND,
        subject_id=root,
        problem=one.problem,
        connection=connection,
        currency=one.currency,
        amount=one.amount,
    )
