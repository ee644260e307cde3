"""How what a far side holds differs from what was meant: fields with both values, as text. Pure; knows no far side."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec

DIFFERENCE_LENGTH_MAX: Final = 120


class FieldDifference(msgspec.Struct, frozen=True, kw_only=True):
    """One field in which a found record is not the intent. ours, theirs: what is meant and what is there, as text; "" for none."""

    field: str
    ours: str = ""
    theirs: str = ""


def differences_of(
    *, expected: Mapping[str, str], found: Mapping[str, str], names: Iterable[str] | None = None
) -> tuple[FieldDifference, ...]:
    """Fields that are not the same on both sides, by name. names: those that count; all of both sides when not given."""
    chosen = expected.keys() | found.keys() if names is None else set(names)
    return tuple(
        FieldDifference(field=name, ours=expected.get(name, ""), theirs=found.get(name, ""))
        for name in sorted(chosen)
        if expected.get(name) != found.get(name)
    )


def differences_text(differences: Sequence[FieldDifference]) -> str:
    """Differences in words, for a case: each field with both values, long ones cut, at most ten."""
    shown = [f"{one.field} is {_cut(one.theirs)} there, {_cut(one.ours)} here" for one in differences[:10]]
    more = len(differences) - len(shown)
    return "; ".join(shown) + (f"; and {more} more" if more else "")


def _cut(value: str) -> str:
    short = value if len(value) <= DIFFERENCE_LENGTH_MAX else value[: DIFFERENCE_LENGTH_MAX - 1] + "…"
    return short or "empty"
