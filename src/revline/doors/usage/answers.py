"""The bodies of answers at POST /v1/usage: verdicts in the order of the events, or a problem document. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from revline.core.exact_json import DEPTH_MAX
from revline.core.hashing import canonical_bytes
from revline.core.problem import Problem, problem
from revline.doors.api.problems import HEADERS, MEDIA_TYPE, RETRY_AFTER, problem_body
from revline.doors.usage.ports import Taken
from revline.doors.usage.singles import Single
from revline.platform.logs import log
from revline.platform.store.engine import is_transient
from revline.subledger.usage.events import EventAnswer, Verdict
from revline.subledger.usage.log.values import ACCEPTED, CONFLICT, DUPLICATE
from revline.subledger.usage.log.values import Answers as LogAnswers

Header = tuple[bytes, bytes]
JSON: Final[tuple[Header, ...]] = ((b"content-type", b"application/json"),)
PROBLEM: Final[Header] = (b"content-type", MEDIA_TYPE.encode())
_ENCODER: Final = msgspec.json.Encoder()
_WELL: Final = {ACCEPTED: b'{"verdict":"accepted"}', DUPLICATE: b'{"verdict":"duplicate"}'}


class Answered(msgspec.Struct, frozen=True, gc=False):
    """What goes back. headers: beside those of every answer."""

    status: int
    body: bytes
    headers: tuple[Header, ...] = JSON


class ToldEvent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What became of one event. id, problem: of one that is a conflict or invalid, as RFC 9457 members."""

    verdict: Verdict
    id: str = ""
    problem: dict[str, Any] | None = None


class UsageAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """How many events there are of each verdict, and each event's, in the order they were sent."""

    counts: dict[str, int]
    events: Sequence[ToldEvent]


def _all_well(verdicts: bytes) -> Answered:
    """The same, put together from parts: a thousand answers are made in the time of thirty."""
    counts = {"accepted": verdicts.count(ACCEPTED), "duplicate": verdicts.count(DUPLICATE)}
    head = _ENCODER.encode({name: count for name, count in counts.items() if count})
    events = b",".join([_WELL[verdict] for verdict in verdicts])
    return Answered(200, b'{"counts":%b,"events":[%b]}' % (head, events))


_ALONE: Final = {verdict: _all_well(bytes([verdict])) for verdict in (ACCEPTED, DUPLICATE)}


def of_taken(taken: Taken, *, batch: bool, base: str, correlation_id: str) -> Answered:
    """200 with every verdict; the problem itself where the one event that was sent alone is refused."""
    if isinstance(taken, Single) and taken.verdict in _ALONE:
        return _ALONE[taken.verdict]
    if isinstance(taken, LogAnswers) and not taken.decoded.invalid and CONFLICT not in taken.verdicts:
        return _all_well(taken.verdicts)
    answers = taken.each()
    refused = answers[0].problem if answers and not batch else None
    if refused is not None:
        return of_problem(refused, base=base, correlation_id=correlation_id)
    counts: dict[str, int] = {}
    for each in answers:
        counts[each.verdict.value] = counts.get(each.verdict.value, 0) + 1
    told = [_told(each, base=base, correlation_id=correlation_id) for each in answers]
    return Answered(200, _ENCODER.encode(UsageAnswer(counts=counts, events=told)))


def _told(each: EventAnswer, *, base: str, correlation_id: str) -> ToldEvent:
    found = each.problem
    if found is None:
        return ToldEvent(verdict=each.verdict)
    told = problem_body(found, base=base, correlation_id=correlation_id)
    return ToldEvent(verdict=each.verdict, id=each.id, problem=told)


def of_problem(found: Problem, *, base: str, correlation_id: str) -> Answered:
    """The problem document with its status and the headers that go with it."""
    status = found.entry.status
    given = dict(HEADERS.get(status, {}))
    if found.code in RETRY_AFTER:
        given["Retry-After"] = RETRY_AFTER[found.code]
    if status == 405:
        given["Allow"] = "POST"
    if status == 415:
        given["Accept-Encoding"] = "gzip, zstd"
    headers = tuple((name.lower().encode(), text.encode()) for name, text in given.items())
    body = canonical_bytes(problem_body(found, base=base, correlation_id=correlation_id))
    return Answered(status, body, (PROBLEM, *headers))


def of_failure(failure: Exception, *, base: str, correlation_id: str) -> Answered:
    """A failure nobody foresaw, logged by type and place; a database that is away says so."""
    if isinstance(failure, RecursionError):
        found = problem("json.too_deep", f"the body nests too deep; {DEPTH_MAX} is the most")
    elif is_transient(failure):
        log().warning("usage.database_away", exc_info=failure)
        found = problem("service.unavailable", "the database did not answer in time")
    else:
        log().error("usage.failed", exc_info=failure)
        found = problem(
            "internal.unexpected", "the request could not be finished; give the operator the correlation id"
        )
    return of_problem(found, base=base, correlation_id=correlation_id)
