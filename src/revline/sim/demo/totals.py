"""What the ERPs themselves say they booked, read from their own books, and Revline's control totals beside it.

Keyed by (entity, account, currency): the balance (debits less credits) in the currency and in the functional currency.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from datetime import timedelta
from decimal import Decimal
from typing import Any, Final

from revline.connectors.netsuite.assertion import Signer
from revline.connectors.netsuite.client import NetSuiteClient
from revline.connectors.netsuite.simulator.launcher import SimulatedNetSuite
from revline.connectors.sdk.http import HttpCaller
from revline.connectors.tryton.client import TrytonClient
from revline.core.clock import SystemClock
from revline.core.problem import Problem
from revline.sim.tryton import TrytonServer

Totals = dict[tuple[str, str, str], tuple[Decimal, Decimal]]
PAGE: Final = 1_000
LINES_MAX: Final = 100_000
CALL_TIMEOUT: Final = timedelta(seconds=60)
INVOICES: Final = "SELECT tranid, memo FROM transaction WHERE type = 'CustInvc' ORDER BY id"
ZERO: Final = Decimal(0)


def of_netsuite(
    *, account: SimulatedNetSuite, subsidiary: str, entity: str, currency: str, accounts: dict[str, str]
) -> Totals:
    """NetSuite's own books of one subsidiary, all of whose postings are in its currency. accounts: internal id -> neutral key."""
    sums: dict[str, Decimal] = defaultdict(lambda: ZERO)
    for (number, posted_in, _), net in account.trial_balance(subsidiary=subsidiary).items():
        if posted_in != currency:
            raise ValueError(f"account {number} was posted to in {posted_in}")
        sums[accounts.get(number, number)] += net
    return {(entity, name, currency): (net, net) for name, net in sums.items() if net}


def netsuite_numbers(*, account: SimulatedNetSuite) -> dict[str, str]:
    """Billing's invoice number -> NetSuite's number, asked of NetSuite itself: a memo begins with billing's number."""
    return asyncio.run(_netsuite_numbers(account))


async def _netsuite_numbers(account: SimulatedNetSuite) -> dict[str, str]:
    settings, key = account.settings, account.private_key
    caller = HttpCaller(
        base_url=account.base_url, transport=None, headers={}, secrets=(key,), call_timeout=CALL_TIMEOUT, slots=1
    )
    signer = Signer(
        client_id=settings["clientId"],
        certificate_id=settings["certificateId"],
        private_key=key,
        algorithm=settings["algorithm"],
        scope_form="array",
    )
    client = NetSuiteClient(base_url=account.base_url, caller=caller, signer=signer, clock=SystemClock(), errors=())
    try:
        rows = await client.rows(text=INVOICES)
    finally:
        await client.close()
    if isinstance(rows, Problem):
        raise RuntimeError(f"NetSuite did not answer: {rows.detail}")
    return {row["memo"].partition(" ")[0]: row["tranid"] for row in rows}


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
