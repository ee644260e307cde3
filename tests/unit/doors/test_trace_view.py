"""A trace drawn: columns in the order of the way, lines that lead on, nothing on top of anything, and nothing lost in silence."""

from __future__ import annotations

import itertools
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from revline.doors.trace_view import COLUMNS, NODE_HEIGHT, NODE_WIDTH, NODES_MAX, picture, timeline


def trace(counts: dict[str, int], hops: list[tuple[str, str]] | None = None) -> dict[str, Any]:
    records = [
        {"kind": kind, "record_id": f"{kind}{number}", "title": "", "at": "", "fields": {}, "start": False}
        for kind, count in counts.items()
        for number in range(count)
    ]
    made = [{"from": source, "relation": "makes", "to": derived} for source, derived in hops or []]
    return {"records": records, "hops": made, "truncated": False}


def test_the_way_reads_from_left_to_right() -> None:
    counts = {"document": 1, "fact": 2, "journal": 1}
    found = picture(trace(counts, [("fact fact0", "journal journal0"), ("journal journal0", "document document0")]))
    assert [kind for kind, _ in found.columns] == ["fact", "journal", "document"]
    assert all(edge.x1 < edge.x2 for edge in found.edges)


@given(st.dictionaries(st.sampled_from([*COLUMNS, "contract"]), st.integers(0, 30), max_size=8))
def test_no_record_lies_on_another_and_every_one_is_drawn_or_counted(counts: dict[str, int]) -> None:
    found = picture(trace(counts))
    assert len(found.nodes) + found.hidden == sum(counts.values())
    assert len(found.nodes) <= NODES_MAX
    for one, other in itertools.combinations(found.nodes, 2):
        assert abs(one.x - other.x) >= NODE_WIDTH or abs(one.y - other.y) >= NODE_HEIGHT
    assert all(node.x + NODE_WIDTH <= found.width and node.y + NODE_HEIGHT <= found.height for node in found.nodes)


def test_what_was_searched_for_is_never_among_the_hidden() -> None:
    many = trace({"fact": NODES_MAX + 5})
    many["records"][-1]["start"] = True
    found = picture(many)
    assert found.hidden == 5
    assert any(node.start for node in found.nodes)


def test_the_timeline_goes_by_time_and_ends_with_what_has_none() -> None:
    given_trace = trace({"fact": 2, "root": 1})
    given_trace["records"][0]["at"], given_trace["records"][1]["at"] = "2026-01-02T00:00:00Z", "2026-01-01T00:00:00Z"
    assert [one.record_id for one in timeline(given_trace)] == ["fact1", "fact0", "root0"]
