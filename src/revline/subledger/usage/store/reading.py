"""How usage is read: the sealed files and the waiting rows of a tenant as of one version, each event exactly once.

The manifest is read in one snapshot, then the tail after what that snapshot calls sealed; where more was sealed in between, both
are read again. Knows no meter: it gives files and rows, queries are made by others.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import Final

import pyarrow as pa
from sqlalchemy import text

from revline.core.clock import Clock
from revline.core.problem import Mender, Problem, ProblemError, Retryable, define, problem
from revline.platform.store.engine import Database
from revline.subledger.usage.store import queries
from revline.subledger.usage.store.layout import rows_of_version, wide
from revline.subledger.usage.store.objects import ObjectStore
from revline.subledger.usage.store.queries import Manifest
from revline.subledger.usage.store.tail import TailRows, TailSource
from revline.subledger.usage.store.values import Segment, SegmentFile
from revline.subledger.usage.versions import UsageVersion, Window

ATTEMPTS: Final = 10
_ASK_TO_SEAL: Final = text(
    """
    INSERT INTO usage_seal_request (tenant_id, asked, asked_at) VALUES (:tenant, 1, :at)
    ON CONFLICT (tenant_id) DO UPDATE SET asked = usage_seal_request.asked + 1, asked_at = :at
    """
)


class UsageReading:
    """One tenant's usage as of one version, while the block is open: files it names stay on this machine until then.

    version: what is read. tail: the version's rows that are in no file, in plain columns; None when there are none.
    """

    def __init__(
        self, *, version: UsageVersion, manifest: Manifest, tail: pa.Table | None, objects: ObjectStore
    ) -> None:
        self.version = version
        self.tail = tail
        self._segments = tuple(one for one in manifest.segments if one.touches(version))
        self._objects, self._held = objects, ExitStack()

    @property
    def segments(self) -> tuple[Segment, ...]:
        """Every segment that may hold rows of the version; nothing is fetched."""
        return self._segments

    def files(
        self,
        *,
        window: Window | None = None,
        types: Collection[str] | None = None,
        chosen: Callable[[Segment], bool] | None = None,
    ) -> tuple[SegmentFile, ...]:
        """Files that may hold events of a window (by occurred_at) and of these types; without, all. Fetched to this machine where
        they are elsewhere. chosen: any other choice, such as segments with voids.

        A file holds other rows too: filter by time and type, and by sequence where it is not `whole`. A void is of
        `events.VOID_TYPE` and has the time of the void, not of what it takes back. Raises OSError.
        """
        wanted = [
            one
            for one in self._segments
            if (window is None or one.meets(window))
            and (types is None or not set(types).isdisjoint(one.types))
            and (chosen is None or chosen(one))
        ]
        return tuple(self._file(one) for one in wanted)

    def _file(self, one: Segment) -> SegmentFile:
        whole = one.within(self.version)
        path = self._held.enter_context(self._objects.at_hand(key=one.key, size_bytes=one.size_bytes))
        partials = ""
        if whole and one.partials_key:
            found = self._objects.at_hand(key=one.partials_key, size_bytes=one.partials_bytes)
            partials = str(self._held.enter_context(found))
        return SegmentFile(segment=one, path=str(path), whole=whole, partials_path=partials)

    def __enter__(self) -> UsageReading:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._held.close()


class UsageReader:
    """Reads usage of one database. tails: where this process finds rows that are not sealed: its own shards' memory, or the logs of
    the shards on this machine; without any, what is sealed is all there is."""

    def __init__(
        self, *, database: Database, objects: ObjectStore, clock: Clock, tails: Sequence[TailSource] = ()
    ) -> None:
        self._database, self._objects, self._clock, self._tails = database, objects, clock, tuple(tails)

    def current_version(self, *, tenant_id: str) -> UsageVersion:
        """Everything that can be read now."""
        return self._look(tenant_id)[2]

    def open(self, *, tenant_id: str, version: UsageVersion | None = None) -> UsageReading:
        """Files and rows of a version, the present one without; use it as a context. A version that was once current reads the same
        events later, whatever was sealed or merged since. Raises ProblemError usage.moving, usage.version_ahead."""
        manifest, tail, present = self._look(tenant_id)
        if version is None:
            version = present
        ahead = [shard for shard, through in version.watermarks if through > present.until(shard)]
        if ahead:
            raise ProblemError(_ahead(tenant_id, ahead))
        rows = None if tail is None else rows_of_version(tail, version)
        rows = None if rows is None or not len(rows) else rows
        return UsageReading(version=version, manifest=manifest, tail=rows, objects=self._objects)

    def seal_now(self, *, tenant_id: str) -> None:
        """Ask every process that owns a shard to seal what it holds of a tenant; `current_version` tells when it has come."""
        with self._database.control() as connection:
            connection.execute(_ASK_TO_SEAL, {"tenant": tenant_id, "at": self._clock.now()})

    def _look(self, tenant_id: str) -> tuple[Manifest, pa.Table | None, UsageVersion]:
        for _ in range(ATTEMPTS):
            with self._database.read(tenants=[tenant_id]) as connection:
                manifest = queries.manifest_of(connection, tenant_id=tenant_id)
            found = [tail.after(tenant_id=tenant_id, sealed=manifest.sealed) for tail in self._tails]
            tails = [one for one in found if one is not None]
            if len(tails) == len(found) and self._stood(tenant_id, manifest):
                return manifest, _joined(tails), _version(manifest, tails)
        raise ProblemError(
            problem("usage.moving", f"usage of {tenant_id} was sealed {ATTEMPTS} times while it was looked at")
        )

    def _stood(self, tenant_id: str, manifest: Manifest) -> bool:
        """Whether nothing was sealed, and so gone from a log of another process, while tails were read."""
        if all(tail.follows for tail in self._tails):
            return True
        with self._database.read(tenants=[tenant_id]) as connection:
            return queries.sealed_of(connection, tenant_id=tenant_id) == manifest.sealed


def _joined(tails: Sequence[TailRows]) -> pa.Table | None:
    tables = [one.table for one in tails if one.table is not None]
    if not tables:
        return None
    return wide(pa.concat_tables(tables, promote_options="default").combine_chunks())


def _version(manifest: Manifest, tails: Sequence[TailRows]) -> UsageVersion:
    through = dict(manifest.sealed)
    for one in tails:
        for shard, last in one.through.items():
            through[shard] = max(through.get(shard, 0), last)
    marks = tuple(sorted((shard, last) for shard, last in through.items() if last))
    return UsageVersion(watermarks=marks, erasure_epoch=manifest.erasure_epoch)


def _ahead(tenant_id: str, shards: Sequence[int]) -> Problem:
    names = ", ".join(map(str, shards[:10]))
    return problem(
        "usage.version_ahead", f"{tenant_id}: shard {names} has not come so far here; seal it or ask where it is"
    )


define(
    code="usage.moving",
    title="Usage moved while it was looked at",
    status=503,
    retryable=Retryable.YES,
    mender=Mender.OPERATOR,
    remedy="Ask again; whoever seals this tenant so often should seal more at a time.",
)
define(
    code="usage.version_ahead",
    title="This version of the usage can't be read here yet",
    status=409,
    retryable=Retryable.YES,
    mender=Mender.OPERATOR,
    remedy="Wait until the shard's process has sealed it (revline usage seal), or ask on the machine that has the shard.",
)
