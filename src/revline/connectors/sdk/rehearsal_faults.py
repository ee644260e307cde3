"""Faults on demand: counted rules with a seed of their own. Decides which strike a call; what a fault does is the simulator's."""

from __future__ import annotations

import random
from enum import StrEnum
from typing import Any, Final, Generic, TypeVar

import msgspec

FaultT = TypeVar("FaultT", bound=StrEnum)
SecondsT = TypeVar("SecondsT", str, int)


class Rule(msgspec.Struct, Generic[FaultT, SecondsT], frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One fault to come.

    operation: which calls, such as invoices.create, *.create or * for all. after: matching calls to let pass first. count: calls
    it strikes, None until it is lifted. percent: how many in a hundred matching calls it strikes, drawn from `seed`.
    seconds, keep: see the fault; a simulator writes seconds as a decimal text or as a whole number.
    """

    fault: FaultT
    operation: str = "*"
    after: int = 0
    count: int | None = 1
    percent: int = 100
    seed: int = 0
    seconds: SecondsT
    keep: int = 0


RuleT = TypeVar("RuleT", bound=Rule[Any, Any])


class FaultState(msgspec.Struct, Generic[RuleT], frozen=True, kw_only=True):
    """A rule with how many calls it matched and struck."""

    rule_id: str
    rule: RuleT
    matched: int
    fired: int
    lifted: bool


class _Active(Generic[RuleT]):
    def __init__(self, rule: RuleT) -> None:
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


class RulesInForce(Generic[FaultT, RuleT]):
    """The rules in force, in the order they were added; one call can be struck by several."""

    RULES_MAX: Final = 1_000
    SECONDS_MAX: Final = 3_600

    def __init__(self) -> None:
        self._rules: dict[str, _Active[RuleT]] = {}

    def add(self, *, rule: RuleT) -> str:
        """Put a rule in force and name it. ValueError for one out of bounds."""
        try:
            seconds = float(rule.seconds)
        except ValueError:
            seconds = -1.0
        within = 0 <= seconds <= self.SECONDS_MAX and 0 <= rule.percent <= 100
        if len(self._rules) >= self.RULES_MAX or not within:
            raise ValueError("too many rules, or seconds or percent out of bounds")
        name = f"fault-{len(self._rules) + 1}"
        self._rules[name] = _Active(rule)
        return name

    def lift(self, *, rule_id: str = "") -> None:
        """End one rule, or all."""
        for name, active in self._rules.items():
            if rule_id in {"", name}:
                active.lifted = True

    def striking(self, *, operation: str) -> dict[FaultT, RuleT]:
        """The faults that strike this call; of two rules of one fault the first."""
        struck: dict[FaultT, RuleT] = {}
        for active in self._rules.values():
            if active.rule.fault not in struck and active.strikes(operation):
                struck[active.rule.fault] = active.rule
        return struck

    def states(self) -> tuple[FaultState[RuleT], ...]:
        """Every rule ever added, with its counts."""
        return tuple(
            FaultState(rule_id=name, rule=active.rule, matched=active.matched, fired=active.fired, lifted=active.lifted)
            for name, active in self._rules.items()
        )
