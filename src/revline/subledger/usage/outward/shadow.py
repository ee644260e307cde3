"""The shell of comparing: claim invoices and customers that changed, read what was billed, compare, keep findings and cases.

Two kinds of lanes: an invoice's reads its lines; a customer's compares everything of the customer. What is expected is asked for
outside any transaction, since it may query the usage log.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from functools import partial
from typing import Final

import msgspec

from revline.core.clock import Clock
from revline.core.ids import SourceObject
from revline.core.problem import Problem, ProblemError, problem
from revline.intake.queries import facts_of_roots, root_sources
from revline.platform.cases.record import NewCase, open_cases, resolve_cases
from revline.platform.logs import log
from revline.platform.store.engine import Database, is_transient
from revline.platform.store.unit import Unit
from revline.platform.work import record as work_record
from revline.platform.work import service as work
from revline.platform.work.batches import batches_of, run_batch
from revline.platform.work.lanes import ClaimedLane, LaneChange, finished, parked
from revline.subledger.usage.charges.accruing import Billing
from revline.subledger.usage.outward import queries, record
from revline.subledger.usage.outward.comparing import (
    Compared,
    First,
    billings_of,
    charged,
    compare_customer,
    merged,
    next_deadline,
    renamed,
)
from revline.subledger.usage.outward.ports import (
    BillingConfiguration,
    BillingConnection,
    Charges,
    Configurations,
    Expectations,
    Linked,
    Unrated,
    no_charges,
    nobody,
)
from revline.subledger.usage.outward.reading import billing_lines, newest_invoice
from revline.subledger.usage.outward.record import CUSTOMER_PREFIX, INVOICE_PREFIX, LANE_KIND
from revline.subledger.usage.outward.values import BillingSubject, Cause, Expected

INVOICES_PER_UNIT: Final = 50
LANE_SUBJECT: Final = "usage_billing"
"""What a case of a lane that failed names as its subject kind; its id is the lane's."""


class Draft(msgspec.Struct, frozen=True, kw_only=True):
    """What comparing one customer came to. billings: of each of its charge lines, None where nothing bills it. again_in: after how
    long it is due without anything new."""

    found: tuple[Compared, ...] = ()
    customer: SourceObject | None = None
    billings: Mapping[str, Billing | None] = {}
    again_in: timedelta | None = None


class Shadow:
    """Runs the lanes. owner: this worker's id; every write is fenced by it. linked: who is told which charges are billed."""

    def __init__(
        self,
        *,
        database: Database,
        configurations: Configurations,
        expectations: Expectations,
        clock: Clock,
        owner: str,
        charges: Charges = no_charges,
        linked: Linked = nobody,
        lease: timedelta = work.DEFAULT_LEASE,
    ) -> None:
        self._database, self._configurations, self._expectations = database, configurations, expectations
        self._clock, self._owner, self._charges, self._linked, self._lease = clock, owner, charges, linked, lease

    def turn(self, *, limit: int = 100) -> int:
        """Claim up to `limit` due lanes, fairly over tenants, and run them; gives how many."""
        claim = work.claim(
            self._database,
            kind=LANE_KIND,
            owner=self._owner,
            limit=limit,
            lanes_per_tenant=INVOICES_PER_UNIT,
            lease=self._lease,
        )
        for tenant_id, lanes in batches_of(claim.lanes, size=INVOICES_PER_UNIT):
            invoices = [lane for lane in lanes if lane.lane_id.startswith(INVOICE_PREFIX)]
            give_up = partial(self._give_up, tenant_id, claim.now)
            if invoices:
                run_batch(invoices, unit=partial(self._invoices, tenant_id, claim.now), give_up=give_up)
            for lane in lanes:
                # What others of the batch asked of the usage log may have taken long.
                if lane.lane_id.startswith(CUSTOMER_PREFIX) and self._renewed(lane):
                    run_batch([lane], unit=partial(self._customer, tenant_id, claim.now), give_up=give_up)
        return len(claim.lanes)

    def _renewed(self, lane: ClaimedLane) -> bool:
        return lane.key in work.renew(self._database, owner=self._owner, lanes=[lane], lease=self._lease)

    def _invoices(self, tenant_id: str, claimed_at: datetime, lanes: Sequence[ClaimedLane]) -> None:
        configuration = self._configuration(tenant_id)
        roots = {lane.lane_id.removeprefix(INVOICE_PREFIX) for lane in lanes}
        with self._unit(tenant_id, "invoices that bill usage changed") as unit:
            if configuration is not None:
                changed = self._read(unit, tenant_id, roots, configuration)
                record.request_comparison(unit, tenant_id=tenant_id, customers=changed)
            self._finish(unit, tenant_id, claimed_at, [finished(lane=lane) for lane in lanes])

    def _read(
        self, unit: Unit, tenant_id: str, roots: Collection[str], configuration: BillingConfiguration
    ) -> tuple[SourceObject, ...]:
        sources = root_sources(unit.connection, tenant_id=tenant_id, root_ids=roots)
        facts = facts_of_roots(unit.connection, tenant_id=tenant_id, root_ids=sorted(sources))
        changed: list[SourceObject] = []
        for root, source in sorted(sources.items()):
            billing = configuration.by_connection.get(source.connection)
            invoice = newest_invoice(facts[root])
            if billing is None or invoice is None:
                continue
            lines = billing_lines(invoice=invoice, connection=source.connection, time_zone=billing.time_zone)
            changed += record.write_lines(
                unit, tenant_id=tenant_id, source=source.connection, invoice=invoice.outside_id, lines=lines
            )
        return tuple(sorted(set(changed)))

    def _customer(self, tenant_id: str, claimed_at: datetime, lanes: Sequence[ClaimedLane]) -> None:
        (lane,) = lanes
        configuration = self._configuration(tenant_id)
        root = lane.lane_id.removeprefix(CUSTOMER_PREFIX)
        draft = Draft() if configuration is None else self.compared(tenant_id, root, configuration)
        with self._unit(tenant_id, "billed usage was compared") as unit:
            if work_record.hold(unit.connection, owner=self._owner, lanes=[lane]):
                if draft.customer is not None and draft.billings:
                    self._linked(unit, tenant_id=tenant_id, customer=draft.customer, billings=draft.billings)
                record.write_findings(
                    unit, tenant_id=tenant_id, customer_root=root, found=draft.found, compared_at=self._clock.now()
                )
                # Lanes are due by the database's clock.
                again_at = None if draft.again_in is None else claimed_at + draft.again_in
                self._finish(unit, tenant_id, claimed_at, [finished(lane=lane, again_at=again_at)])

    def compared(self, tenant_id: str, customer_root: str, configuration: BillingConfiguration) -> Draft:
        """What a customer's usage and bills come to now, without writing. Raises ProblemError where usage can't be asked."""
        now = self._clock.now()
        with self._database.read(tenants=[tenant_id]) as connection:
            name, theirs = queries.billed_of(connection, tenant_id=tenant_id, customer_root=customer_root)
            customer = root_sources(connection, tenant_id=tenant_id, root_ids=[customer_root]).get(customer_root)
            lines = () if customer is None else self._charges(connection, tenant_id=tenant_id, customer=customer)
            first = queries.first_of(connection, tenant_id=tenant_id, customer_root=customer_root)
        billing = configuration.by_connection.get(name or (customer.connection if customer else ""))
        if billing is None:
            return Draft()
        mine = charged(lines, customer=customer) if customer is not None else ()
        billed = renamed(theirs, billing.prices)
        expected: Mapping[BillingSubject, Expected | Unrated] | Problem = {
            one.subject: Unrated(cause=Cause.UNKNOWN_CUSTOMER, detail="nobody told of this customer") for one in billed
        }
        if customer is not None:
            expected = self._expectations.expect(tenant_id=tenant_id, billing=billing, billed=theirs)
        if isinstance(expected, Problem):
            raise ProblemError(expected)
        expected = {_renamed(subject, billing): _under(one, billing) for subject, one in expected.items()}
        found = compare_customer(
            billing=billing,
            billed=billed,
            expected=merged(expected, mine),
            charges=mine,
            first=_first(tenant_id, [one.subject for one in billed], first),
            now=now,
        )
        days = billing.spec.deadline_days
        deadline = next_deadline(charges=mine, billed=billed, deadline_days=days, now=now)
        links = {} if customer is None else billings_of(charges=lines, billed=billed, customer=customer)
        return Draft(
            found=found,
            customer=customer,
            billings={charge.charge_id: links.get(charge.charge_id) for charge in lines},
            again_in=None if deadline is None else deadline - now,
        )

    def _configuration(self, tenant_id: str) -> BillingConfiguration | None:
        found = self._configurations.usage_billing(tenant_id=tenant_id)
        return None if isinstance(found, Problem) else found

    def _unit(self, tenant_id: str, reason: str) -> AbstractContextManager[Unit]:
        return self._database.unit(
            tenants=[tenant_id],
            kind="usage_billing",
            actor=f"worker:{self._owner}",
            reason=reason,
            recorded_at=self._clock.now(),
        )

    def _finish(self, unit: Unit, tenant_id: str, claimed_at: datetime, changes: Sequence[LaneChange]) -> None:
        lanes = [change.lane for change in changes]
        held = work_record.hold(unit.connection, owner=self._owner, lanes=lanes)
        mine = [change for change in changes if change.lane.key in held]
        resolve_cases(
            unit,
            tenant_id=tenant_id,
            subject_kind=LANE_SUBJECT,
            subject_ids=[change.lane.lane_id for change in mine],
        )
        work_record.change(unit.connection, owner=self._owner, changes=mine, now=claimed_at)

    def _give_up(self, tenant_id: str, claimed_at: datetime, lane: ClaimedLane) -> None:
        """Park a lane with a case; its next request wakes it."""
        log().exception("usage_billing.lane_failed", tenant_id=tenant_id, lane_id=lane.lane_id)
        cause = problem(
            "internal.unexpected", "comparing usage failed on this record; the operator's log has the trace"
        )
        with self._unit(tenant_id, "comparing usage failed") as unit:
            if work_record.hold(unit.connection, owner=self._owner, lanes=[lane]):
                case = NewCase(tenant_id=tenant_id, subject_kind=LANE_SUBJECT, subject_id=lane.lane_id, problem=cause)
                open_cases(unit, cases=[case])
                change = parked(lane=lane, code=cause.code)
                work_record.change(unit.connection, owner=self._owner, changes=[change], now=claimed_at)


class Asking:
    """Hears of derived roots and asks for the lines of those that are invoices, where the tenant compares usage."""

    def __init__(self, *, compares: Configurations) -> None:
        self._configurations = compares

    def derived(self, unit: Unit, /, *, tenant_id: str, root_ids: Collection[str]) -> None:
        """Roots were derived in this unit."""
        found = self._configurations.usage_billing(tenant_id=tenant_id)
        if isinstance(found, Problem) or not found.by_connection or not root_ids:
            return
        try:
            with unit.connection.begin_nested():
                sources = root_sources(unit.connection, tenant_id=tenant_id, root_ids=root_ids)
                wanted = {
                    root
                    for root, source in sources.items()
                    if source.kind == "invoice" and source.connection in found.by_connection
                }
                record.request_invoices(unit, tenant_id=tenant_id, roots=wanted)
        except Exception as error:
            # Nothing may fail to be booked because it could not be compared; what passes by itself is tried again as a whole.
            if is_transient(error):
                raise
            log().error("usage_billing.not_asked", tenant_id=tenant_id, exc_info=error)


def _renamed(subject: BillingSubject, billing: BillingConnection) -> BillingSubject:
    return msgspec.structs.replace(subject, price=billing.prices.get(subject.price, subject.price))


def _under(one: Expected | Unrated, billing: BillingConnection) -> Expected | Unrated:
    return one if isinstance(one, Unrated) else msgspec.structs.replace(one, subject=_renamed(one.subject, billing))


def _first(
    tenant_id: str, subjects: Sequence[BillingSubject], stored: Mapping[str, First]
) -> Mapping[BillingSubject, First]:
    ids = {subject: subject.finding_id(tenant_id) for subject in subjects}
    return {subject: stored[identity] for subject, identity in ids.items() if identity in stored}
