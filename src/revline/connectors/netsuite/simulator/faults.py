"""How the simulated NetSuite misbehaves on demand: counted rules with a seed of their own. Decides only; `account` acts."""

from __future__ import annotations

import random
from enum import StrEnum
from typing import Final

import msgspec


class Fault(StrEnum):
    """What goes wrong with a call.

    answer_lost: committed, then the connection closes. slow: waits `seconds` before its effect; slow_answer: after it. throttle:
    429 CONCURRENCY_LIMIT_EXCEEDED. fail_before, fail_after: 500 UNEXPECTED_ERROR without and with an effect. outage: the
    connection closes before any effect. unreadable: committed, then 200 with a page. token: 401 INVALID_LOGIN, and
    invalid_grant from the token address. period_lock: the period of the `keep`-th record of a batch closes as its turn comes.
    partial: records of a batch after the first `keep` fail with UNEXPECTED_ERROR and are not made. job_hangs: a job does nothing
    and never ends. job_silent: a job does its work and never says so. lookup_lag: queries miss what was committed in the last
    `seconds`. page_lost: a query's page comes back empty, with the total unchanged.
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
    LOOKUP_LAG = "lookup_lag"
    PAGE_LOST = "page_lost"


class FaultRule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One fault to come.

    operation: which calls, such as invoice.create, journalEntry.batch, suiteql.query, *.create or * for all. after: matching calls
    to let pass first. count: calls it strikes, None until it is lifted. percent: how many in a hundred, drawn from `seed`.
    seconds, keep: see Fault.
    """

    fault: Fault
    operation: str = "*"
    after: int = 0
    count: int | None = 1
    percent: int = 100
    seed: int = 0
    seconds: int = 0
    keep: int = 0


class FaultState(msgspec.Struct, frozen=True, kw_only=True):
    """A rule with how many calls it matched and struck."""

    rule_id: str
    rule: FaultRule
    matched: int
    fired: int
    lifted: bool


class _Active:
    def __init__(self, rule: FaultRule) -> None:
        self.rule = rule
        self.random = random.Random(rule.seed)  # noqa: S311 - a replayable draw, no secret
        self.matched = 0
        self.fired = 0
        self.lifted = False

    def strikes(self, operation: str) -> bool:
        if self.lifted or not _matches(self.rule.operation, operation):
            return False
        self.matched += 1
        if self.matched <= self.rule.after or (self.rule.count is not None and self.fired >= self.rule.count):
            return False
        if self.rule.percent < 100 and self.random.randrange(100) >= self.rule.percent:
            return False
        self.fired += 1
        return True


def _matches(pattern: str, operation: str) -> bool:
    if pattern == "*":
        return True
    record, _, verb = pattern.partition(".")
    wanted, _, done = operation.partition(".")
    return record in {"*", wanted} and verb in {"*", done}


class Faults:
    """The rules in force, in the order they were added; one call can be struck by several."""

    RULES_MAX: Final = 1_000

    def __init__(self) -> None:
        self._rules: dict[str, _Active] = {}

    def add(self, *, rule: FaultRule) -> str:
        """Put a rule in force and name it. ValueError for one out of bounds."""
        if len(self._rules) >= self.RULES_MAX or not 0 <= rule.seconds <= 3_600 or not 0 <= rule.percent <= 100:
            raise ValueError("too many rules, or seconds or percent out of bounds")
        name = f"fault-{len(self._rules) + 1}"
        self._rules[name] = _Active(rule)
        return name

    def lift(self, *, rule_id: str = "") -> None:
        """End one rule, or all."""
        for name, active in self._rules.items():
            if rule_id in {"", name}:
                active.lifted = True

    def striking(self, *, operation: str) -> dict[Fault, FaultRule]:
        """The faults that strike this call; of two rules of one fault the first."""
        struck: dict[Fault, FaultRule] = {}
        for active in self._rules.values():
            if active.rule.fault not in struck and active.strikes(operation):
                struck[active.rule.fault] = active.rule
        return struck

    def states(self) -> tuple[FaultState, ...]:
        """Every rule ever added, with its counts."""
        return tuple(
            FaultState(rule_id=name, rule=active.rule, matched=active.matched, fired=active.fired, lifted=active.lifted)
            for name, active in self._rules.items()
        )
