"""A folder as a far side: documents of kind usage become rows of files. Judges what came of writing; the files are `folder`'s."""

from __future__ import annotations

import asyncio
import random as randomness
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import httpx2
import msgspec

from revline.connectors.file.folder import Control, Folder, Layout, NotOursError, Row, TakenError
from revline.connectors.file.manifest import MANIFEST, WRITE
from revline.core.clock import Clock
from revline.core.differences import FieldDifference
from revline.core.documents import Document, DocumentKind, UsageContent
from revline.core.farside import (
    ChangedPage,
    ErpPeriod,
    ErpRecord,
    Health,
    Manifest,
    NotSent,
    Outcome,
    Placed,
    Posted,
    PrepareContext,
    PreparedStep,
    Rejected,
    Uncertain,
)
from revline.core.money import amount_text
from revline.core.problem import Mender, Problem, Retryable, define, problem
from revline.core.sending import MAY_SEND
from revline.platform.tenancy.kinds import Connection

FOLDER: Final = "folder"
FORMAT: Final = "format"
RECORD_KIND: Final = "row"

define(
    code="usage.folder_taken",
    title="The folder for billing files belongs to another connection",
    status=409,
    retryable=Retryable.AFTER_FIX,
    mender=Mender.CONFIGURATION,
    remedy="Give each connection a folder of its own, then retry the cause.",
)


class FileConnector:
    """core.farside.ErpConnector for one folder."""

    def __init__(self, *, folder: Folder, path: Path, clock: Clock) -> None:
        self._folder, self._path, self._clock = folder, path, clock
        self._one_at_a_time = asyncio.Lock()

    @property
    def manifest(self) -> Manifest:
        return MANIFEST

    def prepare(self, *, document: Document, step: str, context: PrepareContext) -> PreparedStep | Problem:
        del context
        content = document.content
        if step != WRITE or not isinstance(content, UsageContent):
            detail = f"no step {step} of {document.kind.value}"
            return problem("erp.kind_unsupported", detail, field=document.kind.value)
        return PreparedStep(
            document_id=document.document_id,
            kind=document.kind,
            step=step,
            operation=DocumentKind.USAGE.value,
            external_reference=document.external_reference,
            body=msgspec.json.encode(row_of(document, content)),
        )

    def difference(
        self, *, document: Document, record: ErpRecord, context: PrepareContext
    ) -> tuple[FieldDifference, ...]:
        """None: what stands in a file under our reference is what was written."""
        del document, record, context
        return ()

    async def submit(self, *, steps: Sequence[PreparedStep]) -> Sequence[Outcome]:
        rows = [msgspec.json.decode(step.body, type=Row) for step in steps]
        may_write = MAY_SEND.get() or _always
        try:
            async with self._one_at_a_time:
                found = await asyncio.to_thread(self._folder.add, rows=rows, may_write=may_write)
        except NotOursError:
            return [NotSent(problem=problem("erp.busy", "another took over before anything was written"))] * len(steps)
        except TakenError as taken:
            return [Rejected(problem=problem("usage.folder_taken", str(taken)))] * len(steps)
        except OSError as failure:
            return [Uncertain(evidence=f"the folder: {type(failure).__name__}: {failure.strerror or failure}")] * len(
                steps
            )
        return [Posted(record=_record(step.external_reference, found[step.external_reference])) for step in steps]

    async def lookup(
        self, *, kind: DocumentKind, references: Sequence[str], company: str
    ) -> Mapping[str, tuple[ErpRecord, ...]] | Problem:
        del kind, company
        try:
            async with self._one_at_a_time:
                found = await asyncio.to_thread(self._folder.find, references)
        except OSError as failure:
            return problem("erp.unreachable", f"the folder: {type(failure).__name__}")
        return {each: (_record(each, found[each]),) if each in found else () for each in references}

    async def read(self, *, record: ErpRecord) -> Posted | Placed | Problem:
        found = await self.lookup(kind=DocumentKind.USAGE, references=[record.external_reference], company="")
        if isinstance(found, Problem):
            return found
        there = found[record.external_reference]
        return Posted(record=there[0]) if there else problem("erp.record_missing", "no control file names it")

    async def list_changed(self, *, record_kind: str, company: str, cursor: str, limit: int) -> ChangedPage | Problem:
        del record_kind, company, cursor, limit
        return ChangedPage(records=())

    async def periods(self, *, company: str) -> Sequence[ErpPeriod] | Problem:
        del company
        return ()

    async def health(self) -> Health:
        there = await asyncio.to_thread(self._path.is_dir)
        detail = "the folder is there" if there else "there is no such folder"
        return Health(reachable=there, detail=detail, checked_at=self._clock.now())

    async def close(self) -> None:
        """Nothing is held open."""


def row_of(document: Document, content: UsageContent) -> Row:
    """A document as a row."""
    return Row(
        reference=document.external_reference,
        tenant=content.tenant,
        connection=document.connection,
        customer_connection=content.customer.connection,
        customer=content.customer.outside_id,
        meter=content.meter,
        measure=content.measure,
        value=amount_text(content.value),
        unit=content.unit,
        at=_moment(content.at),
        window_start=_moment(content.window_start),
        window_end=_moment(content.window_end),
        quantity=amount_text(content.quantity),
        amount=amount_text(content.amount),
        currency=content.currency,
        charges=" ".join(f"{charge}@{revision}" for charge, revision in content.charges),
        cancels=content.cancels,
        prepared_at=_moment(content.prepared_at),
    )


def _moment(at: datetime) -> str:
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _record(reference: str, control: Control) -> ErpRecord:
    number = control.references.index(reference) + 1
    return ErpRecord(
        record_kind=RECORD_KIND,
        erp_id=f"{control.file}#{number}",
        number=f"{control.file}#{number}",
        state="posted",
        version=control.digest,
        external_reference=reference,
    )


def _always() -> bool:
    return True


def build(
    *,
    connection: Connection,
    secrets: Mapping[str, str],
    transport: httpx2.AsyncBaseTransport | None,
    clock: Clock,
    random: randomness.Random,
) -> FileConnector:
    """The connector of one folder. Secret folder: its absolute path, which so whoever runs Revline decides; setting format: ndjson
    or csv. KeyError or ValueError names what is missing or wrong."""
    del transport, random
    path = Path(secrets[FOLDER])
    if not path.is_absolute() or not path.is_dir():
        raise ValueError("the secret folder is the absolute path of a folder that is there")
    layout = Layout(connection.settings.get(FORMAT, Layout.NDJSON.value))
    return FileConnector(folder=Folder(path=path, layout=layout), path=path, clock=clock)
