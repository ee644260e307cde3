"""Housekeeping of sealed files: retention of events, and the removal of files no version reads any more.

Identities of events are the log's and kept for the tenant's life, so nothing that went by retention is taken a second time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Final

import msgspec
import pyarrow.compute as pc
import pyarrow.parquet as pq
from sqlalchemy import text

from revline.core.clock import Clock
from revline.platform.store.engine import Database
from revline.subledger.usage import columns
from revline.subledger.usage.store import queries, record
from revline.subledger.usage.store.layout import plain_table
from revline.subledger.usage.store.objects import ObjectStore
from revline.subledger.usage.store.values import PartialSpec, Segment
from revline.subledger.usage.store.writing import Writer

GRACE: Final = timedelta(hours=1)
"""How long a replaced file stays for whoever still reads it, and an unnamed one for whoever is about to name it."""
PAGE: Final = 500
_FORGET: Final = text(
    """
    DELETE FROM usage_segment
    WHERE tenant_id = :tenant AND state = 'replaced' AND segment_id = ANY(CAST(:segments AS text[]))
    """
)


class Retained(msgspec.Struct, frozen=True, kw_only=True):
    """What retention removed: whole segments, segments written anew without their old events, and events."""

    removed: int = 0
    rewritten: int = 0
    rows: int = 0


class Swept(msgspec.Struct, frozen=True, kw_only=True):
    """Files that went: of replaced segments, and ones no manifest names."""

    replaced: int = 0
    unnamed: int = 0


class FileKeeper:
    """Keeps a tenant's files within their life."""

    def __init__(
        self,
        *,
        database: Database,
        objects: ObjectStore,
        clock: Clock,
        random_bytes: Callable[[int], bytes],
        specs: Callable[[str], Sequence[PartialSpec]],
    ) -> None:
        self._database, self._objects, self._clock, self._specs = database, objects, clock, specs
        self._writer = Writer(objects=objects, clock=clock, random_bytes=random_bytes, segment_rows=1 << 40)

    def retain(self, *, tenant_id: str, before: datetime, actor: str, reason: str) -> Retained | None:
        """Drop events that happened before a moment. None when files were merged meanwhile: try again. Raises OSError."""
        with self._database.read(tenants=[tenant_id]) as connection:
            manifest = queries.manifest_of(connection, tenant_id=tenant_id)
        old = [one for one in manifest.segments if one.first_at < before]
        whole = [one for one in old if one.last_at < before]
        added = [made for one in old if one.last_at >= before for made in self._without(tenant_id, one, before)]
        if not old:
            return Retained()
        with self._database.unit(
            tenants=[tenant_id], kind="usage_retain", actor=actor, reason=reason, recorded_at=self._clock.now()
        ) as unit:
            names = [one.segment_id for one in old]
            if record.lock_live(unit, tenant_id=tenant_id, segments=names) != frozenset(names):
                return None
            if queries.epoch_of(unit.connection, tenant_id=tenant_id) != manifest.erasure_epoch:
                return None
            record.publish(unit, tenant_id=tenant_id, act="retain", added=added, replaced=old)
        rows = sum(one.rows for one in old) - sum(one.rows for one in added)
        return Retained(removed=len(whole), rewritten=len(added), rows=rows)

    def sweep(self, *, tenant_id: str) -> Swept:
        """Remove objects of segments replaced an hour ago, then those no manifest names. Raises OSError."""
        before = self._clock.now() - GRACE
        with self._database.read(tenants=[tenant_id]) as connection:
            gone = queries.replaced_before(connection, tenant_id=tenant_id, before=before, limit=PAGE)
        for one in gone:
            for key in filter(None, (one.key, one.partials_key)):
                self._objects.delete(key=key)
        if gone:
            with self._database.unit(
                tenants=[tenant_id],
                kind="usage_sweep",
                actor="worker:usage-files",
                reason="replaced files were removed",
                recorded_at=self._clock.now(),
            ) as unit:
                names = [one.segment_id for one in gone]
                unit.connection.execute(_FORGET, {"tenant": tenant_id, "segments": names})
        return Swept(replaced=len(gone), unnamed=self._sweep_unnamed(tenant_id, before))

    def _sweep_unnamed(self, tenant_id: str, before: datetime) -> int:
        found = [one.key for one in self._objects.listed(prefix=f"tenants/{tenant_id}/") if one.changed_at < before]
        if not found:
            return 0
        with self._database.read(tenants=[tenant_id]) as connection:
            named = queries.named_objects(connection, tenant_id=tenant_id)
        unnamed = [key for key in found if key not in named]
        for key in unnamed:
            self._objects.delete(key=key)
        return len(unnamed)

    def _without(self, tenant_id: str, one: Segment, before: datetime) -> tuple[Segment, ...]:
        with self._objects.at_hand(key=one.key, size_bytes=one.size_bytes) as path:
            table = plain_table([pq.read_table(path, partitioning=None)])
        kept = table.filter(pc.greater_equal(table[columns.OCCURRED_AT], before))
        return self._writer.write(
            tenant_id=tenant_id,
            tables=[kept],
            kind=one.kind,
            erasure_epoch=one.erasure_epoch,
            specs=self._specs(tenant_id),
            minutes=[minutes for minutes in one.buckets if minutes > 60],
        )
