"""Planting defects in the product's real code: the list of them, and how one is applied to the running process and taken back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any, Final

import msgspec
import pytest
from sqlalchemy import text

WHERE: Final = ("tests.sim.defects", "tests.sim.defects_around")
Apply = Callable[[pytest.MonkeyPatch], None]


class Defect(msgspec.Struct, frozen=True, kw_only=True):
    """One planted defect. what: in a sentence, for the table."""

    name: str
    what: str
    apply: Apply


_ALL: Final[dict[str, Defect]] = {}


def defect(what: str) -> Callable[[Apply], Apply]:
    """Registers a function that plants the defect it is named after."""

    def register(apply: Apply) -> Apply:
        name = apply.__name__.replace("_", "-")
        _ALL[name] = Defect(name=name, what=what, apply=apply)
        return apply

    return register


def defects() -> Sequence[Defect]:
    """Every one, in the order of the files."""
    for module in WHERE:
        import_module(module)
    return tuple(_ALL.values())


def change_sql(patch: pytest.MonkeyPatch, module: Any, name: str, *pairs: tuple[str, str]) -> None:
    """Put another text in a statement of a module; it must hold what is replaced."""
    statement = getattr(module, name).text
    for old, new in pairs:
        assert old in statement, f"{module.__name__}.{name} no longer holds {old!r}"
        statement = statement.replace(old, new)
    patch.setattr(module, name, text(statement))
