"""Finds database statements that forget the tenant, or let the database decide what must be passed in.

    python -m tools.lint_tenancy src

A statement on a tenant table (`select`, `update`, `delete` of SQLAlchemy, or SQL text) must filter or join by `tenant_id` of
each tenant table it names: the row-level policy would hide other tenants' rows, but such a statement reads them all first, and
mixes tenants where several are named. What is meant for every named tenant says so in a comment on it or on the line above:

    # every-tenant: why

SQL never calls now(), random() or gen_random_uuid() and the like; clock_timestamp() stands in `platform/work` once. The
setting that names tenants is set by the store alone. The lint reads source text only: it imports nothing of the product.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

STATEMENTS: Final = {"select", "update", "delete", "exists"}
NESTING: Final = {"where", "union", "union_all", "in_", "exists"}
DECIDING: Final = {
    "now", "random", "gen_random_uuid", "uuidv4", "uuidv7", "transaction_timestamp", "statement_timestamp", "clock_timestamp",
    "timeofday", "current_timestamp", "current_date", "current_time", "localtimestamp", "localtime",
}  # fmt: skip
BARE_WORDS: Final = {"current_timestamp", "current_date", "current_time", "localtimestamp", "localtime"}
CLOCK: Final = "clock_timestamp"
CLOCK_PLACE: Final = "platform/work/"
SETTING_PLACE: Final = "platform/store/"
ESCAPE: Final = re.compile(r"#\s*every-tenant:\s*\S+")
LOOKS_LIKE_SQL: Final = re.compile(r"^\s*(SELECT|INSERT|UPDATE|DELETE|WITH|MERGE|TRUNCATE|COPY|SET)\b.*\s", re.S)
NAMED_IN_SQL: Final = re.compile(r"\b(?:FROM|JOIN|UPDATE|INTO|USING)\s+(?:ONLY\s+)?\"?(\w+)\"?", re.I)
DECIDING_IN_SQL: Final = re.compile(
    rf"\b(?:({'|'.join(sorted(DECIDING - BARE_WORDS))})\s*\(|({'|'.join(sorted(BARE_WORDS))})\b)", re.I
)


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One place. path: of the file as given. line: from 1."""

    path: Path
    line: int
    message: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.message}"


@dataclass(frozen=True, kw_only=True)
class TenantTables:
    """Variable name → table name of every `tenant_table(…)` in the `tables.py` of the tree."""

    by_variable: Mapping[str, str]

    @property
    def names(self) -> frozenset[str]:
        return frozenset(self.by_variable.values())


def main(arguments: list[str]) -> int:
    """Prints the findings of the folders given; 1 if there are any."""
    roots = [Path(argument) for argument in arguments] or [Path("src")]
    findings = [finding for root in roots for finding in lint(root)]
    for finding in findings:
        print(finding)
    print(f"{len(findings)} findings" if findings else "every statement names its tenant", file=sys.stderr)
    return 1 if findings else 0


def lint(root: Path) -> list[Finding]:
    """All findings below a folder."""
    sources = {path: path.read_text(encoding="utf-8") for path in sorted(root.rglob("*.py"))}
    tables = declared_tables(sources)
    findings = [finding for path, source in sources.items() for finding in lint_source(path, source, tables)]
    clocks = [finding for finding in findings if finding.message == _CLOCK_ONCE]
    allowed = clocks[:1]
    return [finding for finding in findings if finding not in allowed]


def declared_tables(sources: Mapping[Path, str]) -> TenantTables:
    """The tenant tables declared in the sources."""
    found: dict[str, str] = {}
    for source in sources.values():
        if "tenant_table(" not in source:
            continue
        for node in ast.walk(ast.parse(source)):
            target, value = _assignment(node)
            if target and isinstance(value, ast.Call) and _last_name(value.func) == "tenant_table" and value.args:
                name = value.args[0]
                if isinstance(name, ast.Constant) and isinstance(name.value, str):
                    found[target] = name.value
    return TenantTables(by_variable=found)


def lint_source(path: Path, source: str, tables: TenantTables) -> list[Finding]:
    """The findings of one module."""
    return list(_Module(path, source, tables).findings())


_CLOCK_ONCE: Final = f"{CLOCK}() stands in one query of {CLOCK_PLACE} only"


class _Module:
    def __init__(self, path: Path, source: str, tables: TenantTables) -> None:
        self.path = path
        self.lines = source.splitlines()
        self.tables = tables
        self.tree = ast.parse(source)
        self.parents = {child: node for node in ast.walk(self.tree) for child in ast.iter_child_nodes(node)}
        self.aliases = self._aliases()
        self.columns: dict[str, set[str]] = {}
        self.columns = self._columns()

    def findings(self) -> Iterator[Finding]:
        seen: set[ast.AST] = set()
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Call):
                yield from self._call_findings(node, seen)
            text = self._text_of(node)
            if text is not None:
                yield from self._text_findings(node, text)

    def _call_findings(self, call: ast.Call, seen: set[ast.AST]) -> Iterator[Finding]:
        name = _last_name(call.func)
        if isinstance(call.func, ast.Attribute) and _last_name(call.func.value) == "func" and name in DECIDING:
            yield from self._deciding(call, name)
        if not self._is_statement(call):
            return
        whole = self._whole(call)
        if whole in seen:
            return
        seen.add(whole)
        missing = [table for table in self._tables_in(whole) if not self._names_tenant(table, whole)]
        if missing and not self._is_escaped(whole):
            yield self._finding(call, f"the statement on {', '.join(missing)} neither filters nor joins by tenant_id")

    def _text_findings(self, node: ast.AST, text: str) -> Iterator[Finding]:
        for match in DECIDING_IN_SQL.finditer(text):
            yield from self._deciding(node, (match[1] or match[2]).lower())
        if SETTING_PLACE not in self.path.as_posix() and ("revline.tenants" in text or "set_config" in text):
            yield self._finding(node, "only the store names tenants")
        named = [name for name in NAMED_IN_SQL.findall(text) if name in self.tables.names]
        is_insert = re.match(r"\s*INSERT\b", text, re.I) is not None
        wanted = len(named)
        if named and not is_insert and text.count("tenant_id") < wanted and not self._is_escaped(node):
            yield self._finding(node, f"the SQL on {', '.join(named)} neither filters nor joins by tenant_id")

    def _deciding(self, node: ast.AST, name: str) -> Iterator[Finding]:
        if name == CLOCK and CLOCK_PLACE in self.path.as_posix():
            yield self._finding(node, _CLOCK_ONCE)
        else:
            yield self._finding(node, f"SQL calls {name}(): pass the value in")

    def _is_statement(self, call: ast.Call) -> bool:
        name = _last_name(call.func)
        if name not in STATEMENTS:
            return False
        if isinstance(call.func, ast.Name):
            return True
        assert isinstance(call.func, ast.Attribute)
        return self._table_of(call.func.value) is not None or _last_name(call.func.value) in {"sa", "sqlalchemy"}

    def _whole(self, node: ast.AST) -> ast.AST:
        """The whole expression a statement is part of: the calls chained to it, and the statement it is nested in."""
        while True:
            parent = self.parents.get(node)
            is_chained = isinstance(parent, ast.Attribute) or (isinstance(parent, ast.Call) and parent.func is node)
            is_nested = isinstance(parent, ast.Call) and _last_name(parent.func) in NESTING
            if parent is None or not (is_chained or is_nested):
                return node
            node = parent

    def _tables_in(self, whole: ast.AST) -> list[str]:
        found: dict[str, None] = {}
        for node in ast.walk(whole):
            table = self._table_of(node)
            if table is not None:
                found[table] = None
        return list(found)

    def _table_of(self, node: ast.AST) -> str | None:
        """The alias or variable of the tenant table a name stands for: `fact`, or `tables.fact`."""
        if isinstance(node, ast.Name) and node.id in self.aliases:
            return node.id
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id.endswith("tables"):
            return node.attr if node.attr in self.tables.by_variable else None
        return None

    def _names_tenant(self, table: str, whole: ast.AST) -> bool:
        if self._mentions(table, whole):
            return True
        scope: ast.AST | None = whole
        while scope is not None and not isinstance(scope, ast.FunctionDef | ast.AsyncFunctionDef):
            scope = self.parents.get(scope)
        if scope is None:
            return False
        if isinstance(self.parents.get(whole), ast.Assign | ast.AnnAssign | ast.NamedExpr):
            return self._mentions(table, scope)
        used = {node.id for node in ast.walk(whole) if isinstance(node, ast.Name)}
        parts = (value for target, value in map(_assignment, ast.walk(scope)) if target in used and value is not None)
        return any(self._mentions(table, part) for part in parts)

    def _mentions(self, table: str, within: ast.AST) -> bool:
        """True where `table.c.tenant_id` (or `table.c["tenant_id"]`, or a name given to `table.c`) stands."""
        for node in ast.walk(within):
            owner: ast.AST | None = None
            if isinstance(node, ast.Attribute) and node.attr == "tenant_id":
                owner = node.value
            if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant):
                owner = node.value if node.slice.value == "tenant_id" else None
            if owner is not None and table in self._tables_of_columns(owner):
                return True
        return False

    def _tables_of_columns(self, node: ast.AST) -> set[str]:
        """The tables whose columns `node` stands for: `fact.c`, or a name it was given to."""
        if isinstance(node, ast.Attribute) and node.attr in {"c", "columns"}:
            found = self._table_of(node.value)
            return {found} if found else set()
        return self.columns.get(node.id, set()) if isinstance(node, ast.Name) else set()

    def _columns(self) -> dict[str, set[str]]:
        found: dict[str, set[str]] = {}
        for node in ast.walk(self.tree):
            target, value = _assignment(node)
            if target and isinstance(value, ast.Attribute):
                for table in self._tables_of_columns(value):
                    found.setdefault(target, set()).add(table)
        return found

    def _aliases(self) -> dict[str, str]:
        """Names of this module that stand for tenant tables: imported, declared, or assigned from one (`.alias()` too)."""
        found: dict[str, str] = {}
        for node in ast.walk(self.tree):
            if isinstance(node, ast.ImportFrom) and (node.module or "").endswith("tables"):
                for name in node.names:
                    if name.name in self.tables.by_variable:
                        found[name.asname or name.name] = name.name
        for node in ast.walk(self.tree):
            target, value = _assignment(node)
            if target is None or value is None:
                continue
            if (
                isinstance(value, ast.Call)
                and _last_name(value.func) == "alias"
                and isinstance(value.func, ast.Attribute)
            ):
                value = value.func.value
            is_declared = isinstance(value, ast.Call) and _last_name(value.func) == "tenant_table"
            is_module_attribute = (
                isinstance(value, ast.Attribute)
                and isinstance(value.value, ast.Name)
                and value.value.id.endswith("tables")
                and value.attr in self.tables.by_variable
            )
            if is_declared or is_module_attribute or (isinstance(value, ast.Name) and value.id in found):
                found[target] = target
        return found

    def _text_of(self, node: ast.AST) -> str | None:
        """The SQL a node is, or None: constants and f-strings that begin like SQL, or are given to `text` or `SQL`."""
        parent = self.parents.get(node)
        if isinstance(parent, ast.JoinedStr | ast.FormattedValue | ast.Expr):
            return None
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            said = node.value
        elif isinstance(node, ast.JoinedStr):
            parts = (part.value if isinstance(part, ast.Constant) else "?" for part in node.values)
            said = "".join(str(part) for part in parts)
        else:
            return None
        is_given = isinstance(parent, ast.Call) and _last_name(parent.func) in {"text", "SQL"} and node in parent.args
        return said if is_given or LOOKS_LIKE_SQL.match(said) else None

    def _is_escaped(self, node: ast.AST) -> bool:
        statement: ast.AST | None = node
        while statement is not None and not isinstance(statement, ast.stmt):
            statement = self.parents.get(statement)
        first = min(getattr(statement, "lineno", 1), getattr(node, "lineno", 1))
        last = max(getattr(node, "end_lineno", first) or first, getattr(node, "lineno", first))
        nearest = [*range(first - 1, first + 1), *range(getattr(node, "lineno", first) - 1, last + 1)]
        return any(ESCAPE.search(self.lines[number - 1]) for number in nearest if 0 < number <= len(self.lines))

    def _finding(self, node: ast.AST, message: str) -> Finding:
        return Finding(path=self.path, line=getattr(node, "lineno", 1), message=message)


def _last_name(node: ast.AST) -> str:
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def _assignment(node: ast.AST) -> tuple[str | None, ast.AST | None]:
    if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
        return node.targets[0].id, node.value
    if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
        return node.target.id, node.value
    return None, None


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
