"""The far side: what a connector says it can do, what it is asked, and what came of it. Values and ports, no wire and no database.

Every connector takes its transport, clock, randomness and executor from outside, so that a simulation can own them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Protocol, runtime_checkable

import msgspec

from revline.core.differences import FieldDifference
from revline.core.documents import Document, DocumentKind
from revline.core.money import Amount
from revline.core.problem import Mender, Problem, Retryable, define


class Idempotency(StrEnum):
    """What keeps a second send of one document from a second effect.

    key: the far side replays by key. unique_reference: it refuses a second record with the same reference. lookup: only by
    looking first, on a reference that is not unique. neither: a person decides.
    """

    KEY = "key"
    UNIQUE_REFERENCE = "unique_reference"
    LOOKUP = "lookup"
    NEITHER = "neither"


class KindCapability(msgspec.Struct, frozen=True, kw_only=True):
    """How one document kind is made. steps: far-side steps in order; the last one posts. batch_max: documents in one call.

    searchable: look-up finds its record by our reference. Where it can't (a note on another record, a message that was told),
    sending again confirms what is there, once nothing sent before can still take effect.
    """

    kind: DocumentKind
    steps: tuple[str, ...]
    idempotency: Idempotency
    batch_max: int = 1
    reads_entries: bool = True
    searchable: bool = True


class ErrorRule(msgspec.Struct, frozen=True, kw_only=True):
    """One row of an error table: the far side's code and a pattern on its text give a problem code of ours. First match wins."""

    far_code: str
    pattern: str
    problem_code: str


class Gotcha(msgspec.Struct, frozen=True, kw_only=True):
    """Something that surprises. verified: how it is known (tried on a version, documented where, or from memory)."""

    title: str
    detail: str
    verified: str


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """A connector as data, shown in docs and console.

    effect_bound: how long after a request was given up it may still take effect. lookup_lag: how long a committed record may
    stay invisible to look-up. slots: calls at once per capacity pool; bucket_per_second and bucket_burst: its token bucket.
    warnings_allowed: far-side warnings that may be acknowledged. listed: record kinds that `list_changed` pages through.
    """

    connector: str
    version: str
    title: str
    kinds: tuple[KindCapability, ...]
    effect_bound: timedelta
    lookup_lag: timedelta
    slots: int
    bucket_per_second: Amount
    bucket_burst: int
    call_timeout: timedelta
    errors: tuple[ErrorRule, ...] = ()
    warnings_allowed: tuple[str, ...] = ()
    gotchas: tuple[Gotcha, ...] = ()
    listed: tuple[str, ...] = ()

    def capability(self, kind: DocumentKind) -> KindCapability | None:
        """How `kind` is made here, or None when this system can't take it."""
        return next((entry for entry in self.kinds if entry.kind is kind), None)


class ErpEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One general-ledger line read back from the far side.

    account: the far side's code. debit, credit: in the functional currency. currency, currency_amount: the second currency's
    signed amount (debit positive) when the line has one, else the functional currency's.
    """

    line: int
    account: str
    debit: Amount
    credit: Amount
    currency: str
    currency_amount: Amount
    day: date
    party_reference: str = ""


class ErpRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What the far side holds. record_kind, erp_id: its name there. number: what people call it, "" while it has none.

    state: draft, posted, paid or cancelled. version: the far side's own version or write date. content: fields to compare with
    the intent, as text. accounting_date: the day it counts there.
    """

    record_kind: str
    erp_id: str
    number: str = ""
    state: str
    version: str = ""
    external_reference: str = ""
    currency: str = ""
    amount: Amount | None = None
    accounting_date: date | None = None
    content: tuple[tuple[str, str], ...] = ()


class Posted(msgspec.Struct, frozen=True, kw_only=True, tag="posted"):
    """The step is done and this was the last one, or it proved to be done before. entries: GL impact, None when not read."""

    record: ErpRecord
    entries: tuple[ErpEntry, ...] | None = None


class Placed(msgspec.Struct, frozen=True, kw_only=True, tag="placed"):
    """The record is there as a draft; a further step posts it."""

    record: ErpRecord


class Accepted(msgspec.Struct, frozen=True, kw_only=True, tag="accepted"):
    """A far-side job runs. handle: what to poll it by."""

    handle: str
    poll_after: timedelta


class Rejected(msgspec.Struct, frozen=True, kw_only=True, tag="rejected"):
    """The far side refused and made nothing. evidence: its answer, secrets masked."""

    problem: Problem
    evidence: str = ""


class NotSent(msgspec.Struct, frozen=True, kw_only=True, tag="not_sent"):
    """The request certainly had no effect: it never left, or the far side said so before doing anything."""

    problem: Problem


class Throttled(msgspec.Struct, frozen=True, kw_only=True, tag="throttled"):
    """Refused for rate or concurrency; no effect."""

    retry_after: timedelta


class Uncertain(msgspec.Struct, frozen=True, kw_only=True, tag="uncertain"):
    """Nobody knows whether it took effect. evidence: what was seen (a time-out, a reset, an answer that can't be read)."""

    evidence: str


Outcome = Posted | Placed | Accepted | Rejected | NotSent | Throttled | Uncertain


class EntityMapping(msgspec.Struct, frozen=True, kw_only=True):
    """How neutral keys are called in one far system for one entity. dimensions: dimension -> value -> far code."""

    company: str
    accounts: Mapping[str, str]
    taxes: Mapping[str, str] = {}
    products: Mapping[str, str] = {}
    dimensions: Mapping[str, Mapping[str, str]] = {}
    settings: Mapping[str, str] = {}


class PrepareContext(msgspec.Struct, frozen=True, kw_only=True):
    """What `prepare` may look at besides the document. records: document id -> what the far side holds for it."""

    mapping: EntityMapping
    functional_currency: str
    records: Mapping[str, ErpRecord]


class PreparedStep(msgspec.Struct, frozen=True, kw_only=True):
    """One far-side call's part for one document, ready to send.

    step: one of the capability's steps. operation: what calls are batched by (same operation, one call). body: the exact
    canonical bytes of this document's part; its digest goes on the attempt. idempotency_key: for far sides that take one.
    """

    document_id: str
    kind: DocumentKind
    step: str
    operation: str
    external_reference: str
    body: bytes
    idempotency_key: str = ""


class PeriodState(StrEnum):
    """The state of an accounting period. unknown: never read."""

    OPEN = "open"
    SOFT_CLOSED = "soft_closed"
    CLOSED = "closed"
    UNKNOWN = "unknown"


class ErpPeriod(msgspec.Struct, frozen=True, kw_only=True):
    """A period as the far side has it: half-open days."""

    company: str
    name: str
    start: date
    end: date
    state: PeriodState


class ChangedPage(msgspec.Struct, frozen=True, kw_only=True):
    """One page of records changed since a cursor. next_cursor is "" on the last page.

    resume: the cursor from which a later listing misses nothing, with the overlap this far side needs; "" when there is none
    (an empty page keeps the one before).
    """

    records: tuple[ErpRecord, ...]
    next_cursor: str = ""
    resume: str = ""


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the far side answers, and what it said."""

    reachable: bool
    version: str = ""
    detail: str = ""
    checked_at: datetime | None = None


class ErpConnector(Protocol):
    """What delivery asks of a far system. Pure parts are plain methods; whatever touches the wire is async and never raises
    for what the far side does: a failure is an outcome or a `Problem`."""

    @property
    def manifest(self) -> Manifest:
        """What this system can do."""
        ...

    def prepare(self, *, document: Document, step: str, context: PrepareContext) -> PreparedStep | Problem:
        """The exact request of one step, pure. A missing mapping is `mapping.missing` with the key as its field."""
        ...

    def difference(
        self, *, document: Document, record: ErpRecord, context: PrepareContext
    ) -> tuple[FieldDifference, ...]:
        """The fields in which a found record differs from the intent, both values; empty when it is the intent. Pure."""
        ...

    async def submit(self, *, steps: Sequence[PreparedStep]) -> Sequence[Outcome]:
        """Send steps of one operation in one call where the far side can; one outcome each, in order."""
        ...

    async def lookup(
        self, *, kind: DocumentKind, references: Sequence[str], company: str
    ) -> Mapping[str, tuple[ErpRecord, ...]] | Problem:
        """What the far side holds under each external reference: none, one, or more where it is not unique."""
        ...

    async def read(self, *, record: ErpRecord) -> Posted | Placed | Problem:
        """The record as it is now, with its GL entries when it is posted."""
        ...

    async def list_changed(self, *, record_kind: str, company: str, cursor: str, limit: int) -> ChangedPage | Problem:
        """Records changed since the cursor ("" from the start), oldest first, at most `limit` a page."""
        ...

    async def periods(self, *, company: str) -> Sequence[ErpPeriod] | Problem:
        """The accounting periods of one company there."""
        ...

    async def health(self) -> Health:
        """Whether it answers."""
        ...

    async def close(self) -> None:
        """Let go of the transport."""
        ...


@runtime_checkable
class Dated(Protocol):
    """A connector whose listing can begin at a moment."""

    def cursor_at(self, *, moment: datetime) -> str:
        """A cursor from which `list_changed` shows whatever changed at or after this moment."""
        ...


define(
    code="mapping.missing",
    title="A mapping is missing",
    status=422,
    retryable=Retryable.AFTER_FIX,
    mender=Mender.CONFIGURATION,
    remedy="Add the key to the connection's Mapping, apply the configuration, then retry the cause.",
)
define(
    code="erp.period_closed",
    title="The accounting period is closed in the ERP",
    status=409,
    retryable=Retryable.AFTER_FIX,
    mender=Mender.FINANCE,
    remedy="Reopen the period in the ERP, or let the period policy decide where the document goes.",
)
define(
    code="erp.rejected",
    title="The ERP refused the document",
    status=422,
    retryable=Retryable.AFTER_FIX,
    mender=Mender.ERP_ADMINISTRATOR,
    remedy="Read the ERP's answer on the attempt, mend what it names, then retry the case.",
)
define(
    code="erp.busy",
    title="The ERP is busy",
    status=503,
    retryable=Retryable.YES,
    mender=Mender.NOBODY,
    remedy="Nothing to do: Revline tries again.",
)
define(
    code="erp.unreachable",
    title="The ERP can't be reached",
    status=503,
    retryable=Retryable.YES,
    mender=Mender.ERP_ADMINISTRATOR,
    remedy="Revline tries again. If it stays, check the connection's address and the ERP's health.",
)
define(
    code="erp.credentials_refused",
    title="The ERP refused the credentials",
    status=502,
    retryable=Retryable.AFTER_FIX,
    mender=Mender.OPERATOR,
    remedy="Renew the connection's secret, then retry the cause.",
)
define(
    code="erp.record_missing",
    title="A record this document needs is not in the ERP",
    status=409,
    retryable=Retryable.AFTER_FIX,
    mender=Mender.ERP_ADMINISTRATOR,
    remedy="Find out who removed it from the ERP; resend the document that made it, then retry.",
)
define(
    code="erp.record_differs",
    title="The ERP holds a record under this reference with other content",
    status=409,
    retryable=Retryable.NO,
    mender=Mender.FINANCE,
    remedy="Compare both values of each field named; correct the record in the ERP and retry, or waive the case with a reason.",
)
define(
    code="erp.kind_unsupported",
    title="This ERP connection can't take this kind of document",
    status=422,
    retryable=Retryable.AFTER_FIX,
    mender=Mender.CONFIGURATION,
    remedy="Choose the journal policy for this event in the book's posting policies.",
)
