"""Sealed usage wired: where its files lie, who seals what this process's shards took, and how it is read."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, Final

from revline.app.directory import Directory
from revline.core.clock import Clock
from revline.core.problem import Problem
from revline.platform.settings import Settings
from revline.platform.store.engine import Database
from revline.platform.store.walls import MAXIMUM_TENANTS_PER_UNIT
from revline.platform.tenancy.data_keys import DataKeys
from revline.platform.tenancy.kinds import LegalEntity
from revline.platform.tenancy.queries import active_tenants
from revline.subledger.usage.decoding.catalogue import TypeCatalogue
from revline.subledger.usage.log.log import UsageLog
from revline.subledger.usage.metering.partials import partial_specs
from revline.subledger.usage.metering.values import catalogue_of
from revline.subledger.usage.store import queries
from revline.subledger.usage.store.adopting import Adopter
from revline.subledger.usage.store.compacting import Compactor
from revline.subledger.usage.store.desk import UsageDesk
from revline.subledger.usage.store.erasing import Eraser
from revline.subledger.usage.store.keeping import FileKeeper
from revline.subledger.usage.store.log_tail import LogTail
from revline.subledger.usage.store.objects import FolderObjects, ObjectStore
from revline.subledger.usage.store.reading import UsageReader
from revline.subledger.usage.store.sealing import Sealer
from revline.subledger.usage.store.tail import Tail, TailSource
from revline.subledger.usage.store.values import PartialSpec, SealLimits

MEGABYTE: Final = 1024 * 1024
TypesOf = Callable[[str], TypeCatalogue | Problem]


def usage_folder(settings: Settings) -> Path:
    """Where usage lies on this machine."""
    return settings.data_folder / "usage"


def objects_of(settings: Settings) -> ObjectStore:
    """Where sealed files lie: the bucket, or the data folder."""
    if not settings.usage_bucket:
        return FolderObjects(usage_folder(settings))
    import boto3  # type: ignore[import-untyped]  # noqa: PLC0415 - an extra, and slow to load

    from revline.subledger.usage.store.s3 import FileCache, S3Objects  # noqa: PLC0415 - beside it

    cache = FileCache(folder=usage_folder(settings) / "cache", bytes_max=settings.usage_cache_megabytes * MEGABYTE)
    client = boto3.client("s3", endpoint_url=settings.usage_bucket_endpoint or None)
    return S3Objects(client=client, bucket=settings.usage_bucket, cache=cache, prefix=settings.usage_bucket_prefix)


def limits_of(settings: Settings) -> SealLimits:
    """When waiting rows are written."""
    return SealLimits(
        rows=settings.usage_seal_rows,
        age=timedelta(minutes=settings.usage_seal_minutes),
        tail_bytes=settings.usage_tail_megabytes * MEGABYTE,
    )


def specs_of(directory: Directory, tenant_id: str) -> Sequence[PartialSpec]:
    """What is aggregated ahead for a tenant: what its meters count, in buckets that fit its entities' time zones."""
    configuration = directory.configuration(tenant_id=tenant_id)
    if isinstance(configuration, Problem):
        return ()
    zones = {each.spec.time_zone for each in configuration.all(LegalEntity).values()}
    return partial_specs(catalogue_of(configuration), time_zones=zones)


def reader_of(
    *,
    settings: Settings,
    database: Database,
    clock: Clock,
    keys: DataKeys,
    types_of: TypesOf,
    own: Tail | None = None,
    owned: Collection[int] = (),
    objects: ObjectStore | None = None,
) -> UsageReader:
    """Reads sealed files, the rows this process's shards hold, and the logs of this machine's other shards."""
    tails: list[TailSource] = [] if own is None else [own]
    for shard in range(settings.usage_shards):
        folder = usage_folder(settings) / "shards" / str(shard)
        if shard not in owned:
            tails.append(LogTail(folder=folder, shard=shard, keys=keys, types_of=types_of))
    return UsageReader(database=database, objects=objects or objects_of(settings), clock=clock, tails=tails)


def desk_of(
    *,
    settings: Settings,
    database: Database,
    clock: Clock,
    directory: Directory,
    reader: UsageReader,
    objects: ObjectStore,
    seed_of: Callable[[str], int | Problem],
    types_of: TypesOf,
) -> UsageDesk:
    """What people and workers do with sealed usage, in a process that owns no shard."""
    common: dict[str, Any] = {
        "database": database,
        "objects": objects,
        "clock": clock,
        "random_bytes": os.urandom,
        "specs": partial(specs_of, directory),
    }
    return UsageDesk(
        database=database,
        clock=clock,
        reader=reader,
        compactor=Compactor(**common, scratch=usage_folder(settings) / "scratch"),
        eraser=lambda seal: Eraser(**common, seed_of=seed_of, seal=seal),
        files=FileKeeper(**common),
        adopter=Adopter(**common, types_of=types_of),
    )


class Storing:
    """What a process does with the shards it owns: their rows wait in one tail and are sealed by one thread."""

    def __init__(
        self, *, settings: Settings, database: Database, clock: Clock, directory: Directory, types_of: TypesOf
    ) -> None:
        self.tail = Tail()
        self._database, self._types_of = database, types_of
        self._logs: dict[int, UsageLog] = {}
        self._sealed: Mapping[str, Mapping[int, int]] | None = None
        self.sealer = Sealer(
            tail=self.tail,
            database=database,
            objects=objects_of(settings),
            clock=clock,
            random_bytes=os.urandom,
            specs=partial(specs_of, directory),
            free_log=self._free_log,
            limits=limits_of(settings),
        )

    def follow(self, log: UsageLog) -> Problem | None:
        """Take up a log this process owns: what it still holds and is not sealed, and everything from now on. To be called before
        the first submission. A problem when something it holds can't be read: then nothing of it may be sealed."""
        if self._sealed is None:
            self._sealed = self._sealed_of_all()
        by_tenant = {tenant: shards.get(log.shard, 0) for tenant, shards in self._sealed.items()}
        self.tail.begin(shard=log.shard, through=0, sealed=by_tenant)
        log.subscribe(self.tail)
        for batch in log.recovered(types_of=self._types_of, sealed=lambda tenant: by_tenant.get(tenant, 0)):
            if isinstance(batch, Problem):
                return batch
            self.tail.on_committed([batch])
        self.tail.begin(shard=log.shard, through=log.watermark, sealed={})
        self._logs[log.shard] = log
        return None

    def start(self) -> None:
        """Seal from now on."""
        self.sealer.start()

    def close(self) -> None:
        """End; what waits is in the logs."""
        self.sealer.close()

    def _free_log(self) -> None:
        for shard, log in self._logs.items():
            log.delete_through(lambda tenant, shard=shard: self.tail.sealed_through(tenant_id=tenant, shard=shard))

    def _sealed_of_all(self) -> Mapping[str, Mapping[int, int]]:
        with self._database.control() as connection:
            tenants = active_tenants(connection)
        found: dict[str, Mapping[int, int]] = {}
        for start in range(0, len(tenants), MAXIMUM_TENANTS_PER_UNIT):
            page = tenants[start : start + MAXIMUM_TENANTS_PER_UNIT]
            with self._database.read(tenants=page) as connection:
                found |= queries.sealed_of_many(connection, tenants=page)
        return found
