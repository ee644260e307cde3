"""One run of one customer, second half: from rated lines to revisions, adjustments, the statement, closes and accruals. Pure.

Everything follows from what is stored, the tick and what was rated at it, so that the same ticks give the same charges again.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Final

import msgspec

from revline.core.ids import SourceObject
from revline.core.problem import Mender, Problem, Retryable, define, problem
from revline.subledger.usage.charges.accruing import Entry
from revline.subledger.usage.charges.booking import Rated, booked
from revline.subledger.usage.charges.closing import close_policy, closes_at, next_boundary
from revline.subledger.usage.charges.comparing import Line, adjustments, compare
from revline.subledger.usage.charges.holding import accepted, pending
from revline.subledger.usage.charges.policy import UsagePolicy
from revline.subledger.usage.charges.rating import Due, Setups, configuration_of
from revline.subledger.usage.charges.setup import ChargingSetup, Seller
from revline.subledger.usage.charges.state import CustomerState, Period, PeriodState, Tick
from revline.subledger.usage.charges.statements import Settled, statement_lines
from revline.subledger.usage.charges.values import Charge, ChargeKind, ChargeSubject
from revline.subledger.usage.rating.billing import period_at
from revline.subledger.usage.rating.kinds import UsagePrice
from revline.subledger.usage.versions import Window

define(
    code="usage.too_late",
    title="Usage came after the last day it counts",
    status=409,
    retryable=Retryable.NO,
    mender=Mender.FINANCE,
    remedy="It is kept and counted as not billable. Raise lateDaysMax of the UsagePolicy where it should be charged after all.",
)
define(
    code="usage.late_held",
    title="Late usage of a closed period waits for a decision",
    status=409,
    retryable=Retryable.AFTER_FIX,
    mender=Mender.FINANCE,
    remedy="Look at the held line, then `revline usage approve` or `revline usage refuse` it.",
)
NEXT_MAX: Final = 1_000


class Trouble(msgspec.Struct, frozen=True, kw_only=True):
    """Why something of a customer is not charged, and the money behind it where it is known."""

    problem: Problem
    currency: str = ""
    amount: Decimal = Decimal(0)


class CustomerPlan(msgspec.Struct, frozen=True, kw_only=True):
    """Everything one run of a customer writes. entries: with the line they follow from and the account they are accrued against."""

    customer: SourceObject
    revisions: tuple[Charge, ...] = ()
    periods: tuple[Period, ...] = ()
    entries: tuple[tuple[Entry, Charge, str], ...] = ()
    troubles: tuple[Trouble, ...] = ()


def plan_customer(
    *,
    setups: Setups,
    tick: Tick,
    state: CustomerState,
    dues: Sequence[Due],
    rated: Rated,
    settled: Settled | None = None,
) -> CustomerPlan:
    """What a run of a customer writes. rated: the lines of its due periods. settled: gives what commitments and credits add."""
    setup = setups[tick.configuration]
    seller = setup.seller_of(state.customer)
    if seller is None:
        return CustomerPlan(customer=state.customer)
    work = _Work(setups=setups, tick=tick, state=state, rated=rated, seller=seller)
    for due in dues:
        if due.closed:
            work.adjust(due)
        else:
            work.revise(due)
    work.decide()
    if settled is not None:
        work.settle(settled)
    return CustomerPlan(
        customer=state.customer,
        revisions=tuple(work.revisions),
        periods=work.periods(dues),
        entries=booked(setups=setups, tick=tick, state=state, seller=seller, standing=work.standing(), rated=rated),
        troubles=tuple(work.troubles),
    )


class _Work:
    """The lines of a customer as they come to stand in a run."""

    def __init__(self, *, setups: Setups, tick: Tick, state: CustomerState, rated: Rated, seller: Seller) -> None:
        self.setups, self.tick, self.state, self.rated, self.seller = setups, tick, state, rated, seller
        self.setup: ChargingSetup = setups[tick.configuration]
        self.newest: dict[ChargeSubject, Charge] = {charge.subject: charge for charge in state.newest}
        self.stands: dict[ChargeSubject, Charge] = {charge.subject: charge for charge in state.standing.values()}
        self.revisions: list[Charge] = []
        self.troubles: list[Trouble] = []
        self.bearing: set[Window] = set()

    def standing(self) -> tuple[Charge, ...]:
        """What counts of every line."""
        return tuple(self.stands.values())

    def revise(self, due: Due) -> None:
        """An open period: its rated lines as they are now."""
        setup = self.setups[due.configuration]
        failed = self._failed(due)
        computed = [
            line
            for line in self.rated.lines_of(self.state.customer, due.window)
            if line.events or line.amount or line.subject in self.newest or _keeps_zero(setup, line)
        ]
        stored = [
            charge
            for charge in self.newest.values()
            if charge.subject.kind is ChargeKind.USAGE
            and charge.subject.window == due.window
            and due.covers(charge.meter)
            and charge.subject.price not in failed
        ]
        self._write(stored, computed, configuration=due.configuration)

    def adjust(self, due: Due) -> None:
        """A closed period: what its usage costs now, less what was charged of it, by the policy of each price."""
        failed = self._failed(due)
        for name, price in due.prices.items():
            if name in failed:
                continue
            policy = self._policy(due.configuration, price)
            late = close_policy(policy=policy, origin=due.window, as_of=self.tick.as_of)
            if not late.counted:
                self._too_late(due.window, price)
                continue
            closed = [
                charge
                for charge in self.stands.values()
                if charge.subject.kind is ChargeKind.USAGE and _is(charge, name, due.window)
            ]
            computed = [
                line for line in self.rated.lines_of(self.state.customer, due.window) if line.subject.price == name
            ]
            if late.held:
                self._hold(name, due, closed, computed)
            else:
                self._bear(name, price, due.window, closed, computed, configuration=due.configuration)

    def decide(self) -> None:
        """Late usage that a person approved is borne by the period that is open now."""
        decided = {
            (charge.subject.price, charge.subject.origin)
            for charge, _ in self.state.decided
            if charge.subject.origin is not None
        }
        for name, origin in sorted(decided):
            configuration = configuration_of(self.state, self.tick, origin)
            price = self.setups[configuration].prices.get(name)
            closed = [
                charge
                for charge in self.stands.values()
                if charge.subject.kind is ChargeKind.USAGE and _is(charge, name, origin)
            ]
            if price is not None:
                computed = accepted(closed=closed, decided=self.state.decided, price=name, origin=origin)
                self._bear(name, price, origin, closed, computed, configuration=configuration)

    def settle(self, settled: Settled) -> None:
        """What commitments, minimums and credits add; lines up to the last closed period stand as they are."""
        frozen = max((each.window.end for each in self.state.periods if each.state is PeriodState.CLOSED), default=None)
        made = statement_lines(
            settled=settled,
            standing=self.standing(),
            tenant_id=self.setup.tenant_id,
            entity=self.seller.entity,
            time_zone=self.seller.time_zone,
            as_of=self.tick.as_of,
            closed_until=frozen,
        )
        if isinstance(made, Problem):
            self.troubles.append(Trouble(problem=made))
            return
        computed = [line for line in made if frozen is None or line.subject.window.end > frozen]
        stored = [
            charge
            for charge in self.newest.values()
            if charge.subject.kind in {ChargeKind.MINIMUM, ChargeKind.COMMITMENT, ChargeKind.CREDIT}
            and (frozen is None or charge.subject.window.end > frozen)
        ]
        self._write(stored, computed, configuration=self.tick.configuration)

    def periods(self, dues: Sequence[Due]) -> tuple[Period, ...]:
        """Periods that are new, were rated, or are to be looked at or closed now."""
        known = {each.window: each for each in self.state.periods}
        touched = {due.window for due in dues if not due.closed} | self.bearing
        made = []
        for window in sorted({*known, *touched}):
            before = known.get(window)
            if before is not None and before.state is PeriodState.CLOSED:
                continue
            due = before is not None and before.look_at is not None and before.look_at <= self.tick.as_of
            if window in touched or due or window in self.state.closing:
                after = self._period(window)
                made += [] if before == after else [after]
        return tuple(made)

    def _period(self, window: Window) -> Period:
        policies = self._policies(window)
        as_of = self.tick.as_of
        close = closes_at(window, policies)
        ended = window.end <= as_of
        closed = ended and (window in self.state.closing or (close is not None and close <= as_of))
        return Period(
            customer=self.state.customer,
            entity=self.seller.entity,
            window=window,
            state=PeriodState.CLOSED if closed else PeriodState.OPEN,
            usage_version=self.tick.usage_version,
            configuration=self.tick.configuration,
            look_at=next_boundary(
                window=window, policies=policies, time_zone=self.seller.time_zone, after=as_of, closed=closed
            ),
            closed_at=as_of if closed else None,
        )

    def _policies(self, window: Window) -> tuple[UsagePolicy, ...]:
        families = {charge.product_family for charge in self.stands.values() if charge.subject.window == window}
        return tuple(
            self.setup.policy(entity=self.seller.entity, product_family=family) for family in sorted(families or {""})
        )

    def _policy(self, configuration: int, price: UsagePrice) -> UsagePolicy:
        return self.setups[configuration].policy(entity=price.entity, product_family=price.product_family)

    def _failed(self, due: Due) -> frozenset[str]:
        found = self.rated.unrated_of(self.state.customer, due.window)
        self.troubles.extend(Trouble(problem=each.problem) for each in found)
        return frozenset(each.wanted.price for each in found)

    def _too_late(self, window: Window, price: UsagePrice) -> None:
        detail = f"usage of {price.meter} by {self.state.customer.outside_id} from {window.start.date()} came too late"
        self.troubles.append(Trouble(problem=problem("usage.too_late", detail, field=price.meter)))

    def _bear(
        self,
        name: str,
        price: UsagePrice,
        origin: Window,
        closed: Sequence[Charge],
        computed: Sequence[Line],
        *,
        configuration: int,
    ) -> None:
        bearing = bearing_window(
            price=price, origin=origin, time_zone=self.seller.time_zone, state=self.state, as_of=self.tick.as_of
        )
        borne = [
            charge
            for charge in self.stands.values()
            if charge.subject.kind is ChargeKind.ADJUSTMENT
            and charge.subject.origin == origin
            and charge.subject.price == name
        ]
        made = adjustments(closed=closed, borne=borne, computed=computed, bearing=bearing, origin=origin)
        stored = [charge for charge in borne if charge.subject.window == bearing]
        if self._write(stored, made, configuration=configuration):
            self.bearing.add(bearing)

    def _hold(self, name: str, due: Due, closed: Sequence[Charge], computed: Sequence[Line]) -> None:
        """Late usage that waits for a person: a line of no period that counts for nothing, and a case."""
        waiting = pending(closed=closed, computed=computed, decided=self.state.decided, price=name, origin=due.window)
        stored = [
            charge
            for charge in self.newest.values()
            if charge.held and charge.subject.origin == due.window and charge.subject.price == name
        ]
        self._write(stored, waiting, configuration=due.configuration)
        for line in waiting:
            if line.amount or line.quantity:
                charge_id = line.subject.charge_id(self.setup.tenant_id)
                held = problem("usage.late_held", f"line {charge_id}: {line.amount} {line.currency}", field=charge_id)
                self.troubles.append(Trouble(problem=held, currency=line.currency, amount=abs(line.amount)))

    def _write(self, stored: Iterable[Charge], computed: Iterable[Line], *, configuration: int) -> bool:
        revisions = compare(
            tenant_id=self.setup.tenant_id,
            stored=stored,
            computed=computed,
            usage_version=self.tick.usage_version,
            configuration=configuration,
            read_position=self.tick.read_position,
            keep_zero=True,
        )
        for charge in revisions:
            self.newest[charge.subject] = charge
            if not charge.held:
                self.stands[charge.subject] = charge
        self.revisions.extend(revisions)
        return bool(revisions)


def bearing_window(
    *, price: UsagePrice, origin: Window, time_zone: str, state: CustomerState, as_of: datetime
) -> Window:
    """The first period after `origin`, by the price's own rhythm, that is not closed: at the latest the one that holds `as_of`."""
    window = period_at(billing=price.billing, moment=origin.end, time_zone=time_zone)
    for _ in range(NEXT_MAX):
        if not state.is_closed(window) or window.start > as_of:
            return window
        window = period_at(billing=price.billing, moment=window.end, time_zone=time_zone)
    return period_at(billing=price.billing, moment=as_of, time_zone=time_zone)


def _is(charge: Charge, price: str, window: Window) -> bool:
    return charge.subject.price == price and charge.subject.window == window


def _keeps_zero(setup: ChargingSetup, line: Line) -> bool:
    return setup.policy(entity=line.entity, product_family=line.product_family).zero_lines
