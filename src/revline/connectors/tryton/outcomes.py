"""What a failure of Tryton means for the documents of a call. Pure."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from revline.connectors.tryton.client import FailureKind, TrytonFailure
from revline.core.farside import NotSent, Outcome, Rejected, Throttled, Uncertain
from revline.core.problem import Problem, problem

RETRY_AFTER: Final = timedelta(seconds=1)

ROLLED_BACK: Final = frozenset({FailureKind.REFUSED, FailureKind.WARNING, FailureKind.CONFLICT, FailureKind.FAULT})
"""Tryton said so itself, document by document it may say something else."""


def of_read(failure: TrytonFailure) -> Problem:
    """A read that failed: nothing was changed, whatever happened to the answer."""
    match failure.kind:
        case FailureKind.CREDENTIALS | FailureKind.FORBIDDEN:
            return problem("erp.credentials_refused", "Tryton refused the user, or the user may not do this")
        case FailureKind.THROTTLED | FailureKind.BUSY | FailureKind.CONFLICT:
            return problem("erp.busy", "Tryton is busy")
        case FailureKind.UNREACHABLE | FailureKind.UNCERTAIN:
            return problem("erp.unreachable", f"Tryton gave no answer that can be used ({failure.kind.value})")
    return problem("erp.rejected", f"Tryton refused a read ({failure.kind.value})")


def before_write(failure: TrytonFailure) -> Outcome:
    """A read before the write failed: the document was not sent."""
    found = of_read(failure)
    if found.code == "erp.rejected":
        return Rejected(problem=found, evidence=failure.message)
    return NotSent(problem=found)


def of_write(failure: TrytonFailure, *, what: str) -> Outcome:
    """A write failed. what: such as "a move", for people."""
    match failure.kind:
        case FailureKind.REFUSED | FailureKind.FAULT:
            detail = f"Tryton refused {what} ({failure.kind.value}); its words are on the attempt"
            return Rejected(problem=problem("erp.rejected", detail), evidence=failure.message)
        case FailureKind.WARNING:
            name = failure.name.partition(".")[2] or "unnamed"
            detail = f"Tryton warns of {name}, which is not on the allow-list"
            return Rejected(problem=problem("erp.rejected", detail, field=f"warning:{name}"), evidence=failure.message)
        case FailureKind.CONFLICT:
            return NotSent(problem=problem("erp.busy", "somebody changed the record in Tryton first"))
        case FailureKind.THROTTLED:
            return Throttled(retry_after=RETRY_AFTER)
        case FailureKind.CREDENTIALS | FailureKind.FORBIDDEN | FailureKind.UNREACHABLE:
            return NotSent(problem=of_read(failure))
        case FailureKind.BUSY | FailureKind.UNCERTAIN:
            return Uncertain(evidence=failure.message)


def not_tried(failure: TrytonFailure) -> Outcome:
    """A document of the same call that was not sent because an earlier one met this."""
    code = "erp.unreachable" if failure.kind in {FailureKind.UNCERTAIN, FailureKind.UNREACHABLE} else "erp.busy"
    return NotSent(problem=problem(code, f"not sent after an earlier document met {failure.kind.value}"))


def missing(model: str, number: int) -> Outcome:
    """A record that was made is no longer there."""
    return Rejected(problem=problem("erp.record_missing", f"{model} {number} is no longer in Tryton", field=model))


def differs(detail: str, field: str) -> Outcome:
    """Somebody did something else to the record."""
    return Rejected(problem=problem("erp.record_differs", detail, field=field))
