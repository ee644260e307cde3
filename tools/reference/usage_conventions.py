"""Page of conventions: every setting on which billing systems disagree, its default, and a case that shows its values."""

from __future__ import annotations

from enum import Enum
from typing import Any, Final

import msgspec

from revline.subledger.usage.rating.conventions import Conventions
from tools.reference import markdown
from tools.reference.usage_examples import EXAMPLES, Example

LEAD: Final = """Billing systems rate the same use differently, and mostly do not say so. In a [UsagePrice](configuration.md) each
of these choices is a named setting under `spec.terms.conventions`, with the default given here. The amounts below are what the
engine makes of the case; a test holds the page to it. Prices read from Stripe are rated with `roundingScope: step` and the other
defaults, which come to Stripe's invoice lines. What late usage does is not a matter of the price: see UsagePolicy in the
[configuration](configuration.md)."""


def render() -> str:
    """The page."""
    _, notes = markdown.split_notes(kind=Conventions)
    cases = {each.setting: each for each in EXAMPLES}
    parts = [_setting(each, notes.get(each.name, ""), cases[each.name]) for each in msgspec.structs.fields(Conventions)]
    return markdown.page(title="Usage conventions", lead=LEAD, parts=parts)


def _setting(field: msgspec.structs.FieldInfo, note: str, case: Example) -> str:
    meaning = " ".join(markdown.paragraphs(field.type)) if isinstance(field.type, type(Enum)) else ""
    rows = [
        (
            markdown.code(_value(value)),
            "default" if value == field.default else "",
            case.cost(value),
            case.seen.get(_value(value), ""),
        )
        for value in values_of(field)
    ]
    return "\n\n".join(
        [
            f"## {field.encode_name}",
            meaning or note,
            f"*{case.story}*",
            markdown.table(columns=("Value", "", "Comes to", "Known from"), rows=rows),
        ]
    )


def values_of(field: msgspec.structs.FieldInfo) -> tuple[Any, ...]:
    """Every value a setting can have."""
    return (True, False) if field.type is bool else tuple(field.type)


def _value(value: object) -> str:
    return str(value.value if isinstance(value, Enum) else value).lower()
