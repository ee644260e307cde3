"""A journal as NetSuite can hold it: one currency and one rate, or in the subsidiary's own currency. Pure."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any, Final

from revline.connectors.netsuite.manifest import Options
from revline.connectors.netsuite.marks import amount_mark, currency_mark, dimensions_of, identity, mapped, memo_of
from revline.core.documents import Document, JournalContent
from revline.core.farside import PrepareContext
from revline.core.journal import JournalLine
from revline.core.money import Rounding, amount_text, convert, known_currency
from revline.core.problem import ProblemError, problem

TAG: Final = re.compile(r"\[([A-Z]{3}) (-?[0-9]+(?:\.[0-9]+)?)\]")
"""At the head of a line's memo: its own currency and signed amount, where the journal is kept in another."""


def journal_values(
    *, document: Document, content: JournalContent, context: PrepareContext, options: Options
) -> dict[str, Any]:
    """The values of a journalEntry. Problems: mapping.missing, netsuite.journal_currencies."""
    if document.accounting_date is None:
        raise ProblemError(problem("erp.rejected", "a journal has an accounting date", field="accounting_date"))
    terms = _one_rate(content)
    if terms is None and options.mixed_journals == "refuse":
        detail = "its lines have several currencies or rates, or amounts that are no product of the rate"
        raise ProblemError(problem("netsuite.journal_currencies", detail, field=content.event_kind))
    currency = terms[0] if terms else content.functional_currency
    values: dict[str, Any] = {
        "externalId": document.external_reference,
        "tranDate": document.accounting_date.isoformat(),
        "currency": currency_mark(currency),
    } | memo_of(content.memo)
    if options.one_world:
        values["subsidiary"] = identity(context.mapping.company)
    if terms and currency != content.functional_currency:
        values["exchangeRate"] = amount_mark(terms[1])
    parties = {source: record for source, record in _parties(content, context).items() if record}
    lines = [_line(line, context, parties, functional=terms is None) for line in content.lines]
    values["line"] = {"items": [line for line in lines if line]}
    return values


def _one_rate(content: JournalContent) -> tuple[str, Decimal] | None:
    """The currency and rate of every line, when NetSuite's own conversion gives our amounts; None otherwise."""
    terms = {(line.currency, line.rate) for line in content.lines}
    if len(terms) != 1:
        return None
    currency, rate = terms.pop()
    functional = known_currency(content.functional_currency)
    for line in content.lines:
        for amount, booked in ((line.debit, line.functional_debit), (line.credit, line.functional_credit)):
            if convert(amount=amount, rate=rate, currency=functional, rounding=Rounding.HALF_UP) != booked:
                return None
    return currency, rate


def _parties(content: JournalContent, context: PrepareContext) -> dict[Any, str]:
    found: dict[Any, str] = {}
    for source, document_id in content.customer_documents:
        record = context.records.get(document_id)
        if record is None:
            detail = f"NetSuite is not known to hold a record for document {document_id}"
            raise ProblemError(problem("erp.record_missing", detail, field=f"documents:{document_id}"))
        found[source] = record.erp_id
    return found


def _line(
    line: JournalLine, context: PrepareContext, parties: dict[Any, str], *, functional: bool
) -> dict[str, Any] | None:
    """A line; None for one without an amount, which NetSuite doesn't take."""
    debit, credit = (line.functional_debit, line.functional_credit) if functional else (line.debit, line.credit)
    if not debit and not credit:
        return None
    values: dict[str, Any] = {"account": identity(mapped(context.mapping.accounts, line.account, "accounts"))}
    values |= {"debit": amount_mark(debit)} if debit else {"credit": amount_mark(credit)}
    tag = f"[{line.currency} {amount_text(line.debit - line.credit)}]" if functional else ""
    values |= memo_of(f"{tag} {line.description}")
    if line.party is not None and line.party in parties:
        values["entity"] = identity(parties[line.party])
    return values | dimensions_of(line.dimensions, context)


def second_currency(memo: str) -> tuple[str, Decimal] | None:
    """A line's own currency and signed amount, where its memo begins with them."""
    found = TAG.match(memo)
    return (found.group(1), Decimal(found.group(2))) if found else None
