"""Journal entries: what an accounting event books in one book. Balanced or not made. Knows no ERP.

Accounts are neutral keys (accounts_receivable); a connection's mapping turns them into an ERP's codes when a document is sent.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import date
from decimal import Decimal

import msgspec

from revline.core.ids import SourceObject
from revline.core.money import Amount, decode_hook
from revline.core.problem import Mender, Problem, Retryable, define, problem

JOURNAL_LINES_MAX = 5_000


class JournalLine(msgspec.Struct, frozen=True, kw_only=True):
    """One line: exactly one of debit and credit is not zero, both are non-negative.

    debit, credit: in the transaction currency. functional_debit, functional_credit: in the book's functional currency, at `rate`
    (functional units per transaction unit) from `rate_source` ("identity" when the currencies are the same). conversion: the
    line converts or remeasures and need not balance in its transaction currency. dimensions: sorted (dimension, value).
    party: the customer on a receivable line, else None. source_line: the invoice line or other part it comes from. rule_entry:
    which entry of the rule made it.
    """

    line: int
    account: str
    debit: Amount
    credit: Amount
    currency: str
    functional_debit: Amount
    functional_credit: Amount
    rate: Amount
    rate_source: str
    conversion: bool = False
    dimensions: tuple[tuple[str, str], ...] = ()
    party: SourceObject | None = None
    source_line: str = ""
    tax_rate: str = ""
    description: str = ""
    rule_entry: int = 0


class JournalEntry(msgspec.Struct, frozen=True, kw_only=True):
    """What one event books in one book. journal_id: `ids.journal_id`. rule: name of the posting rule. reverses: journal or ""."""

    journal_id: str
    event_id: str
    event_kind: str
    entity: str
    book: str
    accounting_date: date
    document_date: date
    functional_currency: str
    rule: str
    lines: tuple[JournalLine, ...]
    reverses: str = ""
    memo: str = ""


def imbalance(entry: JournalEntry) -> Problem | None:
    """Why the entry does not balance, or None: per functional currency always, per transaction currency unless a line converts."""
    functional = sum((line.functional_debit - line.functional_credit for line in entry.lines), Decimal(0))
    if functional:
        return problem(
            "journal.unbalanced", f"functional debits exceed credits by {functional} {entry.functional_currency}"
        )
    open_by_currency: dict[str, Decimal] = defaultdict(Decimal)
    for line in entry.lines:
        if line.debit < 0 or line.credit < 0 or (line.debit and line.credit):
            return problem("journal.unbalanced", f"line {line.line} has a negative side or both sides")
        if not line.conversion:
            open_by_currency[line.currency] += line.debit - line.credit
    for code, difference in sorted(open_by_currency.items()):
        if difference:
            return problem("journal.unbalanced", f"debits exceed credits by {difference} {code}")
    return None


def decode_journal(data: bytes | str) -> JournalEntry:
    """A journal entry from its JSON."""
    return _DECODER.decode(data)


_DECODER = msgspec.json.Decoder(JournalEntry, dec_hook=decode_hook)

define(
    code="journal.unbalanced",
    title="The rule's entry does not balance",
    status=422,
    retryable=Retryable.AFTER_FIX,
    mender=Mender.CONFIGURATION,
    remedy="Correct the posting rule: its debits and credits must be equal for every event it takes.",
)
