"""The walk goes both ways from where it starts, keeps its direction after that, and never runs away."""

from __future__ import annotations

from revline.platform.lineage.walk import WALK_RECORDS_MAX, Hop, Reference, walk


def ref(name: str) -> Reference:
    kind, _, record = name.partition(":")
    return Reference(kind=kind, record_id=record)


def graph(*pairs: tuple[str, str]):  # type: ignore[no-untyped-def]
    hops = [Hop(source=ref(one), derived=ref(other), relation="made") for one, other in pairs]
    return lambda reference: [hop for hop in hops if reference in {hop.source, hop.derived}]


WAY = graph(
    ("fact:1", "event:1"),
    ("fact:2", "event:2"),
    ("event:1", "journal:1"),
    ("journal:1", "document:1"),
    ("event:2", "document:2"),
    ("customer:1", "document:1"),
    ("customer:1", "document:2"),
)


def names(start: str) -> set[str]:
    return {f"{one.kind}:{one.record_id}" for one in walk(starts=[ref(start)], hops_of=WAY).records}


def test_from_the_middle_both_ends_are_found() -> None:
    assert names("journal:1") == {"fact:1", "event:1", "journal:1", "document:1"}


def test_a_shared_master_record_does_not_drag_in_its_neighbours() -> None:
    assert "document:2" not in names("document:1")
    assert {"document:1", "document:2"} <= names("customer:1")


def test_the_walk_has_an_end() -> None:
    endless = lambda reference: [  # noqa: E731
        Hop(source=reference, derived=ref(f"n:{int(reference.record_id) + 1}"), relation="made")
    ]
    trace = walk(starts=[ref("n:0")], hops_of=endless)
    assert trace.truncated
    assert len(trace.records) == WALK_RECORDS_MAX + 1
