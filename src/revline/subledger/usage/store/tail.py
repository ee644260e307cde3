"""Usage that is acknowledged and not sealed yet, in the memory of the process that owns its shards, by tenant.

Any number of threads may read while one adds and one seals. Rows stand in tables shared by tenants; they are copied for one tenant
when they leave. Knows no file and no database.
"""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Protocol

import pyarrow as pa
import pyarrow.compute as pc

from revline.subledger.usage import columns
from revline.subledger.usage.committed import Committed, CommittedEvents, SharedTable
from revline.subledger.usage.store.building import tables_of
from revline.subledger.usage.store.layout import plain_table

GATHERED_ROWS: Final = 32_768
"""Events that are kept as they were decoded until columns are made of them."""


@dataclass(frozen=True, kw_only=True)
class TailRows:
    """A tenant's rows that are not sealed. through: shard -> the sequence it reaches, all of whose events are sealed or here."""

    table: pa.Table | None
    through: Mapping[int, int]


class TailSource(Protocol):
    """Where rows that are not sealed are read."""

    def after(self, *, tenant_id: str, sealed: Mapping[int, int]) -> TailRows | None:
        """Rows after these sequences; None when some of them were sealed since and are no longer here: ask the manifest again."""
        ...


@dataclass(frozen=True, kw_only=True)
class Piece:
    """Rows of one tenant and shard in a table; sequences run from first to last."""

    shared: SharedTable
    shard: int
    start: int
    stop: int
    first: int
    last: int

    @property
    def rows(self) -> int:
        return self.stop - self.start

    def table(self) -> pa.Table:
        """The rows, as a view."""
        return self.shared.table.slice(self.start, self.rows)

    def beyond(self, sealed: int) -> Piece | None:
        """What of it comes after a sequence."""
        if self.first > sealed:
            return self
        if self.last <= sealed:
            return None
        sequences = self.table()[columns.SEQUENCE]
        start = self.start + int(pc.sum(pc.less_equal(sequences, sealed)).as_py())
        first = self.shared.table[columns.SEQUENCE][start].as_py()
        return dataclasses.replace(self, start=start, first=first)


@dataclass(kw_only=True)
class Waiting:
    """A tenant's rows that wait. since: when the oldest of them came here."""

    since: datetime
    pieces: list[Piece] = field(default_factory=list)
    rows: int = 0


@dataclass(frozen=True, kw_only=True)
class Captured:
    """What a seal takes of a tenant: rows, and how far each shard is sealed before and once they are."""

    tenant_id: str
    pieces: tuple[Piece, ...]
    sealed: Mapping[int, int]
    through: Mapping[int, int]
    rows: int

    def table(self) -> pa.Table:
        """The rows as one table of this tenant alone."""
        return plain_table([piece.table() for piece in self.pieces])


class Tail:
    """The rows of one process's shards that wait to be sealed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._through: dict[int, int] = {}
        self._sealed: dict[str, dict[int, int]] = {}
        self._waiting: dict[str, Waiting] = {}
        self._tables: dict[int, tuple[SharedTable, int]] = {}
        self._bytes = 0
        self._gathered: list[CommittedEvents] = []
        self._gathered_rows = 0

    def begin(self, *, shard: int, through: int, sealed: Mapping[str, Mapping[int, int]]) -> None:
        """Take up a shard of which everything up to a sequence was handed over before: what is sealed of it, by tenant."""
        with self._lock:
            self._through[shard] = through
            for tenant_id, by_shard in sealed.items():
                self._sealed.setdefault(tenant_id, {}).update(by_shard)

    def add(self, committed: Committed, *, at: datetime) -> None:
        """Take what was acknowledged. What is sealed already is left out, so the log may hand it over again after a restart."""
        with self._lock:
            for shared in committed.tables:
                self._add_table(committed.shard, shared, at)
            self._through[committed.shard] = max(self._through.get(committed.shard, 0), committed.through)

    def on_committed(self, batches: Sequence[CommittedEvents]) -> None:
        """Take events as the log hands them on. Columns are made of many commits at once: a table costs, not a row."""
        with self._lock:
            self._gathered += batches
            self._gathered_rows += sum(len(one.events) for one in batches)
            if self._gathered_rows >= GATHERED_ROWS:
                self._make_columns()

    def _make_columns(self) -> None:
        """Columns of what was gathered, before anybody reads, captures or counts."""
        gathered, self._gathered, self._gathered_rows = self._gathered, [], 0
        by_shard: dict[int, list[CommittedEvents]] = {}
        for one in gathered:
            by_shard.setdefault(one.shard, []).append(one)
        for shard, batches in by_shard.items():
            at = min(one.received_at for one in batches)
            for shared in tables_of(batches):
                self._add_table(shard, shared, at)
            through = max(one.first_sequence + len(one.events) - 1 for one in batches)
            self._through[shard] = max(self._through.get(shard, 0), through)

    def _add_table(self, shard: int, shared: SharedTable, at: datetime) -> None:
        sequences = shared.table.column(columns.SEQUENCE)
        kept = 0
        for each in shared.ranges:
            start, first, last = each.start, sequences[each.start].as_py(), sequences[each.stop - 1].as_py()
            whole = Piece(shared=shared, shard=shard, start=start, stop=each.stop, first=first, last=last)
            piece = whole.beyond(self._sealed.get(each.tenant_id, {}).get(shard, 0))
            if piece is None:
                continue
            waiting = self._waiting.setdefault(each.tenant_id, Waiting(since=at))
            waiting.pieces.append(piece)
            waiting.rows += piece.rows
            kept += piece.rows
        if kept:
            self._tables[id(shared)] = (shared, kept)
            self._bytes += shared.table.nbytes

    @property
    def bytes(self) -> int:
        """Memory of the tables that hold waiting rows."""
        return self._bytes

    def waiting(self) -> tuple[tuple[str, int, datetime], ...]:
        """(tenant, rows, since when its oldest waits) of every tenant with waiting rows."""
        with self._lock:
            self._make_columns()
            return tuple((tenant_id, one.rows, one.since) for tenant_id, one in self._waiting.items())

    def through(self) -> Mapping[int, int]:
        """Shard -> the last sequence that was handed over."""
        with self._lock:
            self._make_columns()
            return dict(self._through)

    def capture(self, *, tenant_id: str, sealed: Mapping[int, int]) -> Captured:
        """Everything of a tenant that waits now, to be sealed; it stays here until `forget`. sealed: how far each shard is sealed,
        by the manifest; rows up to there are dropped."""
        with self._lock:
            self._make_columns()
            self._settle(tenant_id, sealed)
            waiting = self._waiting.get(tenant_id)
            pieces = tuple(waiting.pieces) if waiting else ()
            return Captured(
                tenant_id=tenant_id,
                pieces=pieces,
                sealed=sealed,
                through=dict(self._through),
                rows=sum(piece.rows for piece in pieces),
            )

    def _settle(self, tenant_id: str, sealed: Mapping[int, int]) -> None:
        known = self._sealed.setdefault(tenant_id, {})
        if all(through <= known.get(shard, 0) for shard, through in sealed.items()):
            return
        known.update(sealed)
        waiting = self._waiting.pop(tenant_id, None)
        if waiting is None:
            return
        kept = [rest for piece in waiting.pieces if (rest := piece.beyond(sealed.get(piece.shard, 0)))]
        if kept:
            rows = sum(piece.rows for piece in kept)
            self._waiting[tenant_id] = Waiting(since=waiting.since, pieces=kept, rows=rows)
            for piece in kept:
                shared, count = self._tables[id(piece.shared)]
                self._tables[id(piece.shared)] = (shared, count + piece.rows)
        self._release(waiting.pieces)

    def forget(self, captured: Captured, *, at: datetime) -> None:
        """Drop what was sealed. at: rows that came meanwhile wait since then."""
        with self._lock:
            self._sealed.setdefault(captured.tenant_id, {}).update(captured.through)
            waiting = self._waiting.get(captured.tenant_id)
            if waiting is None:
                return
            gone = captured.pieces
            rest = waiting.pieces[len(gone) :]
            if rest:
                self._waiting[captured.tenant_id] = Waiting(since=at, pieces=rest, rows=waiting.rows - captured.rows)
            else:
                del self._waiting[captured.tenant_id]
            self._release(gone)

    def _release(self, pieces: Iterable[Piece]) -> None:
        for piece in pieces:
            shared, rows = self._tables[id(piece.shared)]
            if rows > piece.rows:
                self._tables[id(piece.shared)] = (shared, rows - piece.rows)
            else:
                del self._tables[id(piece.shared)]
                self._bytes -= shared.table.nbytes

    def sealed_of(self, *, tenant_id: str) -> Mapping[int, int]:
        """What this process knows to be sealed of a tenant."""
        with self._lock:
            return dict(self._sealed.get(tenant_id, {}))

    def unsealed_from(self) -> Mapping[int, int]:
        """Shard -> the first sequence that is not sealed for its tenant: the log needs nothing before it."""
        with self._lock:
            self._make_columns()
            found = {shard: through + 1 for shard, through in self._through.items()}
            for waiting in self._waiting.values():
                for piece in waiting.pieces:
                    found[piece.shard] = min(found.get(piece.shard, piece.first), piece.first)
            return found

    def after(self, *, tenant_id: str, sealed: Mapping[int, int]) -> TailRows | None:
        """As `TailSource` says."""
        with self._lock:
            self._make_columns()
            known = self._sealed.get(tenant_id, {})
            if any(through > sealed.get(shard, 0) for shard, through in known.items() if shard in self._through):
                return None
            waiting = self._waiting.get(tenant_id)
            pieces = [piece for piece in (waiting.pieces if waiting else ()) if piece.last > sealed.get(piece.shard, 0)]
            through = dict(self._through)
        if not pieces:
            return TailRows(table=None, through=through)
        return TailRows(table=_after(plain_table([piece.table() for piece in pieces]), sealed), through=through)


def _after(table: pa.Table, sealed: Mapping[int, int]) -> pa.Table:
    """Rows beyond what is sealed of each shard: between the manifest's answer and this one more may have been sealed."""
    for shard, through in sealed.items():
        beyond = pc.or_(pc.not_equal(table[columns.SHARD], shard), pc.greater(table[columns.SEQUENCE], through))
        table = table.filter(beyond)
    return table
