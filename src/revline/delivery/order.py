"""What may wait for what, so that waiting never closes a circle. Pure.

Every document stands behind its predecessors and behind what is earlier in its lane. A predecessor has a lower rank, or is earlier
in the same lane; all of a lane have one rank, because the rank is part of the lane's name. So each step from a document to what
it stands behind lowers (rank, place in the lane), and whoever follows such steps arrives at something that stands by itself.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from revline.core.documents import Document, Rank
from revline.core.ids import lane_id
from revline.delivery.values import LANE_KIND

EARLIER: Final = -1
"""Place of whatever was in a lane before those that are being written: earlier than all of them."""


class Place(NamedTuple):
    """Where a document stands in the order. sequence: its place in its lane."""

    rank: Rank
    lane_id: str
    sequence: int


def delivery_lane(*, tenant_id: str, connection: str, lane_key: str, rank: Rank) -> str:
    """The id of the lane of a connection, a lane key and a rank."""
    return lane_id(tenant=tenant_id, kind=LANE_KIND, key=f"{connection}:{int(rank)}:{lane_key}")


def lane_of(*, tenant_id: str, document: Document) -> str:
    """The id of the lane a document goes on."""
    return delivery_lane(
        tenant_id=tenant_id, connection=document.connection, lane_key=document.lane_key, rank=document.rank
    )


def may_wait(*, before: Place, after: Place) -> bool:
    """Whether a document at `after` may wait for one at `before`."""
    if before.lane_id == after.lane_id:
        return before.sequence < after.sequence
    return before.rank < after.rank


def check_order(*, before: Place, after: Place, before_id: str, after_id: str) -> None:
    """Raises ValueError where `may_wait` says no: whoever made the documents has an error in its order."""
    if may_wait(before=before, after=after):
        return
    raise ValueError(
        f"document {after_id} (rank {after.rank.name}) can't wait for {before_id} (rank {before.rank.name}):"
        " only a lower rank or an earlier one of its own lane"
    )
