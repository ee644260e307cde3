"""What the conformance kit's cases stand on: the adapter a test gives, and documents on their way in a case."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Protocol

import msgspec

from revline.connectors.sdk.conformance_documents import World
from revline.core.documents import Document, DocumentKind
from revline.core.farside import (
    ErpConnector,
    ErpEntry,
    ErpRecord,
    Outcome,
    Placed,
    Posted,
    PrepareContext,
    PreparedStep,
)
from revline.core.problem import Problem


class Trouble(StrEnum):
    """What an adapter may be able to bring about on purpose, once, for the next document that is sent."""

    PERIOD_CLOSED = "period_closed"
    ANSWER_LOST = "answer_lost"
    THROTTLED = "throttled"
    BUSY = "busy"
    UNREADABLE = "unreadable"
    UNREACHABLE = "unreachable"
    CREDENTIALS_REFUSED = "credentials_refused"


class Adapter(Protocol):
    """The system under test. secret: a value that evidence must never show."""

    connector: ErpConnector
    world: World
    secret: str

    async def bring(self, trouble: Trouble) -> None:
        """Let the next document that is sent meet this trouble; a closed period is the one of the world's day."""
        ...

    async def clear(self) -> None:
        """End every trouble and open the period."""
        ...

    async def pass_time(self, duration: timedelta) -> None:
        """Let this much time pass on the far side: wait, or move a clock."""
        ...


class ConformanceError(AssertionError):
    """The connector does not conform."""


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """One thing a connector must do. kinds, troubles: what it needs; searchable: it needs look-up by reference."""

    name: str
    run: Callable[[Adapter], Awaitable[None]]
    kinds: tuple[DocumentKind, ...] = ()
    troubles: tuple[Trouble, ...] = ()
    searchable: bool = False


def expect(condition: object, message: str) -> None:
    """Raise ConformanceError with the message unless the condition holds."""
    if not condition:
        raise ConformanceError(message)


class Run:
    """Documents on their way in one case, with the records of those that arrived."""

    def __init__(self, adapter: Adapter) -> None:
        self.adapter = adapter
        self.world = adapter.world
        self.records: dict[str, ErpRecord] = {}

    @property
    def context(self) -> PrepareContext:
        """What `prepare` may look at now."""
        return PrepareContext(
            mapping=self.world.mapping, functional_currency=self.world.currency, records=dict(self.records)
        )

    def steps(self, document: Document) -> tuple[str, ...]:
        """The steps of a document's kind."""
        capability = self.adapter.connector.manifest.capability(document.kind)
        if capability is None:
            raise ConformanceError(f"the manifest names no {document.kind.value}")
        return capability.steps

    def prepared(self, document: Document, step: str) -> PreparedStep:
        """A step that must be preparable."""
        found = self.adapter.connector.prepare(document=document, step=step, context=self.context)
        if isinstance(found, Problem):
            raise ConformanceError(f"{document.kind.value} {step} can't be prepared: {found.code} {found.detail}")
        return found

    async def first_step(self, document: Document) -> Outcome:
        """What sending the first step comes to."""
        step = self.prepared(document, self.steps(document)[0])
        return (await self.adapter.connector.submit(steps=[step]))[0]

    async def posted(self, document: Document) -> Posted:
        """Send every step; the last must post."""
        outcome: Outcome | None = None
        for step in self.steps(document):
            outcome = (await self.adapter.connector.submit(steps=[self.prepared(document, step)]))[0]
            expect(isinstance(outcome, Posted | Placed), f"{document.kind.value} {step} came to {outcome}")
            if isinstance(outcome, Posted | Placed):
                self.records[document.document_id] = outcome.record
        if not isinstance(outcome, Posted):
            raise ConformanceError(f"{document.kind.value} ended as {outcome}")
        return outcome

    async def entries(self, document: Document) -> tuple[ErpEntry, ...]:
        """The ledger lines of a posted document, from its outcome or by reading it."""
        outcome = await self.posted(document)
        if outcome.entries is not None:
            return outcome.entries
        found = await self.adapter.connector.read(record=outcome.record)
        if not isinstance(found, Posted) or found.entries is None:
            raise ConformanceError(f"{document.kind.value} can't be read back: {found}")
        return found.entries

    async def held(self, document: Document) -> tuple[ErpRecord, ...]:
        """What the far side holds under the document's reference, once it can be seen."""
        await self.adapter.pass_time(self.adapter.connector.manifest.lookup_lag)
        found = await self.adapter.connector.lookup(
            kind=document.kind, references=[document.external_reference], company=self.world.mapping.company
        )
        if isinstance(found, Problem):
            raise ConformanceError(f"look-up came to {found.code}: {found.detail}")
        return found.get(document.external_reference, ())


def balances(entries: Sequence[ErpEntry]) -> dict[str, Decimal]:
    """Functional debit less credit by account, without the zeros."""
    sums: dict[str, Decimal] = defaultdict(Decimal)
    for entry in entries:
        sums[entry.account] += entry.debit - entry.credit
    return {account: amount for account, amount in sums.items() if amount}
