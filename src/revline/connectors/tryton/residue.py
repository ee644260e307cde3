"""Gives back to the receivable what Tryton's conversion of a foreign-currency invoice leaves over.

Tryton converts the total and each line by itself and books the difference, a cent or two, on the currency exchange account.
Revline's journal lets the receivable be what the converted lines come to. A move with the invoice as its origin carries the
difference back, so that both books are equal by account; it is part of the invoice's post and of its ledger lines.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any

import msgspec

from revline.connectors.tryton.client import TrytonClient
from revline.connectors.tryton.manifest import INVOICE, MOVE
from revline.connectors.tryton.reading import Company, OriginMove, TrytonReader, holding, left_over
from revline.connectors.tryton.records import ZERO, Values


class Residue(msgspec.Struct, frozen=True, kw_only=True):
    """What stands on the exchange account for one invoice. drafts: correcting moves that are not posted yet."""

    invoice: int
    amount: Decimal
    account: int
    drafts: tuple[int, ...]


def residue_of(*, invoice: int, moves: Sequence[OriginMove]) -> Residue | None:
    """What is to be given back, None when nothing is."""
    exchange = [line for move in moves for line in move.lines if not line["second_currency"]]
    amount = left_over(moves)
    drafts = tuple(move.number for move in moves if move.state == "draft")
    if not amount and not drafts:
        return None
    return Residue(invoice=invoice, amount=amount, account=exchange[0]["account"] if exchange else 0, drafts=drafts)


class ResidueMender:
    """Makes and posts the correcting moves."""

    def __init__(self, client: TrytonClient, reader: TrytonReader) -> None:
        self._client = client
        self._reader = reader

    async def mend(self, company: Company, rows: Sequence[Values], *, days: Mapping[int, date], journal: str) -> None:
        """Correct posted foreign-currency invoices among the rows; those that need nothing are left alone.

        rows: invoices as read; days: accounting day by invoice. Raises TrytonFailure; repeating completes what was begun.
        """
        foreign = {row["id"]: row for row in rows if row["currency."]["code"] != company.currency}
        if not foreign:
            return
        moves = await self._reader.origin_moves(company, list(foreign))
        found = [residue_of(invoice=number, moves=moves[number]) for number in foreign]
        residues = [each for each in found if each is not None]
        drafts = [number for each in residues for number in each.drafts]
        new = [each for each in residues if each.amount]
        if new:
            drafts += await self._make(company, new, foreign, days, journal)
        if drafts:
            await self._client.call(f"model.{MOVE}.post", drafts, context={"company": company.number})

    async def _make(
        self,
        company: Company,
        residues: Sequence[Residue],
        invoices: Mapping[int, Values],
        days: Mapping[int, date],
        journal: str,
    ) -> list[int]:
        journals = await self._reader.numbers(company, [("journal", journal)])
        periods = await self._reader.periods(company)
        values: list[Values] = []
        for residue in residues:
            invoice = invoices[residue.invoice]
            period = holding(periods, days[residue.invoice])
            values.append(
                {
                    "company": company.number,
                    "journal": journals.get(("journal", journal)),
                    "period": period.number if period else None,
                    "date": days[residue.invoice],
                    "origin": f"{INVOICE},{residue.invoice}",
                    "lines": [["create", _lines(residue, invoice)]],
                }
            )
        made: list[int] = await self._client.call(f"model.{MOVE}.create", values, context={"company": company.number})
        return made


def _lines(residue: Residue, invoice: Values) -> list[dict[str, Any]]:
    back, given = max(-residue.amount, ZERO), max(residue.amount, ZERO)
    return [
        {"account": residue.account, "debit": back, "credit": given},
        {
            "account": invoice["account"],
            "party": invoice["party"],
            "debit": given,
            "credit": back,
            "second_currency": invoice["currency"],
            "amount_second_currency": ZERO,
        },
    ]
