"""What the ERPs themselves say they booked, read from their own books, and Revline's control totals beside it.

Keyed by (entity, account, currency): the balance (debits less credits) in the currency and in the functional currency.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from decimal import Decimal
from typing import Any, Final

from revline.connectors.simulated.launcher import SimulatedErp
from revline.connectors.tryton.client import TrytonClient
from revline.sim.tryton import TrytonServer

Totals = dict[tuple[str, str, str], tuple[Decimal, Decimal]]
PAGE: Final = 1_000
LINES_MAX: Final = 100_000
ZERO: Final = Decimal(0)


def of_simulated(*, erp: SimulatedErp, company: str, entity: str, accounts: dict[str, str]) -> Totals:
    """The simulated ERP's trial balance. accounts: far code -> neutral key."""
    totals: dict[tuple[str, str, str], list[Decimal]] = defaultdict(lambda: [ZERO, ZERO])
    for row in erp.trial_balance(company=company).rows:
        sums = totals[entity, accounts.get(row.account, row.account), row.currency]
        sums[0] += row.currency_debit - row.currency_credit
        sums[1] += row.debit - row.credit
    return {key: (sums[0], sums[1]) for key, sums in totals.items() if any(sums)}


def of_tryton(*, server: TrytonServer, company: str, entity: str, currency: str, accounts: dict[str, str]) -> Totals:
    """Tryton's posted move lines of one company, summed by account and second currency (else the company's own)."""
    return asyncio.run(_tryton(server, company, entity, currency, accounts))


async def _tryton(server: TrytonServer, company: str, entity: str, currency: str, accounts: dict[str, str]) -> Totals:
    client = TrytonClient(
        base_url=server.base_url,
        database=server.database,
        user=server.user,
        password=server.password,
        call_timeout_seconds=60,
        transport=None,
    )
    totals: dict[tuple[str, str, str], list[Decimal]] = defaultdict(lambda: [ZERO, ZERO])
    try:
        found = await client.call(
            "model.company.company.search", [["party.code", "=", company]], 0, 1, None, context={}
        )
        context: dict[str, Any] = {"company": found[0], "companies": found}
        fields = ["account.code", "debit", "credit", "amount_second_currency", "second_currency.code"]
        domain = [["move.state", "=", "posted"], ["move.company", "=", found[0]]]
        for offset in range(0, LINES_MAX, PAGE):
            rows = await client.call(
                "model.account.move.line.search_read", domain, offset, PAGE, [["id", "ASC"]], fields, context=context
            )
            for row in rows:
                code, functional = row["account."]["code"], row["debit"] - row["credit"]
                other = (row.get("second_currency.") or {}).get("code")
                sums = totals[entity, accounts.get(code, code), other or currency]
                sums[0] += row["amount_second_currency"] if other else functional
                sums[1] += functional
            if len(rows) < PAGE:
                break
    finally:
        await client.close()
    return {key: (sums[0], sums[1]) for key, sums in totals.items() if any(sums)}
