"""The small world of delivery tests: documents in words, a worker under a clock of its own, database time that moves with it."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import msgspec
from sqlalchemy import text

from revline.core.canonical import Address
from revline.core.documents import CustomerContent, Document, DocumentKind, DocumentState, JournalContent, Rank
from revline.core.farside import ErpEntry, PrepareContext, PreparedStep
from revline.core.ids import SourceObject, derived_id, external_reference
from revline.core.journal import JournalEntry, JournalLine
from revline.delivery import queries, record
from revline.delivery.loop import DeliveryLoop
from revline.delivery.ports import inline
from revline.delivery.service import Desk
from revline.delivery.values import FarSide, Timing
from revline.platform.store.engine import Database
from revline.platform.work import cell
from tests.fakes.far_side import FakeConnector, FakeDirectory, FarSystem

NOON = datetime(2026, 2, 1, 12, 0, tzinfo=UTC)
DAY = date(2026, 1, 31)


class MovingClock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.moment = NOON

    def now(self) -> datetime:
        return self.moment


def journal_line(number: int, account: str, *, debit: str = "0", credit: str = "0") -> JournalLine:
    return JournalLine(
        line=number,
        account=account,
        debit=Decimal(debit),
        credit=Decimal(credit),
        currency="USD",
        functional_debit=Decimal(debit),
        functional_credit=Decimal(credit),
        rate=Decimal(1),
        rate_source="identity",
    )


def journal(
    name: str,
    *,
    lane: str = "",
    rank: Rank = Rank.JOURNAL,
    after: Sequence[str] = (),
    connection: str = "erp",
    amount: str = "10.00",
    day: date = DAY,
    credit_account: str = "sales",
) -> Document:
    """A journal document called `name`; its id is derived from the name."""
    identity = document_id(name)
    lines = (journal_line(1, "cash", debit=amount), journal_line(2, credit_account, credit=amount))
    return Document(
        document_id=identity,
        kind=DocumentKind.JOURNAL,
        connection=connection,
        entity="us",
        book="main",
        external_reference=external_reference(document=identity),
        event_id=derived_id("event", name),
        journal_id=derived_id("journal", name),
        lane_key=lane or name,
        rank=rank,
        predecessors=tuple(document_id(one) for one in after),
        currency="USD",
        amount=Decimal(amount),
        accounting_date=day,
        content=JournalContent(event_kind="payment.received", memo=name, functional_currency="USD", lines=lines),
    )


def naming_customer(name: str, named: str, *, rank: Rank, amount: str = "10.00") -> Document:
    """A journal that waits for a customer and must name its record."""
    made = journal(name, rank=rank, after=[named], amount=amount)
    party = SourceObject(connection="source", kind="customer", outside_id=named)
    content = msgspec.structs.replace(made.content, customer_documents=((party, document_id(named)),))  # type: ignore[type-var]
    return msgspec.structs.replace(made, content=content)


def customer(name: str, *, connection: str = "erp") -> Document:
    identity = document_id(name)
    return Document(
        document_id=identity,
        kind=DocumentKind.CUSTOMER,
        connection=connection,
        entity="us",
        book="main",
        external_reference=external_reference(document=identity),
        event_id="",
        journal_id="",
        lane_key=name,
        rank=Rank.MASTER,
        predecessors=(),
        currency="",
        amount=Decimal(0),
        accounting_date=None,
        content=CustomerContent(name=name, address=Address(), outside_id=name),
    )


def document_id(name: str) -> str:
    return derived_id("test-document", name)


def no_journals(connection: object, *, tenant_id: str, journal_ids: Sequence[str]) -> Mapping[str, JournalEntry]:
    return {}


class World:
    """One database, one far system, workers on demand."""

    def __init__(self, database: Database, connector: FakeConnector, *, timing: Timing | None = None) -> None:
        self.database = database
        self.connector = connector
        self.far: FarSystem = connector.far
        self.clock = MovingClock()
        self.steady = MovingClock()
        self.directory = FakeDirectory(connector)
        self.timing = timing or Timing()
        self.workers = 0

    @property
    def epoch(self) -> int:
        with self.database.control() as connection:
            return cell.open_cell(connection).number

    def raise_epoch(self) -> None:
        """What an operator does after a restore."""
        cell.raise_epoch(
            self.database,
            tenants=("alpha", "beta"),
            actor="person:operator",
            reason="restored",
            recorded_at=self.clock.now(),
        )

    def write(self, *documents: Document, tenant: str = "alpha") -> None:
        epoch = self.epoch
        with self.database.unit(
            tenants=[tenant], kind="derive", actor="worker:test", reason="test", recorded_at=self.clock.now()
        ) as unit:
            record.write_documents(
                unit,
                tenant_id=tenant,
                documents=documents,
                pool_of=lambda one: f"pool-{one.connection}",
                configuration_version=1,
                epoch=epoch,
            )
        for one in documents:
            if isinstance(one.content, JournalContent):
                self.far.lines[one.document_id] = tuple(
                    ErpEntry(
                        line=line.line,
                        account={"cash": "1000", "sales": "4000"}.get(line.account, line.account),
                        debit=line.debit,
                        credit=line.credit,
                        currency="USD",
                        currency_amount=line.debit - line.credit,
                        day=one.accounting_date or DAY,
                    )
                    for line in one.content.lines
                )

    def worker(self, name: str = "") -> DeliveryLoop:
        self.workers += 1
        desk = Desk(
            database=self.database,
            directory=self.directory,
            journals=no_journals,
            clock=self.clock,
            owner=name or f"worker:{self.workers}",
            epoch=self.epoch,
            uniform=random.Random(self.workers).uniform,
            timing=self.timing,
            steady=self.steady,
        )
        with self.database.control() as connection:
            desk.hear(cell.open_cell(connection))
        return DeliveryLoop(desk=desk, blocking=inline)

    def deliver(self, worker: DeliveryLoop | None = None, *, turns: int = 60) -> DeliveryLoop:
        """Let a worker run until it finds nothing to do now."""
        chosen = worker or self.worker()
        asyncio.run(self._until_quiet(chosen, turns))
        return chosen

    async def _until_quiet(self, worker: DeliveryLoop, turns: int) -> None:
        quiet = 0
        for _ in range(turns):
            done = await worker.turn()
            await worker.settled()
            quiet = 0 if done.busy else quiet + 1
            if quiet >= 2:
                return
        raise AssertionError(f"still busy after {turns} turns")

    def deliver_to_far_side_only(self, document: Document) -> None:
        """The far side has it, our database doesn't know: what a restored backup looks like."""
        far = self.directory.far_side(tenant_id="alpha", connection=document.connection, entity=document.entity)
        assert isinstance(far, FarSide)
        context = PrepareContext(mapping=far.mapping, functional_currency="USD", records={})
        prepared = self.connector.prepare(document=document, step="post", context=context)
        assert isinstance(prepared, PreparedStep)
        asyncio.run(self.connector.submit(steps=[prepared]))

    def pass_time(self, by: timedelta) -> None:
        """Time passes for workers and, in the database, for leases and due times."""
        self.clock.moment += by
        self.steady.moment += by
        shift_database(self.database, by)

    def age_waits(self, by: timedelta) -> None:
        """What waits has waited longer by so much."""
        with self.database.unit(
            tenants=["alpha"], kind="test", actor="test", reason="time passes", recorded_at=NOON
        ) as unit:
            unit.connection.execute(
                text("UPDATE wait SET since = since - :by WHERE tenant_id = :tenant"), {"by": by, "tenant": "alpha"}
            )

    def state(self, name: str, *, tenant: str = "alpha") -> DocumentState:
        with self.database.read(tenants=[tenant]) as connection:
            states = queries.states_of(connection, tenant_id=tenant, document_ids=[document_id(name)])
        return DocumentState(states[document_id(name)])

    def show(self, name: str, *, tenant: str = "alpha") -> queries.Shown:
        with self.database.read(tenants=[tenant]) as connection:
            found = queries.show(connection, tenant_id=tenant, document_id=document_id(name))
        assert found is not None
        return found

    def posted_in_order(self) -> list[str]:
        return self.far.order()


def shift_database(database: Database, by: timedelta) -> None:
    """Move every lease, due time and pause into the past: the database's clock can't be set, what hangs on it can."""
    with database.control() as connection:
        connection.execute(
            text(
                "UPDATE lane SET lease_until = lease_until - :by,"
                " due_at = CASE WHEN due_at < '9000-01-01' THEN due_at - :by ELSE due_at END"
            ),
            {"by": by},
        )
        connection.execute(text("UPDATE cell SET began_at = began_at - :by"), {"by": by})
        connection.execute(
            text("UPDATE tenant_ring SET turn_at = turn_at - :by, served_at = served_at - :by"), {"by": by}
        )
        connection.execute(
            text(
                "UPDATE capacity_pool SET refilled_at = refilled_at - :by, breaker_until = breaker_until - :by,"
                " throttled_until = throttled_until - :by, adapted_at = adapted_at - :by"
            ),
            {"by": by},
        )
    for tenant in ("alpha", "beta"):
        with database.unit(tenants=[tenant], kind="test", actor="test", reason="time passes", recorded_at=NOON) as unit:
            unit.connection.execute(
                text(
                    "UPDATE document_state SET uncertain_since = uncertain_since - :by, marked_at = marked_at - :by"
                    " WHERE tenant_id = :tenant"
                ),
                {"by": by, "tenant": tenant},
            )
