"""A book's journals as a beancount file, so that an independent program can check them. Pure text; knows no database.

Format: the beancount language reference (directives open and transaction, `@@` total prices). Each line in another currency than
the book's carries its functional amount as total price, so a transaction balances in the functional currency, exactly as booked.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from decimal import Decimal
from typing import Final

from revline.core.journal import JournalEntry, JournalLine
from revline.core.money import amount_text, known_currency

ASSETS: Final = frozenset(
    [
        "bank",
        "cash",
        "processor_clearing",
        "accounts_receivable",
        "allowance_doubtful",
        "unbilled_receivable",
        "contract_asset",
        "contract_cost_asset",
        "return_asset",
        "inventory",
        "disputes_receivable",
    ]
)
LIABILITIES: Final = frozenset(
    [
        "deferred_revenue",
        "refund_liability",
        "tax_payable",
        "customer_credit_balance",
        "commissions_payable",
        "partner_commission_payable",
        "supplier_payable",
    ]
)
EXPENSES: Final = frozenset(
    [
        "processing_fees",
        "dispute_fees",
        "bad_debt_expense",
        "commission_expense",
        "partner_commission_expense",
        "cost_of_sales",
        "intercompany_cost",
        "fx_unrealized_loss",
        "fx_realized_loss",
    ]
)
TOLERANCE_DIGITS: Final = 3
"""The tolerance is a thousandth of the smallest step."""
INCOME_PATTERN: Final = re.compile(r"revenue|_gain$")


def account_name(*, account: str) -> str:
    """A neutral key as a beancount account: accounts_receivable is Assets:Accounts-Receivable; unknown keys go to Equity."""
    leaf = "-".join(part.capitalize() for part in re.split(r"[^A-Za-z0-9]+", account) if part) or "Unnamed"
    return f"{_class_of(account)}:{leaf}"


def render(*, book: str, functional_currency: str, journals: Iterable[JournalEntry]) -> str:
    """The whole file of one book: options, an open directive for each account, and every journal by date and id."""
    ordered = sorted(journals, key=lambda entry: (entry.accounting_date, entry.journal_id))
    accounts = sorted({account_name(account=line.account) for entry in ordered for line in entry.lines})
    # beancount divides a total price by its units and rounds the quotient: without a tolerance, exact entries miss by 1e-25.
    tolerance = amount_text(known_currency(functional_currency).quantum.scaleb(-TOLERANCE_DIGITS))
    lines = [
        f'option "title" "{_quoted(book)}"',
        f'option "operating_currency" "{functional_currency}"',
        f'option "inferred_tolerance_default" "{functional_currency}:{tolerance}"',
        "",
    ]
    lines += [f"1970-01-01 open {account}" for account in accounts]
    for entry in ordered:
        if entry.lines:
            lines += ["", *_transaction(entry)]
    return "\n".join(lines) + "\n"


def _class_of(account: str) -> str:
    if account in ASSETS or account.startswith("due_from_"):
        return "Assets"
    if account in LIABILITIES or account.startswith("due_to_"):
        return "Liabilities"
    if account in EXPENSES:
        return "Expenses"
    return "Income" if INCOME_PATTERN.search(account) else "Equity"


def _transaction(entry: JournalEntry) -> list[str]:
    lines = [f'{entry.accounting_date.isoformat()} * "{_quoted(entry.event_kind)}" "{_quoted(entry.memo)}"']
    lines.append(f'  journal: "{entry.journal_id}"')
    lines.append(f'  event: "{entry.event_id}"')
    lines += [_posting(line, entry.functional_currency) for line in entry.lines]
    return lines


def _posting(line: JournalLine, functional_currency: str) -> str:
    amount, functional = line.debit - line.credit, line.functional_debit - line.functional_credit
    name = account_name(account=line.account)
    if line.currency == functional_currency or not amount:
        return f"  {name}  {amount_text(functional)} {functional_currency}"
    price = amount_text(abs(functional) if functional else Decimal(0))
    return f"  {name}  {amount_text(amount)} {line.currency} @@ {price} {functional_currency}"


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ")
