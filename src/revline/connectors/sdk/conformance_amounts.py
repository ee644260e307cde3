"""Conformance cases of amounts: exact, in every scale, with their sign, in two currencies, with the tax engine's own cents."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from revline.connectors.sdk import conformance_documents as make
from revline.connectors.sdk.conformance_booking import a_buyer, codes
from revline.connectors.sdk.conformance_run import (
    Adapter,
    Capability,
    Case,
    NotTried,
    Run,
    balances,
    currency_balances,
    expect,
)
from revline.core.documents import DocumentKind
from revline.core.farside import ErpEntry
from revline.core.money import Rounding, convert, known_currency

Kind = DocumentKind
SAMPLES: Final = {0: Decimal(1507), 2: Decimal("100.03"), 3: Decimal("10.507")}
"""An amount that uses every digit of a currency of that many decimals."""


def _rate(run: Run, scale: int) -> tuple[str, Decimal]:
    """A foreign currency of a scale, with its rate. NotTried when the system knows none."""
    for currency, rate in run.world.rates.items():
        if known_currency(currency).scale == scale:
            return currency, rate
    raise NotTried(f"the system has no foreign currency with {scale} decimals")


async def _in_currency(run: Run, scale: int) -> None:
    """Both amounts of both lines stand in the ledger: the currency's own and the functional one, to the last digit."""
    currency, rate = _rate(run, scale)
    amount = SAMPLES[scale]
    functional = convert(
        amount=amount, rate=rate, currency=known_currency(run.world.currency), rounding=Rounding.HALF_UP
    )
    entry = make.journal(world=run.world, name=f"scale-{scale}", amount=amount, currency=currency, rate=rate)
    entries = await run.entries(entry)
    wanted = codes(run, bank=amount, processor_clearing=-amount)
    found = currency_balances(entries, currency=currency)
    expect(found == wanted, f"{amount} {currency} is booked as {found}")
    wanted = codes(run, bank=functional, processor_clearing=-functional)
    expect(balances(entries) == wanted, f"{functional} {run.world.currency} is booked as {balances(entries)}")
    expect(run.differences(entry, run.records[entry.document_id]) == (), "the record differs from what was sent")


async def _second_currency(adapter: Adapter) -> None:
    await _in_currency(Run(adapter), 2)


async def _no_decimals(adapter: Adapter) -> None:
    await _in_currency(Run(adapter), 0)


async def _three_decimals(adapter: Adapter) -> None:
    await _in_currency(Run(adapter), 3)


async def _large(adapter: Adapter) -> None:
    run = Run(adapter)
    amount = run.world.large
    if amount is None:
        raise NotTried("every amount the system holds fits a float")
    booked = balances(await run.entries(make.journal(world=run.world, name="large", amount=amount)))
    wanted = codes(run, bank=amount, processor_clearing=-amount)
    expect(booked == wanted, f"{amount} is booked as {booked}")


async def _cents(adapter: Adapter) -> None:
    """Tax is what the tax engine said, also where a percentage of the lines would give another cent."""
    run = Run(adapter)
    buyer = await a_buyer(run)
    for tax in (Decimal("6.66"), Decimal("6.67")):
        bill = make.invoice(
            world=run.world, buyer=buyer, name=f"cents-{tax}", nets=(Decimal("16.66"), Decimal("16.67")), tax=tax
        )
        booked = balances(await run.entries(bill))
        wanted = codes(
            run, accounts_receivable=Decimal("33.33") + tax, deferred_revenue=Decimal("-33.33"), tax_payable=-tax
        )
        expect(booked == wanted, f"the invoice booked {booked}, not {wanted}")


async def _taken_off(adapter: Adapter) -> None:
    run = Run(adapter)
    bill = make.invoice(
        world=run.world, buyer=await a_buyer(run), name="discount", nets=(make.NET, Decimal("-25.00")), tax=make.TAX
    )
    booked = balances(await run.entries(bill))
    wanted = codes(run, accounts_receivable=Decimal("95.00"), deferred_revenue=Decimal("-75.00"), tax_payable=-make.TAX)
    expect(booked == wanted, f"an invoice with a discount line booked {booked}, not {wanted}")


async def _foreign_invoice(adapter: Adapter) -> None:
    """In its own currency the invoice stands to the cent; in the functional one it balances, near the rate."""
    run = Run(adapter)
    currency, rate = _rate(run, 2)
    buyer = make.customer(world=run.world, name="abroad", currency=currency)
    await run.posted(buyer)
    nets = (Decimal("33.33"), Decimal("66.67"))
    entries = await run.entries(
        make.invoice(world=run.world, buyer=buyer, name="abroad", nets=nets, currency=currency, rate=rate)
    )
    found = {
        account: amount
        for account, amount in currency_balances(entries, currency=currency).items()
        if account in _invoice_accounts(run)
    }
    wanted = codes(run, accounts_receivable=make.TOTAL, deferred_revenue=-make.NET, tax_payable=-make.TAX)
    expect(found == wanted, f"in {currency} the invoice booked {found}, not {wanted}")
    _balanced(entries)
    receivable = balances(entries).get(run.world.mapping.accounts[make.RECEIVABLE], Decimal(0))
    expect(abs(receivable - make.TOTAL * rate) <= Decimal("0.02"), f"{make.TOTAL} {currency} is owed as {receivable}")


def _invoice_accounts(run: Run) -> set[str]:
    return {run.world.mapping.accounts[key] for key in (make.RECEIVABLE, make.DEFERRED, make.TAX_PAYABLE)}


def _balanced(entries: tuple[ErpEntry, ...]) -> None:
    left = sum(balances(entries).values(), Decimal(0))
    expect(not left, f"the ledger lines are out of balance by {left}")


CASES: Final = (
    Case(
        name="an amount a float can't hold is exact", capability=Capability.JOURNALS, run=_large, kinds=(Kind.JOURNAL,)
    ),
    Case(
        name="a second currency stands beside the first",
        capability=Capability.JOURNALS,
        run=_second_currency,
        kinds=(Kind.JOURNAL,),
    ),
    Case(
        name="a currency without decimals is exact",
        capability=Capability.JOURNALS,
        run=_no_decimals,
        kinds=(Kind.JOURNAL,),
    ),
    Case(
        name="a currency of three decimals is exact",
        capability=Capability.JOURNALS,
        run=_three_decimals,
        kinds=(Kind.JOURNAL,),
    ),
    Case(
        name="the tax engine's cents stay",
        capability=Capability.INVOICES,
        run=_cents,
        kinds=(Kind.CUSTOMER, Kind.INVOICE),
    ),
    Case(
        name="a discount line is taken off",
        capability=Capability.INVOICES,
        run=_taken_off,
        kinds=(Kind.CUSTOMER, Kind.INVOICE),
    ),
    Case(
        name="an invoice abroad stands in both currencies",
        capability=Capability.INVOICES,
        run=_foreign_invoice,
        kinds=(Kind.CUSTOMER, Kind.INVOICE),
    ),
)
