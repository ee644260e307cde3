"""How the simulated ERP misbehaves on demand: rules with a seed of their own, counted.

Decides only; the simulator and its server act.
"""

from __future__ import annotations

import random
from enum import StrEnum

import msgspec

from revline.connectors.simulated.wire import ErrorBody


class Fault(StrEnum):
    """What goes wrong with a call.

    answer_lost: committed, then the connection closes without an answer. slow: the call waits `seconds` before its effect;
    slow_answer: after it. throttle: 429 with Retry-After `seconds`. busy: 503, documented as before any effect. fail_before,
    fail_after: 500 without and with an effect, which a caller can't tell apart. outage: the connection closes before any effect.
    unreadable: committed, then 200 with a page that is not the API's. token: 401. period_lock: the period of the `keep`-th
    document of the call is closed when its turn comes. partial: documents after the first `keep` are answered 503 each.
    short_answer: all are committed, results after the first `keep` are missing. lookup_lag: searches do not see what was
    committed in the last `seconds`.
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


class FaultRule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One fault to come.

    operation: which calls, such as invoices.create, journals.batch, invoices.post, search, read, changes, periods, *.create or
    * for all. after: matching calls to let pass first. count: calls it strikes, None until it is lifted. percent: how many in
    a hundred matching calls it strikes, drawn from `seed`. seconds, keep: see Fault.
    """

    fault: Fault
    operation: str = "*"
    after: int = 0
    count: int | None = 1
    percent: int = 100
    seed: int = 0
    seconds: str = "0"
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
    collection, _, verb = pattern.partition(".")
    wanted, _, done = operation.partition(".")
    return collection in {"*", wanted} and verb in {"*", done}


class Faults:
    """The rules in force, in the order they were added; one call can be struck by several."""

    RULES_MAX = 1_000

    def __init__(self) -> None:
        self._rules: dict[str, _Active] = {}

    def add(self, *, rule: FaultRule) -> str | ErrorBody:
        """Put a rule in force and name it."""
        try:
            seconds = float(rule.seconds)
        except ValueError:
            seconds = -1.0
        if len(self._rules) >= self.RULES_MAX or not 0 <= seconds <= 3_600 or not 0 <= rule.percent <= 100:
            return ErrorBody(
                code="invalid", message="too many rules, or seconds or percent out of bounds", field="rule"
            )
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
