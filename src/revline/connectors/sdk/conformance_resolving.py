"""Conformance cases of finding out: a step of any kind whose answer was lost is resolved as delivery resolves it, to one record."""

from __future__ import annotations

from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Final

from revline.connectors.sdk import conformance_documents as make
from revline.connectors.sdk.conformance_booking import a_buyer
from revline.connectors.sdk.conformance_run import (
    Adapter,
    Capability,
    Case,
    ConformanceError,
    NotTried,
    Run,
    Trouble,
    expect,
)
from revline.core.documents import Document, DocumentKind, ItemContent
from revline.core.farside import ErpRecord, Idempotency, Placed, Posted, Uncertain
from revline.core.problem import Problem

Kind = DocumentKind
PAGES_MAX: Final = 10_000
LIVE: Final = frozenset({"draft", "posted", "paid"})
RESENDABLE: Final = frozenset({Idempotency.KEY, Idempotency.UNIQUE_REFERENCE})


async def _of_every_kind(run: Run) -> AsyncIterator[Document]:
    """A document of each kind the manifest names, what it needs being posted first."""
    takes = run.adapter.connector.manifest.capability
    world = run.world
    buyer = make.customer(world=world, name="answer-lost")
    if takes(Kind.CUSTOMER) is not None:
        yield buyer
    if takes(Kind.ITEM) is not None:
        item = ItemContent(name=f"Item {world.nonce}", account=make.DEFERRED, outside_id=f"{world.nonce}-item")
        yield make.document(world=world, name="item", kind=Kind.ITEM, content=item, amount=make.ZERO)
    if takes(Kind.JOURNAL) is not None:
        yield make.journal(world=world, name="answer-lost")
    if takes(Kind.INVOICE) is not None:
        yield make.invoice(world=world, buyer=buyer, name="answer-lost")
        for kind, undo in ((Kind.INVOICE_VOID, make.void), (Kind.CREDIT_MEMO, make.credit_memo)):
            if takes(kind) is not None:
                bill = make.invoice(world=world, buyer=buyer, name=f"for-{kind}")
                await run.posted(bill)
                more = {"buyer": buyer} if kind is Kind.CREDIT_MEMO else {}
                yield undo(world=world, of=bill, name=f"lost-{kind}", **more)
    for kind in (Kind.PAYMENT, Kind.REFUND, Kind.DEPOSIT):
        if takes(kind) is not None:
            yield make.money(world=world, kind=kind, buyer=buyer, name=f"lost-{kind}")
    if takes(Kind.APPLICATION) is not None and takes(Kind.INVOICE) is not None:
        bill = make.invoice(world=world, buyer=buyer, name="to-settle-lost")
        received = make.journal(
            world=world,
            name="received-lost",
            debit=make.CLEARING,
            credit=make.RECEIVABLE,
            amount=make.TOTAL,
            buyer=buyer,
        )
        await run.posted(bill)
        await run.posted(received)
        yield make.application(world=world, of=bill, payment=received, amount=make.TOTAL, name="lost-application")


async def _resolved(run: Run, document: Document) -> ErpRecord:
    """Lose the answer to the first step and find out as the manifest's policy says; gives the one record there is."""
    capability = run.adapter.connector.manifest.capability(document.kind)
    assert capability is not None
    named = f"a lost answer of a {document.kind}"
    await run.adapter.bring(Trouble.ANSWER_LOST)
    outcome = await run.first_step(document)
    await run.adapter.clear()
    expect(isinstance(outcome, Uncertain), f"{named} came to {outcome}")
    record: ErpRecord | None = None
    if capability.idempotency in RESENDABLE or not capability.searchable:
        if capability.idempotency not in RESENDABLE:
            await run.adapter.pass_time(run.adapter.connector.manifest.effect_bound)
        again = await run.first_step(document)
        if not isinstance(again, Posted | Placed):
            raise ConformanceError(f"{named}: sending again came to {again}")
        record = again.record
    if capability.searchable:
        held = await run.settled(document)
        expect(len(held) == 1, f"{named}: look-up finds {len(held)} records")
        expect(record is None or held[0].erp_id == record.erp_id, f"{named}: sending again made another record")
        expect(run.differences(document, held[0]) == (), f"{named}: what is found is not what was sent")
        record = held[0]
    assert record is not None
    run.records[document.document_id] = record
    return record


async def _every_kind(adapter: Adapter) -> None:
    run = Run(adapter)
    found = 0
    async for document in _of_every_kind(run):
        await _resolved(run, document)
        for step in run.steps(document)[1:]:
            last = await run.sent(run.prepared(document, step))
            expect(isinstance(last, Posted | Placed), f"{document.kind} {step} after a lost answer came to {last}")
            if isinstance(last, Posted | Placed):
                run.records[document.document_id] = last.record
        found += 1
    expect(found, "the manifest names no kind that can be tried")


async def _listed_once(adapter: Adapter) -> None:
    """Listing everything the manifest lists shows each reference of ours once among the live records of a kind: no record that
    another one brought along carries it too."""
    run = Run(adapter)
    ours: set[str] = set()
    async for document in _of_every_kind(run):
        await run.posted(document)
        ours.add(document.external_reference)
    for kind in adapter.connector.manifest.listed:
        found: dict[str, set[str]] = {}
        for record in await _all_of(run, kind):
            if record.external_reference in ours and record.state in LIVE:
                found.setdefault(record.external_reference, set()).add(record.erp_id)
        double = {reference: ids for reference, ids in found.items() if len(ids) > 1}
        expect(not double, f"the listing of {kind} shows {double}")


async def _all_of(run: Run, kind: str) -> list[ErpRecord]:
    records: list[ErpRecord] = []
    cursor = ""
    for _ in range(PAGES_MAX):
        page = await run.adapter.connector.list_changed(
            record_kind=kind, company=run.world.mapping.company, cursor=cursor, limit=100
        )
        if isinstance(page, Problem):
            raise ConformanceError(f"the listing of {kind} came to {page.code}: {page.detail}")
        records += page.records
        if not page.next_cursor:
            expect(not page.records or page.resume, f"the listing of {kind} says nowhere to go on from")
            return records
        cursor = page.next_cursor
    raise ConformanceError(f"the listing of {kind} did not end within {PAGES_MAX} pages")


async def _draft_found(adapter: Adapter) -> None:
    """A draft whose answer was lost is found as a draft, so that its next step is sent and not its first again."""
    run = Run(adapter)
    two_step = {entry.kind for entry in adapter.connector.manifest.kinds if len(entry.steps) > 1}
    if Kind.JOURNAL in two_step:
        intent = make.journal(world=run.world, name="lost-draft")
    elif Kind.INVOICE in two_step:
        intent = make.invoice(world=run.world, buyer=await a_buyer(run), name="lost-draft")
    else:
        raise NotTried("neither journals nor invoices have a draft step")
    record = await _resolved(run, intent)
    expect(record.state == "draft", f"a draft is found as {record.state}")
    last = await run.sent(run.prepared(intent, run.steps(intent)[-1]))
    expect(isinstance(last, Posted), f"posting the draft that was found came to {last}")
    held = await run.held(intent)
    expect([one.state for one in held] == ["posted"], f"there are {[one.state for one in held]} in the end")


async def _differences_with_values(adapter: Adapter) -> None:
    """A record that is not the intent is told with the fields that differ and both values of each."""
    run = Run(adapter)
    entry = make.journal(world=run.world, name="compared")
    await run.posted(entry)
    held = (await run.held(entry))[0]
    others = {
        "amount": make.journal(world=run.world, name="compared", amount=make.NET + 1),
        "account": make.journal(world=run.world, name="compared", debit=make.DEFERRED),
        "sides": make.journal(world=run.world, name="compared", debit=make.CLEARING, credit=make.BANK),
        "two of them": make.journal(world=run.world, name="compared", debit=make.DEFERRED, amount=Decimal("7.00")),
    }
    for what, other in others.items():
        found = adapter.connector.difference(document=other, record=held, context=run.context)
        expect(found, f"another {what} made no difference")
        for one in found:
            expect(one.field, f"a difference of {what} names no field")
            expect(one.ours != one.theirs, f"a difference of {what} in {one.field} shows {one.ours!r} on both sides")
            expect(one.theirs or one.ours, f"a difference of {what} in {one.field} shows no value")


CASES: Final = (
    Case(
        name="a lost answer of every kind comes to one record",
        capability=Capability.SENDING,
        run=_every_kind,
        troubles=(Trouble.ANSWER_LOST,),
        searchable=True,
    ),
    Case(
        name="a listing shows each reference once",
        capability=Capability.PAGING,
        run=_listed_once,
        searchable=True,
    ),
    Case(
        name="a draft whose answer was lost is found and posted",
        capability=Capability.DRAFTS,
        run=_draft_found,
        troubles=(Trouble.ANSWER_LOST,),
        searchable=True,
    ),
    Case(
        name="a difference names its fields with both values",
        capability=Capability.LOOK_UP,
        run=_differences_with_values,
        kinds=(Kind.JOURNAL,),
        searchable=True,
    ),
)
