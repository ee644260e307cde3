"""An invoice line of metered use against what we expected of it: the difference, and what it is made of. Pure and exact.

The parts are taken in the order in which they can be seen: usage that came too late for the invoice, then another quantity at our
own price, then what is left at the same quantity: rounding, another spread over the tiers, or another price. They add up to the
difference to the last unit, so that a report by cause has no remainder.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal, localcontext
from typing import Final

from revline.core.ids import SourceObject
from revline.core.money import PRECISION, Currency, currency, less
from revline.subledger.usage.outward.values import (
    Billed,
    BilledLine,
    BillingSubject,
    Cause,
    Direction,
    Expected,
    Finding,
    Part,
    Tolerance,
)
from revline.subledger.usage.versions import Window

ZERO: Final = Decimal(0)


def compare_line(*, expected: Expected | None, billed: Billed | None, tolerance: Tolerance) -> Finding:
    """What was billed against what was expected of one subject. One of the two may be None, not both (ValueError)."""
    if expected is None and billed is None:
        raise ValueError("nothing to compare")
    if expected is None:
        assert billed is not None
        return unrated(billed=billed, cause=Cause.BILLED_WITHOUT_USAGE, tolerance=tolerance)
    if billed is None:
        parts = [Part(cause=Cause.USED_WITHOUT_BILL, amount=-expected.amount, quantity=-expected.quantity)]
        return _finding(expected, None, parts, tolerance)
    if expected.currency != billed.currency:
        detail = f"{billed.amount} {billed.currency} was billed, {expected.amount} {expected.currency} expected"
        return _of_currency(expected, billed, detail)
    return _finding(expected, billed, _parts(expected, billed, tolerance), tolerance)


def unrated(*, billed: Billed, cause: Cause, tolerance: Tolerance, detail: str = "") -> Finding:
    """A line that we can't rate: its customer or its meter is unknown here, or no usage is."""
    amount, quantity = billed.amount, billed.quantity
    part = Part(cause=cause, amount=amount, quantity=quantity, detail=detail)
    return Finding(
        subject=billed.subject,
        currency=billed.currency,
        expected_quantity=ZERO,
        expected_amount=ZERO,
        billed_quantity=quantity,
        billed_amount=amount,
        difference=amount,
        direction=direction_of(amount),
        cause=cause,
        parts=(part,),
        tolerated=tolerance.allows(difference=amount, expected=ZERO),
        lines=_names(billed),
    )


def direction_of(difference: Decimal) -> Direction:
    """Which way a difference (billed less expected) goes."""
    if difference == 0:
        return Direction.EQUAL
    return Direction.OVERBILLED if difference > 0 else Direction.LEAKAGE


def _parts(expected: Expected, billed: Billed, tolerance: Tolerance) -> list[Part]:
    found: list[Part] = []
    then = expected.amount if expected.amount_then is None else expected.amount_then
    quantity_then = expected.quantity if expected.quantity_then is None else expected.quantity_then
    if then != expected.amount or quantity_then != expected.quantity:
        late = less(quantity_then, expected.quantity)
        found.append(Part(cause=Cause.LATE_USAGE, amount=then - expected.amount, quantity=late))
    priced = _at_billed_quantity(expected, billed, then, quantity_then)
    if billed.quantity != quantity_then:
        more = less(billed.quantity, quantity_then)
        detail = f"{billed.quantity} billed, {quantity_then} known"
        cause = Cause.QUANTITY if quantity_then or expected.quantity else Cause.BILLED_WITHOUT_USAGE
        found.append(Part(cause=cause, amount=priced - then, quantity=more, detail=detail))
    else:
        priced = then
    rest = billed.amount - priced
    if rest:
        found.append(Part(cause=_rest_cause(expected, billed, rest, tolerance), amount=rest))
    return [part for part in found if part.amount or part.quantity]


def _at_billed_quantity(expected: Expected, billed: Billed, then: Decimal, quantity_then: Decimal) -> Decimal:
    """Our price of the billed quantity; where it can't be rated, in proportion to what was expected, in whole smallest units."""
    if expected.at_billed_quantity is not None:
        return expected.at_billed_quantity
    if not quantity_then:
        return then
    with localcontext() as context:
        context.prec = PRECISION
        return (then / quantity_then * billed.quantity).quantize(_quantum(expected.currency))


def _rest_cause(expected: Expected, billed: Billed, rest: Decimal, tolerance: Tolerance) -> Cause:
    if abs(rest) <= _quantum(expected.currency) * tolerance.rounding_units * len(billed.lines):
        return Cause.ROUNDING
    ours = set(expected.unit_prices)
    theirs = {line.unit_price for line in billed.lines if line.quantity}
    return Cause.TIER if len(ours) > 1 and theirs <= ours else Cause.PRICE


def _finding(expected: Expected, billed: Billed | None, parts: Sequence[Part], tolerance: Tolerance) -> Finding:
    billed_amount = ZERO if billed is None else billed.amount
    difference = billed_amount - expected.amount
    assert sum((part.amount for part in parts), ZERO) == difference, "the parts add up to the difference"
    largest = max(parts, key=lambda part: abs(part.amount), default=None)
    rounding = bool(parts) and all(part.cause is Cause.ROUNDING for part in parts)
    return Finding(
        subject=expected.subject,
        currency=expected.currency,
        expected_quantity=expected.quantity,
        expected_amount=expected.amount,
        billed_quantity=ZERO if billed is None else billed.quantity,
        billed_amount=billed_amount,
        difference=difference,
        direction=direction_of(difference),
        cause=None if largest is None else largest.cause,
        parts=tuple(parts),
        tolerated=rounding or tolerance.allows(difference=difference, expected=expected.amount),
        charges=expected.charges,
        lines=() if billed is None else _names(billed),
    )


def _of_currency(expected: Expected, billed: Billed, detail: str) -> Finding:
    """Two currencies have no difference that could be counted: the whole of what was expected is missing in its own."""
    part = Part(cause=Cause.CURRENCY, amount=-expected.amount, quantity=-expected.quantity, detail=detail)
    return Finding(
        subject=expected.subject,
        currency=expected.currency,
        expected_quantity=expected.quantity,
        expected_amount=expected.amount,
        billed_quantity=billed.quantity,
        billed_amount=ZERO,
        difference=-expected.amount,
        direction=direction_of(-expected.amount),
        cause=Cause.CURRENCY,
        parts=(part,),
        tolerated=False,
        charges=expected.charges,
        lines=_names(billed),
    )


def _names(billed: Billed) -> tuple[tuple[str, str], ...]:
    return tuple((line.invoice, line.line) for line in billed.lines)


def _quantum(code: str) -> Decimal:
    known = currency(code)
    return known.quantum if isinstance(known, Currency) else Decimal("0.01")


def gather(lines: Iterable[tuple[BillingSubject, str, BilledLine]]) -> tuple[Billed, ...]:
    """Lines (subject, currency, line) as what they bill together: one for each subject and currency, in order."""
    found: dict[tuple[BillingSubject, str], list[BilledLine]] = {}
    for subject, code, line in lines:
        found.setdefault((subject, code), []).append(line)
    return tuple(
        Billed(subject=subject, currency=code, lines=tuple(sorted(each)))
        for (subject, code), each in sorted(found.items(), key=lambda one: one[0])
    )


def paired(
    *, expected: Sequence[Expected], billed: Sequence[Billed]
) -> tuple[tuple[Expected | None, Billed | None], ...]:
    """Each expectation with what bills it: the same customer, price and window; else the one window that overlaps it most.

    A billing system cuts its periods by the second, a charge's may begin at midnight; what is not the same window is the nearest
    one of the same customer and price, taken once. What is left stands alone.
    """
    rest = sorted(billed, key=lambda each: (each.subject, each.currency))
    pairs: list[tuple[Expected | None, Billed | None]] = []
    open_expected: list[Expected] = []
    for one in sorted(expected, key=lambda each: (each.subject, each.currency)):
        same = [each for each in rest if each.subject == one.subject]
        found = next((each for each in same if each.currency == one.currency), same[0] if same else None)
        if found is None:
            open_expected.append(one)
        else:
            rest.remove(found)
            pairs.append((one, found))
    left = _by_price(rest)
    for one in open_expected:
        nearest = _nearest(one.subject.window, left.get((one.subject.customer, one.subject.price), []))
        if nearest is not None:
            left[one.subject.customer, one.subject.price].remove(nearest)
        pairs.append((one, nearest))
    pairs.extend((None, one) for each in left.values() for one in each)
    return tuple(pairs)


def _by_price(billed: Iterable[Billed]) -> dict[tuple[SourceObject, str], list[Billed]]:
    found: dict[tuple[SourceObject, str], list[Billed]] = {}
    for one in sorted(billed, key=lambda each: each.subject):
        found.setdefault((one.subject.customer, one.subject.price), []).append(one)
    return found


def _nearest(window: Window, found: Sequence[Billed]) -> Billed | None:
    overlaps = [(_overlap_seconds(window, one.subject.window), one) for one in found]
    return max(((length, one) for length, one in overlaps if length > 0), key=lambda each: each[0], default=(0, None))[
        1
    ]


def _overlap_seconds(one: Window, other: Window) -> float:
    return (min(one.end, other.end) - max(one.start, other.start)).total_seconds()


def totals(findings: Iterable[Finding]) -> Mapping[tuple[str, Cause, Direction], tuple[int, Decimal]]:
    """Findings that need work, as (currency, cause, direction) -> (how many, the sum of their differences)."""
    found: dict[tuple[str, Cause, Direction], tuple[int, Decimal]] = {}
    for one in findings:
        if one.cause is None or one.tolerated:
            continue
        key = (one.currency, one.cause, one.direction)
        count, amount = found.get(key, (0, ZERO))
        found[key] = (count + 1, amount + one.difference)
    return found
