"""What is accrued of a customer's lines: their amounts by accounting months, against what was stated of them. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Final

from revline.core.ids import SourceObject
from revline.subledger.usage.charges.accruing import BILLED, Entry, Target, entries
from revline.subledger.usage.charges.closing import Part, books_open_from, close_policy, parts_of
from revline.subledger.usage.charges.comparing import Line
from revline.subledger.usage.charges.lines import Unrated
from revline.subledger.usage.charges.policy import Accrual, UsagePolicy
from revline.subledger.usage.charges.rating import Setups, configuration_of
from revline.subledger.usage.charges.setup import Seller
from revline.subledger.usage.charges.state import CustomerState, Tick
from revline.subledger.usage.charges.values import Charge, ChargeKind, ChargeSubject
from revline.subledger.usage.versions import Window

ZERO: Final = Decimal(0)


class Rated:
    """What was rated in a run, of many customers. cuts: what a line came to until an accounting month ended within its period."""

    def __init__(
        self,
        *,
        lines: Iterable[Line] = (),
        unrated: Iterable[Unrated] = (),
        cuts: Mapping[tuple[ChargeSubject, datetime], Decimal] | None = None,
    ) -> None:
        self._lines: dict[tuple[SourceObject, Window], list[Line]] = {}
        self._unrated: dict[tuple[SourceObject, Window], list[Unrated]] = {}
        self.cuts = cuts or {}
        for line in lines:
            self._lines.setdefault((line.subject.customer, line.subject.window), []).append(line)
        for each in unrated:
            self._unrated.setdefault((each.wanted.customer, each.wanted.window), []).append(each)

    def lines_of(self, customer: SourceObject, window: Window) -> Sequence[Line]:
        """The lines of a customer's period."""
        return self._lines.get((customer, window), ())

    def unrated_of(self, customer: SourceObject, window: Window) -> Sequence[Unrated]:
        """What of it could not be rated."""
        return self._unrated.get((customer, window), ())


def booked(
    *,
    setups: Setups,
    tick: Tick,
    state: CustomerState,
    seller: Seller,
    standing: Sequence[Charge],
    rated: Rated,
) -> tuple[tuple[Entry, Charge, str], ...]:
    """The entries to state now, each with its line and the account it is accrued against."""
    stated: dict[str, list[Entry]] = {}
    for entry in state.entries:
        stated.setdefault(entry.charge_id, []).append(entry)
    made: list[tuple[Entry, Charge, str]] = []
    for charge in sorted(standing, key=lambda each: each.charge_id):
        mine = stated.get(charge.charge_id, [])
        if not charge.amount and not mine:
            continue
        subject = charge.subject
        setup = setups[configuration_of(state, tick, subject.origin or subject.window)]
        policy = setup.policy(entity=charge.entity, product_family=charge.product_family)
        accrued = policy.accrual is Accrual.MONTH_END
        if not accrued and not mine:
            continue
        found = entries(
            charge=charge,
            stated=mine,
            targets=_targets(charge, policy, mine, seller, tick, rated) if accrued else (),
            open_from=books_open_from(
                policy=policy, closed_through=state.books_through, as_of=tick.as_of, time_zone=seller.time_zone
            ),
            billing=state.billings.get(charge.charge_id),
        )
        made.extend((entry, charge, policy.accrual_account) for entry in found)
    return tuple(made)


def _targets(
    charge: Charge, policy: UsagePolicy, stated: Sequence[Entry], seller: Seller, tick: Tick, rated: Rated
) -> tuple[Target, ...]:
    """What should be accrued by now, by the months the usage was made in."""
    origin = charge.subject.origin
    if origin is not None:
        part = parts_of(window=origin, time_zone=seller.time_zone)[-1]
        late = close_policy(policy=policy, origin=origin, as_of=tick.as_of)
        return (Target(part=part.name, day=part.day, amount=charge.amount, in_original=late.in_original),)
    parts = parts_of(window=charge.subject.window, time_zone=seller.time_zone)
    ended = [part for part in parts if part.end <= tick.as_of]
    if not ended:
        return ()
    if charge.subject.kind is not ChargeKind.USAGE:
        last = parts[-1]
        return (Target(part=last.name, day=last.day, amount=charge.amount),) if last in ended else ()
    return tuple(_by_month(charge, parts, ended, stated, rated))


def _by_month(
    charge: Charge, parts: Sequence[Part], ended: Sequence[Part], stated: Sequence[Entry], rated: Rated
) -> Iterable[Target]:
    """Each month takes what the line came to by its end, less the months before; the last one what is left of the whole."""
    before = ZERO
    for part in ended:
        cut = rated.cuts.get((charge.subject, part.end))
        if part is parts[-1]:
            amount = charge.amount - before
        elif cut is not None:
            amount = cut - before
        else:  # not rated anew, so it stands as it was stated
            amount = sum((entry.amount for entry in stated if entry.part == part.name), ZERO)
        before += amount
        yield Target(part=part.name, day=part.day, amount=amount)


def accrued_of(stated: Iterable[Entry]) -> Decimal:
    """What stands accrued: all entries less what was reversed by billing."""
    return sum((entry.amount for entry in stated), ZERO)


def reversed_by_billing(stated: Iterable[Entry]) -> Decimal:
    """What billing took back, as a positive amount."""
    return -sum((entry.amount for entry in stated if entry.part == BILLED), ZERO)
