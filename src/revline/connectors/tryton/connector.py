"""The connector to Tryton: Revline's far-side port over its JSON-RPC. Keeps no state but connections and numbers of codes."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import httpx2
import msgspec

from revline.connectors.tryton.client import TrytonClient, TrytonFailure
from revline.connectors.tryton.creating import Creator
from revline.connectors.tryton.listing import cursor_at, list_page
from revline.connectors.tryton.manifest import CREATE, INVOICE, MODELS, PARTY, POST, SETTLEMENT, manifest_of
from revline.connectors.tryton.outcomes import of_read
from revline.connectors.tryton.posting import Poster
from revline.connectors.tryton.reading import FIELDS, REFERENCE_FIELD, TrytonReader, erp_period
from revline.connectors.tryton.records import party_record
from revline.connectors.tryton.settling import Settler
from revline.connectors.tryton.translate import difference_of, prepare_step
from revline.core.clock import Clock
from revline.core.differences import FieldDifference
from revline.core.documents import Document, DocumentKind
from revline.core.farside import (
    ChangedPage,
    ErpPeriod,
    ErpRecord,
    Health,
    Manifest,
    Outcome,
    Placed,
    Posted,
    PrepareContext,
    PreparedStep,
)
from revline.core.problem import Problem, ProblemError, problem
from revline.platform.tenancy.kinds import Connection

LIST_MAX: Final = 500
DRAFT: Final = "draft"


class TrytonConnector:
    """core.farside.ErpConnector for Tryton 8.2."""

    def __init__(self, *, manifest: Manifest, client: TrytonClient, clock: Clock) -> None:
        self._manifest = manifest
        self._client = client
        self._clock = clock
        self._reader = TrytonReader(client)
        self._creator = Creator(client, self._reader)
        self._poster = Poster(client, self._reader, clock)
        self._settler = Settler(client, self._reader)

    @property
    def manifest(self) -> Manifest:
        return self._manifest

    def prepare(self, *, document: Document, step: str, context: PrepareContext) -> PreparedStep | Problem:
        capability = self._manifest.capability(document.kind)
        if capability is None or step not in capability.steps:
            detail = f"Tryton has no step {step} of {document.kind.value}"
            return problem("erp.kind_unsupported", detail, field=document.kind.value)
        return prepare_step(document=document, step=step, context=context)

    def difference(
        self, *, document: Document, record: ErpRecord, context: PrepareContext
    ) -> tuple[FieldDifference, ...]:
        return difference_of(document=document, record=record, context=context)

    async def submit(self, *, steps: Sequence[PreparedStep]) -> Sequence[Outcome]:
        if len({step.operation for step in steps}) > 1:
            raise ValueError("steps of one submit share one operation")
        if not steps:
            return []
        capability = self._manifest.capability(steps[0].kind)
        size = capability.batch_max if capability else 1
        outcomes: list[Outcome] = []
        for start in range(0, len(steps), size):
            outcomes.extend(await self._submit(steps[start : start + size]))
        return outcomes

    async def _submit(self, steps: Sequence[PreparedStep]) -> list[Outcome]:
        if steps[0].step == CREATE:
            return await self._creator.create(steps)
        if steps[0].step == POST:
            return await self._poster.post(steps)
        return await self._settler.settle(steps)

    async def lookup(
        self, *, kind: DocumentKind, references: Sequence[str], company: str
    ) -> Mapping[str, tuple[ErpRecord, ...]] | Problem:
        found: dict[str, tuple[ErpRecord, ...]] = dict.fromkeys(references, ())
        if not references:
            return found
        model = MODELS.get(kind)
        if model is None:
            # A void and an application leave a note on their invoice, which Tryton lets nobody search for by its text: sending
            # them again finds the note there and confirms what was done, or does what was not.
            return found
        try:
            there = await self._reader.company(company)
            domain = [[REFERENCE_FIELD[model], "in", list(references)]]
            records = await self._reader.records(there, model, domain)
        except TrytonFailure as failure:
            return of_read(failure)
        except ProblemError as error:
            return error.problem
        for record in records:
            if record.external_reference in found:
                found[record.external_reference] += (record,)
        return found

    async def read(self, *, record: ErpRecord) -> Posted | Placed | Problem:
        if record.record_kind == SETTLEMENT:
            return await self._read_settlement(record)
        if record.record_kind not in FIELDS:
            return problem("erp.record_missing", f"Tryton keeps no {record.record_kind}")
        try:
            return await self._read(record)
        except TrytonFailure as failure:
            return of_read(failure)
        except ProblemError as error:
            return error.problem

    async def _read(self, record: ErpRecord) -> Posted | Placed | Problem:
        model = record.record_kind
        fields = (*FIELDS[model], *(() if model == PARTY else ("company.party.code",)))
        domain: list[Any] = [["id", "=", int(record.erp_id)]]
        if model == PARTY:
            domain.append(["active", "in", [True, False]])
        rows = await self._reader.rows(model, domain, fields)
        if not rows:
            return problem("erp.record_missing", f"{model} {record.erp_id} is no longer in Tryton", field=model)
        row = rows[0]
        if model == PARTY:
            return Posted(record=party_record(row=row), entries=())
        company = await self._reader.company(row["company."]["party."]["code"])
        found = (await self._reader.as_records(company, model, rows))[0]
        if found.state == DRAFT:
            return Placed(record=found)
        read = self._reader.invoice_entries if model == INVOICE else self._reader.entries
        entries = (await read(company, [row["id"]]))[row["id"]]
        # A void's move has no reference of its own; it stays under the one it was asked for by.
        named = msgspec.structs.replace(found, external_reference=found.external_reference or record.external_reference)
        return Posted(record=named, entries=entries)

    async def _read_settlement(self, record: ErpRecord) -> Posted | Problem:
        invoice, _, line = record.erp_id.partition("/")
        try:
            rows = await self._reader.rows(
                INVOICE, [["id", "=", int(invoice)]], ["payment_lines", "reconciliation_lines"]
            )
        except TrytonFailure as failure:
            return of_read(failure)
        held = {*(rows[0]["payment_lines"] or ()), *(rows[0]["reconciliation_lines"] or ())} if rows else set()
        if int(line) not in held:
            detail = f"payment line {line} is no longer on invoice {invoice} in Tryton"
            return problem("erp.record_missing", detail, field=SETTLEMENT)
        return Posted(record=record, entries=())

    async def list_changed(self, *, record_kind: str, company: str, cursor: str, limit: int) -> ChangedPage | Problem:
        """By write date and number; a cursor is "write date|number", so a record's version and id make one for later."""
        if record_kind not in FIELDS:
            return problem("erp.kind_unsupported", f"Tryton doesn't list {record_kind}", field=record_kind)
        try:
            there = await self._reader.company(company)
            return await list_page(
                self._reader, there, model=record_kind, cursor=cursor, limit=min(max(limit, 1), LIST_MAX)
            )
        except TrytonFailure as failure:
            return of_read(failure)
        except ProblemError as error:
            return error.problem

    def cursor_at(self, *, moment: datetime) -> str:
        """Tryton's stamps are naive UTC."""
        return cursor_at(moment.astimezone(UTC).replace(tzinfo=None))

    async def periods(self, *, company: str) -> Sequence[ErpPeriod] | Problem:
        try:
            there = await self._reader.company(company)
            return [erp_period(company=company, period=period) for period in await self._reader.periods(there)]
        except TrytonFailure as failure:
            return of_read(failure)
        except ProblemError as error:
            return error.problem

    async def health(self) -> Health:
        now = self._clock.now()
        try:
            version = await self._client.server_version()
        except TrytonFailure as failure:
            return Health(reachable=False, detail=of_read(failure).detail, checked_at=now)
        try:
            companies = await self._reader.rows("company.company", [], ["id"])
        except TrytonFailure as failure:
            return Health(reachable=True, version=version, detail=of_read(failure).detail, checked_at=now)
        return Health(reachable=True, version=version, detail=f"{len(companies)} companies visible", checked_at=now)

    async def close(self) -> None:
        await self._client.close()


def build(
    *,
    connection: Connection,
    secrets: Mapping[str, str],
    transport: httpx2.AsyncBaseTransport | None,
    clock: Clock,
    random: random.Random,
) -> TrytonConnector:
    """The connector of one connection. Settings baseUrl, database, user; secret password; others as `manifest_of` says.

    ValueError or KeyError names what the connection lacks.
    """
    del random
    manifest = manifest_of(settings=connection.settings)
    client = TrytonClient(
        base_url=connection.settings["baseUrl"],
        database=connection.settings["database"],
        user=connection.settings["user"],
        password=secrets["password"],
        call_timeout_seconds=manifest.call_timeout.total_seconds(),
        transport=transport,
    )
    return TrytonConnector(manifest=manifest, client=client, clock=clock)
