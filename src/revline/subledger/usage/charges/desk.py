"""What doors look at of charges: lines, one line with its steps and revisions, the events behind it, its curve, its proof.

Nothing here writes. The events of a line are never stored with it: they are asked of the usage log at the version the line names.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final
from zoneinfo import ZoneInfo

import msgspec

from revline.core.hashing import plain
from revline.core.ids import SourceObject
from revline.core.problem import Problem, ProblemError, problem
from revline.platform.store.engine import Database
from revline.subledger.usage.calendar import instant_of
from revline.subledger.usage.charges import queries
from revline.subledger.usage.charges.accruing import Entry
from revline.subledger.usage.charges.comparing import Line, explained
from revline.subledger.usage.charges.lines import Wanted
from revline.subledger.usage.charges.measuring import ask, rated_lines, read_answers
from revline.subledger.usage.charges.ports import Meters, Setups
from revline.subledger.usage.charges.queries import ChargeFilter
from revline.subledger.usage.charges.setup import ChargingSetup, priced_periods
from revline.subledger.usage.charges.state import Period
from revline.subledger.usage.charges.values import Charge, ChargeKind
from revline.subledger.usage.metering.values import CustomerWindow, Demand, EventLine, LineageDemand, LineagePage
from revline.subledger.usage.rating.billing import Subscribed
from revline.subledger.usage.rating.kinds import UsagePrice
from revline.subledger.usage.versions import UsageVersion, Window

ZERO: Final = Decimal(0)
DAYS_MAX: Final = 400
EVENTS_PER_PAGE: Final = 10_000
SCANNED_MAX: Final = 1_000_000
"""Events that are looked at for what changed between two revisions; beyond, the answer says that it is not all."""


class ChargeView(msgspec.Struct, frozen=True, kw_only=True):
    """One line with everything about it. revisions: newest first. changes: what each revision changed, in their order. entries: the
    accounting events stated of it, with their facts. accrued: what stands accrued of it now."""

    charge: Charge
    standing: Charge | None
    revisions: tuple[Charge, ...]
    changes: tuple[dict[str, Any], ...]
    entries: tuple[tuple[str, Entry], ...]
    accrued: Decimal


class Proof(msgspec.Struct, frozen=True, kw_only=True):
    """A line's query run again at its version. proven: quantity, events, digest and amount are the line's. of: the line that was
    computed again, of an adjustment the line of the closed period as it is now."""

    charge_id: str
    revision: int
    proven: bool
    quantity: Decimal
    amount: Decimal
    events: int
    digest: str
    expected_quantity: Decimal
    expected_amount: Decimal
    expected_events: int


class CurvePoint(msgspec.Struct, frozen=True, kw_only=True):
    """What a line counts of one local day. day: ISO date."""

    day: str
    quantity: Decimal
    events: int


class ChangedEvents(msgspec.Struct, frozen=True, kw_only=True):
    """The events between two revisions of a line. came: counted now and not before; gone: the other way round. whole: false where
    there were too many to look at them all."""

    came: tuple[EventLine, ...]
    gone: tuple[EventLine, ...]
    whole: bool


class ChargeDesk:
    """Looks at one database's charges, and asks meters for what is behind them. Safe for threads."""

    def __init__(self, *, database: Database, setups: Setups, meters: Meters) -> None:
        self._database, self._setups, self._meters = database, setups, meters

    def charges(self, *, tenant_id: str, wanted: ChargeFilter, limit: int = 100) -> tuple[Charge, ...]:
        """The newest revision of each line that is wanted, by the beginning of its period, oldest first."""
        with self._database.read(tenants=[tenant_id]) as connection:
            return queries.charges(connection, tenant_id=tenant_id, wanted=wanted, limit=limit)

    def periods(
        self, *, tenant_id: str, customer: SourceObject | None = None, state: str = "", limit: int = 100
    ) -> tuple[Period, ...]:
        """Billing periods, newest first."""
        with self._database.read(tenants=[tenant_id]) as connection:
            return queries.periods_of(connection, tenant_id=tenant_id, customer=customer, state=state, limit=limit)

    def charge(self, *, tenant_id: str, charge_id: str) -> ChargeView | Problem:
        """A line with its revisions, what each changed, and its accounting events."""
        with self._database.read(tenants=[tenant_id]) as connection:
            revisions = queries.revisions_of(connection, tenant_id=tenant_id, charge_id=charge_id)
            if not revisions:
                return _unknown(charge_id)
            standing = queries.standing_revisions(connection, tenant_id=tenant_id, charge_ids=[charge_id])
            entries = queries.facts_of(connection, tenant_id=tenant_id, charge_id=charge_id, limit=1_000)
        older: Sequence[Charge | None] = (*revisions[1:], None)
        return ChargeView(
            charge=revisions[0],
            standing=standing.get(charge_id),
            revisions=revisions,
            changes=tuple(dict(explained(one, before=before)) for one, before in zip(revisions, older, strict=True)),
            entries=entries,
            accrued=sum((entry.amount for _, entry in entries), ZERO),
        )

    def events(
        self,
        *,
        tenant_id: str,
        charge_id: str,
        revision: int = 0,
        after: tuple[datetime, int, int] | None = None,
        limit: int = 100,
    ) -> LineagePage | Problem:
        """A page of the events behind a revision of a line (0: the newest), and the sum of them all. Of an adjustment: those of
        the closed period as they count now."""
        charge = self._revision(tenant_id, charge_id, revision)
        if isinstance(charge, Problem):
            return charge
        setup = self._setups.charging_setup_at(tenant_id=tenant_id, version=charge.configuration)
        if isinstance(setup, Problem):
            return setup
        demand = _demand(setup, charge)
        if isinstance(demand, Problem):
            return demand
        return self._meters.lineage(
            tenant_id=tenant_id,
            catalogue=setup.catalogue,
            demand=demand,
            after=after,
            limit=limit,
            position=charge.read_position,
        )

    def changed_events(self, *, tenant_id: str, charge_id: str, revision: int) -> ChangedEvents | Problem:
        """The events between a revision and the one before it: those that came, and those that were taken back."""
        now = self._revision(tenant_id, charge_id, revision)
        before = self._revision(tenant_id, charge_id, revision - 1) if revision > 1 else None
        for found in (now, before):
            if isinstance(found, Problem):
                return found
        assert isinstance(now, Charge)
        new = self._every_event(tenant_id, now, now.usage_version)
        old = ({}, True) if before is None else self._every_event(tenant_id, before, before.usage_version)  # type: ignore[arg-type, union-attr]
        if isinstance(new, Problem):
            return new
        if isinstance(old, Problem):
            return old
        came = [line for key, line in new[0].items() if key not in old[0]]
        gone = [line for key, line in old[0].items() if key not in new[0]]
        return ChangedEvents(came=tuple(came), gone=tuple(gone), whole=new[1] and old[1])

    def curve(self, *, tenant_id: str, charge_id: str, revision: int = 0) -> tuple[CurvePoint, ...] | Problem:
        """A line's quantity by local day, each day counted by itself. At most DAYS_MAX days."""
        charge = self._revision(tenant_id, charge_id, revision)
        if isinstance(charge, Problem):
            return charge
        setup = self._setups.charging_setup_at(tenant_id=tenant_id, version=charge.configuration)
        if isinstance(setup, Problem):
            return setup
        seller = setup.seller_of(charge.subject.customer)
        if seller is None or charge.meter not in setup.catalogue.meters:
            return ()
        window = charge.subject.origin or charge.subject.window
        days = list(_days(window, seller.time_zone))[:DAYS_MAX]
        demand = Demand(
            meter=charge.meter,
            customers=tuple(CustomerWindow(customer=charge.subject.customer, window=day) for day in days),
        )
        found = self._meters.quantities(
            tenant_id=tenant_id,
            catalogue=setup.catalogue,
            demands=[demand],
            version=charge.usage_version,
            position=charge.read_position,
        )
        if isinstance(found, Problem):
            return found
        return _points(found[charge.meter], charge, days, seller.time_zone, setup)

    def prove(self, *, tenant_id: str, charge_id: str, revision: int = 0) -> Proof | Problem:
        """Run a line's query and its rating again, at the version and configuration it names, and compare."""
        charge = self._revision(tenant_id, charge_id, revision)
        if isinstance(charge, Problem):
            return charge
        setup = self._setups.charging_setup_at(tenant_id=tenant_id, version=charge.configuration)
        if isinstance(setup, Problem):
            return setup
        try:
            line = self._again(setup, charge)
        except ProblemError as failure:
            return failure.problem
        return _proof(charge, line)

    def _again(self, setup: ChargingSetup, charge: Charge) -> Line | None:
        window = charge.subject.origin or charge.subject.window
        share = next(
            (
                period.share
                for name, period in priced_periods(
                    setup,
                    customer=charge.subject.customer,
                    within=window,
                    until=window.end,
                    subscribed=_by_any_subscription(setup.prices[charge.subject.price]),
                )
                if name == charge.subject.price and period.window == window
            ),
            None,
        )
        if share is None:
            return None
        wanted = Wanted(customer=charge.subject.customer, window=window, price=charge.subject.price, share=share)
        answers = ask(
            meters=self._meters,
            setup=setup,
            wanted=[wanted],
            version=charge.usage_version,
            position=charge.read_position,
        )
        lines, _ = rated_lines(setup, [wanted], answers)
        return next((line for line in lines if line.subject.group == charge.subject.group), None)

    def _revision(self, tenant_id: str, charge_id: str, revision: int) -> Charge | Problem:
        with self._database.read(tenants=[tenant_id]) as connection:
            if revision:
                key = (charge_id, revision)
                found = queries.revisions_by_key(connection, tenant_id=tenant_id, keys=[key]).get(key)
            else:
                newest = queries.revisions_of(connection, tenant_id=tenant_id, charge_id=charge_id, limit=1)
                found = newest[0] if newest else None
        return _unknown(charge_id) if found is None else found

    def _every_event(
        self, tenant_id: str, charge: Charge, version: UsageVersion
    ) -> tuple[dict[tuple[int, int], EventLine], bool] | Problem:
        setup = self._setups.charging_setup_at(tenant_id=tenant_id, version=charge.configuration)
        if isinstance(setup, Problem):
            return setup
        demand = _demand(setup, msgspec.structs.replace(charge, usage_version=version))
        if isinstance(demand, Problem):
            return demand
        events: dict[tuple[int, int], EventLine] = {}
        after = None
        while len(events) < SCANNED_MAX:
            page = self._meters.lineage(
                tenant_id=tenant_id,
                catalogue=setup.catalogue,
                demand=demand,
                after=after,
                limit=EVENTS_PER_PAGE,
                position=charge.read_position,
            )
            if isinstance(page, Problem):
                return page
            events |= {(line.shard, line.sequence): line for line in page.lines}
            after = page.next
            if after is None:
                return events, True
        return events, False


def _by_any_subscription(price: UsagePrice) -> tuple[Subscribed, ...]:
    """That the customer had the price is known: it was charged."""
    return tuple(Subscribed(price=each) for each in price.applies_to.subscription_prices)


def _demand(setup: ChargingSetup, charge: Charge) -> LineageDemand | Problem:
    """What meters are asked for a line's events."""
    if charge.subject.kind not in {ChargeKind.USAGE, ChargeKind.ADJUSTMENT} or not charge.meter:
        why = f"a line of kind {charge.subject.kind.value} is made of other lines, not of events"
        return problem("usage.no_events", why, field="charge")
    meter = setup.catalogue.meters.get(charge.meter)
    given = dict(charge.subject.group)
    fields = () if meter is None else meter.group_by
    return LineageDemand(
        meter=charge.meter,
        customer=charge.subject.customer,
        window=charge.subject.origin or charge.subject.window,
        group=tuple(given[name] for name in fields) if set(fields) == set(given) else (),
        version=charge.usage_version,
    )


def _point(charge: Charge) -> dict[str, Any]:
    """The point of the log and of what was known that a line was computed at."""
    return {"version": charge.usage_version, "position": charge.read_position}


def _proof(charge: Charge, line: Line | None) -> Proof:
    quantity, amount, events = charge.quantity, charge.amount, charge.events
    digest = charge.digest
    if charge.subject.origin is not None:
        told = msgspec.json.decode(charge.explanation)["now"]
        quantity, amount, events = Decimal(told["quantity"]), Decimal(told["amount"]), told["events"]
        digest = ""
    again = (ZERO, ZERO, 0, "") if line is None else (line.quantity, line.amount, line.events, line.digest)
    same = (quantity, amount, events) == again[:3] and digest in ("", again[3])
    return Proof(
        charge_id=charge.charge_id,
        revision=charge.revision,
        proven=same,
        quantity=again[0],
        amount=again[1],
        events=again[2],
        digest=again[3],
        expected_quantity=quantity,
        expected_amount=amount,
        expected_events=events,
    )


def _points(
    metered: Any, charge: Charge, days: Sequence[Window], time_zone: str, setup: ChargingSetup
) -> tuple[CurvePoint, ...]:
    answers: dict[Any, list[Any]] = {}
    read_answers(metered, into=answers)
    fields = setup.catalogue.meters[charge.meter].group_by
    wanted = dict(charge.subject.group)
    points = []
    for day in days:
        mine = [
            each
            for each in answers.get((charge.meter, charge.subject.customer, day), [])
            if all(each.values[fields.index(name)] == value for name, value in wanted.items() if name in fields)
        ]
        points.append(
            CurvePoint(
                day=day.start.astimezone(ZoneInfo(time_zone)).date().isoformat(),
                quantity=sum((each.quantity for each in mine), ZERO),
                events=sum(each.events for each in mine),
            )
        )
    return tuple(points)


def _days(window: Window, time_zone: str) -> Iterator[Window]:
    """The local days of a window; the first and last may be parts of one."""
    start = window.start
    while start < window.end:
        day = start.astimezone(ZoneInfo(time_zone)).date()
        end = min(window.end, instant_of(day=day + timedelta(days=1), time_zone=time_zone))
        yield Window(start=start, end=end)
        start = end


def _unknown(charge_id: str) -> Problem:
    return problem("usage.charge_unknown", f"no line {charge_id[:40]!r}", field="charge")


def shown(charge: Charge) -> dict[str, Any]:
    """A line as doors show it: plain values, its explanation as an object."""
    made: dict[str, Any] = plain(charge)
    made["explanation"] = msgspec.json.decode(charge.explanation)
    made["kind"] = charge.subject.kind.value
    made["customer"] = plain(charge.subject.customer)
    made["price"] = charge.subject.price
    made["group"] = dict(charge.subject.group)
    made["window"] = plain(charge.subject.window)
    made["adjusts"] = None if charge.subject.origin is None else plain(charge.subject.origin)
    del made["subject"]
    return made
