"""How the simulated ERP misbehaves on demand: its faults and their rules. Decides only; the simulator and its server act."""

from __future__ import annotations

from enum import StrEnum

from revline.connectors.sdk import rehearsal_faults
from revline.connectors.sdk.rehearsal_faults import Rule, RulesInForce


class Fault(StrEnum):
    """What goes wrong with a call.

    answer_lost: committed, then the connection closes without an answer. slow: the call waits `seconds` before its effect;
    slow_answer: after it. throttle: 429 with Retry-After `seconds`. busy: 503, documented as before any effect. fail_before,
    fail_after: 500 without and with an effect, which a caller can't tell apart. outage: the connection closes before any effect.
    unreadable: committed, then 200 with a page that is not the API's. token: 401. period_lock: the period of the `keep`-th
    document of the call is closed when its turn comes. partial: documents after the first `keep` are answered 503 each.
    short_answer: all are committed, results after the first `keep` are missing. lookup_lag: searches do not see what was
    committed in the last `seconds`. job: documents to be made are taken in with 202 and made `seconds` later, by a job that can be
    asked for.
    """

    ANSWER_LOST = "answer_lost"
    SLOW = "slow"
    SLOW_ANSWER = "slow_answer"
    THROTTLE = "throttle"
    BUSY = "busy"
    FAIL_BEFORE = "fail_before"
    FAIL_AFTER = "fail_after"
    OUTAGE = "outage"
    UNREADABLE = "unreadable"
    TOKEN = "token"  # noqa: S105 - a fault's name
    PERIOD_LOCK = "period_lock"
    PARTIAL = "partial"
    SHORT_ANSWER = "short_answer"
    LOOKUP_LAG = "lookup_lag"
    JOB = "job"


class FaultRule(Rule[Fault, str], frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One fault to come. operation: invoices.create, journals.batch, invoices.post, search, read, changes, periods, *.create or *
    for all. seconds, a decimal text: see Fault."""

    seconds: str = "0"


FaultState = rehearsal_faults.FaultState[FaultRule]


class Faults(RulesInForce[Fault, FaultRule]):
    """The rules in force."""
