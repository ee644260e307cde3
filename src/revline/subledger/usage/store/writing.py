"""Rows of a tenant become objects of the store, with partial aggregates beside them; no manifest names them yet."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import msgspec
import pyarrow as pa

from revline.core.clock import Clock
from revline.core.ids import uuid7
from revline.subledger.usage.store.objects import ObjectStore
from revline.subledger.usage.store.parquet import described, parquet_bytes, partials_bytes, parts_of
from revline.subledger.usage.store.partials import partials_of
from revline.subledger.usage.store.values import PartialSpec, Segment, SegmentKind

PARTIALS_FROM_ROWS: Final = 10_000
"""Fewer rows are read as fast as their partial aggregates would be."""
PARTIALS_SHARE: Final = 0.5
"""Partial aggregates that would have more rows than this share of the events save nothing."""


class Writer:
    """Writes segments for whoever makes them."""

    def __init__(
        self, *, objects: ObjectStore, clock: Clock, random_bytes: Callable[[int], bytes], segment_rows: int
    ) -> None:
        self._objects, self._clock, self._random_bytes = objects, clock, random_bytes
        self._segment_rows = segment_rows

    def write(
        self,
        *,
        tenant_id: str,
        table: pa.Table,
        kind: SegmentKind,
        specs: Sequence[PartialSpec],
        erasure_epoch: int,
        minutes: Sequence[int] = (),
    ) -> tuple[Segment, ...]:
        """Durable files of these plain rows. minutes: buckets of partial aggregates beside the specs' own. Raises OSError."""
        found = []
        for part in parts_of(table, rows=self._segment_rows):
            segment_id = str(uuid7(now=self._clock.now(), random_bytes=self._random_bytes))
            key, body = f"tenants/{tenant_id}/{segment_id}.parquet", parquet_bytes(part)
            self._objects.put(key=key, body=memoryview(body))
            one = described(part, segment_id=segment_id, key=key, kind=kind, body=body, erasure_epoch=erasure_epoch)
            found.append(self.with_partials(one, part, specs=specs, minutes=minutes))
        return tuple(found)

    def with_partials(
        self, segment: Segment, table: pa.Table, *, specs: Sequence[PartialSpec], minutes: Sequence[int] = ()
    ) -> Segment:
        """The segment with partial aggregates of its rows, where they are worth it."""
        none = msgspec.structs.replace(segment, partials_key="", partials_bytes=0, partials=(), buckets=())
        if not specs or len(table) < PARTIALS_FROM_ROWS:
            return none
        partials = partials_of(table, specs=specs, minutes=minutes)
        if partials is None or len(partials) > PARTIALS_SHARE * len(table):
            return none
        key = segment.key.removesuffix(".parquet") + f"-{self._random_bytes(4).hex()}-partials.parquet"
        body = partials_bytes(partials)
        self._objects.put(key=key, body=memoryview(body))
        return msgspec.structs.replace(
            segment,
            partials_key=key,
            partials_bytes=body.size,
            partials=tuple(one.spec_id for one in sorted(set(specs))),
            buckets=tuple(sorted({one.minutes for one in specs} | set(minutes))),
        )
