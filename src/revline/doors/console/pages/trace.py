"""Trace: from any id to the whole way, as a picture and as a timeline."""

from __future__ import annotations

from shlex import quote
from typing import Any, Final

from revline.core.hashing import canonical_bytes
from revline.doors.console.shown import pretty
from revline.doors.console.values import Answer, Group, Page, SameAs, View, Visit, query_text
from revline.doors.trace_view import NODE_HEIGHT, NODE_WIDTH, picture, timeline
from revline.doors.tracing import trace_of

SHAPES: Final = ("picture", "timeline", "json")


def trace(visit: Visit) -> Answer:
    """The way of what an id names; without one, how to ask."""
    value = visit.filter("id").strip()
    shape = visit.filter("as", among=SHAPES, default="picture") or "picture"
    found = trace_of(visit.services, tenant_id=visit.tenant_id, value=value) if value else None
    values: dict[str, Any] = {
        "value": value,
        "found": found,
        "shape": shape,
        "tabs": [
            ("picture", "Picture", visit.url("trace", id=value), None),
            ("timeline", "Timeline", visit.url("trace", **{"id": value, "as": "timeline"}), None),
            ("json", "JSON", visit.url("trace", **{"id": value, "as": "json"}), None),
        ],
        "same": SameAs(
            command=f"revline trace {quote(value)} --tenant {visit.tenant_id}" if value else "",
            call=f"GET /v1/trace{query_text({'value': value})}" if value else "",
        ),
        "link": lambda kind, record_id: _link(visit, kind, record_id),
    }
    if found is not None:
        values |= {
            "picture": picture(found),
            "timeline": timeline(found),
            "json": pretty(canonical_bytes(found)) if shape == "json" else "",
            "size": (NODE_WIDTH, NODE_HEIGHT),
            "counts": _counts(found),
        }
    title = value or "Trace"
    return View(
        template="trace.html",
        title=title,
        values=values,
        status=200 if found is not None or not value else 404,
        trail=(("Trace", visit.url("trace")),) if value else (),
    )


def _counts(found: dict[str, Any]) -> list[tuple[str, int]]:
    numbers: dict[str, int] = {}
    for record in found["records"]:
        numbers[record["kind"]] = numbers.get(record["kind"], 0) + 1
    return list(numbers.items())


def _link(visit: Visit, kind: str, record_id: str) -> str:
    """Where a record has a page of its own; else its own trace."""
    if kind == "document":
        return visit.url("delivery", document=record_id)
    if kind == "case":
        return visit.url("case", case=record_id)
    return visit.url("trace", id=record_id)


PAGES: Final = (
    Page(path="/trace", name="trace", title="Trace", answer=trace, icon="git-branch", group=Group.WORK, key="t"),
)
