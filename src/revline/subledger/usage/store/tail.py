"""Usage that is acknowledged and not sealed yet, in the memory of the process that owns its shards.

Any number of threads may read while one adds and one seals. Rows of many tenants stand together in a few tables, each with an index
by tenant; they are copied when they leave for one tenant. Knows no file and no database.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import chain
from operator import attrgetter
from typing import Any, Final, Protocol

import numpy as np
import pyarrow as pa

from revline.subledger.usage.committed import SharedTable
from revline.subledger.usage.log.rows import to_table
from revline.subledger.usage.log.values import CommittedBatch
from revline.subledger.usage.store.layout import plain_table
from revline.subledger.usage.store.tail_tables import TailTable, Whole, merged

GATHERED_ROWS: Final = 8_192
"""Events that are kept as they were decoded until columns are made of them."""
FIELDS_MAX: Final = 128
"""Field columns of one table of several tenants."""
SMALL_ROWS: Final = 65_536
MERGED_TABLES: Final = 16
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND: Final = timedelta(microseconds=1)


@dataclass(frozen=True, kw_only=True)
class TailRows:
    """A tenant's rows that are not sealed. through: shard -> the sequence it reaches, all of whose events are sealed or here."""

    table: pa.Table | None
    through: Mapping[int, int]


class TailSource(Protocol):
    """Where rows that are not sealed are read. follows: it knows of every seal before its rows are gone, and says so; of one that
    doesn't, the manifest is asked again after its rows were read."""

    @property
    def follows(self) -> bool: ...

    def after(self, *, tenant_id: str, sealed: Mapping[int, int]) -> TailRows | None:
        """Rows after these sequences; None when some of them were sealed since and are no longer here: ask the manifest again."""
        ...


@dataclass(frozen=True, kw_only=True)
class Captured:
    """What a seal takes of a tenant: rows, and how far each shard is sealed before and once they are."""

    tenant_id: str
    pieces: tuple[pa.Table, ...]
    sealed: Mapping[int, int]
    through: Mapping[int, int]
    rows: int

    def table(self) -> pa.Table:
        """The rows as one plain table of this tenant alone."""
        return plain_table(self.pieces)


class Tail:
    """The rows of one process's shards that wait to be sealed. Follows a log as its subscriber."""

    follows = True

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._names: dict[str, int] = {}
        self._through: dict[int, int] = {}
        self._sealed: dict[int, Whole] = {}
        self._rows = np.zeros(64, np.int64)
        self._since = np.zeros(64, np.int64)
        self._tables: list[TailTable] = []
        self._gathered: list[CommittedBatch] = []
        self._gathered_rows = 0

    def begin(self, *, shard: int, through: int, sealed: Mapping[str, int]) -> None:
        """Take up a shard whose events through a sequence were handed over before: how far it is sealed, by tenant."""
        with self._lock:
            self._through[shard] = max(self._through.get(shard, 0), through)
            for tenant_id, last in sealed.items():
                self._drop(self._number(tenant_id), {shard: last})

    def on_committed(self, batches: Sequence[CommittedBatch]) -> None:
        """Take events as the log hands them on, each shard's in order of their sequences. Columns are made of many commits at
        once."""
        with self._lock:
            self._gathered += batches
            self._gathered_rows += sum(one.count for one in batches)
            if self._gathered_rows >= GATHERED_ROWS:
                self._make_columns()

    def add(self, shared: SharedTable, *, through: int, at: datetime) -> None:
        """Take rows that are columns already. through: the last sequence handed over of the shard. What is sealed is left out, so
        the log may hand it over again after a restart."""
        with self._lock:
            self._make_columns()
            self._add(shared, at)
            self._through[shared.shard] = max(self._through.get(shared.shard, 0), through)

    def waiting(self) -> tuple[tuple[str, int, datetime], ...]:
        """(tenant, rows, since when its oldest waits) of every tenant with waiting rows."""
        with self._lock:
            self._make_columns()
            names = list(self._names)
            return tuple(
                (names[number], int(self._rows[number]), EPOCH + int(self._since[number]) * MICROSECOND)
                for number in np.flatnonzero(self._rows).tolist()
            )

    @property
    def bytes(self) -> int:
        """Memory of the tables that hold waiting rows."""
        return sum(one.bytes for one in self._tables)

    def through(self) -> Mapping[int, int]:
        """Shard -> the last sequence that was handed over."""
        with self._lock:
            self._make_columns()
            return dict(self._through)

    def sealed_through(self, *, tenant_id: str, shard: int) -> int:
        """The sequence through which a tenant's events of a shard are sealed, as far as this process knows."""
        with self._lock:
            number, sealed = self._names.get(tenant_id), self._sealed.get(shard)
            return 0 if number is None or sealed is None else int(sealed[number])

    def capture(self, *, tenant_id: str, sealed: Mapping[int, int]) -> Captured:
        """Everything of a tenant that waits now, to be sealed; it stays here until `forget`. sealed: how far each shard is sealed,
        by the manifest; rows up to there are dropped."""
        with self._lock:
            self._make_columns()
            number = self._number(tenant_id)
            self._drop(number, sealed)
            through = dict(self._through)
            found = [(one, one.rows_of(number, after=self._known(one.shard, number))) for one in self._tables]
        pieces = tuple(one.taken(rows) for one, rows in found if len(rows))
        rows = sum(map(len, pieces))
        return Captured(tenant_id=tenant_id, pieces=pieces, sealed=sealed, through=through, rows=rows)

    def forget(self, captured: Captured, *, at: datetime) -> None:
        """Drop what was sealed. at: rows that came meanwhile wait since then."""
        with self._lock:
            number = self._number(captured.tenant_id)
            self._drop(number, captured.through)
            self._since[number] = (at - EPOCH) // MICROSECOND
            self._tables = [one for one in self._tables if one.live]

    def pack(self) -> None:
        """Give back the memory of sealed rows that stand beside waiting ones."""
        with self._lock:
            self._merge([one for one in self._tables if 2 * one.live < one.rows])

    def after(self, *, tenant_id: str, sealed: Mapping[int, int]) -> TailRows | None:
        """As `TailSource` says."""
        with self._lock:
            self._make_columns()
            number, through = self._names.get(tenant_id), dict(self._through)
            if number is None:
                return TailRows(table=None, through=through)
            if any(self._known(shard, number) > sealed.get(shard, 0) for shard in self._sealed):
                return None
            found = [(one, one.rows_of(number, after=sealed.get(one.shard, 0))) for one in self._tables]
        pieces = [one.taken(rows) for one, rows in found if len(rows)]
        return TailRows(table=plain_table(pieces) if pieces else None, through=through)

    def _make_columns(self) -> None:
        gathered, self._gathered, self._gathered_rows = self._gathered, [], 0
        by_shard: dict[int, list[CommittedBatch]] = {}
        for one in gathered:
            if one.count:
                by_shard.setdefault(one.shard, []).append(one)
        for shard, batches in by_shard.items():
            for shared in _tables(shard, batches):
                self._add(shared, batches[0].received_at)
            last = max(one.last_sequence for one in batches)
            self._through[shard] = max(self._through.get(shard, 0), last)

    def _add(self, shared: SharedTable, at: datetime) -> None:
        numbers = np.array([self._number(name) for name in shared.tenants], np.int64)
        one = TailTable.of(shared, owners=numbers[shared.owners])
        sealed = self._sealed_of(shared.shard)
        one = one.kept(one.sequences > sealed[one.owners])
        if not one.rows:
            return
        fresh = one.tenants[self._rows[one.tenants] == 0]
        self._since[fresh] = (at - EPOCH) // MICROSECOND
        self._rows[one.tenants] += one.counts
        self._tables.append(one)
        alike = [each for each in self._tables if each.rows < SMALL_ROWS and each.alike(one)]
        if len(alike) >= MERGED_TABLES:
            self._merge(alike)

    def _merge(self, tables: Iterable[TailTable]) -> None:
        """Tables of the same shard and columns into one, without what is sealed."""
        groups: dict[tuple[object, ...], list[TailTable]] = {}
        for one in tables:
            groups.setdefault(one.kind, []).append(one)
        gone = {id(one) for group in groups.values() for one in group}
        made = [
            merged([one.kept(one.sequences > self._sealed_of(one.shard)[one.owners]) for one in group])
            for group in groups.values()
        ]
        self._tables = [*(one for one in self._tables if id(one) not in gone), *(one for one in made if one.rows)]

    def _drop(self, number: int, sealed: Mapping[int, int]) -> None:
        """Rows of a tenant up to these sequences are sealed from now on."""
        for shard, through in sealed.items():
            known = self._sealed_of(shard)
            before = int(known[number])
            if through <= before:
                continue
            for one in self._tables:
                if one.shard == shard:
                    gone = one.count(number, after=before) - one.count(number, after=through)
                    one.live -= gone
                    self._rows[number] -= gone
            known[number] = through

    def _known(self, shard: int, number: int) -> int:
        return int(self._sealed_of(shard)[number])

    def _sealed_of(self, shard: int) -> Whole:
        found = self._sealed.get(shard)
        if found is None or len(found) < len(self._rows):
            grown = np.zeros(len(self._rows), np.int64)
            if found is not None:
                grown[: len(found)] = found
            found = self._sealed[shard] = grown
        return found

    def _number(self, tenant_id: str) -> int:
        number = self._names.setdefault(tenant_id, len(self._names))
        if number >= len(self._rows):
            more = np.zeros(len(self._rows), np.int64)
            self._rows, self._since = np.concatenate([self._rows, more]), np.concatenate([self._since, more])
        return number


def _tables(shard: int, batches: Sequence[CommittedBatch]) -> Iterator[SharedTable]:
    """Columns of batches, of all tenants in one table unless their fields are too many."""
    tenants = list(map(attrgetter("tenant_id"), batches))
    names = tuple(dict.fromkeys(tenants))
    if len(names) > 1 and len(_fields(batches)) > FIELDS_MAX:
        half = frozenset(names[: len(names) // 2])
        yield from _tables(shard, [one for one in batches if one.tenant_id in half])
        yield from _tables(shard, [one for one in batches if one.tenant_id not in half])
        return
    place = {name: index for index, name in enumerate(names)}
    counts = np.fromiter(map(attrgetter("count"), batches), np.int64, len(batches))
    owners = np.repeat(np.fromiter(map(place.__getitem__, tenants), np.int64, len(batches)), counts)
    yield SharedTable(shard=shard, table=to_table(batches, words=False), tenants=names, owners=owners)


def _fields(batches: Sequence[CommittedBatch]) -> frozenset[str]:
    """The field columns of batches. Few event types stand behind many small batches, so they are looked at by type."""
    few = chain.from_iterable([one.events for one in batches if one.rows is None])
    kinds: set[Any] = set(map(type, few))
    whole = [one.rows.columns for one in batches if one.rows is not None]
    return frozenset().union(*(kind.shape.columns for kind in kinds), *whole)
