"""Page of canonical objects, accounting events and journals: fields, units and sources, from the types and their docstrings."""

from __future__ import annotations

from typing import Final

import msgspec

from revline.core import canonical, events, journal
from revline.core.ids import SourceObject
from revline.platform.schemas.contracts import PAYLOADS
from tools.reference import markdown

LEAD: Final = """Every source is translated to canonical objects; accounting events are made of their facts; posting books events as
journals. JSON Schemas of the objects and events, with their versions, are in `schemas/`.

Amounts are JSON strings of plain decimal numbers in the currency's ISO 4217 scale. Moments are RFC 3339 with an offset. Days are
`YYYY-MM-DD` in the time zone of the legal entity. Periods are half-open: the end is the first day that is not in them."""


def render() -> str:
    """The page."""
    objects = markdown.nested(kinds=canonical.KINDS.values())
    happened = [kind for kind in markdown.nested(kinds=[events.AccountingEvent]) if kind not in objects]
    booked = [kind for kind in markdown.nested(kinds=[journal.JournalEntry]) if kind not in (*objects, *happened)]
    parts = [
        "## Canonical objects",
        _first_paragraph(canonical),
        *(_struct(kind) for kind in objects),
        f"## Accounting events (version {events.EVENTS_VERSION})",
        _first_paragraph(events),
        _kinds(),
        *(_struct(kind) for kind in happened if kind is not SourceObject),
        _struct(SourceObject),
        "## Journals",
        *(_struct(kind) for kind in booked),
    ]
    return markdown.page(title="Canonical objects, events and journals", lead=LEAD, parts=parts)


def _kinds() -> str:
    rows = [
        (
            markdown.code(kind.value),
            markdown.type_text(PAYLOADS[kind]),
            markdown.code(events.MIRRORS[kind].value) if kind in events.MIRRORS else "",
        )
        for kind in events.EventKind
    ]
    return markdown.table(columns=("Event", "Payload", "Mirrors the entry of"), rows=rows)


def _struct(kind: type[msgspec.Struct]) -> str:
    whole, _ = markdown.split_notes(kind=kind)
    return "\n\n".join([f"### {kind.__name__}", whole, markdown.struct_table(kind=kind)])


def _first_paragraph(module: object) -> str:
    """The first paragraph after a module's title."""
    return markdown.paragraphs(module)[1]
