"""Events that were taken back: an event is out as soon as any void or amendment of it is in the version, whichever came first.

A void can't be voided, and taking an amendment back doesn't bring back what it replaced: so what is in depends on which events
there are and never on their order. Nothing is read where no file says that it holds a void.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from revline.subledger.usage import columns
from revline.subledger.usage.metering.dialects import Dialect
from revline.subledger.usage.metering.ports import Box
from revline.subledger.usage.metering.sources import Source, events_sql
from revline.subledger.usage.versions import UsageVersion, Window

VOIDED = "voided"


class TakenBack(msgspec.Struct, frozen=True, kw_only=True):
    """What was taken back among the sources asked for. table: shard, sequence, type, subject, occurred_at of each."""

    table: pa.Table

    def subjects(self, *, types: Collection[str]) -> frozenset[str]:
        """Whose events of these types were taken back."""
        wanted = set(types)
        rows = zip(self.table[columns.TYPE].to_pylist(), self.table[columns.SUBJECT].to_pylist(), strict=True)
        return frozenset(subject for of_type, subject in rows if of_type in wanted)

    def without(self, event_type: str) -> TakenBack:
        """The same without events of a type."""
        return TakenBack(table=self.table.filter(pc.not_equal(self.table[columns.TYPE], event_type)))

    @property
    def outs(self) -> pa.Table:
        """What queries leave out."""
        return self.table.select([columns.SHARD, columns.SEQUENCE])


NOTHING = TakenBack(
    table=pa.table(
        {
            columns.SHARD: pa.array([], pa.int16()),
            columns.SEQUENCE: pa.array([], pa.int64()),
            columns.TYPE: pa.array([], pa.string()),
            columns.SUBJECT: pa.array([], pa.string()),
            columns.OCCURRED_AT: pa.array([], pa.timestamp("us", "UTC")),
        }
    )
)


def voids_sql(
    dialect: Dialect, *, sources: Sequence[Source], version: UsageVersion, since: UsageVersion | None = None
) -> str:
    """The identities that voids and amendments name; those that came after a version where one is given."""
    events = events_sql(
        dialect,
        sources=sources,
        wanted=[columns.VOIDS_SOURCE, columns.VOIDS_ID, *([columns.SHARD, columns.SEQUENCE] if since else [])],
        version=version,
        window=None,
        types=None,
        typed=False,
    )
    return (
        f"SELECT DISTINCT {columns.VOIDS_SOURCE} AS source, {columns.VOIDS_ID} AS id FROM ({events}) e"
        f" WHERE {columns.VOIDS_ID} IS NOT NULL{f' AND NOT ({included(dialect, since)})' if since else ''}"
    )


def included(dialect: Dialect, version: UsageVersion) -> str:
    """SQL for whether an event is part of a version."""
    parts = [
        f"(e.shard = {dialect.integer(shard)} AND e.sequence <= {dialect.integer(last)})"
        for shard, last in version.watermarks
    ]
    return " OR ".join(parts) if parts else "1 = 0"


def taken_back(
    box: Box,
    *,
    named: pa.Table | None,
    sources: Sequence[Source],
    version: UsageVersion,
    window: Window,
    types: Collection[str] | None,
    typed: bool = True,
) -> TakenBack:
    """Events of the sources, window and types that a void or an amendment names. named: what `voids_sql` gives, None for nothing.
    typed: of a known type only."""
    if named is None or not len(named) or not sources:
        return NOTHING
    box.give(VOIDED, named)
    dialect = box.dialect()
    events = events_sql(
        dialect,
        sources=sources,
        wanted=[
            columns.SHARD,
            columns.SEQUENCE,
            columns.TYPE,
            columns.SUBJECT,
            columns.OCCURRED_AT,
            columns.SOURCE,
            columns.ID,
        ],
        version=version,
        window=window,
        types=types,
        typed=typed,
    )
    sql = (
        f"SELECT e.shard, e.sequence, e.type, e.subject, e.occurred_at FROM ({events}) e"
        f" {dialect.semi_join} {VOIDED} v ON v.source = e.source AND v.id = e.id"
    )
    return TakenBack(table=box.ask(sql, dialect.parameters))
