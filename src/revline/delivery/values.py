"""Delivery as values: where a document stands, what is decided for it, what came of it, and the pauses between tries. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Final

import msgspec

from revline.core.documents import Document, DocumentKind, DocumentState, Rank
from revline.core.farside import (
    EntityMapping,
    ErpConnector,
    ErpRecord,
    Outcome,
    Placed,
    Posted,
    PreparedStep,
)
from revline.core.journal import JournalLine
from revline.core.problem import Mender, Problem, Retryable, define
from revline.platform.work.lanes import ClaimedLane

LANE_KIND: Final = "delivery"
SUBJECT_KIND: Final = "document"
"""What a case of a document names as its subject kind, and lineage as the record kind."""

SENDER_LOST: Final = "the worker that sent it lost its lease or ended before the answer"
"""Evidence of an attempt that another worker found unanswered."""

SAYS_NOTHING: Final = frozenset({"erp.busy"})
"""Problems of a call that never began, or that somebody on the way refused: the far side is neither back nor away by it."""


class Timing(msgspec.Struct, frozen=True, kw_only=True):
    """Pauses of delivery. Every one has a bound, so nothing spins and nothing is forgotten.

    retry_base, retry_cap: full jitter of what passes by itself. hold_base, hold_cap: between looks at a closed period.
    missing_predecessor: until a predecessor that isn't written yet is looked for again; missing_told: until people are told of
    it. overdue: how long others may wait for a document before people are told of that one. poll_min, poll_max: bounds of what a
    far-side job asks for between two polls; job_told: how long it may run until people are told. failures_until_case: failed tries
    in a row until people are told; throttles_until_case: when the far side was busy. turn: the group commit's rhythm. lease: of
    claimed lanes. sweep, periods, archive, tell: timers.
    """

    retry_base: timedelta = timedelta(seconds=1)
    retry_cap: timedelta = timedelta(minutes=2)
    hold_base: timedelta = timedelta(minutes=5)
    hold_cap: timedelta = timedelta(hours=6)
    missing_predecessor: timedelta = timedelta(seconds=30)
    missing_told: timedelta = timedelta(days=1)
    overdue: timedelta = timedelta(hours=4)
    poll_min: timedelta = timedelta(seconds=1)
    poll_max: timedelta = timedelta(minutes=5)
    job_told: timedelta = timedelta(hours=1)
    failures_until_case: int = 8
    throttles_until_case: int = 20
    turn: timedelta = timedelta(milliseconds=20)
    idle: timedelta = timedelta(milliseconds=200)
    lease: timedelta = timedelta(seconds=15)
    sweep: timedelta = timedelta(seconds=5)
    periods: timedelta = timedelta(minutes=2)
    archive: timedelta = timedelta(seconds=30)
    archive_after: timedelta = timedelta(minutes=1)
    tell: timedelta = timedelta(seconds=30)


class FarSide(msgspec.Struct, frozen=True, kw_only=True):
    """Where a document goes, resolved from the active configuration.

    pool_id: capacity pool; a hash, since control tables show no names.
    """

    connector: ErpConnector
    mapping: EntityMapping
    functional_currency: str
    pool_id: str
    configuration_version: int


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """A row of document_state as a value."""

    tenant_id: str
    document_id: str
    state: DocumentState
    revision: int
    step: str
    kind: DocumentKind
    connection: str
    entity: str
    book: str
    lane_id: str
    sequence: int
    rank: Rank
    currency: str
    epoch: int
    attempts: int
    failures: int
    accounting_date: date | None
    marked_at: datetime | None
    uncertain_since: datetime | None
    handle: str
    problem_code: str
    position: int


class Loaded(msgspec.Struct, frozen=True, kw_only=True):
    """The head of a claimed lane with everything a decision needs.

    predecessors: document id -> state, None when it isn't written yet. records: document id -> what the far side holds.
    expected: the journal lines the far side's entries must equal. closed: name of the closed period its day lies in, "" if none.
    """

    lane: ClaimedLane
    sequence: int
    standing: Standing
    document: Document
    predecessors: Mapping[str, DocumentState | None]
    records: Mapping[str, ErpRecord]
    expected: tuple[JournalLine, ...]
    closed: str


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """A loaded head with its far side."""

    loaded: Loaded
    far: FarSide


class Send(msgspec.Struct, frozen=True, kw_only=True):
    """Send this step."""

    step: str


class LookUp(msgspec.Struct, frozen=True, kw_only=True):
    """Look first what the far side holds under the reference. epoch: of the cell when this was decided.

    waited_until: until when nothing could be concluded, since what was sent before might still come; None when nothing was.
    early: it is asked before that, because a listing showed the record; only what it finds counts.
    """

    epoch: int
    waited_until: datetime | None = None
    early: bool = False


class Later(msgspec.Struct, frozen=True, kw_only=True):
    """Nothing to do before `due_at`. uncertain: the document becomes uncertain, if it isn't; `due_at` is an effect window after
    its request was given up at the latest."""

    due_at: datetime
    uncertain: bool = False


class WaitFor(msgspec.Struct, frozen=True, kw_only=True):
    """Not before these documents are finished. missing: one of them isn't written yet. for_record: they are finished without a
    far-side record, and not before a person names it."""

    predecessors: tuple[str, ...]
    missing: bool
    for_record: bool = False


class Hold(msgspec.Struct, frozen=True, kw_only=True):
    """Its period is closed; look again later."""

    problem: Problem


class Refuse(msgspec.Struct, frozen=True, kw_only=True):
    """It can't go on until somebody mends something. state: what it is left in."""

    problem: Problem
    state: DocumentState


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """It is finished already; the lane goes on."""


Decision = Send | LookUp | Later | WaitFor | Hold | Refuse | Done


class Answered(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a marked step."""

    head: Head
    prepared: PreparedStep
    attempt: int
    outcome: Outcome


class Looked(msgspec.Struct, frozen=True, kw_only=True):
    """What a look-up found. read: the record with its entries, when exactly one was found and could be read.

    asked: what was decided; a look-up of an earlier epoch says nothing of the present one. running: the job that works on it has
    not ended, and wants to be asked again after this long.
    """

    head: Head
    asked: LookUp
    found: tuple[ErpRecord, ...] | Problem
    read: Posted | Placed | Problem | None = None
    running: timedelta | None = None


class Decided(msgspec.Struct, frozen=True, kw_only=True):
    """A head that needs no call."""

    head: Head
    decision: Later | Hold | Refuse | Done


Result = Answered | Looked | Decided
define(
    code="erp.effect_unknown",
    title="Nobody knows whether the ERP took the document",
    status=409,
    retryable=Retryable.AFTER_FIX,
    mender=Mender.ERP_ADMINISTRATOR,
    remedy="Search the ERP for the reference. If it isn't there, resend saying so (known absent); if it is, waive with its number.",
)
define(
    code="erp.reference_not_unique",
    title="The ERP holds more than one record under this reference",
    status=409,
    retryable=Retryable.AFTER_FIX,
    mender=Mender.ERP_ADMINISTRATOR,
    remedy="Remove or cancel the surplus record in the ERP, then retry the case.",
)
define(
    code="erp.not_reached",
    title="The ERP has not been reached for a while",
    status=503,
    retryable=Retryable.YES,
    mender=Mender.ERP_ADMINISTRATOR,
    remedy="Check the connection's address and the ERP's health; Revline goes on trying and closes the case by itself.",
)
define(
    code="document.undo_by_hand",
    title="An application of a payment must be undone in the ERP",
    status=409,
    retryable=Retryable.NO,
    mender=Mender.FINANCE,
    remedy="Undo the application in the ERP, which Revline can't do yet, then waive the document with a reason.",
)
define(
    code="document.unknown",
    title="No such document",
    status=404,
    retryable=Retryable.NO,
    mender=Mender.SENDER,
    remedy="List the deliveries and give one of their ids.",
)
define(
    code="document.in_flight",
    title="The document is on its way",
    status=409,
    retryable=Retryable.YES,
    mender=Mender.NOBODY,
    remedy="Wait until it is settled: it is sending, uncertain or a far-side job runs.",
)
define(
    code="document.finished",
    title="The document needs no more work",
    status=409,
    retryable=Retryable.NO,
    mender=Mender.NOBODY,
    remedy="A posted document is corrected by a reversal and a new one, never by sending it again.",
)
