"""However change events and listings interleave, lose each other and repeat, the newest snapshots are what the org holds."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as some

from revline.connectors.salesforce.changes import EVERYTHING
from revline.connectors.salesforce.reader import SalesforceReader
from revline.connectors.salesforce.simulator import Org, quote_to_order
from revline.connectors.sdk.source import SourcePage
from revline.core.canonical import CanonicalObject
from revline.core.facts import TranslatedFact
from revline.core.ids import SourceObject
from revline.core.problem import Problem
from tests.contract.salesforce.orgs import HandClock, an_org, asked_of, fact_of, reading, serving, whole

STEPS = some.lists(
    some.one_of(
        some.tuples(some.just("save"), some.integers(0, 7)),
        some.tuples(some.just("wait"), some.integers(0, 3)),
        some.tuples(some.just("poll"), some.integers(0, 9)),
        some.tuples(some.just("hear"), some.integers(1, 5)),
        some.tuples(some.just("reread"), some.integers(0, 4)),
        some.tuples(some.just("tell"), some.integers(0, 2)),
    ),
    max_size=40,
)


class Follower:
    """What follows an org as intake does: cursors, records to read again, facts taken in once each."""

    def __init__(self, reader: SalesforceReader) -> None:
        self.reader = reader
        self.cursors: dict[str, str] = {}
        self.place = ""
        self.due: list[tuple[str, str]] = []
        self.facts: dict[str, TranslatedFact] = {}

    async def poll(self, kind: str) -> bool:
        page = await self.reader.list_page(object_kind=kind, cursor=self.cursors.get(kind, ""), limit=2)
        if isinstance(page, Problem):
            assert page.code == "source.busy"
            return True
        self.cursors[kind] = page.next_cursor
        self._take(*page.bodies)
        return page.more

    async def hear(self, limit: int) -> bool:
        page: SourcePage = whole(await self.reader.changes_page(cursor=self.place, limit=limit))
        self.place = page.next_cursor
        for body in page.bodies:
            self.due += [(one.object_kind, one.source.outside_id) for one in asked_of(body)]
        return page.more

    async def reread(self, place: int) -> None:
        kind, outside_id = self.due.pop(place % len(self.due))
        if outside_id == EVERYTHING:
            await self.poll(kind)  # as intake has it: a listing goes on from where it stands
            return
        body = await self.reader.read(object_kind=kind, outside_id=outside_id)
        if isinstance(body, Problem):
            assert body.code == "source.busy"
            self.due.append((kind, outside_id))
        elif body is not None:
            self._take(body)

    async def settle(self) -> None:
        """Everything is read to its end."""
        while await self.hear(50):
            pass
        while self.due:
            await self.reread(0)
        for kind in self.reader.manifest.listed:
            while await self.poll(kind):
                pass

    def newest(self) -> dict[SourceObject, CanonicalObject]:
        groups: dict[SourceObject, list[TranslatedFact]] = {}
        for fact in self.facts.values():
            groups.setdefault(fact.source, []).append(fact)
        return {
            source: max(group, key=lambda one: (one.order_key, one.content_digest)).snapshot
            for source, group in groups.items()
        }

    def _take(self, *bodies: bytes) -> None:
        for body in bodies:
            fact = fact_of(body)
            known = self.facts.setdefault(fact.source_event, fact)
            assert known.content_digest == fact.content_digest


def save(org: Org, number: int, count: int) -> None:
    """One of the things people do in an org."""
    orders = [one for one in org.records["Order"].values() if not one["IsDeleted"]]
    items = [one for one in org.records["OrderItem"].values() if not one["IsDeleted"]]
    accounts = list(org.records["Account"])
    match number:
        case 0:
            org.update(object_name="Account", record_id=accounts[0], values={"Name": f"Renamed {count}"})
        case 1:
            org.create(object_name="Account", values={"Name": f"New {count}", "ParentId": accounts[-1]})
        case 2 if items:
            org.update(object_name="OrderItem", record_id=items[0]["Id"], values={"Description": f"note {count}"})
        case 3 if items:
            org.update(object_name="OrderItem", record_id=items[-1]["Id"], values={"Quantity": count + 1})
        case 4 if items:
            org.delete(object_name="OrderItem", record_id=items[0]["Id"])
        case 5:
            org.create(
                object_name="Order",
                values={
                    "AccountId": accounts[0],
                    "EffectiveDate": "2026-09-01",
                    "Status": "Draft",
                    "PoNumber": str(count),
                },
            )
        case 6:
            drafts = [one for one in orders if one["StatusCode"] == "Draft"]
            if drafts:
                org.delete(object_name="Order", record_id=drafts[0]["Id"])
        case 7:
            org.update(
                object_name="Opportunity",
                record_id=next(iter(org.records["Opportunity"])),
                values={"Name": f"D{count}"},
            )


async def follow(reader: SalesforceReader, org: Org, clock: HandClock, steps: list[tuple[str, int]]) -> Follower:
    follower = Follower(reader)
    clock.pass_seconds(10)
    await follower.settle()
    kinds = reader.manifest.listed
    for count, (step, number) in enumerate(steps):
        match step:
            case "save":
                save(org, number, count)
            case "wait":
                clock.pass_seconds(number / 2)
            case "poll":
                await follower.poll(kinds[number])
            case "hear":
                await follower.hear(number)
            case "reread" if follower.due:
                await follower.reread(number)
            case "tell":
                org.changes.gap = ("", "GAP", "OVERFLOW")[number]
    clock.pass_seconds(10)
    await follower.settle()
    return follower


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps=STEPS)
@example(steps=[("save", 0), ("hear", 5), ("reread", 0)] * 6)
@example(steps=[("save", 0), ("poll", 3)] * 6)
@example(steps=[("save", 0), ("save", 0), ("save", 0), ("save", 0), ("tell", 2), ("save", 2)])
@example(steps=[("save", 2), ("wait", 3), ("save", 4), ("wait", 3), ("poll", 9), ("poll", 2)])
def test_the_newest_snapshots_are_what_the_org_holds(steps: list[tuple[str, int]]) -> None:
    org, clock = an_org(batch_size=3, child_batch_size=1)
    quote_to_order(org=org)
    with serving(org) as server:
        follower = reading(server, lambda reader: follow(reader, org, clock, steps))

        async def as_it_stands(reader: SalesforceReader) -> dict[SourceObject, CanonicalObject]:
            found: dict[SourceObject, Any] = {}
            for kind in ("Account", "Product2", "PricebookEntry", "Opportunity", "Quote", "Contract", "Order"):
                page = whole(await reader.list_page(object_kind=kind, cursor="", limit=200))
                found |= {fact.source: fact.snapshot for fact in map(fact_of, page.bodies)}
            return found

        assert follower.newest() == reading(server, as_it_stands)
