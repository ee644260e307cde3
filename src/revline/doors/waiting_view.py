"""What a document waits for and what waits behind it, as a person reads it. For every door; it reads only."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final

import msgspec
from sqlalchemy import Connection

from revline.core.documents import FINISHED_STATES
from revline.delivery import queries as deliveries
from revline.delivery import standstill
from revline.delivery.chains import Link, Why
from revline.delivery.queries import Delivery
from revline.delivery.values import SUBJECT_KIND
from revline.platform.cases.behind import Behind
from revline.platform.cases.subjects import OpenCase, open_cases_of

BEHIND_SHOWN: Final = 50
_RELATION: Final[Mapping[Why, str]] = {
    Why.PREDECESSOR: "waits for",
    Why.MISSING: "waits for",
    Why.RECORD: "needs the record of",
    Why.LANE: "is on its lane behind",
}


class Hop(msgspec.Struct, frozen=True, kw_only=True):
    """One step ahead. relation: in words, from what comes before it. state: "missing" where it was never written."""

    document_id: str
    relation: str
    kind: str = ""
    state: str = "missing"
    entity: str = ""
    external_reference: str = ""

    @property
    def title(self) -> str:
        """What it is, in words."""
        if not self.kind:
            return f"a document that was never written ({self.document_id[:10]}…)"
        said = "refused" if self.state == "rejected" else self.state
        return f"{self.kind.replace('_', ' ')} {self.external_reference}, which is {said}"


class Waiting(msgspec.Struct, frozen=True, kw_only=True):
    """Where a document stands among others.

    hops: ahead, in order, to what really stands still; cut: the way goes on after them. others: how many more it waits for
    directly. cases: open ones of what really stands still ahead. behind_blocker: all that stands behind that, this document
    included. behind: what stands behind the document itself. said: all of it in one sentence, "" when nothing waits.
    """

    hops: tuple[Hop, ...]
    cut: bool
    others: int
    cases: tuple[OpenCase, ...]
    behind_blocker: Behind
    behind: Behind
    said: str


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """A page of what stands behind a document, by id. total: all of it. after: the last one's id, "" on the last page."""

    items: tuple[Delivery, ...]
    total: Behind
    after: str


def waiting_view(connection: Connection, *, tenant_id: str, document_id: str) -> Waiting:
    """Of one document, or of an id that others wait for."""
    path = standstill.way_ahead(connection, tenant_id=tenant_id, document_id=document_id)
    hops = _hops(connection, tenant_id, path.links)
    blocker = path.links[-1].document_id if path.links and not path.cut else document_id
    subject = (SUBJECT_KIND, blocker)
    opened = open_cases_of(connection, tenant_id=tenant_id, subjects=[subject]).get(subject, ())
    behind = _behind(connection, tenant_id, document_id)
    all_of_it = behind if blocker == document_id else _behind(connection, tenant_id, blocker)
    return Waiting(
        hops=hops,
        cut=path.cut,
        others=path.others,
        cases=opened if hops else (),
        behind_blocker=all_of_it,
        behind=behind,
        said=_said(hops, cut=path.cut, others=path.others, cases=opened, behind=all_of_it),
    )


def first_hops(
    connection: Connection, *, tenant_id: str, documents: Collection[Delivery]
) -> Mapping[str, tuple[Hop, int]]:
    """What each of some documents stands directly behind, and how many more things; those that stand by themselves are left out."""
    unfinished = [one.document_id for one in documents if one.state not in FINISHED_STATES]
    links = standstill.links_ahead(connection, tenant_id=tenant_id, document_ids=unfinished)
    names = sorted({found[0].document_id for found in links.values()})
    rows = deliveries.deliveries_by_id(connection, tenant_id=tenant_id, document_ids=names)
    return {name: (_hop(found[0], rows.get(found[0].document_id)), len(found) - 1) for name, found in links.items()}


def what_waits(
    connection: Connection, *, tenant_id: str, document_id: str, after: str = "", limit: int = BEHIND_SHOWN
) -> Page:
    """A page of the documents that stand behind one, over predecessors and lanes, by id."""
    group = standstill.behind(connection, tenant_id=tenant_id, document_id=document_id)
    total = standstill.total(connection, tenant_id=tenant_id, group=group)
    left = sorted(name for name in group.documents if name > after)
    rows = deliveries.deliveries_by_id(connection, tenant_id=tenant_id, document_ids=left[:limit])
    items = tuple(rows[name] for name in left[:limit] if name in rows)
    return Page(items=items, total=total, after=left[limit - 1] if len(left) > limit else "")


def wait_said(behind: Behind) -> str:
    """How many wait, in words: `3 documents wait`."""
    if behind.more:
        return f"more than {behind.records} documents wait"
    return "1 document waits" if behind.records == 1 else f"{behind.records} documents wait"


def _behind(connection: Connection, tenant_id: str, document_id: str) -> Behind:
    group = standstill.behind(connection, tenant_id=tenant_id, document_id=document_id)
    return standstill.total(connection, tenant_id=tenant_id, group=group)


def _hops(connection: Connection, tenant_id: str, links: Collection[Link]) -> tuple[Hop, ...]:
    names = sorted({link.document_id for link in links})
    rows = deliveries.deliveries_by_id(connection, tenant_id=tenant_id, document_ids=names)
    return tuple(_hop(link, rows.get(link.document_id)) for link in links)


def _hop(link: Link, row: Delivery | None) -> Hop:
    relation = _RELATION[link.why]
    if row is None:
        return Hop(document_id=link.document_id, relation=relation)
    return Hop(
        document_id=link.document_id,
        relation=relation,
        kind=row.kind,
        state=row.state,
        entity=row.entity,
        external_reference=row.external_reference,
    )


def _said(hops: tuple[Hop, ...], *, cut: bool, others: int, cases: tuple[OpenCase, ...], behind: Behind) -> str:
    if not hops:
        return ""
    parts = [f"{hops[0].relation} {hops[0].title}", *(f"and {hop.relation} {hop.title}" for hop in hops[1:])]
    said = " ".join(parts) + (" …" if cut else "")
    if others:
        said += f" (and for {others} more)"
    if cases and not cut:
        said += f": case {cases[0].case_id}, {cases[0].detail}"
    if not cut and (behind.records > 1 or behind.more):
        more = f"more than {behind.records - 1}" if behind.more else str(behind.records - 1)
        said += f"; {more} more {'waits' if behind.records == 2 and not behind.more else 'wait'} behind it"
    return said
