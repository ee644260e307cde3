"""Predicates of posting rules: CEL, compiled once, choosing and never computing. Pure; knows no rule and no account.

Amounts reach an expression as text and are compared by money_gt, money_ge, money_lt, money_le and money_eq, which are exact:
the CEL implementation would take them through binary floating point. Arithmetic is refused when the expression is compiled.
Source of the language: the Common Expression Language specification, github.com/google/cel-spec.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

import cel

from revline.core.money import parse_amount
from revline.core.problem import Mender, Problem, Retryable, define, problem

SOURCE_LENGTH_MAX: Final = 1_000

ARITHMETIC: Final = {"_+_": "+", "_-_": "-", "_*_": "*", "_/_": "/", "_%_": "%", "-_": "-"}
MONEY_FUNCTIONS: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "money_gt": operator.gt,
    "money_ge": operator.ge,
    "money_lt": operator.lt,
    "money_le": operator.le,
    "money_eq": operator.eq,
}
ALLOWED: Final = frozenset(
    {"_&&_", "_||_", "!_", "_==_", "_!=_", "_<_", "_<=_", "_>_", "_>=_", "@in", "_?_:_", "_[_]", "@not_strictly_false"}
    | {"size", "matches", "startsWith", "endsWith", "contains", "has"}
    | set(MONEY_FUNCTIONS)
)
AMOUNT_FIELDS: Final = (
    "amount|net|total|subtotal|discount_total|tax_total|earned|taxable|unit_price|list_unit_price|rate_percent|fee|applied"
    "|expected_refunds|cost|expected_returns_cost|commission"
)
_STRING: Final = re.compile(r"\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*'")
_AMOUNT_COMPARED: Final = re.compile(
    rf"\.({AMOUNT_FIELDS})\s*(==|!=|<=|>=|<|>|\bin\b)|(==|!=|<=|>=|<|>)\s*\w+\.({AMOUNT_FIELDS})\b"
)


class Predicate:
    """A compiled condition. `source` is its text, "" for one that always holds."""

    __slots__ = ("_compares_money", "_names", "_program", "source")

    def __init__(self, *, source: str, program: cel.Program | None) -> None:
        self.source = source
        self._program = program
        self._names = program.variables() if program else []
        self._compares_money = bool(program and MONEY_FUNCTIONS.keys() & set(program.functions()))

    def __repr__(self) -> str:
        return f"Predicate({self.source!r})"

    def holds(self, variables: Mapping[str, Any]) -> bool | Problem:
        """Whether it holds. `posting.expression_failed` when it names what the event does not have."""
        if self._program is None:
            return True
        wrong: list[str] = []
        seen = {name: variables[name] for name in self._names if name in variables}
        context = cel.Context(seen, _money_functions(wrong) if self._compares_money else None)
        try:
            result = self._program.execute(context)
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            return problem("posting.expression_failed", f"{self.source}: {_reason(error)}", field=self.source)
        if wrong:
            return problem("posting.expression_failed", f"{self.source}: {wrong[0]}", field=self.source)
        if not isinstance(result, bool):
            return problem("posting.expression_failed", f"{self.source}: is not true or false", field=self.source)
        return result


ALWAYS: Final = Predicate(source="", program=None)


def compile_predicate(source: str) -> Predicate | Problem:
    """The predicate of an expression; an empty one always holds. `posting.expression_invalid` says what to write instead."""
    if not source.strip():
        return ALWAYS
    if len(source) > SOURCE_LENGTH_MAX:
        return _invalid(f"the expression is longer than {SOURCE_LENGTH_MAX} characters")
    try:
        program = cel.compile(source)
        used = program.functions()
    except (ValueError, RuntimeError) as error:
        return _invalid(_reason(error))
    for name in used:
        if name in ARITHMETIC:
            return _invalid(f"{ARITHMETIC[name]} computes; expressions choose only, amounts come from named functions")
        if name not in ALLOWED:
            return _invalid(f"there is no function {name}; there are {', '.join(sorted(_named()))}")
    found = _AMOUNT_COMPARED.search(_STRING.sub('""', source))
    if found:
        return _invalid(
            f'{found.group(0).strip()} compares an amount; write money_gt(line.amount, "10.00") or a sibling of it'
        )
    return Predicate(source=source, program=program)


def _named() -> set[str]:
    return {name for name in ALLOWED if name.replace("_", "").isalnum() and not name.startswith("_")}


def _invalid(detail: str) -> Problem:
    return problem("posting.expression_invalid", detail)


def _reason(error: Exception) -> str:
    if isinstance(error, KeyError):
        return f"there is no field {error.args[0]!r}"
    for line in str(error).splitlines():
        if "ERROR:" in line:
            return line.split("ERROR:", 1)[1].strip()[:200]
    return str(error).split(". ")[0][:200]


def _money_functions(wrong: list[str]) -> dict[str, Callable[[Any, Any], bool]]:
    def bind(name: str, compare: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
        def run(left: object, right: object) -> bool:
            sides = parse_amount(left), parse_amount(right)
            for side in sides:
                if isinstance(side, Problem):
                    wrong.append(f'{name} takes amounts as text, such as "10.00"; {side.detail}')
                    return False
            return compare(*sides)

        return run

    return {name: bind(name, compare) for name, compare in MONEY_FUNCTIONS.items()}


define(
    code="posting.expression_invalid",
    title="Not an expression a rule may use",
    status=422,
    retryable=Retryable.AFTER_FIX,
    mender=Mender.CONFIGURATION,
    remedy="Write a CEL condition that is true or false, without arithmetic; compare amounts by money_gt and its siblings.",
)
define(
    code="posting.expression_failed",
    title="A rule's condition can't be evaluated for this event",
    status=422,
    retryable=Retryable.AFTER_FIX,
    mender=Mender.CONFIGURATION,
    remedy="Correct the condition: name only fields this kind of event has, and guard optional keys with `in` or has().",
)
