"""Evidence: what was asked about a document of which nobody knew whether it took effect, what came back, and what follows. Pure.

A line is kept for each question, never for a document that simply went its way; `account` tells from the lines and the attempts why
a document was sent again, or why it was not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from itertools import pairwise
from typing import Any, Final

import msgspec

from revline.core.farside import ErpRecord

RECORDS_KEPT_MAX: Final = 10
DETAIL_LENGTH_MAX: Final = 1_000
NO_EFFECT: Final = frozenset({"rejected", "not_sent", "throttled"})


class Asked(StrEnum):
    """How it was found out. look_up: searched under the reference. read: the record a listing had shown. poll: its job was asked.
    listing: a listing showed it. policy: nothing was asked, since sending again is safe there. person: somebody looked."""

    LOOK_UP = "look_up"
    READ = "read"
    POLL = "poll"
    LISTING = "listing"
    POLICY = "policy"
    PERSON = "person"


class Conclusion(StrEnum):
    """What follows. absent: sent again. seen: a listing shows it, so it is looked up at once. found: accepted. draft: its next step
    is sent. sent_again: without a look, doubles being refused. The others send nothing: differs, not_unique and unexpected are
    cases; unreachable and running are asked again; ended: the job has told its outcome."""

    ABSENT = "absent"
    SEEN = "seen"
    FOUND = "found"
    DRAFT = "draft"
    SENT_AGAIN = "sent_again"
    DIFFERS = "differs"
    NOT_UNIQUE = "not_unique"
    UNEXPECTED = "unexpected"
    UNREACHABLE = "unreachable"
    RUNNING = "running"
    ENDED = "ended"


class FoundRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What came back of one record."""

    record_kind: str
    erp_id: str
    number: str
    state: str
    version: str


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """One line. at, waited_until: database time; waited_until is None when no request was in doubt. company: the far side's.

    found: how many records came back; records: the first RECORDS_KEPT_MAX of them. detail: what differs, or why nobody answered.
    """

    at: datetime
    asked: Asked
    conclusion: Conclusion
    company: str = ""
    waited_until: datetime | None = None
    found: int = 0
    records: tuple[FoundRecord, ...] = ()
    detail: str = ""


def records_of(found: Sequence[ErpRecord]) -> tuple[FoundRecord, ...]:
    """Records as a line keeps them."""
    return tuple(
        FoundRecord(
            record_kind=one.record_kind, erp_id=one.erp_id, number=one.number, state=one.state, version=one.version
        )
        for one in found[:RECORDS_KEPT_MAX]
    )


def is_kept(*, conclusion: Conclusion, failures: int) -> bool:
    """Whether a line is worth keeping: of questions that nobody answers, the 1st, 2nd, 4th, 8th and so on in a row."""
    if conclusion not in {Conclusion.UNREACHABLE, Conclusion.RUNNING}:
        return True
    return failures & (failures + 1) == 0


def account(
    *, reference: str, state: str, attempts: Sequence[Mapping[str, Any]], evidence: Sequence[Mapping[str, Any]]
) -> tuple[str, ...]:
    """Why a document was sent as often as it was, and why it is not sent now; one sentence each, oldest first.

    attempts, evidence: rows as their tables name the columns, oldest first.
    """
    told: list[str] = []
    for before, one in pairwise(attempts):
        lines = [line for line in evidence if line["attempt"] == before["attempt"]]
        told.append(f"Sent again as attempt {one['attempt']}: {_why_again(reference, before, lines)}.")
    last = evidence[-1] if evidence else None
    if last is not None and state not in {"posted", "waived", "superseded", "reversed"}:
        why = _why_not(reference, last)
        if why:
            told.append(f"Not sent now: {why}.")
    return tuple(told)


def _why_again(reference: str, before: Mapping[str, Any], lines: Sequence[Mapping[str, Any]]) -> str:
    number, state = before["attempt"], before["state"]
    if state in NO_EFFECT:
        return f"attempt {number} had no effect ({state.replace('_', ' ')} {before['problem_code']})".rstrip()
    if state in {"placed", "posted"}:
        return f"attempt {number} made its step, {before['step']}; this is the next one"
    for line in reversed(lines):
        when = line["at"].isoformat(timespec="seconds")
        match Conclusion(line["conclusion"]):
            case Conclusion.ABSENT if line["asked"] == Asked.PERSON:
                return f"attempt {number} was not answered, and at {when} a person said that {reference} is not there"
            case Conclusion.ABSENT:
                waited = line["waited_until"]
                since = (
                    f", since before {waited.isoformat(timespec='seconds')} it might still have come," if waited else ""
                )
                return f"attempt {number} was not answered; looked up at {when}{since} {reference} was not there"
            case Conclusion.SENT_AGAIN:
                return f"attempt {number} was not answered; {line['detail']}"
            case Conclusion.DRAFT:
                return f"attempt {number} was not answered, and at {when} {reference} was found as a draft"
    return f"attempt {number} came to {state.replace('_', ' ')}, and it may be sent again there without a second effect"


def _why_not(reference: str, line: Mapping[str, Any]) -> str:
    when = line["at"].isoformat(timespec="seconds")
    match Conclusion(line["conclusion"]):
        case Conclusion.DIFFERS:
            return f"at {when} {reference} was found with other content: {line['detail']}"
        case Conclusion.NOT_UNIQUE:
            return f"at {when} {line['found']} records were found under {reference}"
        case Conclusion.UNEXPECTED:
            return f"at {when} a record was found under {reference} that none should have: {line['detail']}"
        case Conclusion.UNREACHABLE:
            return f"at {when} nobody could say whether {reference} is there: {line['detail']}"
        case Conclusion.RUNNING:
            return f"at {when} the job was still running, and {reference} was not there"
    return ""
