"""Whether the far side's own entries equal the journal that was expected, per account and currency. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Final

from revline.core.farside import ErpEntry
from revline.core.journal import JournalLine
from revline.core.problem import Mender, Problem, Retryable, define, problem

ACCOUNTS_NAMED_MAX: Final = 10

Sums = dict[tuple[str, str], tuple[Decimal, Decimal]]
"""(far account code, currency) -> (net debit in functional currency, net debit in that currency)."""


def difference(
    *, expected: Sequence[JournalLine], accounts: Mapping[str, str], entries: Sequence[ErpEntry]
) -> Problem | None:
    """`erp.entries_differ` naming the accounts, or None when both sides are equal to the cent.

    accounts: neutral key -> far code; a key without a code shows under its own name and so differs.
    """
    wanted, booked = expected_sums(expected=expected, accounts=accounts), booked_sums(entries=entries)
    zero = (Decimal(0), Decimal(0))
    found = sorted(key for key in wanted.keys() | booked.keys() if wanted.get(key, zero) != booked.get(key, zero))
    if not found:
        return None
    parts = [
        f"{account} {currency}: expected {_plain(wanted.get((account, currency), zero)[1])},"
        f" booked {_plain(booked.get((account, currency), zero)[1])}"
        for account, currency in found[:ACCOUNTS_NAMED_MAX]
    ]
    field = ",".join(sorted({account for account, _ in found})[:ACCOUNTS_NAMED_MAX])
    return problem("erp.entries_differ", "; ".join(parts), field=field)


def expected_sums(*, expected: Sequence[JournalLine], accounts: Mapping[str, str]) -> Sums:
    """Net debits of the journal by far account code and transaction currency."""
    sums: dict[tuple[str, str], list[Decimal]] = defaultdict(lambda: [Decimal(0), Decimal(0)])
    for line in expected:
        both = sums[accounts.get(line.account, line.account), line.currency]
        both[0] += line.functional_debit - line.functional_credit
        both[1] += line.debit - line.credit
    return _without_zeros(sums)


def booked_sums(*, entries: Sequence[ErpEntry]) -> Sums:
    """Net debits of what was read back."""
    sums: dict[tuple[str, str], list[Decimal]] = defaultdict(lambda: [Decimal(0), Decimal(0)])
    for entry in entries:
        both = sums[entry.account, entry.currency]
        both[0] += entry.debit - entry.credit
        both[1] += entry.currency_amount
    return _without_zeros(sums)


def _without_zeros(sums: Mapping[tuple[str, str], list[Decimal]]) -> Sums:
    return {key: (both[0], both[1]) for key, both in sums.items() if any(both)}


def _plain(amount: Decimal) -> str:
    return format(amount, "f")


define(
    code="erp.entries_differ",
    title="The ERP booked other entries than the journal says",
    status=409,
    retryable=Retryable.NO,
    mender=Mender.FINANCE,
    remedy="Compare the accounts named: correct the ERP's set-up or the mapping, then correct the booking or waive the case.",
)
