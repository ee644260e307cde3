"""The conservation check of a tenant's usage: reads lines and asks meters at the newest tick, and compares."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from sqlalchemy import Connection, func, select

from revline.core.ids import SourceObject
from revline.core.problem import Mender, Problem, ProblemError, Retryable, define, problem
from revline.platform.store.engine import Database
from revline.subledger.usage.charges import queries, tables
from revline.subledger.usage.charges.balancing import (
    Unpriced,
    UsageBalance,
    meters_balance,
    types_balance,
    unpriced_of,
)
from revline.subledger.usage.charges.closing import close_policy
from revline.subledger.usage.charges.lines import Measured, Wanted
from revline.subledger.usage.charges.measuring import Answers, ask, read_answers
from revline.subledger.usage.charges.ports import Meters, Setups
from revline.subledger.usage.charges.queries import ChargeFilter
from revline.subledger.usage.charges.setup import ChargingSetup
from revline.subledger.usage.charges.state import PeriodState, Tick
from revline.subledger.usage.charges.values import Charge
from revline.subledger.usage.metering.values import Demand
from revline.subledger.usage.versions import Window

LINES_MAX: Final = 200_000
_FAR: Final = datetime(9999, 1, 1, tzinfo=UTC)

define(
    code="usage.never_rated",
    title="Usage was not rated yet",
    status=409,
    retryable=Retryable.AFTER_FIX,
    mender=Mender.SENDER,
    remedy="Rate it first: `revline usage rate`.",
)
define(
    code="usage.too_many_lines",
    title="Too many lines for one check",
    status=413,
    retryable=Retryable.NO,
    mender=Mender.SENDER,
    remedy="Check a shorter stretch of time: give --from and --until.",
)


class UsageCheck:
    """Checks one database's tenants. Reads only."""

    def __init__(self, *, database: Database, setups: Setups, meters: Meters) -> None:
        self._database, self._setups, self._meters = database, setups, meters

    def balance(self, *, tenant_id: str, window: Window) -> UsageBalance | Problem:
        """Everything of periods that begin in a window, and of events in it, as of the newest tick."""
        setup = self._setups.charging_setup(tenant_id=tenant_id)
        if isinstance(setup, Problem):
            return setup
        with self._database.read(tenants=[tenant_id]) as connection:
            tick = queries.newest_tick(connection, tenant_id=tenant_id)
            if tick is None:
                return problem("usage.never_rated", "there is no tick")
            charges = _lines(connection, tenant_id, window)
            if len(charges) > LINES_MAX:
                return problem("usage.too_many_lines", f"more than {LINES_MAX} lines")
            late = _too_late(connection, tenant_id, setup, tick)
            waiting = _waiting(connection, tenant_id)
        tallies = self._meters.tally(
            tenant_id=tenant_id, catalogue=setup.catalogue, version=tick.usage_version, window=window
        )
        if isinstance(tallies, Problem):
            return tallies
        try:
            metered = self._metered(setup, tick, charges)
            unpriced = self._unpriced(setup, tick, charges, window)
        except ProblemError as failure:
            return failure.problem
        return UsageBalance(
            tick=tick.position,
            types=types_balance(tallies),
            meters=meters_balance(charges=charges, metered=metered, late=late),
            unpriced=unpriced,
            waiting=waiting,
        )

    def _metered(self, setup: ChargingSetup, tick: Tick, charges: tuple[Charge, ...]) -> Answers:
        wanted = {
            Wanted(
                customer=charge.subject.customer,
                window=charge.subject.origin or charge.subject.window,
                price=charge.subject.price,
            )
            for charge in charges
            if charge.meter and charge.subject.price in setup.prices
        }
        return ask(
            meters=self._meters,
            setup=setup,
            wanted=sorted(wanted, key=lambda each: (each.customer, each.window, each.price)),
            version=tick.usage_version,
            position=tick.read_position,
        )

    def _unpriced(
        self, setup: ChargingSetup, tick: Tick, charges: tuple[Charge, ...], window: Window
    ) -> tuple[Unpriced, ...]:
        found: list[Unpriced] = []
        for name in sorted(setup.catalogue.meters):
            answered = self._meters.quantities(
                tenant_id=setup.tenant_id,
                catalogue=setup.catalogue,
                demands=[Demand(meter=name, window=window)],
                version=tick.usage_version,
                position=tick.read_position,
            )
            if isinstance(answered, Problem):
                raise ProblemError(answered)
            answers: Answers = {}
            read_answers(answered[name], into=answers)
            used: dict[SourceObject, list[Measured]] = {customer: each for (_, customer, _), each in answers.items()}
            priced = frozenset(charge.subject.customer for charge in charges if charge.meter == name)
            one = unpriced_of(meter=name, used=used, priced=priced)
            found += [] if one is None else [one]
        return tuple(found)


def _lines(connection: Connection, tenant_id: str, window: Window) -> tuple[Charge, ...]:
    """Every line of periods that begin in the window, with the adjustments of these periods whatever period bears them."""
    found: list[Charge] = []
    after = None
    while len(found) <= LINES_MAX:
        page = queries.charges(
            connection,
            tenant_id=tenant_id,
            wanted=ChargeFilter(window=Window(start=window.start, end=max(window.end, _FAR)), after=after),
            limit=queries.PAGE_MAX,
        )
        found += [
            charge
            for charge in page
            if window.start <= (charge.subject.origin or charge.subject.window).start < window.end
        ]
        if len(page) < queries.PAGE_MAX:
            break
        after = (page[-1].subject.window.start, page[-1].charge_id)
    return tuple(found)


def _too_late(
    connection: Connection, tenant_id: str, setup: ChargingSetup, tick: Tick
) -> tuple[tuple[SourceObject, Window], ...]:
    """Closed periods whose late usage is charged to nobody any more, by the policy for usage in general."""
    return tuple(
        (period.customer, period.window)
        for period in queries.periods_of(
            connection, tenant_id=tenant_id, state=PeriodState.CLOSED.value, limit=queries.PAGE_MAX
        )
        if any(
            not close_policy(policy=policy, origin=period.window, as_of=tick.as_of).counted for policy in setup.policies
        )
    )


def _waiting(connection: Connection, tenant_id: str) -> int:
    row = tables.usage_touch.c
    return int(
        connection.execute(
            select(func.count()).select_from(tables.usage_touch).where(row.tenant_id == tenant_id)
        ).scalar_one()
    )
