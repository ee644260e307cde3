"""Acts of people on cases: try again what a case or a whole cause holds up. What trying again means is the subject's own
room's business, reached through a port by the subject's kind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final, Protocol

import msgspec
from sqlalchemy import Connection

from revline.core.problem import Mender, Problem, Retryable, define, problem
from revline.platform.cases import queries
from revline.platform.cases.record import waive_cases
from revline.platform.store.engine import Database
from revline.platform.store.unit import Unit

RETRY_PAGE: Final = 500
RETRY_MAX: Final = 100_000


class RetryHandler(Protocol):
    """Tries records of one kind again, as an audited act of its own. Gives how many it set going."""

    def __call__(self, *, tenant_id: str, subject_ids: Sequence[str], actor: str, reason: str) -> int: ...


class Told(Protocol):
    """Hears, inside the unit of work, of whose cases a person decided. It must not fail and locks only rows of its own."""

    def __call__(self, unit: Unit, /, *, tenant_id: str, subject_kind: str, subject_ids: Sequence[str]) -> None: ...


def nobody(unit: Unit, /, *, tenant_id: str, subject_kind: str, subject_ids: Sequence[str]) -> None:
    """Nobody is told."""


class Retried(msgspec.Struct, frozen=True, kw_only=True):
    """What a retry set going. asked: cases looked at. started: records set going; the others were not in a state for it."""

    asked: int
    started: int


def retry(
    database: Database,
    *,
    handlers: Mapping[str, RetryHandler],
    tenant_id: str,
    actor: str,
    reason: str,
    case_id: str = "",
    cause_id: str = "",
) -> Retried | Problem:
    """Try again one case, or every open case of a cause (at most `RETRY_MAX`), page by page.

    A case closes by itself when its record goes on. Problem `case.unknown` when neither names an open case.
    """
    asked, started, after = 0, 0, ""
    while asked < RETRY_MAX:
        with database.read(tenants=[tenant_id]) as connection:
            page = _page(connection, tenant_id=tenant_id, case_id=case_id, cause_id=cause_id, after=after)
        by_kind: dict[str, list[str]] = {}
        for case in page:
            by_kind.setdefault(case.subject_kind, []).append(case.subject_id)
        for kind, subjects in sorted(by_kind.items()):
            if kind not in handlers:
                return problem("case.not_retryable", f"a case of a {kind} can't be tried again from here", field=kind)
            started += handlers[kind](
                tenant_id=tenant_id, subject_ids=sorted(set(subjects)), actor=actor, reason=reason
            )
        asked += len(page)
        if len(page) < RETRY_PAGE:
            break
        after = page[-1].case_id
    if not asked:
        return problem("case.unknown", f"no open case is named by {case_id or cause_id or 'nothing'!r}")
    return Retried(asked=asked, started=started)


def waive(
    database: Database,
    *,
    tenant_id: str,
    case_id: str,
    actor: str,
    reason: str,
    recorded_at: datetime,
    told: Told = nobody,
) -> int | Problem:
    """Decide that nothing is to be done about a record that makes no document; gives how many cases of it closed.

    told: hears of it last, in the same unit.

    Its cases open again when what they say, or the money at risk, changes. Problems `case.unknown`; `case.of_document`: there the
    document itself is waived, so that its lane goes on.
    """
    with database.unit(tenants=[tenant_id], kind="waive", actor=actor, reason=reason, recorded_at=recorded_at) as unit:
        found = queries.case(unit.connection, tenant_id=tenant_id, case_id=case_id)
        if found is None or found.state != "open":
            return problem("case.unknown", f"there is no open case {case_id[:60]!r}")
        if found.subject_kind == "document":
            return problem("case.of_document", f"the case is of document {found.subject_id}", field=found.subject_id)
        kind, subjects = found.subject_kind, [found.subject_id]
        closed = waive_cases(unit, tenant_id=tenant_id, subject_kind=kind, subject_ids=subjects, reason=reason)
        told(unit, tenant_id=tenant_id, subject_kind=kind, subject_ids=subjects)
        return closed


def _page(
    connection: Connection, *, tenant_id: str, case_id: str, cause_id: str, after: str
) -> tuple[queries.Case, ...]:
    if case_id:
        found = queries.case(connection, tenant_id=tenant_id, case_id=case_id)
        return (found,) if found is not None and found.state == "open" else ()
    if not cause_id:
        return ()
    return queries.cases(connection, tenant_id=tenant_id, cause_id=cause_id, after=after, limit=RETRY_PAGE)


define(
    code="case.unknown",
    title="No such case",
    status=404,
    retryable=Retryable.NO,
    mender=Mender.SENDER,
    remedy="List the open causes and cases, and give one of their ids.",
)
define(
    code="case.of_document",
    title="The case is of a document",
    status=409,
    retryable=Retryable.NO,
    mender=Mender.SENDER,
    remedy="Waive the document named: `revline deliveries waive`.",
)
define(
    code="case.not_retryable",
    title="This case can't be tried again",
    status=409,
    retryable=Retryable.NO,
    mender=Mender.OPERATOR,
    remedy="Send the corrected record again; the case closes when it is taken.",
)
