"""What a document does to the simulated ERP's general ledger, by that ERP's own rules. Pure; knows no record store and no request.

Every line is converted by itself and rounded to the functional currency by the company's rule; the receivable is the sum of
the converted lines, so an entry always balances.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from datetime import date
from decimal import Decimal
from typing import Any, Final

import msgspec

from revline.connectors.simulated.setup import Company
from revline.connectors.simulated.wire import (
    LINES_MAX,
    EntryBody,
    ErrorBody,
    InvoiceBody,
    JournalBody,
    JournalLineBody,
    Kind,
    MoneyBody,
)
from revline.core.money import convert, currency, in_scale
from revline.core.problem import Problem

ZERO: Final = Decimal(0)


class Leg(msgspec.Struct, frozen=True, kw_only=True):
    """One signed ledger line, debit positive: in its currency and in the functional one."""

    account: str
    currency: str
    amount: Decimal
    functional: Decimal
    customer: str = ""


Impact = tuple[Leg, ...] | ErrorBody


def invalid(message: str, field: str = "") -> ErrorBody:
    """The error of a body that breaks a rule."""
    return ErrorBody(code="invalid", message=message, field=field)


def _scaled(*, amounts: Mapping[str, Decimal], code: str) -> ErrorBody | None:
    known = currency(code)
    if isinstance(known, Problem):
        return ErrorBody(code="unknown_currency", message=known.detail, field=code[:12])
    for name, amount in amounts.items():
        if isinstance(in_scale(amount=amount, currency=known), Problem):
            return invalid(f"{name} has more digits than {code} has", name)
    return None


def _converter(
    *, company: Company, code: str, day: date, given: Decimal | None
) -> Callable[[Decimal], Decimal] | ErrorBody:
    rate = company.rate_on(currency=code, day=day) if given is None else given
    if isinstance(rate, ErrorBody):
        return rate
    if rate <= 0:
        return invalid("a rate is positive", "rate")
    if code == company.functional_currency.code and rate != 1:
        return invalid("the functional currency's rate is 1", "rate")
    exact = rate
    return lambda amount: convert(
        amount=amount, rate=exact, currency=company.functional_currency, rounding=company.rounding
    )


def _accounts_refused(*, company: Company, codes: set[str]) -> ErrorBody | None:
    return next((error for code in sorted(codes) if (error := company.account_refused(code=code))), None)


def invoice_impact(*, company: Company, body: InvoiceBody, credit: bool) -> Impact:
    """An invoice credits its lines and taxes and debits the receivable; a credit memo does the opposite."""
    parts = [(line.account, line.amount) for line in body.lines] + [(tax.account, tax.amount) for tax in body.tax_lines]
    if not body.lines or len(parts) > LINES_MAX:
        return invalid(f"an invoice has 1 to {LINES_MAX} lines", "lines")
    if error := _accounts_refused(company=company, codes={account for account, _ in parts} | {body.receivable_account}):
        return error
    if company.accounts[body.receivable_account].kind != "receivable":
        return invalid(f"account {body.receivable_account} is no receivable", "receivable_account")
    if error := _scaled(
        amounts={f"lines/{place}": amount for place, (_, amount) in enumerate(parts)}, code=body.currency
    ):
        return error
    total = sum((amount for _, amount in parts), ZERO)
    if total != body.total:
        return ErrorBody(
            code="total_mismatch", message=f"lines and taxes sum to {total}, not {body.total}", field="total"
        )
    to_functional = _converter(company=company, code=body.currency, day=body.date, given=body.rate)
    if isinstance(to_functional, ErrorBody):
        return to_functional
    side = Decimal(1) if credit else Decimal(-1)
    legs = [
        Leg(account=account, currency=body.currency, amount=side * amount, functional=side * to_functional(amount))
        for account, amount in parts
        if amount
    ]
    receivable = Leg(
        account=body.receivable_account,
        currency=body.currency,
        amount=-side * total,
        functional=-sum((leg.functional for leg in legs), ZERO),
        customer=body.customer,
    )
    return (receivable, *legs)


def money_impact(*, company: Company, body: MoneyBody) -> Impact:
    """Money leaves from_account (credit) for to_account (debit). A receivable side carries the customer."""
    if body.amount <= 0:
        return invalid("an amount is positive", "amount")
    if error := _accounts_refused(company=company, codes={body.from_account, body.to_account}):
        return error
    if error := _scaled(amounts={"amount": body.amount}, code=body.currency):
        return error
    to_functional = _converter(company=company, code=body.currency, day=body.date, given=body.rate)
    if isinstance(to_functional, ErrorBody):
        return to_functional
    functional = to_functional(body.amount)

    def leg(account: str, sign: int) -> Leg:
        party = body.customer if company.accounts[account].kind == "receivable" else ""
        return Leg(
            account=account,
            currency=body.currency,
            amount=sign * body.amount,
            functional=sign * functional,
            customer=party,
        )

    return (leg(body.to_account, 1), leg(body.from_account, -1))


def _journal_leg(*, company: Company, line: JournalLineBody, place: int) -> Leg | ErrorBody:
    functional = company.functional_currency.code
    if min(line.debit, line.credit, line.functional_debit, line.functional_credit) < 0:
        return invalid("debits and credits aren't negative", f"lines/{place}")
    if (line.debit and line.credit) or (line.functional_debit and line.functional_credit):
        return invalid("a line has one side", f"lines/{place}")
    error = _scaled(amounts={"debit": line.debit, "credit": line.credit}, code=line.currency) or _scaled(
        amounts={"functional_debit": line.functional_debit, "functional_credit": line.functional_credit},
        code=functional,
    )
    if error:
        return error
    leg = Leg(
        account=line.account,
        currency=line.currency,
        amount=line.debit - line.credit,
        functional=line.functional_debit - line.functional_credit,
        customer=line.customer,
    )
    if line.currency == functional and leg.amount != leg.functional:
        return invalid(f"amounts in {functional} differ from the functional ones", f"lines/{place}")
    return leg


def journal_impact(*, company: Company, body: JournalBody) -> Impact:
    """A journal books its own lines, if it balances."""
    if not 2 <= len(body.lines) <= LINES_MAX:
        return invalid(f"a journal has 2 to {LINES_MAX} lines", "lines")
    if error := _accounts_refused(company=company, codes={line.account for line in body.lines}):
        return error
    legs: list[Leg] = []
    open_by_currency: dict[str, Decimal] = defaultdict(Decimal)
    for place, line in enumerate(body.lines):
        leg = _journal_leg(company=company, line=line, place=place)
        if isinstance(leg, ErrorBody):
            return leg
        legs.append(leg)
        if not line.conversion:
            open_by_currency[line.currency] += leg.amount
    functional = sum((leg.functional for leg in legs), ZERO)
    if functional or any(open_by_currency.values()):
        return ErrorBody(code="unbalanced", message=f"the journal is out of balance by {functional}", field="lines")
    return tuple(legs)


def impact_of(*, company: Company, kind: Kind, body: Any) -> Impact:
    """The ledger lines of a document; none for a customer or an application."""
    match kind:
        case Kind.INVOICES | Kind.CREDIT_MEMOS:
            return invoice_impact(company=company, body=body, credit=kind is Kind.CREDIT_MEMOS)
        case Kind.PAYMENTS | Kind.REFUNDS | Kind.DEPOSITS:
            return money_impact(company=company, body=body)
        case Kind.JOURNALS:
            return journal_impact(company=company, body=body)
        case _:
            return ()


def _side(amount: Decimal) -> Decimal:
    return amount if amount > 0 else abs(amount - amount)


def entries_of(*, legs: tuple[Leg, ...], day: date) -> tuple[EntryBody, ...]:
    """Signed legs as numbered ledger lines with a debit and a credit."""
    return tuple(
        EntryBody(
            line=number,
            account=leg.account,
            debit=_side(leg.functional),
            credit=_side(-leg.functional),
            currency=leg.currency,
            currency_amount=leg.amount + ZERO,
            date=day,
            customer=leg.customer,
        )
        for number, leg in enumerate(legs, start=1)
    )


def mirrored(*, entries: tuple[EntryBody, ...], day: date) -> tuple[EntryBody, ...]:
    """The same lines with sides swapped, on another day."""
    return tuple(
        msgspec.structs.replace(
            entry, debit=entry.credit, credit=entry.debit, currency_amount=-entry.currency_amount, date=day
        )
        for entry in entries
    )
