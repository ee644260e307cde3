"""Adoption: events whose type was unknown when they came are typed once it is configured, without being sent again.

An adopted event is a new row in a shard of its own (`ADOPTED_SHARD`), with the identity of the old one and the time it happened;
the old row stays as it is and is held no longer. So a version that was read before reads the same, and what adoption adds is late
usage like any other. What breaks the type stays held and becomes a case.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from revline.core.clock import Clock
from revline.core.problem import Mender, Problem, Retryable, define, problem
from revline.platform.cases.record import NewCase, open_cases, resolve_cases
from revline.platform.store.engine import Database
from revline.platform.store.unit import Unit
from revline.subledger.usage import columns
from revline.subledger.usage.decoding.catalogue import TypeCatalogue
from revline.subledger.usage.decoding.decode import decode_each
from revline.subledger.usage.decoding.values import Invalid
from revline.subledger.usage.log.rows import to_table
from revline.subledger.usage.log.values import CommittedBatch
from revline.subledger.usage.store import queries, record
from revline.subledger.usage.store.layout import plain_table
from revline.subledger.usage.store.objects import ObjectStore
from revline.subledger.usage.store.queries import Manifest
from revline.subledger.usage.store.values import ADOPTED_SHARD, PartialSpec, Segment, SegmentKind
from revline.subledger.usage.store.writing import Writer

SUBJECT: Final = "usage_type"
"""Kind of a case's subject: a type of usage some of whose held events break it."""
BATCH: Final = 50_000
"""Events of one step."""
_NAMES: Final = (columns.TYPE, columns.SUBJECT, columns.SOURCE, columns.ID, columns.REST, columns.OCCURRED_AT)


class Adopted(msgspec.Struct, frozen=True, kw_only=True):
    """What adoption came to: events that are typed now, and by type how many stay held because they break it."""

    rows: int
    refused: Mapping[str, int]


class Adopter:
    """Adopts in one database's usage. types_of: a tenant's present catalogue."""

    def __init__(
        self,
        *,
        database: Database,
        objects: ObjectStore,
        clock: Clock,
        random_bytes: Callable[[int], bytes],
        specs: Callable[[str], Sequence[PartialSpec]],
        types_of: Callable[[str], TypeCatalogue | Problem],
    ) -> None:
        self._database, self._objects, self._clock = database, objects, clock
        self._specs, self._types_of = specs, types_of
        self._writer = Writer(objects=objects, clock=clock, random_bytes=random_bytes, segment_rows=BATCH)

    def adopt(self, *, tenant_id: str, actor: str, reason: str) -> Adopted | Problem:
        """Type every sealed event that can be. Problems: `usage.adoption_moved`, and why there is no catalogue. Raises OSError."""
        types = self._types_of(tenant_id)
        if isinstance(types, Problem):
            return types
        with self._database.read(tenants=[tenant_id]) as connection:
            manifest = queries.manifest_of(connection, tenant_id=tenant_id)
        held = self._held(manifest, types)
        if not len(held):
            return Adopted(rows=0, refused={})
        first = manifest.sealed.get(ADOPTED_SHARD, 0) + 1
        tables, invalid = self._typed(tenant_id, held, types, first)
        added: tuple[Segment, ...] = ()
        if tables:
            added = self._writer.write(
                tenant_id=tenant_id,
                tables=[plain_table(tables)],
                kind=SegmentKind.ADOPTED,
                erasure_epoch=manifest.erasure_epoch,
                specs=self._specs(tenant_id),
            )
        rows = sum(one.rows for one in added)
        with self._database.unit(
            tenants=[tenant_id], kind="usage_adopt", actor=actor, reason=reason, recorded_at=self._clock.now()
        ) as unit:
            present = record.lock_sealed(unit, tenant_id=tenant_id)
            if present.get(ADOPTED_SHARD, 0) != first - 1:
                return problem("usage.adoption_moved", f"held usage of {tenant_id} was adopted meanwhile")
            moved = {ADOPTED_SHARD: first - 1 + rows} if rows else {}
            record.publish(unit, tenant_id=tenant_id, act="adopt", added=added, sealed=moved)
            self._tell(unit, tenant_id, pc.unique(held[columns.TYPE]).to_pylist(), invalid)
        return Adopted(rows=rows, refused={kind: len(found) for kind, found in invalid.items()})

    def _held(self, manifest: Manifest, types: TypeCatalogue) -> pa.Table:
        """Sealed events of types that are known now, without those that were adopted."""
        wanted = pa.array(sorted(types.shapes), pa.string())
        tables: list[pa.Table] = []
        known: set[tuple[str, str]] = set()
        for one in manifest.segments:
            adopts = any(each.shard == ADOPTED_SHARD for each in one.sequences)
            if not (one.untyped or adopts) or set(one.types).isdisjoint(types.shapes):
                continue
            with self._objects.at_hand(key=one.key, size_bytes=one.size_bytes) as path:
                table = pq.read_table(path, columns=[columns.SHARD, columns.TYPED, *_NAMES], partitioning=None)
            table = table.filter(pc.is_in(table[columns.TYPE], value_set=wanted))
            adopted = table.filter(pc.equal(table[columns.SHARD], ADOPTED_SHARD))
            known.update(zip(adopted[columns.SOURCE].to_pylist(), adopted[columns.ID].to_pylist(), strict=True))
            tables.append(table.filter(pc.invert(table[columns.TYPED])).select(list(_NAMES)))
        if not tables:
            return pa.table({name: [] for name in _NAMES})
        held = pa.concat_tables(tables)
        if known:
            pairs = zip(held[columns.SOURCE].to_pylist(), held[columns.ID].to_pylist(), strict=True)
            held = held.filter(pa.array([pair not in known for pair in pairs]))
        return held

    def _typed(
        self, tenant_id: str, held: pa.Table, types: TypeCatalogue, first: int
    ) -> tuple[list[pa.Table], Mapping[str, list[Invalid]]]:
        now, tables = self._clock.now(), []
        invalid: dict[str, list[Invalid]] = {}
        for start in range(0, len(held), BATCH):
            rows = held.slice(start, BATCH).to_pylist()
            decoded = decode_each([_line(row) for row in rows], types)
            for one in decoded.invalid:
                invalid.setdefault(rows[one.index][columns.TYPE], []).append(one)
            if decoded.storable:
                batch = CommittedBatch(
                    tenant_id=tenant_id,
                    shard=ADOPTED_SHARD,
                    first_sequence=first,
                    received_at=now,
                    count=decoded.storable,
                    rows=decoded.rows,
                    events=decoded.events,
                )
                tables.append(to_table([batch]))
                first += decoded.storable
        return tables, invalid

    def _tell(self, unit: Unit, tenant_id: str, kinds: Sequence[str], invalid: Mapping[str, list[Invalid]]) -> None:
        resolved = [kind for kind in kinds if kind not in invalid]
        if resolved:
            resolve_cases(unit, tenant_id=tenant_id, subject_kind=SUBJECT, subject_ids=resolved)
        cases = []
        for kind, found in sorted(invalid.items()):
            detail = f"{len(found)} held events of {kind} break it; the first: {found[0].problem.detail}"
            told = problem("usage.adoption_refused", detail, field=kind)
            cases.append(NewCase(tenant_id=tenant_id, subject_kind=SUBJECT, subject_id=kind, problem=told))
        open_cases(unit, cases=cases)


def _line(row: Mapping[str, object]) -> bytes:
    """A held row as the event it was."""
    return msgspec.json.encode(
        {
            "type": row[columns.TYPE],
            "data": msgspec.Raw(str(row[columns.REST] or "{}").encode()),
            "id": row[columns.ID],
            "source": row[columns.SOURCE],
            "subject": row[columns.SUBJECT],
            "time": row[columns.OCCURRED_AT],
        }
    )


define(
    code="usage.adoption_refused",
    title="Held usage breaks the type it was waiting for",
    status=422,
    retryable=Retryable.AFTER_FIX,
    mender=Mender.CONFIGURATION,
    remedy="Widen the EventType so that it takes what was sent, or send voids for these events.",
)
define(
    code="usage.adoption_moved",
    title="Another process adopts the same usage",
    status=409,
    retryable=Retryable.YES,
    mender=Mender.OPERATOR,
    remedy="Run it again once the other one is done.",
)
