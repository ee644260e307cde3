"""Conformance cases of what is booked: the ledger lines, days, customers and dimensions that documents must come to."""

from __future__ import annotations

import calendar
from decimal import Decimal
from typing import Final

import msgspec

from revline.connectors.sdk import conformance_documents as make
from revline.connectors.sdk.conformance_documents import World
from revline.connectors.sdk.conformance_run import (
    Adapter,
    Capability,
    Case,
    ConformanceError,
    NotTried,
    Run,
    balances,
    expect,
)
from revline.core.documents import Document, DocumentKind
from revline.core.farside import Placed, Rejected
from revline.core.problem import Problem

Kind = DocumentKind
PART: Final = Decimal("50.00")


def codes(run: Run, **amounts: Decimal) -> dict[str, Decimal]:
    """Amounts by the far side's account codes."""
    return {run.world.mapping.accounts[key]: amount for key, amount in amounts.items()}


async def a_buyer(run: Run) -> Document:
    """A customer that is there."""
    buyer = make.customer(world=run.world)
    await run.posted(buyer)
    return buyer


async def _journal(adapter: Adapter) -> None:
    run = Run(adapter)
    booked = balances(await run.entries(make.journal(world=run.world, name="plain")))
    wanted = codes(run, bank=make.NET, processor_clearing=-make.NET)
    expect(booked == wanted, f"the journal booked {booked}, not {wanted}")


async def _read_back(adapter: Adapter) -> None:
    """Whatever the outcome says was booked is what reading the record says."""
    run = Run(adapter)
    entry = make.journal(world=run.world, name="read-back")
    told = (await run.posted(entry)).entries
    read = await run.entries_read(run.records[entry.document_id])
    wanted = codes(run, bank=make.NET, processor_clearing=-make.NET)
    expect(balances(read) == wanted, f"the journal reads back as {balances(read)}, not {wanted}")
    expect(told is None or balances(told) == wanted, "the outcome tells other ledger lines than the record has")


async def _days(adapter: Adapter) -> None:
    """The day is the document's, on a month's last day too: no time zone moves it."""
    last = calendar.monthrange(adapter.world.day.year, adapter.world.day.month)[1]
    for name, day in (("mid-month", adapter.world.day), ("month-end", adapter.world.day.replace(day=last))):
        run = Run(adapter, world=msgspec.structs.replace(adapter.world, day=day))
        entries = await run.entries(make.journal(world=run.world, name=name))
        expect({entry.day for entry in entries} == {day}, f"a journal of {day} is booked on {[e.day for e in entries]}")


async def _names_customer(adapter: Adapter) -> None:
    run = Run(adapter)
    buyer = await a_buyer(run)
    received = make.journal(
        world=run.world, name="party", debit=make.CLEARING, credit=make.RECEIVABLE, amount=make.TOTAL, buyer=buyer
    )
    code = run.world.mapping.accounts[make.RECEIVABLE]
    named = {entry.party_reference for entry in await run.entries(received) if entry.account == code}
    expect(named == {buyer.external_reference}, f"the receivable line names {named}")


async def _dimension(adapter: Adapter) -> None:
    """A dimension is sent and found again: without it, or with another value, the record differs."""
    run = Run(adapter)
    if run.world.dimension is None:
        raise NotTried("the system has no dimensions")
    name, value, other = run.world.dimension
    entry = make.journal(world=run.world, name="dimension", dimensions=((name, value),))
    await run.posted(entry)
    record = run.records[entry.document_id]
    expect(run.differences(entry, record) == (), "a journal with a dimension differs from its own record")
    for dimensions in ((), ((name, other),)):
        changed = make.journal(world=run.world, name="dimension", dimensions=dimensions)
        expect(run.differences(changed, record), f"dimensions {dimensions} make no difference")


async def _missing_dimension(adapter: Adapter) -> None:
    run = Run(adapter)
    if run.world.dimension is None:
        raise NotTried("the system has no dimensions")
    name = run.world.dimension[0]
    entry = make.journal(world=run.world, name="no-dimension", dimensions=((name, "value_nobody_mapped"),))
    _mapping_missing(run, entry, "value_nobody_mapped")


async def _missing_mapping(adapter: Adapter) -> None:
    run = Run(adapter)
    entry = make.journal(world=run.world, name="unmapped", debit="account_nobody_mapped")
    _mapping_missing(run, entry, "accounts:account_nobody_mapped")


def _mapping_missing(run: Run, entry: Document, named: str) -> None:
    found = run.adapter.connector.prepare(document=entry, step=run.steps(entry)[0], context=run.context)
    if not isinstance(found, Problem):
        raise ConformanceError(f"{named} was prepared though nobody mapped it")
    expect(found.code == "mapping.missing", f"what nobody mapped came to {found.code}")
    expect(named in found.field, f"what nobody mapped is named {found.field!r}")


async def _prepare_repeats(adapter: Adapter) -> None:
    run = Run(adapter)
    entry = make.journal(world=run.world, name="bytes")
    expect(run.prepared(entry) == run.prepared(entry), "prepare gave other bytes the second time")
    other = make.journal(world=run.world, name="bytes", amount=make.NET + 1)
    expect(run.prepared(entry).body != run.prepared(other).body, "another amount gave the same bytes")


async def _unknown_company(adapter: Adapter) -> None:
    mapping = msgspec.structs.replace(adapter.world.mapping, company="no-such-company")
    run = Run(adapter, world=msgspec.structs.replace(adapter.world, mapping=mapping))
    entry = make.journal(world=run.world, name="nowhere")
    step = adapter.connector.prepare(document=entry, step=run.steps(entry)[0], context=run.context)
    if not isinstance(step, Problem):
        outcome = await run.sent(step)
        expect(isinstance(outcome, Rejected), f"a journal of a company that is not there came to {outcome}")
    periods = await adapter.connector.periods(company="no-such-company")
    expect(isinstance(periods, Problem) or not periods, f"a company that is not there has {periods}")


async def _alike(adapter: Adapter) -> None:
    """Two documents that say the same are two intents: neither takes the other's record."""
    run = Run(adapter)
    ids = [(await run.posted(make.journal(world=run.world, name=name))).record.erp_id for name in ("one", "two")]
    expect(len(set(ids)) == 2, "two documents with the same content came to one record")


async def _name(adapter: Adapter) -> None:
    run = Run(adapter)
    called = ("Zoë Łukasiewicz & Søns 株式会社 Ωμέγα “Ltd” " * 20)[: run.world.name_max - 1]
    whole, other = called + "X", called + "Y"
    buyer = make.customer(world=run.world, name="scripts", called=whole)
    await run.posted(buyer)
    record = run.records[buyer.document_id]
    expect(run.differences(buyer, record) == (), "a long name in many scripts did not come back whole")
    changed = make.customer(world=run.world, name="scripts", called=other)
    # A far side that may enrich its customers compares no names; then the record shows the whole one.
    seen = run.differences(changed, record) or whole in dict(record.content).values()
    expect(seen, f"character {run.world.name_max} of a name is lost")


async def _invoice(adapter: Adapter) -> None:
    run = Run(adapter)
    booked = balances(await run.entries(make.invoice(world=run.world, buyer=await a_buyer(run))))
    wanted = codes(run, accounts_receivable=make.TOTAL, deferred_revenue=-make.NET, tax_payable=-make.TAX)
    expect(booked == wanted, f"the invoice booked {booked}, not {wanted}")


async def _void(adapter: Adapter) -> None:
    run = Run(adapter)
    bill = make.invoice(world=run.world, buyer=await a_buyer(run), name="to-void")
    booked = balances(await run.entries(bill))
    undone = balances(await run.entries(make.void(world=run.world, of=bill)))
    expect(undone == {account: -amount for account, amount in booked.items()}, f"the void booked {undone}")
    state = await run.state(bill)
    expect(state == "cancelled", f"the voided invoice reads as {state}")
    again = await run.first_step(make.void(world=run.world, of=bill, name="void-again"))
    expect(isinstance(again, Rejected), f"voiding what is void came to {again}")


async def _credit_memo(adapter: Adapter) -> None:
    run = Run(adapter)
    buyer = await a_buyer(run)
    bill = make.invoice(world=run.world, buyer=buyer, name="to-credit")
    booked = balances(await run.entries(bill))
    credited = balances(await run.entries(make.credit_memo(world=run.world, of=bill, buyer=buyer)))
    expect(credited == {account: -amount for account, amount in booked.items()}, f"the credit memo booked {credited}")


async def _money(adapter: Adapter, kind: DocumentKind, debit: str, credit: str) -> None:
    run = Run(adapter)
    buyer = await a_buyer(run)
    booked = balances(await run.entries(make.money(world=run.world, kind=kind, buyer=buyer, name=kind.value)))
    wanted = codes(run, **{debit: make.TOTAL, credit: -make.TOTAL})
    expect(booked == wanted, f"the {kind.value} booked {booked}, not {wanted}")


async def _payment(adapter: Adapter) -> None:
    await _money(adapter, Kind.PAYMENT, make.CLEARING, make.RECEIVABLE)


async def _refund(adapter: Adapter) -> None:
    await _money(adapter, Kind.REFUND, make.RECEIVABLE, make.CLEARING)


async def _deposit(adapter: Adapter) -> None:
    await _money(adapter, Kind.DEPOSIT, make.BANK, make.CLEARING)


async def _received(run: Run, buyer: Document, amount: Decimal, name: str = "received") -> Document:
    """Money of a customer, as a payment or, where there are none, as a journal."""
    if run.adapter.connector.manifest.capability(Kind.PAYMENT) is not None:
        paid = make.money(world=run.world, kind=Kind.PAYMENT, buyer=buyer, name=name, amount=amount)
    else:
        paid = _receipt(run.world, buyer, amount, name)
    await run.posted(paid)
    return paid


def _receipt(world: World, buyer: Document, amount: Decimal, name: str) -> Document:
    return make.journal(world=world, name=name, debit=make.CLEARING, credit=make.RECEIVABLE, amount=amount, buyer=buyer)


async def _application(adapter: Adapter) -> None:
    """A payment made as a journal settles an invoice; no ledger line of its own; more than is open is refused."""
    run = Run(adapter)
    buyer = await a_buyer(run)
    bill = make.invoice(world=run.world, buyer=buyer, name="to-settle")
    await run.posted(bill)
    received = _receipt(run.world, buyer, make.TOTAL, "received")
    await run.posted(received)
    outcome = await run.posted(make.application(world=run.world, of=bill, payment=received, amount=make.TOTAL))
    expect(not balances(outcome.entries or ()), f"an application booked {outcome.entries}")
    state = await run.state(bill)
    expect(state == "paid", f"the settled invoice reads as {state}")
    again = make.application(world=run.world, of=bill, payment=received, amount=make.TOTAL, name="again")
    refused = await run.first_step(again)
    expect(isinstance(refused, Rejected), f"applying twice came to {refused}")


async def _partial_application(adapter: Adapter) -> None:
    """A part leaves the invoice open, the rest settles it, and no other invoice is touched."""
    run = Run(adapter)
    buyer = await a_buyer(run)
    other = make.invoice(world=run.world, buyer=buyer, name="untouched")
    bill = make.invoice(world=run.world, buyer=buyer, name="in-parts")
    await run.posted(other)
    await run.posted(bill)
    for amount, name, wanted in ((PART, "part", "posted"), (make.TOTAL - PART, "rest", "paid")):
        paid = await _received(run, buyer, amount, name)
        await run.posted(make.application(world=run.world, of=bill, payment=paid, amount=amount, name=name))
        state = await run.state(bill)
        expect(state == wanted, f"after {name} of the money the invoice reads as {state}")
    state = await run.state(other)
    expect(state == "posted", f"an invoice nobody paid reads as {state}")


async def _draft(adapter: Adapter) -> None:
    """A first step that does not post is a draft: placed, without ledger lines, and posted by the last step only."""
    run = Run(adapter)
    kinds = {entry.kind for entry in adapter.connector.manifest.kinds if len(entry.steps) > 1}
    if Kind.JOURNAL in kinds:
        intent = make.journal(world=run.world, name="draft")
    elif Kind.INVOICE in kinds:
        intent = make.invoice(world=run.world, buyer=await a_buyer(run), name="draft")
    else:
        raise NotTried("neither journals nor invoices have a draft step")
    outcome = await run.first_step(intent)
    if not isinstance(outcome, Placed):
        raise ConformanceError(f"a draft came to {outcome}")
    found = await adapter.connector.read(record=outcome.record)
    expect(isinstance(found, Placed), f"a draft reads as {found}")
    run.records[intent.document_id] = outcome.record
    last = await run.sent(run.prepared(intent, run.steps(intent)[-1]))
    expect(getattr(last, "record", None) is not None and not isinstance(last, Placed), f"the last step came to {last}")


CASES: Final = (
    Case(name="a journal is booked as it is", capability=Capability.JOURNALS, run=_journal, kinds=(Kind.JOURNAL,)),
    Case(
        name="ledger lines read back as booked", capability=Capability.JOURNALS, run=_read_back, kinds=(Kind.JOURNAL,)
    ),
    Case(name="a day stays the day it is", capability=Capability.JOURNALS, run=_days, kinds=(Kind.JOURNAL,)),
    Case(
        name="a receivable line names its customer",
        capability=Capability.JOURNALS,
        run=_names_customer,
        kinds=(Kind.CUSTOMER, Kind.JOURNAL),
    ),
    Case(name="a dimension reaches the record", capability=Capability.JOURNALS, run=_dimension, kinds=(Kind.JOURNAL,)),
    Case(
        name="a missing dimension is named",
        capability=Capability.JOURNALS,
        run=_missing_dimension,
        kinds=(Kind.JOURNAL,),
    ),
    Case(
        name="a missing mapping is named", capability=Capability.JOURNALS, run=_missing_mapping, kinds=(Kind.JOURNAL,)
    ),
    Case(
        name="prepare gives the same bytes", capability=Capability.JOURNALS, run=_prepare_repeats, kinds=(Kind.JOURNAL,)
    ),
    Case(
        name="an unknown company is refused",
        capability=Capability.JOURNALS,
        run=_unknown_company,
        kinds=(Kind.JOURNAL,),
    ),
    Case(name="equal documents are two records", capability=Capability.JOURNALS, run=_alike, kinds=(Kind.JOURNAL,)),
    Case(name="a long name comes back whole", capability=Capability.CUSTOMERS, run=_name, kinds=(Kind.CUSTOMER,)),
    Case(
        name="an invoice with tax is booked by the ERP",
        capability=Capability.INVOICES,
        run=_invoice,
        kinds=(Kind.CUSTOMER, Kind.INVOICE),
    ),
    Case(
        name="a void mirrors the invoice",
        capability=Capability.INVOICES,
        run=_void,
        kinds=(Kind.CUSTOMER, Kind.INVOICE, Kind.INVOICE_VOID),
    ),
    Case(
        name="a credit memo mirrors the invoice",
        capability=Capability.CREDITS,
        run=_credit_memo,
        kinds=(Kind.CUSTOMER, Kind.INVOICE, Kind.CREDIT_MEMO),
    ),
    Case(
        name="a payment credits the receivable",
        capability=Capability.MONEY,
        run=_payment,
        kinds=(Kind.CUSTOMER, Kind.PAYMENT),
    ),
    Case(
        name="a refund debits the receivable",
        capability=Capability.MONEY,
        run=_refund,
        kinds=(Kind.CUSTOMER, Kind.REFUND),
    ),
    Case(
        name="a deposit debits the bank", capability=Capability.MONEY, run=_deposit, kinds=(Kind.CUSTOMER, Kind.DEPOSIT)
    ),
    Case(
        name="an application settles an invoice once",
        capability=Capability.APPLICATIONS,
        run=_application,
        kinds=(Kind.CUSTOMER, Kind.INVOICE, Kind.JOURNAL, Kind.APPLICATION),
    ),
    Case(
        name="parts of a payment settle their invoice only",
        capability=Capability.APPLICATIONS,
        run=_partial_application,
        kinds=(Kind.CUSTOMER, Kind.INVOICE, Kind.JOURNAL, Kind.APPLICATION),
    ),
    Case(name="a draft is placed, not posted", capability=Capability.DRAFTS, run=_draft),
)
