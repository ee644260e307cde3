"""What a planted defect is made of: a connector to the simulated ERP with one thing about it wrong."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import msgspec

from revline.connectors.sdk.conformance_run import Case
from revline.connectors.simulated.conformance import VARIANTS, SimulatedSystem
from revline.core.differences import FieldDifference
from revline.core.documents import Document, DocumentKind
from revline.core.farside import (
    ChangedPage,
    ErpConnector,
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
from revline.core.problem import Problem

Body = dict[str, Any]


class Wrapped:
    """A connector that passes everything on; a defect replaces what it gets wrong."""

    def __init__(self, system: SimulatedSystem) -> None:
        self.system = system
        self.inner: ErpConnector = system.connector

    @property
    def manifest(self) -> Manifest:
        return self.inner.manifest

    def prepare(self, *, document: Document, step: str, context: PrepareContext) -> PreparedStep | Problem:
        return self.inner.prepare(document=document, step=step, context=context)

    def difference(
        self, *, document: Document, record: ErpRecord, context: PrepareContext
    ) -> tuple[FieldDifference, ...]:
        return self.inner.difference(document=document, record=record, context=context)

    async def submit(self, *, steps: Sequence[PreparedStep]) -> Sequence[Outcome]:
        return await self.inner.submit(steps=steps)

    async def lookup(
        self, *, kind: DocumentKind, references: Sequence[str], company: str
    ) -> Mapping[str, tuple[ErpRecord, ...]] | Problem:
        return await self.inner.lookup(kind=kind, references=references, company=company)

    async def read(self, *, record: ErpRecord) -> Posted | Placed | Problem:
        return await self.inner.read(record=record)

    async def list_changed(self, *, record_kind: str, company: str, cursor: str, limit: int) -> ChangedPage | Problem:
        return await self.inner.list_changed(record_kind=record_kind, company=company, cursor=cursor, limit=limit)

    async def periods(self, *, company: str) -> Sequence[ErpPeriod] | Problem:
        return await self.inner.periods(company=company)

    async def health(self) -> Health:
        return await self.inner.health()

    async def close(self) -> None:
        await self.inner.close()


class Mutant(msgspec.Struct, frozen=True, kw_only=True):
    """One planted defect. caught_by: the case whose cell must be red. variant: the kind of ERP it is planted in."""

    name: str
    defect: str
    caught_by: str
    plant: Callable[[SimulatedSystem], ErpConnector]
    variant: str = "unique"


def planted(mutant: Mutant) -> SimulatedSystem:
    """A fresh ERP behind the connector with the defect."""
    system = SimulatedSystem(settings=VARIANTS[mutant.variant])
    system.connector = mutant.plant(system)  # type: ignore[assignment]
    return system


def prepares(
    change: Callable[[Document, PrepareContext], tuple[Document, PrepareContext]], *, compares: bool = False
) -> Callable[[SimulatedSystem], ErpConnector]:
    """Prepares something else than it was asked to. compares: and compares with that as well, so that it can't notice."""

    class Prepares(Wrapped):
        def prepare(self, *, document: Document, step: str, context: PrepareContext) -> PreparedStep | Problem:
            other, around = change(document, context)
            return self.inner.prepare(document=other, step=step, context=around)

        def difference(
            self, *, document: Document, record: ErpRecord, context: PrepareContext
        ) -> tuple[FieldDifference, ...]:
            if not compares:
                return super().difference(document=document, record=record, context=context)
            other, around = change(document, context)
            return self.inner.difference(document=other, record=record, context=around)

    return Prepares


def sends(kind: DocumentKind, change: Callable[[Body], object]) -> Callable[[SimulatedSystem], ErpConnector]:
    """Sends another body than it should, for documents of one kind. change: edits the body in place."""

    class Sends(Wrapped):
        def prepare(self, *, document: Document, step: str, context: PrepareContext) -> PreparedStep | Problem:
            made = self.inner.prepare(document=document, step=step, context=context)
            if isinstance(made, Problem) or document.kind is not kind:
                return made
            body: Body = msgspec.json.decode(made.body)
            change(body)
            return msgspec.structs.replace(made, body=msgspec.json.encode(body))

    return Sends


def judges(change: Callable[[Outcome, SimulatedSystem], Outcome]) -> Callable[[SimulatedSystem], ErpConnector]:
    """Makes another outcome of what came back."""

    class Judges(Wrapped):
        async def submit(self, *, steps: Sequence[PreparedStep]) -> Sequence[Outcome]:
            return [change(outcome, self.system) for outcome in await self.inner.submit(steps=steps)]

    return Judges


Resubmit = Callable[[Sequence[PreparedStep]], Awaitable[Sequence[Outcome]]]


def insists(
    change: Callable[[Sequence[Outcome], Sequence[PreparedStep], Resubmit], Awaitable[Sequence[Outcome]]],
) -> Callable[[SimulatedSystem], ErpConnector]:
    """Does something more about what came back."""

    class Insists(Wrapped):
        async def submit(self, *, steps: Sequence[PreparedStep]) -> Sequence[Outcome]:
            async def again(more: Sequence[PreparedStep]) -> Sequence[Outcome]:
                return await self.inner.submit(steps=more)

            return await change(await again(steps), steps, again)

    return Insists


def case_named(cases: Sequence[Case], name: str) -> Case:
    """The case of a name."""
    return next(case for case in cases if case.name == name)
