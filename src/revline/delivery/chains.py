"""Walks along what waits for what: ahead to what really stands still, and behind to all that would go on with it. Pure.

The graph is asked for many documents at once, so a walk costs as many questions as it has steps, not documents. Every walk has a
bound and says when it bit.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from enum import StrEnum
from typing import Final

import msgspec

HOPS_SHOWN: Final = 10
WALK_MAX: Final = 5_000
ROUNDS_MAX: Final = 1_000


class Why(StrEnum):
    """Why one document stands behind another.

    predecessor: it is not finished. missing: it was never written. record: it is finished, but nobody knows its far-side record.
    lane: it is earlier in the same lane.
    """

    PREDECESSOR = "predecessor"
    MISSING = "missing"
    RECORD = "record"
    LANE = "lane"


class Link(msgspec.Struct, frozen=True, kw_only=True):
    """What one document stands directly behind."""

    document_id: str
    why: Why


class Path(msgspec.Struct, frozen=True, kw_only=True):
    """The way from a document ahead to what stands still. links: in order, the last one is what stands still, unless `cut`:
    then the way goes on. others: how many more the first document waits for directly."""

    links: tuple[Link, ...]
    cut: bool
    others: int


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """Documents found by a walk. more: there are others beyond the bound."""

    documents: frozenset[str]
    more: bool


Ahead = Callable[[Collection[str]], Mapping[str, tuple[Link, ...]]]
"""What each of some documents stands directly behind now; nothing for one that stands by itself, or isn't there."""
After = Callable[[Collection[str]], Mapping[str, Collection[str]]]
"""What stands directly behind each of some documents."""


def nearest(links: Iterable[Link]) -> tuple[Link, ...]:
    """Links in the order they are shown: what a document names itself before what is only earlier in its lane."""
    return tuple(sorted(links, key=lambda link: (link.why is Why.LANE, link.document_id, link.why)))


def path_ahead(start: str, *, ahead: Ahead, hops: int = HOPS_SHOWN) -> Path:
    """The way ahead from a document, by the first of the nearest links at each step; empty when it stands by itself."""
    links: list[Link] = []
    seen = {start}
    first = nearest(ahead([start]).get(start, ()))
    following = first
    while following and len(links) < hops:
        link = following[0]
        links.append(link)
        if link.document_id in seen:
            break
        seen.add(link.document_id)
        following = () if _ends(link) else nearest(ahead([link.document_id]).get(link.document_id, ()))
    return Path(links=tuple(links), cut=bool(following) and len(links) >= hops, others=max(0, len(first) - 1))


def blockers(starts: Collection[str], *, ahead: Ahead, limit: int = WALK_MAX) -> Mapping[str, Why | None]:
    """What really stands still ahead of some documents, themselves included, and why it is one: missing, without a record, or
    None for a document that stands by itself. At most `limit` documents are looked at."""
    found: dict[str, Why | None] = {}
    seen = set(starts)
    frontier = sorted(seen)
    while frontier and len(seen) <= limit:
        links = ahead(frontier)
        following: set[str] = set()
        for one in frontier:
            if not links.get(one, ()):
                found.setdefault(one, None)
            for link in links.get(one, ()):
                if _ends(link):
                    found[link.document_id] = link.why
                elif link.document_id not in seen:
                    following.add(link.document_id)
        seen |= following
        frontier = sorted(following)
    return found


def behind(start: str, *, after: After, limit: int = WALK_MAX) -> Group:
    """Everything that stands behind a document, over predecessors and lanes; at most `limit`."""
    found: set[str] = set()
    frontier: set[str] = {start}
    for _ in range(ROUNDS_MAX):
        if not frontier or len(found) > limit:
            break
        following = after(sorted(frontier))
        frontier = {name for names in following.values() for name in names} - found - {start}
        found |= frontier
    kept = frozenset(sorted(found)[:limit])
    return Group(documents=kept, more=len(found) > limit or bool(frontier))


def _ends(link: Link) -> bool:
    return link.why in {Why.MISSING, Why.RECORD}
