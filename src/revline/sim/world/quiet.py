"""Whether a world has anything left to do, read from lanes and what they wait for."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

import msgspec
from sqlalchemy import Connection, text

_LANES: Final = text(
    """
    SELECT tenant_id, lane_id, kind, owner, parked_code, waiting, pending, due_at FROM lane
    WHERE tenant_id = ANY(CAST(:tenants AS text[])) AND (pending > 0 OR requested > read_through)
    ORDER BY tenant_id, lane_id
    """
)


class Left(msgspec.Struct, frozen=True, kw_only=True):
    """A lane with work left. what: parked, waiting, owned or due."""

    tenant_id: str
    lane_id: str
    kind: str
    what: str
    code: str


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """The lanes with work left."""

    left: tuple[Left, ...]

    @property
    def looks_wanted(self) -> int:
        """How often in a row it must look quiet: what waits may still be woken by a sweep."""
        return 8 if self.left else 4

    @property
    def quiet(self) -> bool:
        """Nothing can go on by itself."""
        return all(one.what in {"parked", "waiting"} for one in self.left)


def standing_of(connection: Connection, *, tenants: Sequence[str], now: datetime) -> Standing:
    """What is left of these tenants' work."""
    return Standing(
        left=tuple(
            Left(
                tenant_id=row.tenant_id,
                lane_id=row.lane_id,
                kind=row.kind,
                what=_what(row.owner, row.parked_code, waiting=row.waiting),
                code=row.parked_code,
            )
            for row in connection.execute(_LANES, {"tenants": list(tenants)})
        )
    )


def _what(owner: str, parked_code: str, *, waiting: bool) -> str:
    if owner:
        return "owned"
    if parked_code:
        return "parked"
    return "waiting" if waiting else "due"
