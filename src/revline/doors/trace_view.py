"""A trace as a picture: records in columns by how far along the way they are, hops as lines between them. Pure.

The layout is computed here and not in the browser, so that it is the same for everybody and can be tested.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

COLUMNS: Final = ("fact", "root", "accounting_event", "journal", "document", "erp_record", "case")
NODES_MAX: Final = 120
NODE_WIDTH: Final = 168
NODE_HEIGHT: Final = 46
COLUMN_GAP: Final = 28
ROW_GAP: Final = 14
MARGIN: Final = 8
LOWEST: Final = 1_000_000_000


class Node(msgspec.Struct, frozen=True, kw_only=True):
    """A record on the picture. x, y: its upper left corner, in pixels. start: what was searched for."""

    key: str
    kind: str
    record_id: str
    title: str
    at: str
    start: bool
    x: int
    y: int


class Edge(msgspec.Struct, frozen=True, kw_only=True):
    """A hop as a line between two nodes, in pixels, from left to right where the way goes on."""

    source: str
    derived: str
    relation: str
    x1: int
    y1: int
    x2: int
    y2: int


class Picture(msgspec.Struct, frozen=True, kw_only=True):
    """The whole picture. hidden: records beyond NODES_MAX, which the timeline still lists."""

    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    columns: tuple[tuple[str, int], ...]
    width: int
    height: int
    hidden: int


class Moment(msgspec.Struct, frozen=True, kw_only=True):
    """A record on the timeline. day: its day as text, "" when it has no time of its own."""

    day: str
    at: str
    kind: str
    record_id: str
    title: str
    fields: Mapping[str, Any]
    start: bool


def picture(trace: Mapping[str, Any]) -> Picture:
    """The picture of a trace (`tracing.trace_of`): one column a kind that occurs, in the order of the way."""
    records: Sequence[Mapping[str, Any]] = sorted(trace["records"], key=lambda one: not one["start"])[:NODES_MAX]
    hidden = len(trace["records"]) - len(records)
    by_column: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for record in records:
        by_column[record["kind"]].append(record)
    kinds = sorted(by_column, key=lambda kind: (COLUMNS.index(kind) if kind in COLUMNS else len(COLUMNS), kind))
    neighbours = _neighbours(trace["hops"])
    placed: dict[str, Node] = {}
    for number, kind in enumerate(kinds):
        for row, record in enumerate(_ordered(by_column[kind], placed, neighbours)):
            key = f"{kind} {record['record_id']}"
            placed[key] = Node(
                key=key,
                kind=kind,
                record_id=record["record_id"],
                title=record["title"] or record["record_id"],
                at=record["at"],
                start=record["start"],
                x=MARGIN + number * (NODE_WIDTH + COLUMN_GAP),
                y=MARGIN + 24 + row * (NODE_HEIGHT + ROW_GAP),
            )
    edges = tuple(
        _edge(placed[hop["from"]], placed[hop["to"]], hop["relation"])
        for hop in trace["hops"]
        if hop["from"] in placed and hop["to"] in placed
    )
    tallest = max((len(found) for found in by_column.values()), default=0)
    return Picture(
        nodes=tuple(placed.values()),
        edges=edges,
        columns=tuple((kind, MARGIN + number * (NODE_WIDTH + COLUMN_GAP)) for number, kind in enumerate(kinds)),
        width=2 * MARGIN + max(len(kinds), 1) * (NODE_WIDTH + COLUMN_GAP) - COLUMN_GAP,
        height=2 * MARGIN + 24 + max(tallest, 1) * (NODE_HEIGHT + ROW_GAP) - ROW_GAP,
        hidden=hidden,
    )


def timeline(trace: Mapping[str, Any]) -> tuple[Moment, ...]:
    """Every record in the order of its time; those without a time of their own come last, in the order of the way."""
    moments = [
        Moment(
            day=record["at"][:10],
            at=record["at"],
            kind=record["kind"],
            record_id=record["record_id"],
            title=record["title"] or record["record_id"],
            fields=record["fields"],
            start=record["start"],
        )
        for record in trace["records"]
    ]
    return tuple(sorted(moments, key=lambda one: (not one.at, one.at)))


def _neighbours(hops: Sequence[Mapping[str, str]]) -> Mapping[str, Sequence[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    for hop in hops:
        found[hop["to"]].append(hop["from"])
        found[hop["from"]].append(hop["to"])
    return found


def _ordered(
    records: Sequence[Mapping[str, Any]], placed: Mapping[str, Node], neighbours: Mapping[str, Sequence[str]]
) -> list[Mapping[str, Any]]:
    """Each record near the mean height of what it hangs on to the left, so that lines cross little."""

    def height(record: Mapping[str, Any]) -> tuple[int, str, str]:
        near = [placed[key].y for key in neighbours.get(f"{record['kind']} {record['record_id']}", ()) if key in placed]
        mean = sum(near) // len(near) if near else LOWEST
        return mean, record["at"], record["record_id"]

    return sorted(records, key=height)


def _edge(source: Node, derived: Node, relation: str) -> Edge:
    left, right = (source, derived) if source.x <= derived.x else (derived, source)
    return Edge(
        source=source.key,
        derived=derived.key,
        relation=relation,
        x1=left.x + NODE_WIDTH,
        y1=left.y + NODE_HEIGHT // 2,
        x2=right.x,
        y2=right.y + NODE_HEIGHT // 2,
    )
