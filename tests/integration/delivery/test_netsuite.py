"""Documents through the database into the simulated NetSuite: every kind, batches, lost answers, long jobs; judged by its books."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any, cast

import msgspec
import pytest

from revline.connectors.netsuite.conformance import CODES, DAY, NetSuiteSystem, mapping
from revline.connectors.netsuite.simulator.faults import Fault
from revline.connectors.netsuite.simulator.setup import Settings
from revline.connectors.netsuite.simulator.suiteql import trial_balance
from revline.connectors.sdk import conformance_documents as make
from revline.core.documents import Document, DocumentKind, DocumentState
from revline.core.farside import Outcome, PreparedStep
from revline.core.journal import JournalEntry
from revline.core.problem import Problem
from revline.delivery import queries
from revline.delivery.loop import DeliveryLoop
from revline.delivery.ports import inline
from revline.delivery.service import Desk
from revline.delivery.values import FarSide
from revline.platform.cases import queries as cases
from revline.platform.store.engine import Database
from tests.fakes.far_side import Crash, FakeConnector, FarSystem
from tests.integration.delivery.world import World, journal_line


class NetSuiteDirectory:
    """Every connection is the simulated account."""

    def __init__(self, system: NetSuiteSystem) -> None:
        self.system = system

    def far_side(self, *, tenant_id: str, connection: str, entity: str) -> FarSide | Problem:
        return FarSide(
            connector=self.system.connector,
            mapping=mapping(),
            functional_currency="USD",
            pool_id=f"pool-{connection}",
            configuration_version=1,
        )

    def held(self, *, tenant_id: str, document: Document) -> Problem | None:
        return None


class NetSuiteWorld(World):
    """The delivery tests' world with NetSuite as its far system."""

    def __init__(self, database: Database, *, account_settings: Settings | None = None) -> None:
        super().__init__(database, FakeConnector(FarSystem()))
        self.system = NetSuiteSystem(account_settings=account_settings)
        self.system.clock = cast(Any, self.clock)
        self.system.account.clock = self.clock
        self.system.connector = self.system.connect({})
        self.expected: dict[str, JournalEntry] = {}

    def worker(self, name: str = "") -> DeliveryLoop:
        self.workers += 1
        desk = Desk(
            database=self.database,
            directory=NetSuiteDirectory(self.system),
            journals=self._journals,
            clock=self.clock,
            owner=name or f"worker:{self.workers}",
            epoch=1,
            uniform=random.Random(self.workers).uniform,
            timing=self.timing,
        )
        return DeliveryLoop(desk=desk, blocking=inline)

    def _journals(
        self, connection: object, *, tenant_id: str, journal_ids: Sequence[str]
    ) -> Mapping[str, JournalEntry]:
        return {name: self.expected[name] for name in journal_ids if name in self.expected}

    def states(self, *documents: Document) -> set[str]:
        names = [document.document_id for document in documents]
        with self.database.read(tenants=["alpha"]) as connection:
            found = queries.states_of(connection, tenant_id="alpha", document_ids=names)
        return {str(found[name]) for name in names}

    def causes(self) -> set[str]:
        with self.database.read(tenants=["alpha"]) as connection:
            return {one.code for one in cases.causes(connection, tenant_id="alpha")}

    def made(self, record: str) -> int:
        return sum(each.type == record for each in self.system.account.books.transactions.values())

    def balances(self) -> dict[str, Decimal]:
        """Neutral account -> balance, from NetSuite's own books."""
        names = {code: name for name, code in CODES.items()}
        sums: dict[str, Decimal] = {}
        for (account, _, _), amount in trial_balance(books=self.system.account.books, subsidiary="1").items():
            sums[names[account]] = sums.get(names[account], Decimal(0)) + amount
        return {name: amount for name, amount in sums.items() if amount}


@pytest.fixture
def world(database: Database) -> NetSuiteWorld:
    return NetSuiteWorld(database)


POSTED = {str(DocumentState.POSTED)}


def test_a_customers_invoice_is_paid_another_voided_and_the_books_say_so(world: NetSuiteWorld) -> None:
    at = world.system.world
    buyer = make.customer(world=at)
    bill, wrong = (make.invoice(world=at, buyer=buyer, name=name) for name in ("bill", "wrong"))
    paid = make.money(world=at, kind=DocumentKind.PAYMENT, buyer=buyer, name="paid")
    applied = make.application(world=at, of=bill, payment=paid, amount=Decimal("120.00"))
    voided = msgspec.structs.replace(make.void(world=at, of=wrong), lane_key=wrong.lane_key)
    everything = [buyer, bill, wrong, paid, applied, voided]
    world.write(*everything)
    world.deliver(turns=200)
    assert world.states(*everything) == POSTED
    assert world.causes() == set()
    assert world.balances() == {
        "processor_clearing": Decimal("120.00"),
        "deferred_revenue": Decimal("-100.00"),
        "tax_payable": Decimal("-20.00"),
    }


def test_lost_answers_on_every_fourth_call_leave_each_document_once(world: NetSuiteWorld) -> None:
    at = world.system.world
    entries = [make.journal(world=at, name=f"j{number}", amount=Decimal(number + 1)) for number in range(40)]
    for number in range(1, 20, 4):
        for operation in ("journalEntry.batch", "journalEntry.create"):
            world.system.strike(Fault.ANSWER_LOST, operation=operation)
            world.system.strike(Fault.FAIL_BEFORE if number % 8 else Fault.FAIL_AFTER, operation=operation)
    world.write(*entries)
    for _ in range(12):
        world.deliver(turns=200)
        world.pass_time(timedelta(minutes=20))
    assert world.states(*entries) == POSTED
    assert world.made("journalEntry") == 40
    assert world.balances() == {"bank": Decimal(820), "processor_clearing": Decimal(-820)}


def test_a_batch_that_a_long_job_works_on_is_polled_to_its_end(database: Database) -> None:
    world = NetSuiteWorld(database, account_settings=Settings(job_seconds=600))
    at = world.system.world
    entries = [make.journal(world=at, name=f"slow{number}") for number in range(5)]
    world.write(*entries)
    world.deliver(turns=200)
    assert str(DocumentState.ACCEPTED) in world.states(*entries)
    assert world.made("journalEntry") < 5
    world.pass_time(timedelta(minutes=11))
    world.deliver(turns=200)
    assert world.states(*entries) == POSTED
    assert world.made("journalEntry") == 5


def test_a_job_that_netsuite_forgets_leaves_each_document_once(database: Database) -> None:
    """Whether its work is done when the documents are looked up, or only after they were sent again."""
    world = NetSuiteWorld(database, account_settings=Settings(job_seconds=600))
    entries = [make.journal(world=world.system.world, name=f"forgotten{number}") for number in range(5)]
    world.write(*entries)
    world.deliver(turns=200)
    assert str(DocumentState.ACCEPTED) in world.states(*entries)
    world.system.strike(Fault.JOB_FORGOTTEN, operation="job.read", count=None)
    for _ in range(6):
        world.pass_time(timedelta(minutes=5))
        world.deliver(turns=200)
    assert world.states(*entries) == POSTED
    assert world.made("journalEntry") == 5


def invoice_journal(bill: Document, *, tax: str) -> JournalEntry:
    """What our rules say the invoice books."""
    lines = (
        journal_line(1, "accounts_receivable", debit="120.00"),
        journal_line(2, "deferred_revenue", credit="100.00"),
        journal_line(3, tax, credit="20.00"),
    )
    return JournalEntry(
        journal_id=bill.journal_id,
        event_id=bill.event_id,
        event_kind="invoice.issued",
        entity=bill.entity,
        book=bill.book,
        accounting_date=DAY,
        document_date=DAY,
        functional_currency="USD",
        rule="invoice",
        lines=lines,
    )


def test_what_netsuite_books_otherwise_than_the_journal_is_told(world: NetSuiteWorld) -> None:
    at = world.system.world
    buyer = make.customer(world=at)
    right, wrong = (make.invoice(world=at, buyer=buyer, name=name) for name in ("right", "wrong"))
    world.expected[right.journal_id] = invoice_journal(right, tax="tax_payable")
    world.write(buyer, right)
    world.deliver(turns=200)
    assert world.causes() == set()
    world.expected[wrong.journal_id] = invoice_journal(wrong, tax="revenue")
    world.write(wrong)
    world.deliver(turns=200)
    assert world.causes() == {"erp.entries_differ"}
    assert world.states(right, wrong) == POSTED


def test_a_worker_killed_after_its_batch_was_taken_leaves_each_document_once(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = NetSuiteWorld(database, account_settings=Settings(job_seconds=300))
    at, connector = world.system.world, world.system.connector
    entries = [make.journal(world=at, name=f"taken{number}") for number in range(6)]
    world.write(*entries[:4])
    taken = connector.submit

    async def dies(*, steps: Sequence[PreparedStep]) -> Sequence[Outcome]:
        await taken(steps=steps)
        raise Crash

    monkeypatch.setattr(connector, "submit", dies)
    with pytest.raises(Crash):
        world.deliver()
    monkeypatch.setattr(connector, "submit", taken)
    assert world.states(*entries[:4]) == {str(DocumentState.SENDING)}
    world.write(*entries[4:])
    for _ in range(6):
        world.pass_time(timedelta(minutes=4))
        world.deliver(turns=200)
    assert world.states(*entries) == POSTED
    assert world.made("journalEntry") == 6
    assert world.causes() == set()
