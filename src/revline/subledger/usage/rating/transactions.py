"""A percentage of each transaction, with what is free, what is added, floor and cap, over columns. Pure.

All transactions of all charges lie one after another in one column; what is said of a charge are sums over its run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np

from revline.core.problem import Problem, problem
from revline.subledger.usage.rating.conventions import Conventions, FreeEnd, FreeStraddle, NegativeUsage
from revline.subledger.usage.rating.exact import ONE, ZERO, Column, Mask, Places, constant, decimals
from revline.subledger.usage.rating.explanation import StepKind
from revline.subledger.usage.rating.inputs import TRANSACTIONS_MAX, RatingInput
from revline.subledger.usage.rating.models import Percentage
from revline.subledger.usage.rating.rated import StepColumn, Tally
from revline.subledger.usage.rating.tiers import Parts


@dataclass(frozen=True, kw_only=True, slots=True)
class Transactions:
    """Every row's transactions one after another. offsets: where each row's begin. rows: the row of each. counted: those that are
    not below zero; the others owe no fee of their own and use up nothing that is free."""

    amount: Column
    offsets: Places
    rows: Places
    counted: Mask


def transactions(inputs: Sequence[RatingInput]) -> Transactions | Problem:
    """The transactions of all rows."""
    counts = np.array([len(each.transactions) for each in inputs], dtype=np.int64)
    if counts.max(initial=0) > TRANSACTIONS_MAX:
        return problem(
            "usage.transactions_too_many", f"one charge has {counts.max():,} transactions, {TRANSACTIONS_MAX:,} at most"
        )
    offsets = np.zeros(len(inputs) + 1, dtype=np.int64)
    offsets[1:] = np.cumsum(counts)
    rows = np.repeat(np.arange(len(inputs), dtype=np.int64), counts)
    amounts = decimals([amount for each in inputs for amount in each.transactions])
    amount = amounts.spread(int(offsets[-1]))
    return Transactions(amount=amount, offsets=offsets, rows=rows, counted=~ZERO.above(amount))


def charge_transactions(
    *, model: Percentage, given: Transactions, conventions: Conventions, parts: Parts, tally: Tally
) -> None:
    """A fee for each transaction, summed by what made it."""
    if conventions.negative_usage is NegativeUsage.ZERO:
        given = replace(given, amount=given.amount.greatest(ZERO))
    base, free = _charged_part(model, given, conventions, parts)
    due = given.counted & ~free
    rate = Fraction(model.percent) / 100
    share = base.times(rate)
    fixed = constant(Fraction(model.fixed_amount)).only(due)
    fee = share.plus(fixed)
    raised = _raised(fee, model).only(due)
    capped = _capped(fee.plus(raised), model).only(due)
    whole = tally.rounded(fee.plus(raised).plus(capped)) if tally.each_step else None
    summed = given.offsets

    def count(mask: Mask) -> Column:
        return ONE.only(mask).spread(len(given.rows)).summed(summed)

    tally.note(
        StepColumn(
            kind=StepKind.FREE_TRANSACTIONS,
            label="free of the amounts",
            quantity=given.amount.greatest(ZERO).minus(base.greatest(ZERO)).summed(summed),
        )
    )
    tally.add(
        StepColumn(
            kind=StepKind.PERCENTAGE,
            label="percentage",
            amount=share.summed(summed),
            quantity=base.summed(summed),
            rate=rate,
            percent=True,
        ),
        charged=None if whole is None else whole.summed(summed),
    )
    for kind, label, amount, mask, each in (
        (StepKind.TRANSACTION_FIXED, "for each transaction", fixed, due, model.fixed_amount or None),
        (StepKind.TRANSACTION_MINIMUM, "transactions raised to", raised, raised.above(ZERO), model.minimum),
        (StepKind.TRANSACTION_MAXIMUM, "transactions lowered to", capped, ZERO.above(capped), model.maximum),
    ):
        if each is not None:
            said = f"{label} {tally.money(Fraction(each))}"
            step = StepColumn(kind=kind, label=said, amount=amount.summed(summed), quantity=count(mask))
            tally.add(step, charged=ZERO)


def _charged_part(
    model: Percentage, given: Transactions, conventions: Conventions, parts: Parts
) -> tuple[Column, Mask]:
    """What of each transaction's amount is charged, and which transactions are wholly free."""
    if not model.free_transactions and model.free_amount is None:
        return given.amount, np.zeros(len(given.rows), dtype=np.bool_)
    place = ONE.only(given.counted).spread(len(given.rows)).before_each(given.offsets, given.rows)
    by_count = constant(model.free_transactions).above(place) & given.counted
    if model.free_amount is None:
        return given.amount.only(~by_count), by_count
    positive = given.amount.greatest(ZERO)
    free = parts.of(constant(Fraction(model.free_amount)), prorated=conventions.prorate_free_units)
    left = free.taken(given.rows).minus(positive.before_each(given.offsets, given.rows)).greatest(ZERO)
    covered = _covered(positive, left, conventions)
    by_amount = covered.at_least(positive) & left.above(ZERO) & given.counted
    if not model.free_transactions:
        return given.amount.minus(covered), by_amount
    if conventions.free_end is FreeEnd.EITHER:
        return given.amount.minus(covered.only(by_count)), by_amount & by_count
    return given.amount.minus(positive.where(by_count, covered)), by_amount | by_count


def _covered(amount: Column, left: Column, conventions: Conventions) -> Column:
    """How much of each amount is free when so much of the free amount is left before it."""
    match conventions.free_straddle:
        case FreeStraddle.REST:
            return amount.least(left)
        case FreeStraddle.FREE:
            return amount.only(left.above(ZERO))
        case FreeStraddle.WHOLE:
            return amount.only(left.at_least(amount))


def _raised(fee: Column, model: Percentage) -> Column:
    return ZERO if model.minimum is None else constant(Fraction(model.minimum)).minus(fee).greatest(ZERO)


def _capped(fee: Column, model: Percentage) -> Column:
    return ZERO if model.maximum is None else constant(Fraction(model.maximum)).minus(fee).least(ZERO)
