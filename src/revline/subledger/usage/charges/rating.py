"""One run of one customer, first half: which prices of which periods are rated anew, and what meters are asked for. Pure.

Only what was touched: a period's other lines stand as they are.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

import msgspec

from revline.core.ids import SourceObject
from revline.subledger.usage.charges.closing import parts_of
from revline.subledger.usage.charges.lines import Wanted
from revline.subledger.usage.charges.policy import Accrual
from revline.subledger.usage.charges.setup import EVERY_METER, ChargingSetup, priced_periods
from revline.subledger.usage.charges.state import CustomerState, Tick
from revline.subledger.usage.metering.values import CustomerWindow, Demand
from revline.subledger.usage.rating.kinds import UsagePrice
from revline.subledger.usage.versions import Window

Setups = Mapping[int, ChargingSetup]
"""By configuration version."""


class Due(msgspec.Struct, frozen=True, kw_only=True):
    """A period that is rated anew. prices: by name, those of touched meters. meters: the touched ones, EVERY_METER for all.
    configuration: the version whose prices count: the present one, of a closed period the one it was closed with. whole: of
    everything in `prices`; cuts: of the usage until the end of each accounting month within the period."""

    window: Window
    closed: bool
    configuration: int
    meters: frozenset[str]
    prices: Mapping[str, UsagePrice]
    whole: tuple[Wanted, ...]
    cuts: tuple[Wanted, ...] = ()

    def covers(self, meter: str) -> bool:
        """Whether lines of a meter are rated anew."""
        return EVERY_METER in self.meters or meter in self.meters


def due_periods(*, setups: Setups, state: CustomerState, tick: Tick) -> tuple[Due, ...]:
    """The customer's periods that were touched, oldest first."""
    meters: dict[Window, set[str]] = {}
    for touch in state.touches:
        meters.setdefault(touch.window, set()).add(touch.meter)
    for window in crossing(setups=setups, state=state, tick=tick):
        meters.setdefault(window, set()).add(EVERY_METER)
    return tuple(
        found
        for window, touched in sorted(meters.items())
        if (found := _due(setups, state, tick, window, frozenset(touched))) is not None
    )


def configuration_of(state: CustomerState, tick: Tick, window: Window) -> int:
    """The version of the configuration whose prices count for a period."""
    period = state.period(window)
    return period.configuration if period is not None and state.is_closed(window) else tick.configuration


def crossing(*, setups: Setups, state: CustomerState, tick: Tick) -> tuple[Window, ...]:
    """Open periods in which an accounting month ended that is to be accrued: the usage until then has to be rated by itself."""
    found = []
    for period in state.periods:
        if state.is_closed(period.window) or period.look_at is None or period.look_at > tick.as_of:
            continue
        setup = setups[tick.configuration]
        seller = setup.seller_of(state.customer)
        if seller is not None and len(parts_of(window=period.window, time_zone=seller.time_zone)) > 1:
            found.append(period.window)
    return tuple(found)


def _due(setups: Setups, state: CustomerState, tick: Tick, window: Window, meters: frozenset[str]) -> Due | None:
    configuration = configuration_of(state, tick, window)
    setup = setups[configuration]
    seller = setup.seller_of(state.customer)
    if seller is None:
        return None
    zone = seller.time_zone
    found = {
        name: period
        for name, period in priced_periods(
            setup, customer=state.customer, within=window, until=tick.as_of, subscribed=state.subscribed
        )
        if period.window == window and (EVERY_METER in meters or setup.prices[name].meter in meters)
    }
    prices = {name: setup.prices[name] for name in found}
    whole = tuple(
        Wanted(customer=state.customer, window=window, price=name, share=period.share) for name, period in found.items()
    )
    closed = state.is_closed(window)
    cuts: tuple[Wanted, ...] = ()
    ends = [] if closed else _month_ends(window, zone, tick.as_of)
    if ends:
        cuts = tuple(
            Wanted(
                customer=state.customer,
                window=window,
                price=name,
                share=found[name].share,
                until=Window(start=window.start, end=end),
            )
            for name, price in prices.items()
            for end in ends
            if _accrued(setup, price)
        )
    return Due(
        window=window,
        closed=closed,
        configuration=configuration,
        meters=meters,
        prices=prices,
        whole=whole,
        cuts=cuts,
    )


def _accrued(setup: ChargingSetup, price: UsagePrice) -> bool:
    policy = setup.policy(entity=price.entity, product_family=price.product_family)
    return policy.accrual is Accrual.MONTH_END


def _month_ends(window: Window, time_zone: str, as_of: datetime) -> list[datetime]:
    """The ends of accounting months strictly within a period that are over."""
    return [
        part.end for part in parts_of(window=window, time_zone=time_zone) if part.end < window.end and part.end <= as_of
    ]


def demands_of(wanted: Iterable[tuple[Wanted, str]]) -> tuple[tuple[Demand, ...], ...]:
    """What meters are asked for, from what is wanted with its meter: in rounds of one demand a meter, since windows of one customer
    in one demand may not overlap."""
    windows: dict[tuple[str, SourceObject], set[Window]] = {}
    for each, meter in wanted:
        windows.setdefault((meter, each.customer), set()).add(each.counted)
    rounds: list[dict[str, list[CustomerWindow]]] = []
    for (meter, customer), mine in sorted(windows.items()):
        for number, part in enumerate(_apart(sorted(mine))):
            while len(rounds) <= number:
                rounds.append({})
            asked = rounds[number].setdefault(meter, [])
            asked.extend(CustomerWindow(customer=customer, window=window) for window in part)
    return tuple(
        tuple(Demand(meter=meter, customers=tuple(asked)) for meter, asked in sorted(each.items())) for each in rounds
    )


def _apart(windows: Sequence[Window]) -> list[list[Window]]:
    """Windows dealt into as few lists as needed for none to overlap within one."""
    found: list[list[Window]] = []
    for window in windows:
        free = next((part for part in found if part[-1].end <= window.start), None)
        if free is None:
            found.append([window])
        else:
            free.append(window)
    return found
