"""Enumeration: what a listing shows that no look-up would, and what follows; the far system's own list is the judge."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import msgspec
import pytest

from revline.core.documents import DocumentKind, DocumentState
from revline.core.farside import ErpRecord, Idempotency, Uncertain
from revline.core.problem import Problem
from revline.delivery import acts
from revline.delivery.enumerating import LANE_KIND, Enumeration, ErpListing, cursor_of, listings, places_of
from revline.delivery.values import FarSide
from revline.platform.cases import queries as cases
from revline.platform.store.engine import Database
from revline.platform.work import service as work
from revline.platform.work.lanes import PoolRoom
from tests.fakes.far_side import FakeConnector, FarSystem
from tests.integration.delivery.world import World, document_id, journal

LISTER = "lister"


class Listed(World):
    """A world whose far system can be listed, page by page."""

    def __init__(
        self,
        database: Database,
        idempotency: Idempotency = Idempotency.LOOKUP,
        *,
        connector: FakeConnector | None = None,
    ) -> None:
        super().__init__(database, connector or FakeConnector(FarSystem(), idempotency=idempotency))
        self.enumeration = Enumeration(database=database, clock=self.clock, owner=LISTER)
        far = self.directory.far_side(tenant_id="alpha", connection="erp", entity="us")
        assert isinstance(far, FarSide)
        self.far_side = far
        self.places = places_of(connection="erp", far_sides={"us": far})
        self.enumeration.begin(tenant_id="alpha", places=self.places)

    def ask(self) -> None:
        asked = self.enumeration.ask(
            tenant_id="alpha",
            places=self.places,
            far_sides={"us": self.far_side},
            since=None,
            actor="person:test",
            reason="list all",
        )
        assert asked == self.places

    async def _page(self, entry: ErpListing) -> object:
        return await self.connector.list_changed(
            record_kind=entry.record_kind, company=entry.company, cursor=cursor_of(entry), limit=2
        )

    def list_all(self) -> None:
        """List until no lane is due."""
        self.enumeration.wake_due(tenant_id="alpha")

        for _ in range(100):
            rooms = [PoolRoom(pool_id="pool-erp", lanes=4)]
            claim = work.claim(self.database, kind=LANE_KIND, owner=LISTER, limit=4, pools=rooms)
            if not claim.lanes:
                self.clock.moment += timedelta(seconds=1)
                return
            for lane in claim.lanes:
                entry = self.enumeration.entry_of(lane)
                assert entry is not None
                page = asyncio.run(self._page(entry))
                if isinstance(page, Problem):
                    self.enumeration.failed(lane=lane, entry=entry, why=page, pause=timedelta(0))
                else:
                    self.enumeration.take_page(lane=lane, entry=entry, page=page, far=self.far_side)  # type: ignore[arg-type]
        raise AssertionError("listing does not end")

    def report(self, kind: str = "journal") -> ErpListing:
        with self.database.read(tenants=["alpha"]) as connection:
            return next(one for one in listings(connection, tenant_id="alpha") if one.record_kind == kind)

    def causes(self) -> dict[str, object]:
        with self.database.read(tenants=["alpha"]) as connection:
            return {one.code: one for one in cases.causes(connection, tenant_id="alpha")}

    def twice(self, number: int = 0) -> None:
        """The far system makes one more record of what it has, as a request that came late would."""
        self.far.records.append(msgspec.structs.replace(self.far.records[number], erp_id="late", number="N99"))


def test_a_listing_of_what_was_posted_finds_nothing_wrong_and_keeps_what_it_saw(database: Database) -> None:
    world = Listed(database)
    world.write(*(journal(f"sale-{number}") for number in range(5)))
    world.deliver()
    world.list_all()
    found = world.report()
    assert (found.records, found.ours, found.pages) == (5, 5, 3)
    assert (found.doubled, found.unexpected, found.missing, found.resolved) == (0, 0, 0, 0)
    assert world.causes() == {}
    assert found.full_ended_at is not None


def test_two_live_records_under_one_reference_are_one_case_with_both_and_the_money(database: Database) -> None:
    world = Listed(database)
    world.write(journal("sale", amount="70.00"))
    world.deliver()
    world.list_all()
    world.twice()
    world.ask()
    world.list_all()
    assert list(world.causes()) == ["erp.effect_doubled"]
    with world.database.read(tenants=["alpha"]) as connection:
        (case,) = cases.cases(connection, tenant_id="alpha")
    assert case.subject_id == document_id("sale")
    assert "N1 (1)" in case.detail
    assert "N99 (late)" in case.detail
    assert str(case.amount).startswith("70")
    del world.far.records[0]
    world.far.records[0] = msgspec.structs.replace(world.far.records[0], state="cancelled")
    world.far.records.insert(0, msgspec.structs.replace(world.far.records[0], erp_id="1", number="N1", state="posted"))
    world.ask()
    world.list_all()
    assert world.causes() == {}, "the surplus one was voided there"


def test_a_double_that_is_right_is_waived_and_stays_so(database: Database) -> None:
    world = Listed(database)
    world.write(journal("sale"))
    world.deliver()
    world.twice()
    world.list_all()
    assert list(world.causes()) == ["erp.effect_doubled"]
    refused = acts.waive(
        database,
        tenant_id="alpha",
        document_id=document_id("sale"),
        actor="person:test",
        reason="split by hand",
        recorded_at=world.clock.now(),
    )
    assert refused is None
    assert world.state("sale") is DocumentState.POSTED
    world.ask()
    world.list_all()
    assert world.causes() == {}


@pytest.mark.parametrize(
    "since", ["0001-01-01T00:00:00+14:00", "1999-12-31T00:00:00+00:00", "9999-12-31T23:59:59-12:00"]
)
def test_a_moment_no_far_system_can_begin_at_is_refused(database: Database, since: str) -> None:
    world = Listed(database)
    asked = world.enumeration.ask(
        tenant_id="alpha",
        places=world.places,
        far_sides={"us": world.far_side},
        since=datetime.fromisoformat(since),
        actor="person:test",
        reason="list all",
    )
    assert isinstance(asked, Problem)
    assert asked.code == "listing.since_invalid"


def test_an_uncertain_document_that_is_listed_goes_on_at_once(database: Database) -> None:
    world = Listed(database)
    world.connector.after = lambda step: Uncertain(evidence="time-out")
    world.write(journal("sale"))
    world.deliver()
    assert world.state("sale") is DocumentState.UNCERTAIN
    world.list_all()
    world.deliver()
    assert world.state("sale") is DocumentState.POSTED, "the effect bound need not be waited for"
    assert len(world.far.effects) == 1
    asked = [(line["asked"], line["conclusion"]) for line in world.show("sale").evidence]
    assert asked == [("listing", "seen"), ("look_up", "found")]


class LooksLate(FakeConnector):
    """What its look-ups show comes behind what its listings do, until `caught_up`."""

    caught_up = False

    async def lookup(
        self, *, kind: DocumentKind, references: Sequence[str], company: str
    ) -> Mapping[str, tuple[ErpRecord, ...]] | Problem:
        found = await super().lookup(kind=kind, references=references, company=company)
        return found if self.caught_up else dict.fromkeys(references, ())


@pytest.mark.parametrize("sent", [True, False])
def test_a_look_up_before_its_time_does_not_disprove_what_was_listed(database: Database, sent: bool) -> None:
    connector = LooksLate(FarSystem())
    world = Listed(database, connector=connector)
    connector.after = lambda step: Uncertain(evidence="time-out")
    world.write(journal("sale"))
    if sent:
        world.deliver()
    else:
        world.deliver_to_far_side_only(journal("sale"))
    connector.after = lambda step: None
    world.list_all()
    worker = world.deliver()
    assert world.state("sale") is DocumentState.UNCERTAIN
    connector.caught_up = True
    world.pass_time(timedelta(seconds=30))
    world.deliver(worker)
    assert world.state("sale") is DocumentState.POSTED
    assert len(world.far.effects) == 1


@pytest.mark.parametrize("differs", [False, True])
def test_where_nothing_can_be_looked_up_a_listed_record_is_accepted_only_when_it_is_equal(
    database: Database, differs: bool
) -> None:
    world = Listed(database, Idempotency.NEITHER)
    world.connector.after = lambda step: Uncertain(evidence="time-out")
    world.write(journal("sale"))
    world.deliver()
    assert list(world.causes()) == ["erp.effect_unknown"]
    if differs:
        world.connector.differs[journal("sale").external_reference] = ("amount",)
    world.list_all()
    world.deliver()
    if differs:
        assert list(world.causes()) == ["erp.record_differs"]
    else:
        assert world.state("sale") is DocumentState.POSTED
        assert world.causes() == {}
    assert len(world.far.effects) == 1


def test_a_record_of_a_waived_document_is_a_case(database: Database) -> None:
    world = Listed(database)
    world.connector.before = lambda step: Uncertain(evidence="time-out")
    world.write(journal("sale"))
    world.deliver()
    acts.waive(
        database,
        tenant_id="alpha",
        document_id=document_id("sale"),
        actor="person:test",
        reason="not wanted",
        recorded_at=world.clock.now(),
    )
    world.connector.before = lambda step: None
    world.deliver_to_far_side_only(journal("sale"))
    world.list_all()
    assert list(world.causes()) == ["erp.effect_unexpected"]


def test_a_record_under_a_reference_nobody_knows_is_a_case_of_the_record(database: Database) -> None:
    world = Listed(database)
    stranger = journal("never-written")
    world.deliver_to_far_side_only(stranger)
    world.far.records[0] = msgspec.structs.replace(world.far.records[0], accounting_date=stranger.accounting_date)
    world.list_all()
    assert list(world.causes()) == ["erp.effect_unexpected"]
    with world.database.read(tenants=["alpha"]) as connection:
        (case,) = cases.cases(connection, tenant_id="alpha")
    assert (case.subject_kind, case.subject_id) == ("erp_record", "erp/journal/1")
    world.write(stranger)
    world.pass_time(timedelta(hours=1))
    world.list_all()
    assert world.causes() == {}, "its facts came in, so somebody knows it"


def test_a_ready_document_that_is_there_already_is_looked_up_and_not_sent(database: Database) -> None:
    world = Listed(database)
    world.write(journal("sale"))
    world.deliver_to_far_side_only(journal("sale"))
    world.list_all()
    assert world.state("sale") is DocumentState.UNCERTAIN
    world.pass_time(timedelta(seconds=30))
    world.deliver()
    assert world.state("sale") is DocumentState.POSTED
    assert len(world.far.effects) == 1
    assert world.causes() == {}


def test_a_posted_record_that_is_gone_or_cancelled_is_a_case_and_a_changed_one_is_noted(database: Database) -> None:
    world = Listed(database)
    world.write(journal("kept"), journal("gone"), journal("cancelled"))
    world.deliver()
    world.list_all()
    by_reference = {one.external_reference: number for number, one in enumerate(world.far.records)}
    kept, gone, cancelled = (by_reference[journal(name).external_reference] for name in ("kept", "gone", "cancelled"))
    world.far.records[kept] = msgspec.structs.replace(world.far.records[kept], number="edited")
    world.far.records[cancelled] = msgspec.structs.replace(world.far.records[cancelled], state="cancelled")
    del world.far.records[gone]
    world.ask()
    world.list_all()
    with world.database.read(tenants=["alpha"]) as connection:
        told = {one.subject_id for one in cases.cases(connection, tenant_id="alpha")}
    assert told == {document_id("gone"), document_id("cancelled")}
    assert list(world.causes()) == ["erp.effect_gone"]
    assert (world.report().missing, world.report().changed) == (1, 2)


def test_a_cursor_that_is_forgotten_is_said_and_everything_is_listed_again(database: Database) -> None:
    world = Listed(database)
    world.write(journal("sale"))
    world.deliver()
    world.list_all()
    world.pass_time(timedelta(hours=1))
    world.connector.cursor_gone = True
    world.list_all()
    found = world.report()
    assert "kept no changes that old" in found.gap
    assert found.gap_at is not None
    assert (found.records, found.ended_at is not None) == (1, True)
