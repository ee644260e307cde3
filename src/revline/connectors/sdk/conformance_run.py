"""What conformance cases stand on: the system under test, and documents on their way in a case. Knows no single system."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Protocol, runtime_checkable

import msgspec

from revline.connectors.sdk import conformance_documents as make
from revline.connectors.sdk.conformance_documents import World
from revline.core.documents import Document, DocumentKind
from revline.core.farside import (
    ErpConnector,
    ErpEntry,
    ErpRecord,
    Idempotency,
    Manifest,
    Outcome,
    Placed,
    Posted,
    PrepareContext,
    PreparedStep,
)
from revline.core.problem import Problem


class Trouble(StrEnum):
    """What a system may be able to bring about on purpose.

    period_closed, unreachable, credentials_refused: until cleared. The others strike the next call that sends documents, once,
    or more often until cleared. answer_lost: it takes effect, the answer never comes. throttled, busy: refused without effect.
    unreadable: it takes effect, the answer is no answer of this API. fail_before, fail_after: a server error (500) without and
    with an effect. false_success: HTTP 200 whose body says that it failed, without effect. secret_echoed: a refusal whose body
    repeats the credentials it was called with. token_expired: the credentials are refused once, as a stale access token is; new
    ones would do. lookup_lag: until cleared, a committed record stays invisible to look-up for the manifest's `lookup_lag`.
    short_answer: a batch takes effect whole, the results after the first are missing. partial: of a batch, only the first
    document takes effect, the others are refused as busy. reordered: a batch is answered in the reverse order.
    """

    PERIOD_CLOSED = "period_closed"
    ANSWER_LOST = "answer_lost"
    THROTTLED = "throttled"
    BUSY = "busy"
    UNREADABLE = "unreadable"
    UNREACHABLE = "unreachable"
    CREDENTIALS_REFUSED = "credentials_refused"
    FAIL_BEFORE = "fail_before"
    FAIL_AFTER = "fail_after"
    FALSE_SUCCESS = "false_success"
    SECRET_ECHOED = "secret_echoed"  # noqa: S105 - a trouble's name
    TOKEN_EXPIRED = "token_expired"  # noqa: S105 - a trouble's name
    LOOKUP_LAG = "lookup_lag"
    SHORT_ANSWER = "short_answer"
    PARTIAL = "partial"
    REORDERED = "reordered"


class Adapter(Protocol):
    """The system under test, for one case. secret: a value that evidence must never show."""

    @property
    def connector(self) -> ErpConnector: ...

    @property
    def world(self) -> World: ...

    @property
    def secret(self) -> str: ...

    async def bring(self, trouble: Trouble) -> None:
        """Bring a trouble about; a closed period is the one of the world's day."""
        ...

    async def clear(self) -> None:
        """End every trouble and open the period."""
        ...

    async def pass_time(self, duration: timedelta) -> None:
        """Let this much time pass on the far side: wait, or move a clock."""
        ...


@runtime_checkable
class Editing(Protocol):
    """An adapter that can change a record behind the connector's back, as a person in the ERP does."""

    async def edit(self, *, record: ErpRecord) -> None:
        """Change something a person would call another content: an amount, or a memo or name where amounts can't be."""
        ...


@runtime_checkable
class Counting(Protocol):
    """An adapter that counts the calls that reach the far side. calls: since the adapter was made."""

    @property
    def calls(self) -> int: ...


class Bench(Protocol):
    """Where one connector's systems under test stand. One is open for a whole run, so a server is started once.

    variants: name -> the manifest of a connection set up so; "" is the name of the only one. troubles: what its systems can
    bring about; a case that needs another is not tried, and the table says so.
    """

    @property
    def variants(self) -> Mapping[str, Manifest]: ...

    @property
    def troubles(self) -> frozenset[Trouble]: ...

    def system(self, *, variant: str, case: Case) -> AbstractAsyncContextManager[Adapter]:
        """A system for one case: books of its own, or a nonce and a period of its own in books that are shared."""
        ...


class Missing(Exception):  # noqa: N818 - it is an answer, not an error of this program
    """The systems under test can't run here; carries what is missing and what to do."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


OpenBench = Callable[[], AbstractAsyncContextManager[Bench]]
"""What a package registers under the entry point group `revline.conformance`. Entering it raises Missing when it can't."""


class ConformanceError(AssertionError):
    """The connector does not conform."""


class NotTried(Exception):  # noqa: N818 - it is an answer, not an error of this program
    """The case can't be tried with this system; carries why. It is never green."""


class Capability(StrEnum):
    """What a case is about; a connector that does not claim it has no cell there."""

    JOURNALS = "journals"
    CUSTOMERS = "customers"
    INVOICES = "invoices"
    CREDITS = "credits"
    MONEY = "payments, refunds, deposits"
    APPLICATIONS = "applications"
    DRAFTS = "drafts"
    SENDING = "sending"
    LOOK_UP = "look-up"
    BATCHES = "batches"
    PERIODS = "periods"
    PAGING = "paging"
    HEALTH = "health"


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """One thing a connector must do. kinds, troubles: what it needs; searchable: it needs look-up by reference.

    idempotency: what the manifest must say of journals, any when empty; lagging: it must claim a look-up lag.
    """

    name: str
    capability: Capability
    run: Callable[[Adapter], Awaitable[None]]
    kinds: tuple[DocumentKind, ...] = ()
    troubles: tuple[Trouble, ...] = ()
    searchable: bool = False
    idempotency: tuple[Idempotency, ...] = ()
    lagging: bool = False


def expect(condition: object, message: str) -> None:
    """Raise ConformanceError with the message unless the condition holds."""
    if not condition:
        raise ConformanceError(message)


class Run:
    """Documents on their way in one case, with the records of those that arrived."""

    def __init__(self, adapter: Adapter, *, world: World | None = None) -> None:
        self.adapter = adapter
        self.world = world or adapter.world
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

    def prepared(self, document: Document, step: str = "") -> PreparedStep:
        """A step that must be preparable; the first when none is named."""
        named = step or self.steps(document)[0]
        found = self.adapter.connector.prepare(document=document, step=named, context=self.context)
        if isinstance(found, Problem):
            raise ConformanceError(f"{document.kind.value} {named} can't be prepared: {found.code} {found.detail}")
        return found

    def unknown_account(self, name: str = "unknown-account") -> PreparedStep:
        """A journal on an account the far side does not have, prepared. NotTried when `prepare` knows the chart."""
        accounts = dict(self.world.mapping.accounts) | {"no_such_account": "no-such-account"}
        mapping = msgspec.structs.replace(self.world.mapping, accounts=accounts)
        context = msgspec.structs.replace(self.context, mapping=mapping)
        entry = make.journal(world=self.world, name=name, debit="no_such_account")
        step = self.adapter.connector.prepare(document=entry, step=self.steps(entry)[0], context=context)
        if isinstance(step, Problem):
            raise NotTried("an account that is not there is found before it is sent")
        return step

    def differences(self, document: Document, record: ErpRecord) -> tuple[str, ...]:
        """Names of the fields in which a record differs from an intent."""
        found = self.adapter.connector.difference(document=document, record=record, context=self.context)
        return tuple(one.field for one in found)

    async def first_step(self, document: Document) -> Outcome:
        """What sending the first step comes to."""
        return await self.sent(self.prepared(document))

    async def sent(self, step: PreparedStep) -> Outcome:
        """What sending one step alone comes to; one outcome, no more and no fewer."""
        outcomes = await self.adapter.connector.submit(steps=[step])
        expect(len(outcomes) == 1, f"one step came to {len(outcomes)} outcomes")
        return outcomes[0]

    async def posted(self, document: Document) -> Posted:
        """Send every step; the last must post."""
        outcome: Outcome | None = None
        for step in self.steps(document):
            outcome = await self.sent(self.prepared(document, step))
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
        return await self.entries_read(outcome.record)

    async def entries_read(self, record: ErpRecord) -> tuple[ErpEntry, ...]:
        """The ledger lines of a posted record, read from the far side."""
        found = await self.adapter.connector.read(record=record)
        if not isinstance(found, Posted) or found.entries is None:
            raise ConformanceError(f"{record.record_kind} {record.erp_id} can't be read back: {found}")
        return found.entries

    async def state(self, document: Document) -> str:
        """The state in which a posted document's record reads now."""
        found = await self.adapter.connector.read(record=self.records[document.document_id])
        if isinstance(found, Problem):
            raise ConformanceError(f"reading came to {found.code}: {found.detail}")
        return found.record.state

    async def found(self, document: Document) -> tuple[ErpRecord, ...]:
        """What look-up shows under the document's reference now."""
        found = await self.adapter.connector.lookup(
            kind=document.kind, references=[document.external_reference], company=self.world.mapping.company
        )
        if isinstance(found, Problem):
            raise ConformanceError(f"look-up came to {found.code}: {found.detail}")
        return found.get(document.external_reference, ())

    async def held(self, document: Document) -> tuple[ErpRecord, ...]:
        """What the far side holds under the document's reference, once it can be seen."""
        await self.adapter.pass_time(self.adapter.connector.manifest.lookup_lag)
        return await self.found(document)

    async def settled(self, document: Document) -> tuple[ErpRecord, ...]:
        """What the far side holds once whatever was sent has taken effect or never will."""
        await self.adapter.pass_time(self.adapter.connector.manifest.effect_bound)
        return await self.held(document)


def balances(entries: Sequence[ErpEntry]) -> dict[str, Decimal]:
    """Functional debit less credit by account, without the zeros."""
    sums: dict[str, Decimal] = defaultdict(Decimal)
    for entry in entries:
        sums[entry.account] += entry.debit - entry.credit
    return {account: amount for account, amount in sums.items() if amount}


def currency_balances(entries: Sequence[ErpEntry], *, currency: str) -> dict[str, Decimal]:
    """Signed amounts in one currency by account, without the zeros."""
    sums: dict[str, Decimal] = defaultdict(Decimal)
    for entry in entries:
        if entry.currency == currency:
            sums[entry.account] += entry.currency_amount
    return {account: amount for account, amount in sums.items() if amount}
