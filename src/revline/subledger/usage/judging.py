"""Commitments judged: what was promised, what was used, and what the difference costs. Pure.

Lines count at what they cost before credits pay them, in the window that holds their last moment. A window is judged when it
has ended; until then its standing is shown and nothing is charged.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal, localcontext
from fractions import Fraction
from typing import Final

import msgspec

from revline.core.money import PRECISION, Rounding, known_currency, round_amount
from revline.subledger.usage.calendar import Cut, Every, cut
from revline.subledger.usage.charges.values import ChargeKind, ChargeSubject
from revline.subledger.usage.commitments import Commitment, Measure, Mode, NamedCommitment, Promise
from revline.subledger.usage.credits.values import ZERO, Judged, Line, StatementCharge
from revline.subledger.usage.versions import Window

QUANTITY_STEP: Final = Decimal("0.000000000001")
"""A promised quantity of part of a window is rounded to it, half up."""
OF: Final = "of"
SHORTFALL: Final = "shortfall"
OVERAGE: Final = "overage"
INSTANT: Final = timedelta(microseconds=1)
_ADDED: Final = frozenset({ChargeKind.COMMITMENT, ChargeKind.MINIMUM, ChargeKind.CREDIT})
_KINDS: Final = {Promise.COMMITMENT: ChargeKind.COMMITMENT, Promise.MINIMUM: ChargeKind.MINIMUM}


class Judgement(msgspec.Struct, frozen=True, kw_only=True):
    """One commitment as of a moment: every window begun, and the lines that windows which ended add; none of 0."""

    windows: tuple[Judged, ...]
    charges: tuple[StatementCharge, ...]


class _Standing(msgspec.Struct, frozen=True, kw_only=True):
    """promised, counted, shortfall: of the window, or to date. overage: of the window alone. owed: of the shortfall, what this
    window adds to what earlier ones were charged for."""

    promised: Decimal
    counted: Decimal
    shortfall: Decimal
    overage: Decimal
    owed: Decimal


def judge(*, commitment: NamedCommitment, lines: Iterable[Line], at: datetime, time_zone: str) -> Judgement:
    """What a commitment came to by `at`. lines: those of another customer or currency, or out of its scope or term, are passed
    over.

    Amounts are rounded half up to the currency's scale, once for each line charged; a cumulative promise by what was promised
    to date, so that the windows sum to the promise exactly.
    """
    with localcontext() as context:
        context.prec = PRECISION
        return _judged(commitment, lines, at, time_zone)


def _judged(commitment: NamedCommitment, lines: Iterable[Line], at: datetime, time_zone: str) -> Judgement:
    spec = commitment.spec
    cuts = tuple(cut(start=spec.starts_on, end=spec.ends_on, every=spec.every, until=at, time_zone=time_zone))
    windows = tuple(each.window for each in cuts)
    used = _used(commitment, windows, lines)
    ended = sum(1 for window in windows if window.end <= at)
    standings = _standings(spec, tuple(_promises(spec, cuts, time_zone)), used, ended)
    judged: list[Judged] = []
    charges: list[StatementCharge] = []
    for window, standing, (amount, quantity) in zip(windows, standings, used, strict=True):
        made = tuple(_charges(commitment, window, standing, amount, quantity)) if window.end <= at else ()
        charges.extend(made)
        judged.append(
            Judged(
                commitment=commitment.name,
                window=window,
                promised=standing.promised,
                counted=standing.counted,
                shortfall=standing.shortfall,
                overage=standing.overage,
                charged=sum((one.amount for one in made), ZERO),
                open=window.end > at,
            )
        )
    return Judgement(windows=tuple(judged), charges=tuple(charges))


def _used(
    commitment: NamedCommitment, windows: Sequence[Window], lines: Iterable[Line]
) -> list[tuple[Decimal, Decimal]]:
    """Amount and quantity of each window's lines."""
    spec, customer = commitment.spec, commitment.customer
    amounts, quantities = [ZERO] * len(windows), [ZERO] * len(windows)
    starts = [window.start for window in windows]
    for line in lines:
        subject = line.subject
        if subject.customer != customer or line.currency != spec.currency or subject.kind in _ADDED:
            continue
        if not spec.scope.covers(family=line.product_family, price=subject.price, meter=line.meter):
            continue
        last = subject.window.end - INSTANT
        place = bisect_right(starts, last) - 1
        if place >= 0 and last < windows[place].end:
            amounts[place] += line.amount
            quantities[place] += line.quantity
    return list(zip(amounts, quantities, strict=True))


def _promises(spec: Commitment, cuts: Sequence[Cut], time_zone: str) -> Iterator[Decimal]:
    """What each window promises by itself, or what is promised by its end."""
    shares = [each.share if spec.prorated else Fraction(1) for each in cuts]
    if spec.mode is Mode.WINDOWED:
        for share in shares:
            yield _rounded(spec, share)
        return
    every = cut(start=spec.starts_on, end=spec.ends_on, every=spec.every, until=None, time_zone=time_zone)
    whole = sum((each.share if spec.prorated else Fraction(1) for each in every), Fraction(0))
    to_date = Fraction(0)
    for share in shares:
        to_date += share
        yield _rounded(spec, to_date / whole)


def _rounded(spec: Commitment, share: Fraction) -> Decimal:
    """A share of what is promised."""
    value = Decimal(spec.promised) * share.numerator / share.denominator
    if spec.measure is Measure.QUANTITY:
        return value.quantize(QUANTITY_STEP, rounding=ROUND_HALF_UP)
    return _money(spec, value)


def _money(spec: Commitment, value: Decimal) -> Decimal:
    return round_amount(amount=value, currency=known_currency(spec.currency), rounding=Rounding.HALF_UP)


def _standings(
    spec: Commitment, promises: Sequence[Decimal], used: Sequence[tuple[Decimal, Decimal]], ended: int
) -> Iterator[_Standing]:
    """Each window's standing; cumulative ones carry what was used, beyond the whole promise, and charged for."""
    counts = [amount if spec.measure is Measure.AMOUNT else quantity for amount, quantity in used]
    if spec.mode is Mode.WINDOWED:
        for promised, count in zip(promises, counts, strict=True):
            behind = max(promised - count, ZERO)
            over = max(count - promised, ZERO)
            yield _Standing(promised=promised, counted=count, shortfall=behind, overage=over, owed=behind)
        return
    to_date = beyond = charged = ZERO
    for number, (promised, count) in enumerate(zip(promises, counts, strict=True)):
        to_date += count
        behind = max(promised - to_date, ZERO)
        over = max(to_date - spec.promised, ZERO)
        owed = behind - charged if spec.gives_back else max(behind - charged, ZERO)
        yield _Standing(promised=promised, counted=to_date, shortfall=behind, overage=over - beyond, owed=owed)
        beyond = over
        charged += owed if number < ended else ZERO


def _charges(
    commitment: NamedCommitment, window: Window, standing: _Standing, amount: Decimal, quantity: Decimal
) -> Iterator[StatementCharge]:
    """The lines of a window that has ended."""
    spec = commitment.spec
    figures = (("promised", str(standing.promised)), ("counted", str(standing.counted)))
    if spec.true_up and standing.owed:
        price = Decimal(1) if spec.measure is Measure.AMOUNT else Decimal(spec.unit_price)
        missing = _money(spec, standing.owed * price)
        yield from _charge(commitment, window, SHORTFALL, missing, (*figures, ("shortfall", str(standing.shortfall))))
    if standing.overage and spec.overage_factor != 1:
        beyond = standing.overage
        if spec.measure is Measure.QUANTITY:
            beyond = amount * standing.overage / quantity if quantity else ZERO
        more = _money(spec, beyond * (spec.overage_factor - 1))
        shown = (*figures, ("overage", str(standing.overage)), ("factor", str(spec.overage_factor)))
        yield from _charge(commitment, window, OVERAGE, more, shown)


def _charge(
    commitment: NamedCommitment, window: Window, of: str, amount: Decimal, figures: tuple[tuple[str, str], ...]
) -> Iterator[StatementCharge]:
    if not amount:
        return
    spec = commitment.spec
    yield StatementCharge(
        subject=ChargeSubject(
            customer=commitment.customer,
            kind=_KINDS[spec.promise],
            price=commitment.name,
            group=((OF, of),),
            window=window,
        ),
        product_family=spec.product_family,
        currency=spec.currency,
        amount=amount,
        explanation=figures,
    )


__all__ = ["Every", "Judgement", "judge"]
