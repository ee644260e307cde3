"""Conservation of usage: every accepted event is charged, held, void, not billable or not priced, by count and by quantity. Pure.

Two sums have to close. By type, over all events: accepted = counted + held + void + voids themselves + not billable. By meter and
price, over the periods that were rated: what the meter gives at the tick = what charge lines count, late usage that is held
or came too late included. What a customer used that no price reaches is shown as not priced, never dropped.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Final

import msgspec

from revline.core.ids import SourceObject
from revline.subledger.usage.charges.lines import Measured
from revline.subledger.usage.charges.values import Charge, ChargeKind
from revline.subledger.usage.metering.values import Tally
from revline.subledger.usage.versions import Window

ZERO: Final = Decimal(0)


class TypeBalance(msgspec.Struct, frozen=True, kw_only=True):
    """One type of event. closes: accepted is the sum of the rest."""

    type: str
    accepted: int
    counted: int
    held: int
    void: int
    commands: int
    not_billable: int
    closes: bool


class MeterBalance(msgspec.Struct, frozen=True, kw_only=True):
    """One meter at one price. metered: by the meter, of the periods that have lines. charged: by standing lines and adjustments.
    late: held for a person, or too late to be charged. unpriced: used by customers whom no price of this meter reaches."""

    meter: str
    price: str
    metered_events: int
    charged_events: int
    late_events: int
    metered_quantity: Decimal
    charged_quantity: Decimal
    late_quantity: Decimal
    closes: bool


class Unpriced(msgspec.Struct, frozen=True, kw_only=True):
    """What was used of a meter and is priced by nothing."""

    meter: str
    events: int
    quantity: Decimal
    customers: int


class UsageBalance(msgspec.Struct, frozen=True, kw_only=True):
    """Everything, as of a tick. waiting: (customer, period, meter) that are touched and not rated yet; until there are none a meter
    may not close."""

    tick: int
    types: tuple[TypeBalance, ...]
    meters: tuple[MeterBalance, ...]
    unpriced: tuple[Unpriced, ...]
    waiting: int

    @property
    def closes(self) -> bool:
        """Whether nothing is missing."""
        return all(each.closes for each in self.types) and all(each.closes for each in self.meters)


def types_balance(tallies: Iterable[Tally]) -> tuple[TypeBalance, ...]:
    """By type of event."""
    return tuple(
        TypeBalance(
            type=each.type,
            accepted=each.accepted,
            counted=each.counted,
            held=each.held,
            void=each.void,
            commands=each.commands,
            not_billable=each.not_billable,
            closes=each.accepted == each.counted + each.held + each.void + each.commands + each.not_billable,
        )
        for each in sorted(tallies, key=lambda one: one.type)
    )


Metered = Mapping[tuple[str, SourceObject, Window], Sequence[Measured]]


def meters_balance(
    *, charges: Iterable[Charge], metered: Metered, late: Iterable[tuple[SourceObject, Window]]
) -> tuple[MeterBalance, ...]:
    """By meter and price. charges: the newest revision of every line of usage, adjustments and held ones with them. metered: what
    meters give for their periods. late: periods of which usage came too late to be charged."""
    sums: dict[tuple[str, str], dict[tuple[SourceObject, Window], list[Charge]]] = {}
    for charge in charges:
        if charge.subject.kind in {ChargeKind.USAGE, ChargeKind.ADJUSTMENT}:
            origin = charge.subject.origin or charge.subject.window
            places = sums.setdefault((charge.meter, charge.subject.price), {})
            places.setdefault((charge.subject.customer, origin), []).append(charge)
    refused = frozenset(late)
    return tuple(_meter(meter, price, places, metered, refused) for (meter, price), places in sorted(sums.items()))


def _meter(
    meter: str,
    price: str,
    places: Mapping[tuple[SourceObject, Window], Sequence[Charge]],
    metered: Metered,
    refused: frozenset[tuple[SourceObject, Window]],
) -> MeterBalance:
    events = charged = late = 0
    quantity = charged_quantity = late_quantity = ZERO
    closes = True
    for (customer, window), mine in places.items():
        found = metered.get((meter, customer, window), ())
        here = sum(each.events for each in found), sum((each.quantity for each in found), ZERO)
        standing = [charge for charge in mine if not charge.held]
        counted = sum(each.events for each in standing), sum((each.quantity for each in standing), ZERO)
        waiting = [charge for charge in mine if charge.held]
        aside = sum(each.events for each in waiting), sum((each.quantity for each in waiting), ZERO)
        if (customer, window) in refused:
            aside = here[0] - counted[0], here[1] - counted[1]
        closes &= here == (counted[0] + aside[0], counted[1] + aside[1])
        events, quantity = events + here[0], quantity + here[1]
        charged, charged_quantity = charged + counted[0], charged_quantity + counted[1]
        late, late_quantity = late + aside[0], late_quantity + aside[1]
    return MeterBalance(
        meter=meter,
        price=price,
        metered_events=events,
        charged_events=charged,
        late_events=late,
        metered_quantity=quantity,
        charged_quantity=charged_quantity,
        late_quantity=late_quantity,
        closes=closes,
    )


def unpriced_of(
    *, meter: str, used: Mapping[SourceObject, Sequence[Measured]], priced: frozenset[SourceObject]
) -> Unpriced | None:
    """What customers without any line of a meter used of it; None when there is nothing."""
    mine = {customer: found for customer, found in used.items() if customer not in priced}
    if not mine:
        return None
    return Unpriced(
        meter=meter,
        events=sum(each.events for found in mine.values() for each in found),
        quantity=sum((each.quantity for found in mine.values() for each in found), ZERO),
        customers=len(mine),
    )
