"""The part of SOQL the simulated org answers: fields, parents, subqueries, COUNT(), WHERE, ORDER BY, LIMIT and OFFSET. Pure.

Source: "SOQL SELECT Syntax". Comparisons are = != < <= > >= LIKE IN, joined by AND, OR, NOT and brackets.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

TOKENS: Final = re.compile(
    r"""\s*(?:(?P<text>'(?:[^'\\]|\\.)*')|(?P<moment>\d{4}-\d\d-\d\d(?:T[0-9:.]+(?:Z|[+-]\d\d:?\d\d))?)"""
    r"""|(?P<number>-?\d+(?:\.\d+)?)|(?P<word>[A-Za-z_][A-Za-z0-9_.]*)|(?P<sign><=|>=|!=|<>|[=<>(),]))"""
)
LENGTH_MAX: Final = 100_000
DEPTH_MAX: Final = 20
_KEYWORDS: Final = frozenset({"from", "where", "order", "limit", "offset", "and", "or", "not", "asc", "desc"})
Values = Callable[[str], Any]
Condition = Callable[[Values], bool]


class MalformedError(ValueError):
    """The query can't be read."""


class Select(msgspec.Struct, frozen=True, kw_only=True):
    """One query. fields: names, parents with a dot. children: subqueries by relationship name. order: (field, descending)."""

    object_name: str
    fields: tuple[str, ...]
    children: tuple[Select, ...] = ()
    count: bool = False
    condition: Condition | None = None
    names_used: tuple[str, ...] = ()
    order: tuple[tuple[str, bool], ...] = ()
    limit: int | None = None
    offset: int = 0


def parse(*, text: str) -> Select:
    """The query. MalformedError says what can't be read."""
    if len(text) > LENGTH_MAX:
        raise MalformedError("SOQL statements cannot be longer than 100000 characters.")
    reader = _Reader(_tokens(text))
    found = reader.select()
    if reader.peek():
        raise MalformedError(f"unexpected token: {reader.peek()}")
    return found


def _tokens(text: str) -> list[str]:
    found, place = [], 0
    text = text.strip()
    while place < len(text):
        match = TOKENS.match(text, place)
        if match is None:
            raise MalformedError(f"unexpected token: {text[place : place + 20]}")
        found.append(match[0].strip())
        place = match.end()
    return found


class _Reader:
    def __init__(self, tokens: list[str]) -> None:
        self._tokens = tokens
        self._place = 0
        self._names: list[str] = []
        self._depth = 0

    def peek(self) -> str:
        return self._tokens[self._place] if self._place < len(self._tokens) else ""

    def take(self, *expected: str) -> str:
        token = self.peek()
        if not token or (expected and token.lower() not in expected):
            raise MalformedError(f"unexpected token: {token or '<EOF>'}")
        self._place += 1
        return token

    def took(self, word: str) -> bool:
        if self.peek().lower() == word:
            self._place += 1
            return True
        return False

    def select(self) -> Select:
        self.take("select")
        fields, children, count = self._columns()
        self.take("from")
        name = self.take()
        outer, self._names = self._names, []
        condition = self._either() if self.took("where") else None
        used, self._names = tuple(self._names), outer
        order: list[tuple[str, bool]] = []
        if self.took("order"):
            self.take("by")
            order.append(self._ordering())
            while self.took(","):
                order.append(self._ordering())
        limit = int(self.take()) if self.took("limit") else None
        offset = int(self.take()) if self.took("offset") else 0
        return Select(
            object_name=name,
            fields=tuple(fields),
            children=tuple(children),
            count=count,
            condition=condition,
            names_used=used,
            order=tuple(order),
            limit=limit,
            offset=offset,
        )

    def _columns(self) -> tuple[list[str], list[Select], bool]:
        fields: list[str] = []
        children: list[Select] = []
        while True:
            if self.took("("):
                children.append(self.select())
                self.take(")")
            else:
                name = self.take()
                if name.lower() == "count" and self.took("("):
                    self.take(")")
                    return [], [], True
                if name.lower() in _KEYWORDS:
                    raise MalformedError(f"unexpected token: {name}")
                fields.append(name)
            if not self.took(","):
                return fields, children, False

    def _ordering(self) -> tuple[str, bool]:
        name = self.take()
        descending = self.took("desc")
        if not descending:
            self.took("asc")
        return name, descending

    def _either(self) -> Condition:
        self._depth += 1
        if self._depth > DEPTH_MAX:
            raise MalformedError("too deep")
        found = [self._both()]
        while self.took("or"):
            found.append(self._both())
        self._depth -= 1
        return lambda values: any(part(values) for part in found)

    def _both(self) -> Condition:
        found = [self._one()]
        while self.took("and"):
            found.append(self._one())
        return lambda values: all(part(values) for part in found)

    def _one(self) -> Condition:
        if self.took("not"):
            inner = self._one()
            return lambda values: not inner(values)
        if self.took("("):
            inside = self._either()
            self.take(")")
            return inside
        return self._comparison()

    def _comparison(self) -> Condition:
        name = self.take()
        self._names.append(name)
        sign = self.take("=", "!=", "<>", "<", "<=", ">", ">=", "like", "in").lower()
        if sign == "in":
            self.take("(")
            wanted = [literal(self.take())]
            while self.took(","):
                wanted.append(literal(self.take()))
            self.take(")")
            return lambda values: values(name) in wanted
        value = literal(self.take())
        if sign == "like":
            pattern = re.compile(re.escape(str(value)).replace("%", ".*").replace("_", ".") + r"\Z", re.I | re.S)
            return lambda values: bool(pattern.match(str(values(name) or "")))
        compare = COMPARISONS[sign]
        return lambda values: compare(comparable(values(name)), comparable(value))


def literal(token: str) -> Any:
    """A literal of a query: text without quotes, number, moment or day as text, true, false or null."""
    if token.startswith("'"):
        return re.sub(r"\\(.)", r"\1", token[1:-1])
    if token.lower() in {"true", "false", "null"}:
        return {"true": True, "false": False, "null": None}[token.lower()]
    if re.match(r"-?\d+(\.\d+)?\Z", token):
        return float(token) if "." in token else int(token)
    return token


def comparable(value: Any) -> Any:
    """A value as it is compared: moments in one form whatever their offset's spelling."""
    if isinstance(value, str) and re.match(r"\d{4}-\d\d-\d\dT", value):
        return re.sub(r"(\.\d+)?(Z|\+00:?00)\Z", "", value)
    return value


def _ordered(compare: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    return lambda left, right: left is not None and right is not None and compare(left, right)


COMPARISONS: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "=": lambda left, right: bool(left == right),
    "!=": lambda left, right: bool(left != right),
    "<>": lambda left, right: bool(left != right),
    "<": _ordered(lambda left, right: left < right),
    "<=": _ordered(lambda left, right: left <= right),
    ">": _ordered(lambda left, right: left > right),
    ">=": _ordered(lambda left, right: left >= right),
}
