"""What delivery is measured on: tenants, realistic journals on lanes, and a far side in memory that does nothing at once.

The documents are written by the product's own code into a database that every round is a copy of.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

import msgspec
from sqlalchemy import Connection

from benchmarks.common import execute_all, progress
from benchmarks.fleet import server_seconds
from revline.core.documents import Document, DocumentKind, JournalContent, Rank
from revline.core.farside import (
    ChangedPage,
    EntityMapping,
    ErpEntry,
    ErpPeriod,
    ErpRecord,
    Health,
    Idempotency,
    KindCapability,
    Manifest,
    Outcome,
    Placed,
    Posted,
    PrepareContext,
    PreparedStep,
)
from revline.core.ids import derived_id, external_reference
from revline.core.journal import JournalEntry, JournalLine
from revline.core.problem import Problem
from revline.delivery import record
from revline.delivery.values import FarSide
from revline.platform.store.embedded import EmbeddedServer
from revline.platform.store.engine import Database
from revline.platform.store.migrate import upgrade
from revline.platform.tenancy.record import register_tenant

MOMENT: Final = datetime(2026, 1, 31, 9, tzinfo=UTC)
DAY: Final = date(2026, 1, 31)
ACCOUNTS: Final = {
    "accounts_receivable": "1200",
    "subscription_revenue": "4000",
    "usage_revenue": "4010",
    "tax": "2200",
}
CONNECTION: Final = "erp"


@dataclass(frozen=True, kw_only=True)
class Size:
    """tenants, with documents_a_tenant each; pools: far accounts that tenants share; slots, batch: calls at once of one and
    documents in one call."""

    tenants: int = 200
    documents_a_tenant: int = 25
    pools: int = 4
    slots: int = 100
    batch: int = 1

    @property
    def documents(self) -> int:
        return self.tenants * self.documents_a_tenant


def tenant_name(number: int) -> str:
    return f"tenant-{number:05}"


def journal(tenant: str, number: int) -> Document:
    """A journal of two, three or four lines, as a payment, an invoice, an invoice of two products make it."""
    identity = derived_id("document", tenant, number)
    credited = (
        ("subscription_revenue", Decimal(10_000 + number % 977) / 100),
        ("tax", Decimal(1_900 + number % 13) / 100),
        ("usage_revenue", Decimal(301 + number % 89) / 100),
    )[: 1 + number % 3]
    total = sum((amount for _, amount in credited), Decimal(0))
    sides = [("accounts_receivable", total, Decimal(0)), *((name, Decimal(0), amount) for name, amount in credited)]
    lines = tuple(
        JournalLine(
            line=place,
            account=account,
            debit=debit,
            credit=credit,
            currency="USD",
            functional_debit=debit,
            functional_credit=credit,
            rate=Decimal(1),
            rate_source="identity",
            dimensions=(("department", "sales"), ("region", "emea")),
            source_line=f"il_{number}_{place}",
        )
        for place, (account, debit, credit) in enumerate(sides, start=1)
    )
    return Document(
        document_id=identity,
        kind=DocumentKind.JOURNAL,
        connection=CONNECTION,
        entity="us",
        book="main",
        external_reference=external_reference(document=identity),
        event_id=derived_id("event", tenant, number),
        journal_id=derived_id("journal", tenant, number),
        lane_key=identity,
        rank=Rank.JOURNAL,
        predecessors=(),
        currency="USD",
        amount=total,
        accounting_date=DAY,
        content=JournalContent(
            event_kind="invoice.issued", memo=f"invoice {number}", functional_currency="USD", lines=lines
        ),
    )


class NoopConnector:
    """Posts whatever it is given after a pause, and gives the record and the general-ledger lines that a far side would."""

    def __init__(self, *, slots: int, batch: int, pause_seconds: float = 0.0) -> None:
        self._pause_seconds = pause_seconds
        self._entries: dict[str, tuple[ErpEntry, ...]] = {}
        self._number = 0
        self.manifest = Manifest(
            connector="noop",
            version="1",
            title="Nothing",
            kinds=(
                KindCapability(
                    kind=DocumentKind.JOURNAL,
                    steps=("post",),
                    idempotency=Idempotency.UNIQUE_REFERENCE,
                    batch_max=batch,
                ),
            ),
            effect_bound=timedelta(seconds=10),
            lookup_lag=timedelta(0),
            slots=slots,
            bucket_per_second=Decimal(1_000_000),
            bucket_burst=1_000_000,
            call_timeout=timedelta(seconds=5),
        )

    def prepare(self, *, document: Document, step: str, context: PrepareContext) -> PreparedStep | Problem:
        content = document.content
        assert isinstance(content, JournalContent)
        accounts = context.mapping.accounts
        lines = [
            {"account": accounts[line.account], "debit": f"{line.debit:f}", "credit": f"{line.credit:f}"}
            for line in content.lines
        ]
        body = {"reference": document.external_reference, "date": document.accounting_date, "lines": lines}
        self._entries[document.document_id] = tuple(
            ErpEntry(
                line=line.line,
                account=accounts[line.account],
                debit=line.functional_debit,
                credit=line.functional_credit,
                currency=line.currency,
                currency_amount=line.debit - line.credit,
                day=DAY,
            )
            for line in content.lines
        )
        return PreparedStep(
            document_id=document.document_id,
            kind=document.kind,
            step=step,
            operation="journal.post",
            external_reference=document.external_reference,
            body=msgspec.json.encode(body),
        )

    def difference(self, *, document: Document, record: ErpRecord, context: PrepareContext) -> tuple[str, ...]:
        return ()

    async def submit(self, *, steps: Sequence[PreparedStep]) -> Sequence[Outcome]:
        if self._pause_seconds:
            await asyncio.sleep(self._pause_seconds)
        return [self._post(step) for step in steps]

    def _post(self, step: PreparedStep) -> Posted:
        self._number += 1
        found = ErpRecord(
            record_kind="journalentry",
            erp_id=step.document_id,
            number=f"JE{self._number}",
            state="posted",
            external_reference=step.external_reference,
        )
        return Posted(record=found, entries=self._entries.pop(step.document_id))

    async def lookup(
        self, *, kind: DocumentKind, references: Sequence[str], company: str
    ) -> Mapping[str, tuple[ErpRecord, ...]] | Problem:
        return {}

    async def read(self, *, record: ErpRecord) -> Posted | Placed | Problem:
        return Posted(record=record)

    async def list_changed(self, *, record_kind: str, company: str, cursor: str, limit: int) -> ChangedPage | Problem:
        return ChangedPage(records=())

    async def periods(self, *, company: str) -> Sequence[ErpPeriod] | Problem:
        return ()

    async def health(self) -> Health:
        return Health(reachable=True)

    async def close(self) -> None:
        return None


class OneFarSide:
    """Every connection is one connector; tenants share its pools by number."""

    def __init__(self, *, connector: Any, pools: int) -> None:
        self._connector, self._pools = connector, pools
        self._found: dict[str, FarSide] = {}

    def far_side(self, *, tenant_id: str, connection: str, entity: str) -> FarSide | Problem:
        found = self._found.get(tenant_id)
        if found is None:
            found = self._found[tenant_id] = FarSide(
                connector=self._connector,
                mapping=EntityMapping(company="1", accounts=ACCOUNTS),
                functional_currency="USD",
                pool_id=pool_of(tenant_id, self._pools),
                configuration_version=1,
            )
        return found

    def held(self, *, tenant_id: str, document: Document) -> Problem | None:
        return None


def pool_of(tenant_id: str, pools: int) -> str:
    """The capacity pool of a tenant's connection."""
    return f"pool-{int(tenant_id.rpartition('-')[2]) % pools}"


def no_journals(connection: Connection, *, tenant_id: str, journal_ids: Sequence[str]) -> Mapping[str, JournalEntry]:
    """Journals are expected by their own documents here."""
    return {}


@dataclass(frozen=True, kw_only=True)
class Filled:
    """What writing the documents cost, for a figure beside."""

    documents_a_second: float
    server_milliseconds: float


def make_source(server: EmbeddedServer, *, name: str, size: Size) -> Filled:
    """A database called `name` with all documents due, as derive leaves them; rounds run on copies of it."""
    progress(f"writing {size.documents} documents of {size.tenants} tenants")
    server.create_database(name)
    upgrade(owner_dsn=server.dsn("revline_owner", name))
    database = Database(dsn=server.dsn("revline_app", name), pool_size=2)
    begun, postgres = time.perf_counter(), server_seconds(server)
    for number in range(size.tenants):
        write_journals(database, tenant=tenant_name(number), count=size.documents_a_tenant, pools=size.pools)
    took, postgres = time.perf_counter() - begun, server_seconds(server) - postgres
    database.dispose()
    execute_all(server.dsn("revline_owner", name), ["VACUUM (ANALYZE)"])
    return Filled(
        documents_a_second=size.documents / took, server_milliseconds=1000 * postgres / max(1, size.documents)
    )


def write_journals(
    database: Database, *, tenant: str, count: int, pools: int, first: int = 0, registered: bool = False
) -> None:
    """Write journals of one tenant, from number `first`, in units of at most 500."""
    if not registered:
        with database.control() as connection:
            register_tenant(connection, tenant_id=tenant, created_at=MOMENT)
    for start in range(first, first + count, 500):
        documents = [journal(tenant, number) for number in range(start, min(start + 500, first + count))]
        with database.unit(
            tenants=[tenant], kind="derive", actor="worker:benchmark", reason="benchmark", recorded_at=MOMENT
        ) as unit:
            record.write_documents(
                unit,
                tenant_id=tenant,
                documents=documents,
                pool_of=lambda one: pool_of(tenant, pools),
                configuration_version=1,
                epoch=1,
            )


def copy_of(server: EmbeddedServer, source: str, name: str) -> str:
    """A fresh copy of a database; gives the DSN of the app's role."""
    server.drop_database(name)
    server.create_database(name, template=source)
    return server.dsn("revline_app", name)
