"""Usage for tests: rows in the stored columns, and the shards of one process over a database and a folder."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from revline.platform.store.engine import Database
from revline.subledger.usage.committed import SharedTable
from revline.subledger.usage.store.layout import column_type
from revline.subledger.usage.store.objects import FolderObjects, ObjectStore
from revline.subledger.usage.store.reading import UsageReader
from revline.subledger.usage.store.sealing import Sealer
from revline.subledger.usage.store.tail import Tail
from revline.subledger.usage.store.values import PartialSpec, SealLimits

START = datetime(2026, 1, 10, 9, 0, tzinfo=UTC)
Row = dict[str, Any]


class StandingClock:
    """Stands still until it is moved."""

    def __init__(self, at: datetime = START) -> None:
        self.at = at

    def now(self) -> datetime:
        return self.at

    def move(self, by: timedelta) -> None:
        self.at += by


def usage(
    event_id: str,
    tokens: str | None = "1",
    *,
    subject: str = "acme",
    kind: str = "tokens",
    at: datetime = START,
    **more: Any,
) -> Row:
    """One event of type `kind`: `tokens` to three decimals, a model as text."""
    row = {"id": event_id, "subject": subject, "type": kind, "source": "app", "occurred_at": at, "typed": True}
    value = None if tokens is None else Decimal(tokens)
    return {**row, "tokens__d18_3": value, "model__text": "small", **more}


def table_of(rows: Sequence[Row]) -> pa.Table:
    """Rows in the stored columns."""
    names = list(dict.fromkeys([*column_names(), *(name for row in rows for name in row)]))
    return pa.table({name: pa.array([row.get(name) for row in rows], column_type(name)) for name in names})


def column_names() -> tuple[str, ...]:
    from revline.subledger.usage import columns  # noqa: PLC0415 - only what a table must have

    return columns.COMMON


@dataclass
class Shard:
    """A shard of a process: gives sequences and hands rows on as the log does."""

    tail: Tail
    clock: StandingClock
    number: int = 0
    last: int = 0
    kept: list[SharedTable] = field(default_factory=list)

    def commit(self, **by_tenant: Sequence[Row]) -> None:
        """Rows of several tenants, acknowledged together."""
        rows, owners = [], []
        for place, given in enumerate(by_tenant.values()):
            for row in given:
                self.last += 1
                rows.append({"received_at": self.clock.now(), **row, "shard": self.number, "sequence": self.last})
                owners.append(place)
        shared = SharedTable(
            shard=self.number, table=table_of(rows), tenants=tuple(by_tenant), owners=np.array(owners, np.int64)
        )
        self.kept.append(shared)
        self.tail.add(shared, through=self.last, at=self.clock.now())


@dataclass
class Room:
    """One process with a tail, a sealer and a reader."""

    database: Database
    folder: Path
    clock: StandingClock = field(default_factory=StandingClock)
    limits: SealLimits = field(default_factory=SealLimits)
    specs: tuple[PartialSpec, ...] = ()
    objects: ObjectStore | None = None

    def __post_init__(self) -> None:
        self.store: ObjectStore = self.objects or FolderObjects(self.folder)
        self.tail = Tail()
        self.sealer = Sealer(
            tail=self.tail,
            database=self.database,
            objects=self.store,
            clock=self.clock,
            random_bytes=os.urandom,
            specs=lambda _: self.specs,
            free_log=lambda: None,
            limits=self.limits,
        )
        self.reader = UsageReader(database=self.database, objects=self.store, clock=self.clock, tails=[self.tail])

    def shard(self, number: int = 0) -> Shard:
        """A shard this process owns."""
        return Shard(tail=self.tail, clock=self.clock, number=number)

    def restarted(self, *shards: Shard) -> Room:
        """The process after a kill: its memory is gone, the log hands over what it still has."""
        again = Room(
            database=self.database,
            folder=self.folder,
            clock=self.clock,
            limits=self.limits,
            specs=self.specs,
            objects=self.store,
        )
        for shard in shards:
            for shared in shard.kept:
                again.tail.add(shared, through=shard.last, at=self.clock.now())
            shard.tail = again.tail
        return again


def read_ids(room: Room, tenant_id: str = "alpha", version: Any = None) -> list[str]:
    """The ids of every event of a version, sorted, however it is stored."""
    import pyarrow.parquet as pq  # noqa: PLC0415 - beside its use

    with room.reader.open(tenant_id=tenant_id, version=version) as reading:
        found: list[str] = [] if reading.tail is None else reading.tail["id"].to_pylist()
        for one in reading.files():
            table = pq.read_table(one.path, columns=["shard", "sequence", "id"], partitioning=None)
            until = reading.version.until
            found += [row["id"] for row in table.to_pylist() if row["sequence"] <= until(row["shard"])]
    return sorted(found)
