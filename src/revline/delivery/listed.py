"""Writes what listed records come to, in an open unit: records as last seen, what changed, cases, and documents that go on at once.

Only records under a reference of ours, or that we made, are kept. Documents that may change are locked by their lanes first.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, literal_column, select, text

from revline.core.documents import DocumentState
from revline.core.farside import ErpRecord
from revline.delivery.comparing import (
    GONE,
    LIVE,
    OUR_SHAPE,
    Change,
    Finding,
    Meant,
    Seen,
    Verdict,
    compare,
    missing,
)
from revline.delivery.evidence import Asked, Conclusion, Evidence, records_of
from revline.delivery.loading import DocumentKey
from revline.delivery.record import lock_states, record_evidence, record_transition
from revline.delivery.settling import store_record
from revline.delivery.tables import document_state, erp_record, erp_record_change
from revline.delivery.values import SUBJECT_KIND, FarSide, Standing
from revline.platform.cases.record import NewCase, open_cases, resolve_cases
from revline.platform.cases.subjects import OpenCase, Subject, open_cases_of
from revline.platform.store.unit import Unit
from revline.platform.work import queries as work_queries
from revline.platform.work import record as work_record
from revline.platform.work.cell import read_epoch
from revline.platform.work.lanes import LaneKey

RECORD_SUBJECT: Final = "erp_record"
"""What a case of a record names that belongs to no document; its id is "connection/kind/id"."""
GONE_MAX: Final = 1_000
TOLD_HERE: Final = ("erp.effect_doubled", "erp.effect_unexpected", "erp.effect_gone")
"""Codes that only a listing opens, and closes when it no longer finds what they say."""

_MEANT: Final = text(
    """
    SELECT document.external_reference, document.document_id, document.lane_id, document.kind, state.state, state.epoch,
           state.attempts, state.problem_code, state.currency, state.amount,
           coalesce((SELECT attempt.state FROM attempt
                     WHERE attempt.tenant_id = document.tenant_id AND attempt.document_id = document.document_id
                     ORDER BY attempt.attempt DESC LIMIT 1), '') AS last_attempt,
           EXISTS (SELECT FROM document AS other
                   WHERE other.tenant_id = document.tenant_id AND other.lane_id = document.lane_id
                     AND (other.kind = 'invoice_void' OR other.reverses = document.document_id)) AS undone
    FROM document JOIN document_state AS state
      ON state.tenant_id = document.tenant_id AND state.document_id = document.document_id
    WHERE document.tenant_id = :tenant AND document.connection = :connection
      AND document.external_reference = ANY(CAST(:references AS text[]))
    ORDER BY document.position, document.ordinal
    """
)
_KNOWN_BY_NOW: Final = text(
    """
    SELECT record.erp_id FROM erp_record AS record
    WHERE record.tenant_id = :tenant AND record.connection = :connection AND record.record_kind = :kind
      AND record.document_id IS NULL AND record.external_reference <> ''
      AND EXISTS (SELECT FROM document
                  WHERE document.tenant_id = record.tenant_id AND document.connection = record.connection
                    AND document.external_reference = record.external_reference)
    ORDER BY record.erp_id LIMIT :limit
    """
)
_LOCK_LANES: Final = text(
    """
    SELECT lane.lane_id FROM lane WHERE lane.tenant_id = :tenant AND lane.lane_id = ANY(CAST(:lanes AS text[]))
    ORDER BY lane.tenant_id, lane.lane_id FOR UPDATE OF lane
    """
)


class Tally(msgspec.Struct, kw_only=True):
    """What some records came to. verdicts: how many of each. ours: records kept."""

    verdicts: Counter[Verdict] = msgspec.field(default_factory=Counter)
    ours: int = 0
    changed: int = 0
    missing: int = 0

    def of(self, verdict: Verdict) -> int:
        """How many had this verdict."""
        return self.verdicts[verdict]


class _Found(msgspec.Struct, frozen=True, kw_only=True):
    record: ErpRecord
    finding: Finding
    connection: str

    @property
    def subject(self) -> Subject:
        """What a case of it names: its document, or the record itself."""
        if self.finding.document is not None:
            return (SUBJECT_KIND, self.finding.document.document_id)
        return (RECORD_SUBJECT, f"{self.connection}/{self.record.record_kind}/{self.record.erp_id}")


def take_records(unit: Unit, *, entry: Any, far: FarSide, records: Sequence[ErpRecord]) -> Tally:
    """Compare and keep one page. entry: the `ErpListing` as the pass stands."""
    tenant_id, connection = entry.tenant_id, entry.connection
    before = _seen(unit.connection, entry, records)
    ours = [
        one for one in records if OUR_SHAPE.match(one.external_reference) or (one.record_kind, one.erp_id) in before
    ]
    references = sorted({one.external_reference for one in ours if one.external_reference})
    meant = _meant(unit.connection, tenant_id, connection, references, lock=True)
    others = _under(unit.connection, tenant_id, connection, references)
    for one in ours:
        others[one.external_reference, one.record_kind][one.erp_id] = _as_seen(one)
    epoch = read_epoch(unit.connection).number
    found = [
        _Found(
            record=one,
            finding=compare(
                record=one,
                before=before.get((one.record_kind, one.erp_id)),
                meant=meant.get(one.external_reference, ()),
                others=tuple(others[one.external_reference, one.record_kind].values()),
                epoch=epoch,
            ),
            connection=connection,
        )
        for one in ours
    ]
    opened = open_cases_of(unit.connection, tenant_id=tenant_id, subjects=[one.subject for one in found])
    tally, told = Tally(ours=len(ours)), set[Subject]()
    for one_found in found:
        finding = one_found.finding
        tally.verdicts[finding.verdict] += 1
        tally.changed += bool(finding.changes)
        _keep(unit, entry, one_found.record, finding)
        if one_found.subject in told:
            # Of two records under one reference the first that is wrong speaks for both.
            continue
        _tell(unit, entry, one_found, opened.get(one_found.subject, ()))
        _go_on(unit, entry, far, one_found.record, finding)
        if finding.problem is not None:
            told.add(one_found.subject)
    return tally


def known_by_now(unit: Unit, *, entry: Any) -> int:
    """At the end of a pass: close the cases of records nobody knew whose documents were written since, after a restore most of all.
    Gives how many."""
    parameters = {
        "tenant": entry.tenant_id,
        "connection": entry.connection,
        "kind": entry.record_kind,
        "limit": GONE_MAX,
    }
    rows = unit.connection.execute(_KNOWN_BY_NOW, parameters).all()
    subjects = [f"{entry.connection}/{entry.record_kind}/{row.erp_id}" for row in rows]
    return resolve_cases(
        unit,
        tenant_id=entry.tenant_id,
        subject_kind=RECORD_SUBJECT,
        subject_ids=subjects,
        reason="its document is known by now",
    )


def gone_after(unit: Unit, *, entry: Any, shown: Sequence[ErpRecord]) -> int:
    """At the end of a full pass: records of posted documents that an earlier one showed and it did not. At most GONE_MAX.

    shown: the last page, whose rows this unit writes only when it ends.
    """
    table = erp_record
    statement = (
        select(table)
        .where(
            table.c.tenant_id == entry.tenant_id,
            table.c.connection == entry.connection,
            table.c.record_kind == entry.record_kind,
            table.c.company == entry.company,
            table.c.listed_in > literal_column("0"),
            table.c.listed_in < entry.pass_number,
            table.c.seen_at < entry.began_at,
            table.c.document_id.is_not(None),
            table.c.erp_id.not_in([one.erp_id for one in shown]),
            table.c.state.in_(sorted(LIVE)),
        )
        .order_by(table.c.erp_id)
        .limit(GONE_MAX)
    )
    found = [_seen_row(row) for row in unit.connection.execute(statement).mappings()]
    meant = _meant(
        unit.connection, entry.tenant_id, entry.connection, [one.external_reference for one in found], lock=False
    )
    lost = [
        (one, document)
        for one in found
        for document in meant.get(one.external_reference, ())[:1]
        if document.state is DocumentState.POSTED and not document.undone
    ]
    for one, document in lost:
        _lose(unit, entry, one, document)
    return len(lost)


def _lose(unit: Unit, entry: Any, one: Seen, document: Meant) -> None:
    change = Change(field="state", before=one.state, after=GONE)
    _write_changes(unit, entry, one.record_kind, one.erp_id, document.document_id, [change])
    unit.change(
        erp_record,
        key=("connection", "record_kind", "erp_id"),
        tenant_id=entry.tenant_id,
        connection=entry.connection,
        record_kind=one.record_kind,
        erp_id=one.erp_id,
        state=GONE,
    )
    told = NewCase(
        tenant_id=entry.tenant_id,
        subject_kind=SUBJECT_KIND,
        subject_id=document.document_id,
        problem=missing(one),
        connection=entry.connection,
        currency=document.currency,
        amount=document.amount,
    )
    open_cases(unit, cases=[told])


def _keep(unit: Unit, entry: Any, one: ErpRecord, finding: Finding) -> None:
    linked = finding.verdict is Verdict.RESOLVES and finding.document is not None
    store_record(
        unit,
        tenant_id=entry.tenant_id,
        connection=entry.connection,
        found=one,
        document_id=finding.document.document_id if linked and finding.document else None,
        company=entry.company,
        listed_in=entry.pass_number,
    )
    document_id = finding.document.document_id if finding.document else None
    _write_changes(unit, entry, one.record_kind, one.erp_id, document_id, finding.changes)


def _write_changes(
    unit: Unit, entry: Any, record_kind: str, erp_id: str, document_id: str | None, changes: Sequence[Change]
) -> None:
    for change in changes:
        unit.record(
            erp_record_change,
            tenant_id=entry.tenant_id,
            connection=entry.connection,
            record_kind=record_kind,
            erp_id=erp_id,
            document_id=document_id,
            field=change.field,
            before=change.before,
            after=change.after,
            at=unit.recorded_at,
        )


def _tell(unit: Unit, entry: Any, one: _Found, opened: Sequence[OpenCase]) -> None:
    """Open what is wrong now; close what a listing told before and no longer finds."""
    kept: tuple[str, ...] = ()
    finding, (subject_kind, subject_id) = one.finding, one.subject
    if finding.problem is not None:
        of = finding.document
        case = NewCase(
            tenant_id=entry.tenant_id,
            subject_kind=subject_kind,
            subject_id=subject_id,
            problem=finding.problem,
            connection=entry.connection,
            currency=of.currency if of else one.record.currency,
            amount=of.amount if of else one.record.amount,
        )
        kept = open_cases(unit, cases=[case])
    over = [each for each in opened if each.code in TOLD_HERE and each.case_id not in kept]
    if over:
        stay = {each.case_id for each in opened if each not in over} | set(kept)
        resolve_cases(
            unit,
            tenant_id=entry.tenant_id,
            subject_kind=subject_kind,
            subject_ids=[subject_id],
            reason="a listing no longer finds it",
            keep=stay,
        )


def _go_on(unit: Unit, entry: Any, far: FarSide, one: ErpRecord, finding: Finding) -> None:
    """A document in doubt whose record is there is looked up at once; one that was about to be sent is not sent before that."""
    document = finding.document
    if document is None or finding.verdict not in {Verdict.RESOLVES, Verdict.UNEXPECTED}:
        return
    if document.state in {DocumentState.REJECTED, DocumentState.WAIVED, DocumentState.SUPERSEDED}:
        return
    standing = _standing(unit.connection, entry.tenant_id, document.document_id)
    if standing is None:
        return
    at = work_queries.moment(unit.connection)
    # A look-up may show later than a listing does, so one that finds nothing now doesn't say that it may be sent.
    unit.change(
        document_state,
        key=("document_id",),
        tenant_id=entry.tenant_id,
        document_id=document.document_id,
        state=DocumentState.UNCERTAIN,
        failures=0,
        changed_at=unit.recorded_at,
        uncertain_since=standing.uncertain_since or at,
    )
    if standing.state is not DocumentState.UNCERTAIN:
        record_transition(unit, standing=standing, to_state=DocumentState.UNCERTAIN, step=standing.step)
    line = Evidence(
        at=at,
        asked=Asked.LISTING,
        conclusion=Conclusion.SEEN,
        company=far.mapping.company,
        found=1,
        records=records_of([one]),
    )
    record_evidence(
        unit, tenant_id=entry.tenant_id, document_id=document.document_id, attempt=document.attempts, evidence=line
    )
    work_record.unpark(unit.connection, lanes=[LaneKey(entry.tenant_id, document.lane_id)], now=at)


def _standing(connection: Connection, tenant_id: str, document_id: str) -> Standing | None:
    key = DocumentKey(tenant_id, document_id)
    return lock_states(connection, keys=[key]).get(key)


def _meant(
    connection: Connection, tenant_id: str, far_connection: str, references: Sequence[str], *, lock: bool
) -> Mapping[str, tuple[Meant, ...]]:
    """Documents under references; those that may still change are locked by their lanes and read again."""
    parameters = {"tenant": tenant_id, "connection": far_connection, "references": list(references)}
    found = _grouped(connection, parameters) if references else {}
    settled = {DocumentState.POSTED, DocumentState.REVERSED}
    lanes = sorted({one.lane_id for group in found.values() for one in group if one.state not in settled})
    if not lock or not lanes:
        return found
    connection.execute(_LOCK_LANES, {"tenant": tenant_id, "lanes": lanes})
    return _grouped(connection, parameters)


def _grouped(connection: Connection, parameters: Mapping[str, Any]) -> dict[str, tuple[Meant, ...]]:
    found: dict[str, list[Meant]] = defaultdict(list)
    for row in connection.execute(_MEANT, parameters).mappings():
        values = {str(name): value for name, value in row.items() if name != "external_reference"}
        found[row["external_reference"]].append(Meant(**{**values, "state": DocumentState(row["state"])}))
    return {reference: tuple(group) for reference, group in found.items()}


def _seen(connection: Connection, entry: Any, records: Sequence[ErpRecord]) -> Mapping[tuple[str, str], Seen]:
    table = erp_record
    statement = select(table).where(
        table.c.tenant_id == entry.tenant_id,
        table.c.connection == entry.connection,
        table.c.record_kind == entry.record_kind,
        table.c.erp_id.in_([one.erp_id for one in records]),
    )
    rows = connection.execute(statement).mappings() if records else ()
    return {(row["record_kind"], row["erp_id"]): _seen_row(row) for row in rows}


def _under(
    connection: Connection, tenant_id: str, far_connection: str, references: Sequence[str]
) -> dict[tuple[str, str], dict[str, Seen]]:
    """Records known under references: (reference, record kind) -> id -> record."""
    table = erp_record
    statement = select(table).where(
        table.c.tenant_id == tenant_id,
        table.c.connection == far_connection,
        table.c.external_reference.in_(list(references)),
    )
    found: dict[tuple[str, str], dict[str, Seen]] = defaultdict(dict)
    for row in connection.execute(statement).mappings() if references else ():
        found[row["external_reference"], row["record_kind"]][row["erp_id"]] = _seen_row(row)
    return found


def _seen_row(row: Mapping[Any, Any]) -> Seen:
    content = msgspec.json.decode(row["content"], type=tuple[tuple[str, str], ...])
    return Seen(**{name: row[name] for name in Seen.__struct_fields__ if name != "content"}, content=content)


def _as_seen(one: ErpRecord) -> Seen:
    names = [name for name in Seen.__struct_fields__ if name != "document_id"]
    return Seen(**{name: getattr(one, name) for name in names}, document_id=None)
