"""How the simulated NetSuite misbehaves on demand: its faults and their rules. Decides only; `account` acts."""

from __future__ import annotations

from enum import StrEnum

from revline.connectors.sdk import rehearsal_faults
from revline.connectors.sdk.rehearsal_faults import Rule, RulesInForce


class Fault(StrEnum):
    """What goes wrong with a call.

    answer_lost: committed, then the connection closes. slow: waits `seconds` before its effect; slow_answer: after it. throttle:
    429 CONCURRENCY_LIMIT_EXCEEDED. fail_before, fail_after: 500 UNEXPECTED_ERROR without and with an effect. outage: the
    connection closes before any effect. unreadable: committed, then 200 with a page. token: 401 INVALID_LOGIN, and
    invalid_grant from the token address. period_lock: the period of the `keep`-th record of a batch closes as its turn comes.
    partial: records of a batch after the first `keep` fail with UNEXPECTED_ERROR and are not made. job_hangs: a job does nothing
    and never ends. job_silent: a job does its work and never says so. job_forgotten: a job that is asked for is not known.
    lookup_lag: queries miss what was committed in the last `seconds`.
    page_lost: a query's page comes back empty, with the total unchanged.
    """

    ANSWER_LOST = "answer_lost"
    SLOW = "slow"
    SLOW_ANSWER = "slow_answer"
    THROTTLE = "throttle"
    FAIL_BEFORE = "fail_before"
    FAIL_AFTER = "fail_after"
    OUTAGE = "outage"
    UNREADABLE = "unreadable"
    TOKEN = "token"  # noqa: S105 - a fault's name
    PERIOD_LOCK = "period_lock"
    PARTIAL = "partial"
    JOB_HANGS = "job_hangs"
    JOB_SILENT = "job_silent"
    JOB_FORGOTTEN = "job_forgotten"
    LOOKUP_LAG = "lookup_lag"
    PAGE_LOST = "page_lost"


class FaultRule(Rule[Fault, int], frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One fault to come. operation: invoice.create, journalEntry.batch, suiteql.query, *.create or * for all.
    seconds: see Fault."""

    seconds: int = 0


FaultState = rehearsal_faults.FaultState[FaultRule]


class Faults(RulesInForce[Fault, FaultRule]):
    """The rules in force."""
