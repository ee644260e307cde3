"""The conformance kit: what every ERP connector must do, against its simulator or the real system. Knows no single system.

A test gives an `Adapter` and runs each of `cases_for`. A case fails with ConformanceError and a sentence that says what broke.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final

import msgspec

from revline.connectors.sdk import conformance_documents as make
from revline.connectors.sdk.conformance_run import Adapter, Case, ConformanceError, Run, Trouble, balances, expect
from revline.core.documents import DocumentKind
from revline.core.farside import (
    Idempotency,
    Manifest,
    NotSent,
    PeriodState,
    Placed,
    Posted,
    Rejected,
    Throttled,
    Uncertain,
)
from revline.core.problem import Problem

Kind = DocumentKind


def cases_for(*, manifest: Manifest, troubles: frozenset[Trouble]) -> tuple[Case, ...]:
    """The cases that apply to a system of these capabilities, with an adapter that can bring these troubles."""
    searchable = any(entry.idempotency is not Idempotency.NEITHER for entry in manifest.kinds)
    return tuple(
        case
        for case in CASES
        if all(manifest.capability(kind) for kind in case.kinds)
        and troubles.issuperset(case.troubles)
        and (searchable or not case.searchable)
    )


def _codes(run: Run, **amounts: Decimal) -> dict[str, Decimal]:
    return {run.world.mapping.accounts[key]: amount for key, amount in amounts.items()}


async def _health(adapter: Adapter) -> None:
    found = await adapter.connector.health()
    expect(found.reachable, f"health says {found.detail}")


async def _invoice(adapter: Adapter) -> None:
    run = Run(adapter)
    buyer = make.customer(world=run.world)
    await run.posted(buyer)
    bill = make.invoice(world=run.world, buyer=buyer)
    booked = balances(await run.entries(bill))
    wanted = _codes(run, accounts_receivable=make.TOTAL, deferred_revenue=-make.NET, tax_payable=-make.TAX)
    expect(booked == wanted, f"the invoice booked {booked}, not {wanted}")


async def _void(adapter: Adapter) -> None:
    run = Run(adapter)
    buyer = make.customer(world=run.world)
    await run.posted(buyer)
    bill = make.invoice(world=run.world, buyer=buyer, name="to-void")
    booked = balances(await run.entries(bill))
    undone = balances(await run.entries(make.void(world=run.world, of=bill)))
    expect(undone == {account: -amount for account, amount in booked.items()}, f"the void booked {undone}")
    found = await adapter.connector.read(record=run.records[bill.document_id])
    expect(isinstance(found, Posted) and found.record.state == "cancelled", f"the voided invoice reads as {found}")


async def _credit_memo(adapter: Adapter) -> None:
    run = Run(adapter)
    buyer = make.customer(world=run.world)
    await run.posted(buyer)
    bill = make.invoice(world=run.world, buyer=buyer, name="to-credit")
    booked = balances(await run.entries(bill))
    credited = balances(await run.entries(make.credit_memo(world=run.world, of=bill, buyer=buyer)))
    expect(credited == {account: -amount for account, amount in booked.items()}, f"the credit memo booked {credited}")


async def _money(adapter: Adapter, kind: DocumentKind, debit: str, credit: str) -> None:
    run = Run(adapter)
    buyer = make.customer(world=run.world)
    await run.posted(buyer)
    booked = balances(await run.entries(make.money(world=run.world, kind=kind, buyer=buyer, name=kind.value)))
    wanted = _codes(run, **{debit: make.TOTAL, credit: -make.TOTAL})
    expect(booked == wanted, f"the {kind.value} booked {booked}, not {wanted}")


async def _payment(adapter: Adapter) -> None:
    await _money(adapter, Kind.PAYMENT, make.CLEARING, make.RECEIVABLE)


async def _refund(adapter: Adapter) -> None:
    await _money(adapter, Kind.REFUND, make.RECEIVABLE, make.CLEARING)


async def _deposit(adapter: Adapter) -> None:
    await _money(adapter, Kind.DEPOSIT, make.BANK, make.CLEARING)


async def _application(adapter: Adapter) -> None:
    """A payment made as a journal settles an invoice; no ledger line of its own; more than is open is refused."""
    run = Run(adapter)
    buyer = make.customer(world=run.world)
    await run.posted(buyer)
    bill = make.invoice(world=run.world, buyer=buyer, name="to-settle")
    await run.posted(bill)
    received = make.journal(
        world=run.world, name="received", debit=make.CLEARING, credit=make.RECEIVABLE, amount=make.TOTAL, buyer=buyer
    )
    await run.posted(received)
    outcome = await run.posted(make.application(world=run.world, of=bill, payment=received, amount=make.TOTAL))
    expect(not balances(outcome.entries or ()), f"an application booked {outcome.entries}")
    found = await adapter.connector.read(record=run.records[bill.document_id])
    expect(isinstance(found, Posted) and found.record.state == "paid", f"the settled invoice reads as {found}")
    again = make.application(world=run.world, of=bill, payment=received, amount=make.TOTAL, name="again")
    refused = await run.first_step(again)
    expect(isinstance(refused, Rejected), f"applying twice came to {refused}")


async def _journal(adapter: Adapter) -> None:
    run = Run(adapter)
    booked = balances(await run.entries(make.journal(world=run.world, name="plain")))
    wanted = _codes(run, bank=make.NET, processor_clearing=-make.NET)
    expect(booked == wanted, f"the journal booked {booked}, not {wanted}")


async def _prepare_repeats(adapter: Adapter) -> None:
    run = Run(adapter)
    entry = make.journal(world=run.world, name="bytes")
    step = run.steps(entry)[0]
    expect(run.prepared(entry, step) == run.prepared(entry, step), "prepare gave other bytes the second time")


async def _missing_mapping(adapter: Adapter) -> None:
    run = Run(adapter)
    entry = make.journal(world=run.world, name="unmapped", debit="account_nobody_mapped")
    found = adapter.connector.prepare(document=entry, step=run.steps(entry)[0], context=run.context)
    if not isinstance(found, Problem):
        raise ConformanceError("an unmapped account was prepared")
    wanted = ("mapping.missing", "accounts:account_nobody_mapped")
    expect((found.code, found.field) == wanted, f"an unmapped account came to {found.code} of {found.field!r}")


async def _found_and_equal(adapter: Adapter) -> None:
    run = Run(adapter)
    entry = make.journal(world=run.world, name="found")
    await run.posted(entry)
    held = await run.held(entry)
    expect(len(held) == 1, f"{len(held)} records under the reference of one document")
    same = adapter.connector.difference(document=entry, record=held[0], context=run.context)
    expect(same == (), f"the record found differs from what was sent in {same}")
    other = make.journal(world=run.world, name="found", amount=make.NET + 1)
    differs = adapter.connector.difference(document=other, record=held[0], context=run.context)
    expect(differs, "another amount made no difference")


async def _not_found(adapter: Adapter) -> None:
    run = Run(adapter)
    expect(await run.held(make.journal(world=run.world, name="never-sent")) == (), "look-up found what was never sent")


async def _sent_twice(adapter: Adapter) -> None:
    """With a key or a unique reference, sending again gives the one record; other content is refused."""
    run = Run(adapter)
    entry = make.journal(world=run.world, name="twice")
    capability = adapter.connector.manifest.capability(Kind.JOURNAL)
    first = await run.posted(entry)
    if capability is None or capability.idempotency not in {Idempotency.KEY, Idempotency.UNIQUE_REFERENCE}:
        return
    second = await run.first_step(entry)
    expect(isinstance(second, Posted | Placed), f"sending again came to {second}")
    if isinstance(second, Posted | Placed):
        expect(second.record.erp_id == first.record.erp_id, "sending again made another record")
    third = await run.first_step(make.journal(world=run.world, name="twice", amount=make.NET + 1))
    expect(
        isinstance(third, Rejected) and third.problem.code == "erp.record_differs",
        f"other content under one reference came to {third}",
    )


async def _batch(adapter: Adapter) -> None:
    """Outcomes in the order of the steps; a bad document takes no good one with it."""
    run = Run(adapter)
    good = [make.journal(world=run.world, name=f"batch-{number}") for number in range(3)]
    codes = dict(run.world.mapping.accounts) | {"no_such_account": "no-such-account"}
    wrong = msgspec.structs.replace(run.context, mapping=msgspec.structs.replace(run.world.mapping, accounts=codes))
    bad = make.journal(world=run.world, name="batch-bad", debit="no_such_account")
    step = run.steps(bad)[0]
    spoiled = adapter.connector.prepare(document=bad, step=step, context=wrong)
    if isinstance(spoiled, Problem):
        return
    steps = [run.prepared(good[0], step), spoiled, run.prepared(good[1], step), run.prepared(good[2], step)]
    outcomes = await adapter.connector.submit(steps=steps)
    expect(len(outcomes) == 4, f"{len(outcomes)} outcomes of four steps")
    expect(isinstance(outcomes[1], Rejected), f"the bad document came to {outcomes[1]}")
    for place in (0, 2, 3):
        expect(isinstance(outcomes[place], Posted | Placed), f"a good document came to {outcomes[place]}")


async def _closed_period(adapter: Adapter) -> None:
    run = Run(adapter)
    await adapter.bring(Trouble.PERIOD_CLOSED)
    entry = make.journal(world=run.world, name="closed")
    outcome = await run.first_step(entry)
    periods = await adapter.connector.periods(company=run.world.mapping.company)
    await adapter.clear()
    code = outcome.problem.code if isinstance(outcome, Rejected) else ""
    expect(code == "erp.period_closed", f"a closed period came to {outcome}")
    if isinstance(periods, Problem):
        raise ConformanceError(f"periods came to {periods.code}")
    states = [period.state for period in periods if period.start <= run.world.day < period.end]
    expect(PeriodState.OPEN not in states, f"the closed period reads as {states}")


async def _answer_lost(adapter: Adapter) -> None:
    run = Run(adapter)
    await adapter.bring(Trouble.ANSWER_LOST)
    entry = make.journal(world=run.world, name="lost")
    outcome = await run.first_step(entry)
    await adapter.clear()
    expect(isinstance(outcome, Uncertain), f"a lost answer came to {outcome}")
    await adapter.pass_time(adapter.connector.manifest.effect_bound)
    held = await run.held(entry)
    expect(len(held) == 1, f"after a lost answer look-up found {len(held)} records")
    expect(adapter.connector.difference(document=entry, record=held[0], context=run.context) == (), "it is not ours")


async def _certain_refusal(adapter: Adapter, trouble: Trouble, kind: type[Throttled | NotSent], code: str) -> None:
    run = Run(adapter)
    await adapter.bring(trouble)
    entry = make.journal(world=run.world, name=trouble.value)
    outcome = await run.first_step(entry)
    await adapter.clear()
    expect(isinstance(outcome, kind), f"{trouble.value} came to {outcome}")
    if isinstance(outcome, NotSent):
        expect(outcome.problem.code == code, f"{trouble.value} came to {outcome.problem.code}")
    await adapter.pass_time(adapter.connector.manifest.effect_bound)
    expect(await run.held(entry) == (), f"{trouble.value} had an effect")


async def _throttled(adapter: Adapter) -> None:
    await _certain_refusal(adapter, Trouble.THROTTLED, Throttled, "")


async def _busy(adapter: Adapter) -> None:
    await _certain_refusal(adapter, Trouble.BUSY, NotSent, "erp.busy")


async def _unreachable(adapter: Adapter) -> None:
    await _certain_refusal(adapter, Trouble.UNREACHABLE, NotSent, "erp.unreachable")


async def _credentials(adapter: Adapter) -> None:
    await _certain_refusal(adapter, Trouble.CREDENTIALS_REFUSED, NotSent, "erp.credentials_refused")


async def _unreadable(adapter: Adapter) -> None:
    run = Run(adapter)
    await adapter.bring(Trouble.UNREADABLE)
    outcome = await run.first_step(make.journal(world=run.world, name="unreadable"))
    await adapter.clear()
    expect(isinstance(outcome, Uncertain), f"an answer that can't be read came to {outcome}")
    if isinstance(outcome, Uncertain):
        expect(outcome.evidence and adapter.secret not in outcome.evidence, "no evidence, or a secret in it")


async def _periods(adapter: Adapter) -> None:
    run = Run(adapter)
    found = await adapter.connector.periods(company=run.world.mapping.company)
    if isinstance(found, Problem):
        raise ConformanceError(f"periods came to {found.code}: {found.detail}")
    holding = [period for period in found if period.start <= run.world.day < period.end]
    expect(len(holding) == 1, f"{len(holding)} periods hold {run.world.day}; periods are half-open")
    expect(holding[0].state is PeriodState.OPEN, f"the period of {run.world.day} is {holding[0].state}")


async def _enumeration(adapter: Adapter) -> None:
    """Page by page, every record turns up once; the last page has no cursor."""
    run = Run(adapter)
    wanted = {
        (await run.posted(make.journal(world=run.world, name=f"listed-{each}"))).record.erp_id for each in range(3)
    }
    kind = next(iter(run.records.values())).record_kind
    seen: list[str] = []
    cursor = ""
    for _ in range(10_000):
        page = await adapter.connector.list_changed(
            record_kind=kind, company=run.world.mapping.company, cursor=cursor, limit=50 if len(seen) > 10 else 2
        )
        if isinstance(page, Problem):
            raise ConformanceError(f"enumeration came to {page.code}: {page.detail}")
        seen.extend(record.erp_id for record in page.records)
        cursor = page.next_cursor
        if not cursor:
            break
    expect(wanted <= set(seen), f"enumeration never showed {wanted - set(seen)}")
    expect(len(seen) == len(set(seen)), "enumeration showed a record twice")


CASES: Final = (
    Case(name="health answers", run=_health),
    Case(name="a journal is booked as it is", run=_journal, kinds=(Kind.JOURNAL,)),
    Case(name="an invoice with tax is booked by the ERP", run=_invoice, kinds=(Kind.CUSTOMER, Kind.INVOICE)),
    Case(name="a void mirrors the invoice", run=_void, kinds=(Kind.CUSTOMER, Kind.INVOICE, Kind.INVOICE_VOID)),
    Case(
        name="a credit memo mirrors the invoice",
        run=_credit_memo,
        kinds=(Kind.CUSTOMER, Kind.INVOICE, Kind.CREDIT_MEMO),
    ),
    Case(name="a payment credits the receivable", run=_payment, kinds=(Kind.CUSTOMER, Kind.PAYMENT)),
    Case(name="a refund debits the receivable", run=_refund, kinds=(Kind.CUSTOMER, Kind.REFUND)),
    Case(name="a deposit debits the bank", run=_deposit, kinds=(Kind.CUSTOMER, Kind.DEPOSIT)),
    Case(
        name="an application settles an invoice once",
        run=_application,
        kinds=(Kind.CUSTOMER, Kind.INVOICE, Kind.JOURNAL, Kind.APPLICATION),
    ),
    Case(name="prepare gives the same bytes", run=_prepare_repeats, kinds=(Kind.JOURNAL,)),
    Case(name="a missing mapping is named", run=_missing_mapping, kinds=(Kind.JOURNAL,)),
    Case(name="a record is found and equals its intent", run=_found_and_equal, kinds=(Kind.JOURNAL,), searchable=True),
    Case(name="what was never sent is not found", run=_not_found, kinds=(Kind.JOURNAL,), searchable=True),
    Case(name="sending twice makes one record", run=_sent_twice, kinds=(Kind.JOURNAL,)),
    Case(name="a batch answers for each document", run=_batch, kinds=(Kind.JOURNAL,)),
    Case(
        name="a closed period is refused", run=_closed_period, kinds=(Kind.JOURNAL,), troubles=(Trouble.PERIOD_CLOSED,)
    ),
    Case(
        name="a lost answer is uncertain and found",
        run=_answer_lost,
        kinds=(Kind.JOURNAL,),
        troubles=(Trouble.ANSWER_LOST,),
        searchable=True,
    ),
    Case(
        name="throttling has no effect",
        run=_throttled,
        kinds=(Kind.JOURNAL,),
        troubles=(Trouble.THROTTLED,),
        searchable=True,
    ),
    Case(name="busy has no effect", run=_busy, kinds=(Kind.JOURNAL,), troubles=(Trouble.BUSY,), searchable=True),
    Case(
        name="an unreachable system was not sent to",
        run=_unreachable,
        kinds=(Kind.JOURNAL,),
        troubles=(Trouble.UNREACHABLE,),
        searchable=True,
    ),
    Case(
        name="refused credentials have no effect",
        run=_credentials,
        kinds=(Kind.JOURNAL,),
        troubles=(Trouble.CREDENTIALS_REFUSED,),
        searchable=True,
    ),
    Case(
        name="an unreadable answer is uncertain", run=_unreadable, kinds=(Kind.JOURNAL,), troubles=(Trouble.UNREADABLE,)
    ),
    Case(name="periods are half-open and hold the day", run=_periods),
    Case(name="enumeration shows every record once", run=_enumeration, kinds=(Kind.JOURNAL,)),
)
