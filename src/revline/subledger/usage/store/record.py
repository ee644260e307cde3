"""Writes of the manifest that take an open unit: what a seal, a merge, an erasure or retention adds and replaces, in one step."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Final, Literal

import msgspec
from sqlalchemy import select, text

from revline.core.hashing import canonical_bytes
from revline.core.ids import lane_id
from revline.platform.store.unit import Unit
from revline.platform.work import record as work
from revline.platform.work.lanes import PRIORITY_BULK
from revline.subledger.usage.store.tables import usage_published, usage_sealed, usage_segment
from revline.subledger.usage.store.values import Segment, SegmentState

COMPACT_LANE: Final = "usage_compact"
"""Level lanes, one a tenant: due when its segments changed."""
Act = Literal["seal", "compact", "erase", "retain", "adopt", "partials"]

_LOCK_SEGMENTS = text(
    """
    SELECT segment_id FROM usage_segment
    WHERE tenant_id = :tenant AND segment_id = ANY(CAST(:segments AS text[])) AND state = 'live'
    ORDER BY segment_id FOR UPDATE
    """
)


def lock_sealed(unit: Unit, *, tenant_id: str) -> Mapping[int, int]:
    """How far each shard is sealed for a tenant; nobody else moves it until the unit ends. Locks come in order of the tenants."""
    table = usage_sealed
    statement = select(table.c.shard, table.c.through).where(table.c.tenant_id == tenant_id).order_by(table.c.shard)
    return {int(row.shard): int(row.through) for row in unit.connection.execute(statement.with_for_update())}


def lock_live(unit: Unit, *, tenant_id: str, segments: Sequence[str]) -> frozenset[str]:
    """Those of these segments that are live; they stay so until the unit ends."""
    found = unit.connection.execute(_LOCK_SEGMENTS, {"tenant": tenant_id, "segments": list(segments)})
    return frozenset(found.scalars())


def publish(
    unit: Unit,
    *,
    tenant_id: str,
    act: Act,
    added: Sequence[Segment] = (),
    replaced: Sequence[Segment] = (),
    sealed: Mapping[int, int] | None = None,
) -> None:
    """Change the manifest. replaced: live until now, locked before. sealed: how far shards are sealed from now on."""
    for one in added:
        _write(unit, tenant_id, one, SegmentState.LIVE)
    for one in replaced:
        _write(unit, tenant_id, one, SegmentState.REPLACED)
    for shard, through in sorted((sealed or {}).items()):
        unit.project(
            usage_sealed,
            key=("shard",),
            tenant_id=tenant_id,
            shard=shard,
            through=through,
            position=unit.this_position,
        )
    if act in {"seal", "adopt"}:
        lane = lane_id(tenant=tenant_id, kind=COMPACT_LANE, key="")
        work.request(unit, tenant_id=tenant_id, kind=COMPACT_LANE, lane_ids=[lane], priority=PRIORITY_BULK)
    if added or replaced:
        unit.record(
            usage_published,
            tenant_id=tenant_id,
            act=act,
            added=canonical_bytes([one.segment_id for one in added]).decode(),
            replaced=canonical_bytes([one.segment_id for one in replaced]).decode(),
            rows_added=sum(one.rows for one in added),
            rows_replaced=sum(one.rows for one in replaced),
            digest=hashlib.sha256("\n".join(one.digest for one in added).encode()).digest(),
            at=unit.recorded_at,
        )


def _write(unit: Unit, tenant_id: str, segment: Segment, state: SegmentState) -> None:
    unit.project(
        usage_segment,
        key=("segment_id",),
        tenant_id=tenant_id,
        segment_id=segment.segment_id,
        kind=segment.kind,
        state=state,
        rows=segment.rows,
        first_at=segment.first_at,
        last_at=segment.last_at,
        size_bytes=segment.size_bytes + segment.partials_bytes,
        body=msgspec.to_builtins(segment),
        changed_at=unit.recorded_at,
        position=unit.this_position,
    )
