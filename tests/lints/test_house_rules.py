"""Rules of the house that no tool of others checks. Each reads the sources as text or as a tree; nothing here runs the product."""

from __future__ import annotations

import ast
import importlib
import pkgutil
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import revline
from revline.core.problem import CATALOGUE

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ROOT / "src" / "revline"
FILE_LINES_MAX = 400
FUNCTION_LINES_MAX = 50
PURE = (
    "core",
    "derive",
    "subledger",
    "connectors/stripe",
    "connectors/direct/translate.py",
    "connectors/direct/cloudevents.py",
    "connectors/tryton/translate.py",
    "connectors/simulated/translate.py",
    "delivery/decide.py",
    "delivery/plan.py",
)
MAY_READ_CLOCK = frozenset({"core/clock.py"})
CLOCKS = frozenset(
    {
        ("datetime", "now"),
        ("datetime", "utcnow"),
        ("datetime", "today"),
        ("date", "today"),
        ("time", "time"),
        ("time", "time_ns"),
        ("time", "monotonic"),
        ("time", "sleep"),
    }
)
MAY_GENERATE_AND_SLEEP = ("sim/", "connectors/simulated/")


@cache
def python_files() -> tuple[Path, ...]:
    return tuple(sorted(SOURCES.rglob("*.py")))


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def place(path: Path) -> str:
    return path.relative_to(SOURCES).as_posix()


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def lines_of(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """A function's own lines: one that is defined inside it, as a command in its group, counts for itself."""
    inner = [each for each in node.body if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)]
    decorated = [min([each.lineno, *(one.lineno for one in each.decorator_list)]) for each in inner]
    nested = sum((each.end_lineno or 0) - start + 1 for each, start in zip(inner, decorated, strict=True))
    return (node.end_lineno or 0) - node.lineno + 1 - nested


def test_no_file_is_too_long() -> None:
    lengths = {place(path): len(path.read_text(encoding="utf-8").splitlines()) for path in python_files()}
    assert {name: count for name, count in lengths.items() if count > FILE_LINES_MAX} == {}


def test_no_function_is_too_long() -> None:
    found = {
        f"{place(path)}:{node.lineno} {node.name}": lines_of(node)
        for path in python_files()
        for node in functions(path)
    }
    assert {name: count for name, count in found.items() if count > FUNCTION_LINES_MAX} == {}


def test_every_module_says_what_it_is_for() -> None:
    silent = [place(path) for path in python_files() if not ast.get_docstring(tree_of(path))]
    assert [name for name in silent if "migrations/versions" not in name] == []


def test_pure_code_reads_no_clock() -> None:
    pure = [
        path
        for path in python_files()
        if place(path).startswith(PURE) and place(path) not in MAY_READ_CLOCK and path.name != "service.py"
    ]
    assert len(pure) > 40
    found = [f"{place(path)}:{line} {name}" for path in pure for line, name in clock_reads(path)]
    assert found == []


def test_nothing_but_the_clock_and_the_rehearsals_reads_the_time_of_day() -> None:
    found = [
        f"{place(path)}:{line} {name}"
        for path in python_files()
        if place(path) not in MAY_READ_CLOCK and not place(path).startswith(MAY_GENERATE_AND_SLEEP)
        for line, name in clock_reads(path)
        if name.split(".")[1] not in {"monotonic", "sleep"}
    ]
    assert found == []


def clock_reads(path: Path) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name | ast.Attribute):
            owner = node.value.id if isinstance(node.value, ast.Name) else node.value.attr
            if (owner, node.attr) in CLOCKS:
                yield node.lineno, f"{owner}.{node.attr}"


@cache
def strings() -> tuple[tuple[str, str, bool], ...]:
    """(place, text, whether it defines a code) of every string constant of the sources."""
    found = []
    for path in python_files():
        defining = {
            id(keyword.value)
            for node in ast.walk(tree_of(path))
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "define"
            for keyword in node.keywords
            if keyword.arg == "code"
        }
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.append((f"{place(path)}:{node.lineno}", node.value, id(node) in defining))  # noqa: PERF401
    return tuple(found)


@pytest.fixture(scope="module")
def catalogue() -> dict[str, str]:
    """Code -> remedy, with every module of the product loaded."""
    for module in pkgutil.walk_packages(revline.__path__, "revline."):
        if not module.name.endswith("__main__") and "migrations" not in module.name:
            importlib.import_module(module.name)
    return {code: entry.remedy for code, entry in CATALOGUE.items()}


def test_every_problem_code_is_used_and_has_a_remedy(catalogue: dict[str, str]) -> None:
    used = {text for _, text, defines in strings() if not defines}
    assert sorted(set(catalogue) - used) == []
    for code, remedy in catalogue.items():
        assert re.fullmatch(r"[a-z_]+\.[a-z_]+", code), code
        assert remedy.endswith((".", "`", ")")) or len(remedy.split()) > 3, code
        assert len(remedy.split()) >= 3, (code, remedy)


def test_every_code_a_problem_is_made_of_is_defined(catalogue: dict[str, str]) -> None:
    made = [
        (f"{place(path)}:{node.lineno}", node.args[0].value)
        for path in python_files()
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Call)
        and getattr(node.func, "id", "") in {"problem", "refuse"}
        and node.args
        and isinstance(node.args[0], ast.Constant)
        and isinstance(node.args[0].value, str)
    ]
    assert len(made) > 50
    assert [one for one in made if one[1] not in catalogue] == []


FORBIDDEN = {
    "a package registry": re.compile(
        r"pypi\.|/simple\b|artifactory|--(extra-)?index-url|trusted-host\s*=|registry\.npmjs"
    ),
    "a path of one machine": re.compile(r"(?<![\w.$~{-])/(work|root|home|Users|mnt|opt)/[\w.-]+"),
    "a listening address that is not loopback": re.compile(r"\b0\.0\.0\.0\b"),
}
MAY_SAY_EVERYWHERE = re.compile(r"^tests/|^docs/decisions/")


KEPT = (
    "src",
    "tests",
    "docs",
    "tools",
    "benchmarks",
    "schemas",
    "requirements",
    ".ci",
    "README.md",
    "Makefile",
    "pyproject.toml",
)
SUFFIXES = (".py", ".md", ".yaml", ".yml", ".toml", ".txt", ".json", ".sql", "Makefile", ".ci/run")


def kept_files() -> list[str]:
    """Files of the project that people or programs read, named from its root."""
    tops = [ROOT / name for name in KEPT if (ROOT / name).exists()]
    paths = [path for top in tops for path in ([top] if top.is_file() else sorted(top.rglob("*"))) if path.is_file()]
    return [name for path in paths if (name := path.relative_to(ROOT).as_posix()).endswith(SUFFIXES)]


@pytest.mark.parametrize("what", sorted(FORBIDDEN))
def test_nothing_names(what: str) -> None:
    here = Path(__file__).relative_to(ROOT).as_posix()
    found = [
        f"{name}:{number}: {line.strip()[:100]}"
        for name in kept_files()
        if name != here and not ("loopback" in what and MAY_SAY_EVERYWHERE.search(name))
        for number, line in enumerate((ROOT / name).read_text(encoding="utf-8").splitlines(), 1)
        if FORBIDDEN[what].search(line)
    ]
    assert found == []
