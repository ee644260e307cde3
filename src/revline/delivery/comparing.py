"""What a listed record says of what we sent: as it should be, found at last, there twice, there though it should not be, changed.

Pure: the same record, the same rows and the same epoch give the same finding. It compares a record with what was known of it
before; whether it is the intent in full is for the look-up that follows.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date
from enum import StrEnum
from typing import Final

import msgspec

from revline.core.documents import DocumentState
from revline.core.farside import ErpRecord
from revline.core.money import Amount, amount_text
from revline.core.problem import Mender, Problem, Retryable, define, problem

OUR_SHAPE: Final = re.compile(r"[A-Z2-7]{16}\Z")
"""An external reference of ours (`core.ids.external_reference`)."""
LIVE: Final = frozenset({"draft", "posted", "paid"})
GONE: Final = "gone"
CHANGES_MAX: Final = 20
MAY_GO: Final = frozenset({DocumentState.READY, DocumentState.HELD, DocumentState.PREPARED})
NEVER_THERE: Final = frozenset({DocumentState.WAIVED, DocumentState.SUPERSEDED, DocumentState.REJECTED})


class Verdict(StrEnum):
    """foreign: nothing of ours. expected: as it should be. resolves: nobody knew whether it took effect, and it did. doubled: two
    live records under one reference. unexpected: there although nothing should be."""

    FOREIGN = "foreign"
    EXPECTED = "expected"
    RESOLVES = "resolves"
    DOUBLED = "doubled"
    UNEXPECTED = "unexpected"


class Meant(msgspec.Struct, frozen=True, kw_only=True):
    """A document of ours under a reference, as it stands. last_attempt: state of its newest attempt, "" when there is none.

    undone: a document that undoes it was written, so that a cancelled record is as it should be.
    """

    document_id: str
    lane_id: str
    kind: str
    state: DocumentState
    epoch: int
    attempts: int
    last_attempt: str
    problem_code: str
    currency: str
    amount: Amount
    undone: bool = False


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """A record as it was last seen."""

    record_kind: str
    erp_id: str
    number: str
    state: str
    external_reference: str
    currency: str
    amount: Amount | None
    accounting_date: date | None
    document_id: str | None
    content: tuple[tuple[str, str], ...]


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """A field of a record that reads otherwise than before."""

    field: str
    before: str
    after: str


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """What one record comes to. document: whose it is, None when nobody's. problem: what people are told, None when nothing.

    changes: for drift watch, of a record that was known. gone: its document is posted and it is cancelled there.
    """

    verdict: Verdict
    document: Meant | None = None
    problem: Problem | None = None
    changes: tuple[Change, ...] = ()
    gone: bool = False


def compare(
    *, record: ErpRecord, before: Seen | None, meant: Sequence[Meant], others: Sequence[Seen], epoch: int
) -> Finding:
    """The finding of one record.

    before: the same record as last seen. meant: documents under its reference on this connection. others: other records of its kind
    under its reference. epoch: the cell's.
    """
    changes = _changes(before, record)
    if not meant:
        return _of_nobody(record, before, changes)
    document = meant[0]
    finding = Finding(verdict=Verdict.EXPECTED, document=document, changes=changes)
    doubles = [one for one in others if one.state in LIVE and one.erp_id != record.erp_id]
    if record.state not in LIVE:
        gone = document.state is DocumentState.POSTED and not document.undone and not doubles
        return msgspec.structs.replace(finding, gone=gone, problem=_gone(record) if gone else None)
    if doubles and len(meant) == 1:
        return msgspec.structs.replace(finding, verdict=Verdict.DOUBLED, problem=_doubled(record, doubles))
    if document.state is DocumentState.UNCERTAIN:
        return msgspec.structs.replace(finding, verdict=Verdict.RESOLVES)
    if document.state in MAY_GO:
        in_doubt = document.epoch < epoch or document.last_attempt == "uncertain"
        if in_doubt:
            return msgspec.structs.replace(finding, verdict=Verdict.RESOLVES)
        return msgspec.structs.replace(finding, verdict=Verdict.UNEXPECTED, problem=_unexpected(record, document))
    if document.state in NEVER_THERE and document.problem_code != "erp.record_differs":
        return msgspec.structs.replace(finding, verdict=Verdict.UNEXPECTED, problem=_unexpected(record, document))
    return finding


def _of_nobody(record: ErpRecord, before: Seen | None, changes: tuple[Change, ...]) -> Finding:
    if not OUR_SHAPE.match(record.external_reference) or (before is not None and before.document_id):
        return Finding(verdict=Verdict.FOREIGN)
    if record.state not in LIVE or record.accounting_date is None:
        # Masters are shared by companies and carry no money: another tenant's are no finding of ours.
        return Finding(verdict=Verdict.EXPECTED, changes=changes)
    return Finding(verdict=Verdict.UNEXPECTED, problem=_unexpected(record, None), changes=changes)


def _changes(before: Seen | None, record: ErpRecord) -> tuple[Change, ...]:
    if before is None:
        return ()
    was, now = _fields(before), _fields(record)
    names = sorted(name for name in was.keys() | now.keys() if was.get(name, "") != now.get(name, ""))
    return tuple(Change(field=name, before=was.get(name, ""), after=now.get(name, "")) for name in names[:CHANGES_MAX])


def _fields(one: Seen | ErpRecord) -> dict[str, str]:
    amount = "" if one.amount is None else amount_text(one.amount.normalize())
    day = "" if one.accounting_date is None else one.accounting_date.isoformat()
    return {
        **dict(one.content),
        "state": one.state,
        "number": one.number,
        "amount": amount,
        "currency": one.currency,
        "accounting_date": day,
    }


def _called(one: Seen | ErpRecord) -> str:
    return f"{one.record_kind} {one.number or one.erp_id} ({one.erp_id})"


def _doubled(record: ErpRecord, doubles: Sequence[Seen]) -> Problem:
    named = ", ".join(sorted([_called(record), *(_called(one) for one in doubles[:9])]))
    detail = f"{record.external_reference} is {named}: one too many, each over the document's amount"
    return problem("erp.effect_doubled", detail, field=record.record_kind)


def _unexpected(record: ErpRecord, document: Meant | None) -> Problem:
    stands = "Revline knows no document under it" if document is None else f"its document is {document.state}"
    detail = f"{_called(record)} is there under {record.external_reference}, and {stands}"
    return problem("erp.effect_unexpected", detail, field=record.record_kind)


def _gone(record: ErpRecord) -> Problem:
    detail = (
        f"{_called(record)} under {record.external_reference} is {record.state} there, and nothing of ours undid it"
    )
    return problem("erp.effect_gone", detail, field=record.record_kind)


def missing(one: Seen) -> Problem:
    """What people are told of a posted document's record that a full listing did not show."""
    detail = f"{_called(one)} under {one.external_reference} was not in the full listing"
    return problem("erp.effect_gone", detail, field=one.record_kind)


define(
    code="erp.effect_doubled",
    title="The ERP holds one document twice",
    status=409,
    retryable=Retryable.AFTER_FIX,
    mender=Mender.FINANCE,
    remedy="Void the surplus record in the ERP; the case closes at the next listing. If both are right, waive it with the reason.",
)
define(
    code="erp.effect_unexpected",
    title="The ERP holds a record under a reference that should have none",
    status=409,
    retryable=Retryable.AFTER_FIX,
    mender=Mender.FINANCE,
    remedy="If it is right, link it: put the document back or retry it, which looks it up. If not, void it in the ERP.",
)
define(
    code="erp.effect_gone",
    title="A posted record is gone or cancelled in the ERP",
    status=409,
    retryable=Retryable.AFTER_FIX,
    mender=Mender.FINANCE,
    remedy="Find out who removed it. Restore it in the ERP, or correct the source, so that a reversal is booked, and waive.",
)
define(
    code="erp.cursor_expired",
    title="The ERP can't list on from where the last listing ended",
    status=410,
    retryable=Retryable.YES,
    mender=Mender.NOBODY,
    remedy="Nothing to do: Revline lists everything again and says so in the listing's report.",
)
