"""Sealing: a tenant's waiting rows become files, the manifest says so in one audited step, and only then they leave the tail.

A kill before that step leaves files nobody names, which are swept; after it the log hands the rows over again and the tail leaves
them out. The thread holds Python's lock for short stretches only: what is long is done by Arrow without it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Final

import msgspec

from revline.core.clock import Clock
from revline.platform.logs import log
from revline.platform.store.engine import Database
from revline.platform.store.unit import Unit
from revline.subledger.usage.store import queries, record
from revline.subledger.usage.store.objects import ObjectStore
from revline.subledger.usage.store.tail import Captured, Tail
from revline.subledger.usage.store.values import PartialSpec, SealLimits, Segment, SegmentKind
from revline.subledger.usage.store.writing import Writer

ACTOR: Final = "worker:usage-shard"
Specs = Callable[[str], Sequence[PartialSpec]]
"""What to aggregate ahead for a tenant."""
FreeLog = Callable[[], None]
"""Told after a seal: what `Tail.sealed_through` calls sealed is no longer needed of the log."""


class SealedElsewhereError(RuntimeError):
    """The manifest moved while rows were written: another process seals the same shard. Nothing was published."""


class SealedTurn(msgspec.Struct, frozen=True, kw_only=True):
    """What a turn sealed."""

    tenants: int
    rows: int
    files: int


class Sealer:
    """Seals what waits in a tail. One a process; `turn` and `seal` may be called from any one thread at a time."""

    def __init__(
        self,
        *,
        tail: Tail,
        database: Database,
        objects: ObjectStore,
        clock: Clock,
        random_bytes: Callable[[int], bytes],
        specs: Specs,
        free_log: FreeLog,
        limits: SealLimits | None = None,
    ) -> None:
        self._tail, self._database, self._clock = tail, database, clock
        self._specs, self._free_log, self._limits = specs, free_log, limits or SealLimits()
        self._writer = Writer(
            objects=objects, clock=clock, random_bytes=random_bytes, segment_rows=self._limits.segment_rows
        )
        self._asked: dict[str, int] = {}
        self._turning, self._stop, self._wake = threading.Lock(), threading.Event(), threading.Event()
        self._thread: threading.Thread | None = None

    def turn(self) -> SealedTurn:
        """Seal every tenant that is due: enough rows, old enough, asked for, or the tail is full."""
        asked = self._requests()
        found = self.seal(self._due(asked))
        self._asked.update(asked)
        return found

    def seal(self, tenants: Iterable[str]) -> SealedTurn:
        """Seal everything these tenants have waiting now. Raises OSError and the database's errors; what was not published then
        stays in the tail."""
        wanted, rows, files, done = list(tenants), 0, 0, 0
        with self._turning:
            for start in range(0, len(wanted), self._limits.tenants):
                captured = self._captured(wanted[start : start + self._limits.tenants])
                written = self._seal_some(captured)
                done, rows = done + len(captured), rows + sum(one.rows for one in captured)
                files += written
            if done:
                self._tail.pack()
                self._free_log()
        return SealedTurn(tenants=done, rows=rows, files=files)

    def start(self) -> None:
        """Begin to take turns in a thread of its own."""
        self._thread = threading.Thread(target=self._run, name="usage-sealer", daemon=True)
        self._thread.start()

    def nudge(self) -> None:
        """Have the thread look now."""
        self._wake.set()

    def close(self) -> None:
        """End the thread after the turn it is in; nothing more is sealed, the log keeps what waits."""
        self._stop.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self.turn()
            except Exception:  # noqa: BLE001 - whatever it was is logged and tried again; rows stay in the log
                log().exception("usage.seal_failed")
            self._wake.wait(self._limits.turn.total_seconds())
            self._wake.clear()

    def _requests(self) -> Mapping[str, int]:
        with self._database.control() as connection:
            found = queries.seal_requests(connection)
        return {tenant: asked for tenant, asked in found.items() if asked > self._asked.get(tenant, 0)}

    def _due(self, asked: Mapping[str, int]) -> list[str]:
        now, limits = self._clock.now(), self._limits
        waiting = sorted(self._tail.waiting(), key=lambda one: -one[1])
        due = [
            tenant
            for tenant, rows, since in waiting
            if rows >= limits.rows or now - since >= limits.age or tenant in asked
        ]
        if not due and self._tail.bytes > limits.tail_bytes:
            due = [tenant for tenant, _, _ in waiting[: limits.tenants]]
        return due

    def _seal_some(self, captured: Sequence[Captured]) -> int:
        if not captured:
            return 0
        epochs = self._epochs([one.tenant_id for one in captured])
        written: dict[str, tuple[Segment, ...]] = {}
        for one in captured:
            written[one.tenant_id] = self._writer.write(
                tenant_id=one.tenant_id,
                tables=[one.table()],
                kind=SegmentKind.SEALED,
                specs=self._specs(one.tenant_id),
                erasure_epoch=epochs[one.tenant_id],
            )
        self._publish(captured, written)
        for one in captured:
            self._tail.forget(one, at=self._clock.now())
        return sum(map(len, written.values()))

    def _captured(self, tenants: Sequence[str]) -> list[Captured]:
        """What waits of these tenants. The manifest's word on what is sealed counts, not the tail's: the answer to a commit may
        have been lost."""
        with self._database.read(tenants=tenants) as connection:
            sealed = queries.sealed_of_many(connection, tenants=tenants)
        found = [self._tail.capture(tenant_id=one, sealed=sealed.get(one, {})) for one in tenants]
        return [one for one in found if one.rows]

    def _epochs(self, tenants: Sequence[str]) -> Mapping[str, int]:
        with self._database.read(tenants=tenants) as connection:
            return {tenant: queries.epoch_of(connection, tenant_id=tenant) for tenant in tenants}

    def _publish(self, captured: Sequence[Captured], written: Mapping[str, tuple[Segment, ...]]) -> None:
        now: datetime = self._clock.now()
        with self._database.unit(
            tenants=[one.tenant_id for one in captured],
            kind="usage_seal",
            actor=ACTOR,
            reason="acknowledged usage is sealed",
            recorded_at=now,
        ) as unit:
            for one in sorted(captured, key=lambda each: each.tenant_id):
                self._publish_one(unit, one, written[one.tenant_id])

    def _publish_one(self, unit: Unit, one: Captured, segments: tuple[Segment, ...]) -> None:
        present = record.lock_sealed(unit, tenant_id=one.tenant_id)
        if present != one.sealed:
            raise SealedElsewhereError(f"{one.tenant_id}: sealed through {present}, not {one.sealed}")
        moved = {shard: through for shard, through in one.through.items() if through > present.get(shard, 0)}
        record.publish(unit, tenant_id=one.tenant_id, act="seal", added=segments, sealed=moved)
