"""Quantities and prices to charge lines. Pure: a meter's answer and a price in, what each line should say out.

Many customers' lines of one price are rated as one column. What can't be rated is a problem of its own line, not of others.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Final

import msgspec

from revline.core.hashing import digest_text
from revline.core.ids import SourceObject
from revline.core.money import shortest, summed
from revline.core.problem import Mender, Problem, Retryable, define, problem
from revline.subledger.usage.charges.comparing import Line
from revline.subledger.usage.charges.values import GROUPS_MAX, ChargeKind, ChargeSubject
from revline.subledger.usage.rating.inputs import WHOLE, MeterNeeds, RatingInput, Shape, Share, needs_of
from revline.subledger.usage.rating.kinds import GroupLines, UsagePrice
from revline.subledger.usage.rating.rate import rate
from revline.subledger.usage.rating.rated import Rated
from revline.subledger.usage.versions import Window

ZERO: Final = Decimal(0)

define(
    code="usage.groups_too_many",
    title="A meter gives more groups than a customer's bill may have lines",
    status=409,
    retryable=Retryable.AFTER_FIX,
    mender=Mender.CONFIGURATION,
    remedy="Group the meter by a field with fewer values, or let the price take its groups together.",
)
define(
    code="usage.price_unmetered",
    title="A price needs more than its meter gives",
    status=409,
    retryable=Retryable.AFTER_FIX,
    mender=Mender.CONFIGURATION,
    remedy="Group the meter by the fields the price's model names, or choose another model.",
)


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """What a meter gave for one group of one customer's window. values: of the meter's group fields, in its order. sequences: the
    sum of the receipt sequences of its events. transactions: each amount in order, only of a price that needs them."""

    values: tuple[str, ...] = ()
    quantity: Decimal
    events: int
    sequences: int
    transactions: tuple[Decimal, ...] = ()


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """One price of one customer's billing period that is to be rated. price: its name. share: the part of a whole period that is
    charged. until: the window the quantities are of, where it is not the whole period."""

    customer: SourceObject
    window: Window
    price: str
    share: Share = WHOLE
    until: Window | None = None

    @property
    def counted(self) -> Window:
        """The window whose quantities are rated."""
        return self.window if self.until is None else self.until


class Unrated(msgspec.Struct, frozen=True, kw_only=True):
    """What could not be rated, and why."""

    wanted: Wanted
    problem: Problem


Answers = Mapping[tuple[str, SourceObject, Window], Sequence[Measured]]
"""What meters gave, by meter, customer and window; no key where nothing was used."""


class _Priced(msgspec.Struct, frozen=True, kw_only=True):
    wanted: Wanted
    group: tuple[tuple[str, str], ...]
    given: RatingInput
    quantity: Decimal
    events: int
    digest: str


def lines_of(
    *,
    prices: Mapping[str, UsagePrice],
    groups_of: Mapping[str, Sequence[str]],
    wanted: Iterable[Wanted],
    answers: Answers,
) -> tuple[tuple[Line, ...], tuple[Unrated, ...]]:
    """The lines of usage that follow, in the order of what is wanted, and what can't be rated.

    groups_of: the group fields of each meter. A price without any use gives one line of nothing: what it costs then is the price's.
    """
    by_price: dict[str, list[Wanted]] = {}
    for each in wanted:
        by_price.setdefault(each.price, []).append(each)
    lines: list[Line] = []
    unrated: list[Unrated] = []
    for name, mine in by_price.items():
        price = prices[name]
        fields = tuple(groups_of.get(price.meter, ()))
        needs = needs_of(price.terms)
        missing = _missing(price, needs, fields)
        priced: list[_Priced] = []
        for each in mine:
            found = missing or _priced(price, needs, fields, each, answers)
            if isinstance(found, Problem):
                unrated.append(Unrated(wanted=each, problem=found))
            else:
                priced.extend(found)
        made, failed = _rated(price, priced)
        lines.extend(made)
        unrated.extend(failed)
    return tuple(lines), tuple(unrated)


def _missing(price: UsagePrice, needs: MeterNeeds, fields: tuple[str, ...]) -> Problem | None:
    lacking = [name for name in needs.group_by if name not in fields]
    if lacking:
        detail = f"the meter {price.meter} is not grouped by {', '.join(lacking)}"
        return problem("usage.price_unmetered", detail, field=price.meter)
    return None


def answered_as(price: UsagePrice, wanted: Wanted) -> tuple[str, SourceObject, Window]:
    """The key of a meter's answer. Of a price by time of day it names the price too: its groups are that price's bands."""
    meter = f"{price.meter}/{wanted.price}" if needs_of(price.terms).week else price.meter
    return (meter, wanted.customer, wanted.counted)


def _priced(
    price: UsagePrice, needs: MeterNeeds, fields: tuple[str, ...], wanted: Wanted, answers: Answers
) -> list[_Priced] | Problem:
    """One line over all groups, or one for each combination of the fields the model does not price one by one."""
    key = answered_as(price, wanted)
    if needs.week and key not in answers:
        detail = f"the meter {price.meter} was not asked by the hours that the price names"
        return problem("usage.price_unmetered", detail, field=price.meter)
    measured = answers.get(key, ())
    own = [index for index, name in enumerate(fields) if name not in needs.group_by]
    apart = price.group_lines is GroupLines.EACH and bool(own)
    parts: dict[tuple[tuple[str, str], ...], list[Measured]] = {} if apart and measured else {(): []}
    for each in measured:
        group = tuple((fields[index], each.values[index]) for index in own) if apart else ()
        parts.setdefault(group, []).append(each)
    if len(parts) > GROUPS_MAX:
        detail = f"{len(parts)} groups of meter {price.meter} for {wanted.customer.outside_id}"
        return problem("usage.groups_too_many", detail, field=price.meter)
    return [_one(needs, fields, wanted, group, mine) for group, mine in sorted(parts.items())]


def _one(
    needs: MeterNeeds,
    fields: tuple[str, ...],
    wanted: Wanted,
    group: tuple[tuple[str, str], ...],
    mine: Sequence[Measured],
) -> _Priced:
    quantity = summed(each.quantity for each in mine)
    match needs.shape:
        case Shape.GROUPS:
            places = [0] if needs.week else [fields.index(name) for name in needs.group_by]
            sums: dict[tuple[str, ...], Decimal] = {}
            for each in mine:
                key = tuple(each.values[place] for place in places)
                sums[key] = summed((sums.get(key, ZERO), each.quantity))
            given = RatingInput(quantity=quantity, groups=tuple(sorted(sums.items())), share=wanted.share)
        case Shape.TRANSACTIONS:
            amounts = tuple(amount for each in mine for amount in each.transactions)
            given = RatingInput(quantity=quantity, transactions=amounts, share=wanted.share)
        case Shape.QUANTITY:
            given = RatingInput(quantity=quantity, share=wanted.share)
    events = sum(each.events for each in mine)
    return _Priced(
        wanted=wanted,
        group=group,
        given=given,
        quantity=quantity,
        events=events,
        digest=quantity_digest(mine) if events else "",
    )


def quantity_digest(mine: Iterable[Measured]) -> str:
    """What proves a line: over values, quantity, events and the sum of receipt sequences of each group that it is made of."""
    parts = [(each.values, shortest(each.quantity), each.events, str(each.sequences)) for each in mine]
    return digest_text(sorted(parts))


def _rated(price: UsagePrice, priced: Sequence[_Priced]) -> tuple[list[Line], list[Unrated]]:
    """All in one column; where that fails each alone, so that one line's problem is nobody else's."""
    if not priced:
        return [], []
    rated = rate(terms=price.terms, inputs=[each.given for each in priced])
    if isinstance(rated, Rated):
        amounts = rated.amounts()
        return [_line(price, each, amounts[row], rated, row) for row, each in enumerate(priced)], []
    if len(priced) == 1:
        return [], [Unrated(wanted=priced[0].wanted, problem=rated)]
    lines: list[Line] = []
    unrated: list[Unrated] = []
    for each in priced:
        made, failed = _rated(price, [each])
        lines += made
        unrated += failed
    return lines, unrated


def _line(price: UsagePrice, one: _Priced, amount: Decimal, rated: Rated, row: int) -> Line:
    return Line(
        subject=ChargeSubject(
            customer=one.wanted.customer,
            kind=ChargeKind.USAGE,
            price=one.wanted.price,
            group=one.group,
            window=one.wanted.window,
        ),
        entity=price.entity,
        product_family=price.product_family,
        meter=price.meter,
        unit=price.terms.unit,
        quantity=one.quantity,
        currency=price.terms.currency,
        amount=amount,
        events=one.events,
        digest=one.digest,
        explanation=rated.explain(row).to_json(),
    )
