"""Conformance cases of asking: look-up and comparison, periods, enumeration page by page, health, and questions that fail."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Final

import msgspec

from revline.connectors.sdk import conformance_documents as make
from revline.connectors.sdk.conformance_documents import World
from revline.connectors.sdk.conformance_run import (
    Adapter,
    Capability,
    Case,
    ConformanceError,
    Editing,
    NotTried,
    Run,
    Trouble,
    expect,
)
from revline.core.documents import DocumentKind
from revline.core.farside import ErpRecord, Idempotency, PeriodState
from revline.core.problem import Problem

Kind = DocumentKind
PAGES_MAX: Final = 10_000


def other_world(world: World) -> World:
    """The same in the second company. NotTried without one."""
    if world.other_mapping is None:
        raise NotTried("the system under test has one company")
    return msgspec.structs.replace(world, mapping=world.other_mapping, currency=world.other_currency)


async def _found_and_equal(adapter: Adapter) -> None:
    run = Run(adapter)
    entry = make.journal(world=run.world, name="found")
    await run.posted(entry)
    held = await run.held(entry)
    expect(len(held) == 1, f"{len(held)} records under the reference of one document")
    same = run.differences(entry, held[0])
    expect(same == (), f"the record found differs from what was sent in {same}")
    other = make.journal(world=run.world, name="found", amount=make.NET + 1)
    expect(run.differences(other, held[0]), "another amount made no difference")
    swapped = make.journal(world=run.world, name="found", debit=make.CLEARING, credit=make.BANK)
    expect(run.differences(swapped, held[0]), "debit and credit the other way round made no difference")


async def _not_found(adapter: Adapter) -> None:
    run = Run(adapter)
    expect(await run.held(make.journal(world=run.world, name="never-sent")) == (), "look-up found what was never sent")


async def _every_one(adapter: Adapter) -> None:
    """Where a reference is not unique, look-up shows every record under it, so that a double is seen."""
    run = Run(adapter)
    entry = make.journal(world=run.world, name="double")
    await run.posted(entry)
    await run.posted(entry)
    expect(len(await run.held(entry)) == 2, "look-up hid one of two records under a reference")


async def _many(adapter: Adapter) -> None:
    """Many references asked at once are answered one by one."""
    run = Run(adapter)
    entries = [make.journal(world=run.world, name=f"asked-{number}") for number in range(3)]
    for entry in entries[:2]:
        await run.posted(entry)
    await adapter.pass_time(adapter.connector.manifest.lookup_lag)
    padding = [f"{run.world.nonce}{number:06d}"[-16:] for number in range(120)]
    wanted = [*padding, *(entry.external_reference for entry in entries)]
    found = await adapter.connector.lookup(kind=Kind.JOURNAL, references=wanted, company=run.world.mapping.company)
    if isinstance(found, Problem):
        raise ConformanceError(f"look-up of {len(wanted)} came to {found.code}")
    counts = [len(found.get(entry.external_reference, ())) for entry in entries]
    expect(counts == [1, 1, 0], f"of two records and one that is not there look-up found {counts}")


async def _edited(adapter: Adapter) -> None:
    run = Run(adapter)
    if not isinstance(adapter, Editing):
        raise NotTried("the system's records can't be edited on purpose")
    entry = make.journal(world=run.world, name="edited")
    await run.posted(entry)
    await adapter.edit(record=run.records[entry.document_id])
    held = await run.held(entry)
    expect(len(held) == 1 and run.differences(entry, held[0]), "a record that was edited looks like what was sent")


async def _other_company(adapter: Adapter) -> None:
    run = Run(adapter, world=adapter.world)
    other = Run(adapter, world=other_world(adapter.world))
    entry = make.journal(world=run.world, name="here")
    await run.posted(entry)
    expect(len(await run.held(entry)) == 1, "look-up in the document's company did not find it")
    expect(await other.held(entry) == (), "look-up in another company found this one's record")


async def _lag(adapter: Adapter) -> None:
    """After the manifest's lag, and no sooner than that by promise, a committed record is seen."""
    lag = adapter.connector.manifest.lookup_lag
    run = Run(adapter)
    await adapter.bring(Trouble.LOOKUP_LAG)
    entry = make.journal(world=run.world, name="lagging")
    await run.posted(entry)
    early = await run.found(entry)
    late = await run.held(entry)
    await adapter.clear()
    expect(len(early) <= 1 and len(late) == 1, f"look-up found {len(early)} at once and {len(late)} after {lag}")


async def _questions_fail(adapter: Adapter) -> None:
    """A question nobody answered is a problem, never an empty answer: nothing may be sent again on its word."""
    run = Run(adapter)
    entry = make.journal(world=run.world, name="asked")
    await run.posted(entry)
    record = run.records[entry.document_id]
    company = run.world.mapping.company
    await adapter.bring(Trouble.UNREACHABLE)
    found = await adapter.connector.lookup(kind=Kind.JOURNAL, references=[entry.external_reference], company=company)
    read = await adapter.connector.read(record=record)
    page = await adapter.connector.list_changed(record_kind=record.record_kind, company=company, cursor="", limit=2)
    periods = await adapter.connector.periods(company=company)
    health = await adapter.connector.health()
    await adapter.clear()
    for name, answer in (("look-up", found), ("read", read), ("enumeration", page), ("periods", periods)):
        expect(isinstance(answer, Problem), f"{name} of an unreachable system came to {answer}")
    expect(not health.reachable, "an unreachable system is called healthy")


async def _periods(adapter: Adapter) -> None:
    run = Run(adapter)
    found = await adapter.connector.periods(company=run.world.mapping.company)
    if isinstance(found, Problem):
        raise ConformanceError(f"periods came to {found.code}: {found.detail}")
    holding = [period for period in found if period.start <= run.world.day < period.end]
    expect(len(holding) == 1, f"{len(holding)} periods hold {run.world.day}; periods are half-open")
    expect(holding[0].state is PeriodState.OPEN, f"the period of {run.world.day} is {holding[0].state}")
    days = sorted((period.start, period.end) for period in found)
    expect(all(end <= start for (_, end), (start, _) in pairwise(days)), "a period begins before the last has ended")


async def _listed(run: Run, kind: str, *, limit: int, last: int) -> Sequence[ErpRecord]:
    """Every record, page by page: `limit` at once in the beginning, and 50 once `last` were seen."""
    seen: list[ErpRecord] = []
    cursor = ""
    for _ in range(PAGES_MAX):
        size = limit if len(seen) < last else 50
        page = await run.adapter.connector.list_changed(
            record_kind=kind, company=run.world.mapping.company, cursor=cursor, limit=size
        )
        if isinstance(page, Problem):
            raise ConformanceError(f"enumeration came to {page.code}: {page.detail}")
        expect(len(page.records) <= size, f"a page of {size} has {len(page.records)} records")
        seen.extend(page.records)
        expect(page.next_cursor != cursor or not cursor, "a page's cursor leads back to it")
        cursor = page.next_cursor
        if not cursor:
            return seen
    raise ConformanceError(f"enumeration did not end within {PAGES_MAX} pages")


async def _enumeration(adapter: Adapter) -> None:
    """Page by page, every record turns up once; the last page has no cursor."""
    run = Run(adapter)
    wanted = {(await run.posted(make.journal(world=run.world, name=f"p{each}"))).record.erp_id for each in range(7)}
    kind = next(iter(run.records.values())).record_kind
    names = [record.erp_id for record in await _listed(run, kind, limit=2, last=14)]
    expect(wanted <= set(names), f"enumeration never showed {wanted - set(names)}")
    expect(len(names) == len(set(names)), "enumeration showed a record twice")


async def _enumeration_by_company(adapter: Adapter) -> None:
    here, there = Run(adapter), Run(adapter, world=other_world(adapter.world))
    first = (await here.posted(make.journal(world=here.world, name="ours"))).record
    amount = make.NET.to_integral_value()
    second = (await there.posted(make.journal(world=there.world, name="theirs", amount=amount))).record
    for run, mine, other in ((here, first, second), (there, second, first)):
        names = {record.erp_id for record in await _listed(run, mine.record_kind, limit=50, last=0)}
        expect(mine.erp_id in names, f"enumeration of {run.world.mapping.company} misses its record")
        expect(other.erp_id not in names, f"enumeration of {run.world.mapping.company} shows another company's record")


async def _health(adapter: Adapter) -> None:
    found = await adapter.connector.health()
    expect(found.reachable, f"health says {found.detail}")


CASES: Final = (
    Case(
        name="a record is found and equals its intent",
        capability=Capability.LOOK_UP,
        run=_found_and_equal,
        kinds=(Kind.JOURNAL,),
        searchable=True,
    ),
    Case(
        name="what was never sent is not found",
        capability=Capability.LOOK_UP,
        run=_not_found,
        kinds=(Kind.JOURNAL,),
        searchable=True,
    ),
    Case(
        name="every record of a reference is shown",
        capability=Capability.LOOK_UP,
        run=_every_one,
        kinds=(Kind.JOURNAL,),
        searchable=True,
        idempotency=(Idempotency.LOOKUP,),
    ),
    Case(
        name="many references are looked up at once",
        capability=Capability.LOOK_UP,
        run=_many,
        kinds=(Kind.JOURNAL,),
        searchable=True,
    ),
    Case(
        name="an edited record differs",
        capability=Capability.LOOK_UP,
        run=_edited,
        kinds=(Kind.JOURNAL,),
        searchable=True,
    ),
    Case(
        name="look-up keeps to its company",
        capability=Capability.LOOK_UP,
        run=_other_company,
        kinds=(Kind.JOURNAL,),
        searchable=True,
    ),
    Case(
        name="look-up sees a commit after its lag",
        capability=Capability.LOOK_UP,
        run=_lag,
        kinds=(Kind.JOURNAL,),
        troubles=(Trouble.LOOKUP_LAG,),
        searchable=True,
        lagging=True,
    ),
    Case(
        name="a question that fails is a problem",
        capability=Capability.HEALTH,
        run=_questions_fail,
        kinds=(Kind.JOURNAL,),
        troubles=(Trouble.UNREACHABLE,),
    ),
    Case(name="periods are half-open and hold the day", capability=Capability.PERIODS, run=_periods),
    Case(
        name="enumeration shows every record once",
        capability=Capability.PAGING,
        run=_enumeration,
        kinds=(Kind.JOURNAL,),
    ),
    Case(
        name="enumeration keeps to its company",
        capability=Capability.PAGING,
        run=_enumeration_by_company,
        kinds=(Kind.JOURNAL,),
    ),
    Case(name="health answers", capability=Capability.HEALTH, run=_health),
)
