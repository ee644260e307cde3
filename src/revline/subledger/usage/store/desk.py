"""What people do with sealed usage: seal it now, merge it, erase in it, drop what is old, adopt what was held, look at its
files."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime
from typing import Final

import msgspec

from revline.core.clock import Clock
from revline.core.problem import Mender, Problem, Retryable, define, problem
from revline.platform.store.engine import Database
from revline.subledger.usage.store import queries
from revline.subledger.usage.store.adopting import Adopted, Adopter
from revline.subledger.usage.store.compacting import Compacted, Compactor
from revline.subledger.usage.store.erasing import Erased, Eraser, ErasureScope
from revline.subledger.usage.store.keeping import FileKeeper, Retained, Swept
from revline.subledger.usage.store.reading import UsageReader
from revline.subledger.usage.store.values import Segment
from revline.subledger.usage.versions import UsageVersion

SEAL_SECONDS: Final = 60.0
ASK_SECONDS: Final = 0.2
ATTEMPTS: Final = 5
FILES_MAX: Final = 10_000


class UsageFiles(msgspec.Struct, frozen=True, kw_only=True):
    """The sealed files of a tenant as of now. waiting: rows that are in no file yet, as far as this machine can see."""

    version: UsageVersion
    segments: tuple[Segment, ...]
    waiting: int


class UsageDesk:
    """Acts on one database's sealed usage. wait: pauses for so many seconds."""

    def __init__(
        self,
        *,
        database: Database,
        clock: Clock,
        reader: UsageReader,
        compactor: Compactor,
        eraser: Callable[[Callable[[str], Problem | None]], Eraser],
        files: FileKeeper,
        adopter: Adopter,
        wait: Callable[[float], object] | None = None,
    ) -> None:
        self._database, self._clock, self._reader = database, clock, reader
        self._compactor, self._files, self._adopter = compactor, files, adopter
        self._eraser = eraser(self._sealed)
        self._wait = wait or threading.Event().wait

    def seal(self, *, tenant_id: str) -> UsageVersion | Problem:
        """Have everything received so far sealed; the version that is. Problem `usage.not_sealed` when the processes that own the
        shards don't come to it within a minute."""
        unsealed = self._sealed(tenant_id)
        return self._reader.current_version(tenant_id=tenant_id) if unsealed is None else unsealed

    def compact(self, *, tenant_id: str, actor: str, reason: str) -> Compacted:
        """Merge everything that is small or not sorted."""
        return self._compactor.compact(tenant_id=tenant_id, everything=True, actor=actor, reason=reason)

    def compact_due(self, *, owner: str) -> int:
        """As `Compactor.turn`."""
        return self._compactor.turn(owner=owner)

    def erase(self, *, tenant_id: str, scope: ErasureScope, actor: str, reason: str) -> Erased | Problem:
        """As `Eraser.erase`."""
        return self._eraser.erase(tenant_id=tenant_id, scope=scope, actor=actor, reason=reason)

    def retain(self, *, tenant_id: str, before: datetime, actor: str, reason: str) -> Retained | Problem:
        """Drop sealed events that happened before a moment. Problems: `usage.retention_ahead`, `usage.retention_moved`."""
        if before > self._clock.now():
            return problem("usage.retention_ahead", f"{before.isoformat()} has not come yet", field="before")
        for _ in range(ATTEMPTS):
            found = self._files.retain(tenant_id=tenant_id, before=before, actor=actor, reason=reason)
            if found is not None:
                return found
        return problem("usage.retention_moved", f"files of {tenant_id} were merged meanwhile")

    def adopt(self, *, tenant_id: str, actor: str, reason: str) -> Adopted | Problem:
        """As `Adopter.adopt`, of what is sealed."""
        return self._adopter.adopt(tenant_id=tenant_id, actor=actor, reason=reason)

    def sweep(self, *, tenant_id: str) -> Swept:
        """As `FileKeeper.sweep`."""
        return self._files.sweep(tenant_id=tenant_id)

    def files(self, *, tenant_id: str) -> UsageFiles:
        """What there is; nothing is fetched."""
        with self._reader.open(tenant_id=tenant_id) as reading:
            waiting = 0 if reading.tail is None else len(reading.tail)
            return UsageFiles(version=reading.version, segments=reading.segments[:FILES_MAX], waiting=waiting)

    def held(self, *, tenant_id: str) -> int:
        """Sealed events whose type was unknown when they came, adopted ones too."""
        with self._database.read(tenants=[tenant_id]) as connection:
            return queries.untyped_rows(connection, tenant_id=tenant_id)

    def needed(self, *, tenant_id: str) -> tuple[str, ...]:
        """Keys of the objects a backup of the database as it is now has to hold, in order: replaced files too, since a restored
        manifest may name them as live."""
        with self._database.read(tenants=[tenant_id]) as connection:
            return tuple(sorted(queries.named_objects(connection, tenant_id=tenant_id)))

    def _sealed(self, tenant_id: str) -> Problem | None:
        wanted = self._reader.current_version(tenant_id=tenant_id)
        waited = 0.0
        while not self._covers(tenant_id, wanted):
            if not waited:
                self._reader.seal_now(tenant_id=tenant_id)
            if waited >= SEAL_SECONDS:
                return problem(
                    "usage.not_sealed", f"usage of {tenant_id} waits in a shard whose process did not seal it"
                )
            self._wait(ASK_SECONDS)
            waited += ASK_SECONDS
        return None

    def _covers(self, tenant_id: str, wanted: UsageVersion) -> bool:
        with self._database.read(tenants=[tenant_id]) as connection:
            sealed = queries.sealed_of(connection, tenant_id=tenant_id)
        return all(sealed.get(shard, 0) >= last for shard, last in wanted.watermarks)


define(
    code="usage.not_sealed",
    title="Usage was not sealed in time",
    status=503,
    retryable=Retryable.YES,
    mender=Mender.OPERATOR,
    remedy="Start the processes that own the shards (revline serve or revline usage-shard) and run it again.",
)
define(
    code="usage.retention_ahead",
    title="Retention reaches into the future",
    status=422,
    retryable=Retryable.NO,
    mender=Mender.SENDER,
    remedy="Name a moment that has passed, such as the end of the oldest period that is kept, exclusive.",
)
define(
    code="usage.retention_moved",
    title="Files were merged while old events were dropped",
    status=409,
    retryable=Retryable.YES,
    mender=Mender.OPERATOR,
    remedy="Run it again; nothing was dropped.",
)
