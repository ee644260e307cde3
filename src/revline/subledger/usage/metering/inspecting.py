"""Questions about what is stored rather than how much it comes to: what is held, what became of every event, what changed."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Final

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from revline.subledger.usage import columns
from revline.subledger.usage.events import VOID_TYPE
from revline.subledger.usage.metering.dialects import Dialect
from revline.subledger.usage.metering.ports import Box, Boxes, Reading
from revline.subledger.usage.metering.sources import TAIL, Source, events_sql, sources_of, voiding_columns
from revline.subledger.usage.metering.subjects import ALWAYS, BEGINNING, FOREVER, Route, SubjectDirectory
from revline.subledger.usage.metering.values import Held, HeldReason, MeterCatalogue, Tally
from revline.subledger.usage.metering.voids import TakenBack, included, taken_back, voids_sql
from revline.subledger.usage.store.values import ADOPTED_SHARD
from revline.subledger.usage.versions import UsageVersion, Window

EVERYTHING: Final = Window(start=BEGINNING, end=FOREVER)
NOWHERE: Final = Window(start=BEGINNING, end=BEGINNING)
HELD_MAX: Final = 10_000
"""Lines of held usage one answer gives, those with most events first."""
SUBJECTS: Final = "subjects"


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """Events of one type and subject on one UTC day: when the first and the last of them happened."""

    type: str
    subject: str
    first_at: datetime
    last_at: datetime


class Inspecting:
    """One reading of the log looked at as a whole."""

    def __init__(
        self, *, reading: Reading, catalogue: MeterCatalogue, directory: SubjectDirectory, boxes: Boxes
    ) -> None:
        self._reading, self._catalogue, self._directory, self._boxes = reading, catalogue, directory, boxes
        self._tail = reading.tail

    def held(self) -> tuple[Held, ...]:
        """What waits, most events first; at most HELD_MAX lines."""
        sources = self._sources(window=EVERYTHING)
        if not sources:
            return ()
        with self._box(sources) as box:
            out = self._out(box, sources, EVERYTHING)
            found = [line for lines in self._held_lines(box, sources, EVERYTHING, out) for line in lines]
        return tuple(sorted(found, key=lambda each: (-each.events, each.type, each.subject))[:HELD_MAX])

    def tally(self, window: Window | None) -> tuple[Tally, ...]:
        """What became of every accepted event, by type."""
        wanted = window or EVERYTHING
        sources = self._sources(window=wanted)
        if not sources:
            return ()
        with self._box(sources) as box:
            out = self._out(box, sources, wanted)
            dialect = box.dialect()
            events = self._events(dialect, sources, wanted, [columns.TYPE, columns.SHARD], None)
            once = f"count(*) FILTER (WHERE e.shard <> {dialect.integer(ADOPTED_SHARD)})"
            counts = box.ask(f"SELECT type, {once} AS events FROM ({events}) e GROUP BY type", dialect.parameters)
            held: Counter[str] = Counter()
            for lines in self._held_lines(box, sources, wanted, out):
                held.update({line.type: line.events for line in lines})
        void = Counter(
            out.table.filter(pc.not_equal(out.table[columns.SHARD], ADOPTED_SHARD))[columns.TYPE].to_pylist()
        )
        pairs = zip(counts["type"].to_pylist(), counts["events"].to_pylist(), strict=True)
        return tuple(self._tallied(of_type, events, held[of_type], void[of_type]) for of_type, events in sorted(pairs))

    def _tallied(self, of_type: str, events: int, held: int, void: int) -> Tally:
        if of_type == VOID_TYPE:
            return Tally(type=of_type, accepted=events, counted=0, held=0, void=0, commands=events, not_billable=0)
        known = self._catalogue.by_type(of_type)
        rest = events - held - void
        free = known is not None and not known.billable
        return Tally(
            type=of_type,
            accepted=events,
            counted=0 if free else rest,
            held=held,
            void=void,
            commands=0,
            not_billable=rest if free else 0,
        )

    def came(self, *, since: UsageVersion) -> tuple[Seen, ...]:
        """Events that are new in this version or were taken back since another, by type, subject and UTC day."""
        until = self._reading.version
        files = self._reading.files(
            chosen=lambda each: any(part.last > since.until(part.shard) for part in each.sequences)
        )
        fresh = sources_of(files=files, tail_columns=self._tail_columns, window=EVERYTHING)
        if not fresh:
            return ()
        everything = (
            self._sources(window=EVERYTHING)
            if any(each.segment.voids for each in files) or voiding_columns(self._tail)
            else ()
        )
        with self._box((*fresh, *everything)) as box:
            found = self._seen(box, fresh, since=since)
            if everything:
                back = taken_back(
                    box,
                    named=self._named(box, fresh, since),
                    sources=everything,
                    version=until,
                    window=EVERYTHING,
                    types=None,
                )
                rows = back.table.select([columns.TYPE, columns.SUBJECT, columns.OCCURRED_AT]).to_pylist()
                found += [
                    Seen(
                        type=row["type"],
                        subject=row["subject"],
                        first_at=row["occurred_at"],
                        last_at=row["occurred_at"],
                    )
                    for row in rows
                ]
        return tuple(found)

    def of_subjects(self, subjects: Collection[str]) -> tuple[Seen, ...]:
        """Every event of these subjects, by type, subject and UTC day."""
        sources = self._sources(window=EVERYTHING)
        if not sources or not subjects:
            return ()
        with self._box(sources) as box:
            box.give(SUBJECTS, pa.table({"subject": pa.array(sorted(subjects), pa.string())}))
            return tuple(self._seen(box, sources, only=True))

    def _seen(
        self, box: Box, sources: Sequence[Source], *, since: UsageVersion | None = None, only: bool = False
    ) -> list[Seen]:
        dialect = box.dialect()
        wanted = [columns.TYPE, columns.SUBJECT, columns.OCCURRED_AT]
        read = [*wanted, columns.SHARD, columns.SEQUENCE] if since else wanted
        events = self._events(dialect, sources, EVERYTHING, read, None)
        day = dialect.whole_part(
            f"{dialect.since_1970('e.occurred_at')} + {dialect.integer(_FAR_DAYS * _DAY)}", dialect.integer(_DAY)
        )
        conditions = [f"e.type <> {dialect.text(VOID_TYPE)}"]
        if since is not None:
            conditions.append(f"NOT ({included(dialect, since)})")
        join = f" {dialect.semi_join} {SUBJECTS} s ON s.subject = e.subject" if only else ""
        sql = (
            f"SELECT e.type AS type, e.subject AS subject, min(e.occurred_at) AS first_at, max(e.occurred_at) AS last_at"
            f" FROM ({events}) e{join} WHERE {' AND '.join(conditions)} GROUP BY e.type, e.subject, {day}"
        )
        return [Seen(**row) for row in box.ask(sql, dialect.parameters).to_pylist()]

    def _named(self, box: Box, sources: Sequence[Source], since: UsageVersion) -> pa.Table:
        dialect = box.dialect()
        sql = voids_sql(dialect, sources=sources, version=self._reading.version, since=since)
        return box.ask(sql, dialect.parameters)

    def _held_lines(
        self, box: Box, sources: Sequence[Source], window: Window, out: TakenBack
    ) -> Iterable[tuple[Held, ...]]:
        """Held events by reason; the types of one subject scope at a time."""
        known: Mapping[str, list[str]] = self._types_by_scope()
        box.give(_OUT, out.outs)
        everywhere = [each for types in known.values() for each in types]
        yield self._lines(box, sources, window, everywhere, routes=(), scope=None)
        for scope, types in known.items():
            yield self._lines(box, sources, window, types, routes=self._directory.routes(connection=scope), scope=scope)

    def _types_by_scope(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = defaultdict(list)
        for each in self._catalogue.types.values():
            found[each.subject].append(each.type)
        return found

    def _lines(
        self,
        box: Box,
        sources: Sequence[Source],
        window: Window,
        types: Sequence[str],
        *,
        routes: Sequence[Route],
        scope: str | None,
    ) -> tuple[Held, ...]:
        """Events of the types without a route; scope None: events without a known type."""
        dialect = box.dialect()
        read = [*(columns.TYPE, columns.SUBJECT, columns.OCCURRED_AT, columns.TYPED), columns.SHARD, columns.SEQUENCE]
        events = self._events(dialect, sources, window, read, types if scope is not None else None)
        if scope is None:
            named = ", ".join(dialect.text(each) for each in sorted(types))
            unknown = f"e.type NOT IN ({named})" if named else "1 = 1"
            adopted = f"e.shard = {dialect.integer(ADOPTED_SHARD)}"
            condition = f"e.type <> {dialect.text(VOID_TYPE)} AND ({unknown} OR NOT e.typed OR {adopted})"
            # An adopted event stands here twice, untyped and typed: it is held no longer, unless its type went again.
            count = f"count(*) FILTER (WHERE NOT {adopted}) - count(*) FILTER (WHERE {adopted} AND NOT ({unknown}))"
            join = ""
        else:
            condition, count = "e.typed", "count(*)"
            join = f" {dialect.anti_join} {_ROUTED} r ON r.subject = e.subject"
            if any(route.window != ALWAYS for route in routes):
                join += " AND e.occurred_at >= r.begins AND e.occurred_at < r.ends"
            box.give(_ROUTED, _routes_table(routes))
        inner = f"SELECT e.* FROM ({events}) e {dialect.anti_join} {_OUT} o ON o.shard = e.shard AND o.sequence = e.sequence"
        sql = (
            f"SELECT e.type AS type, e.subject AS subject, {count} AS events, min(e.occurred_at) AS first_at,"
            f" max(e.occurred_at) AS last_at FROM ({inner}) e{join} WHERE {condition} GROUP BY e.type, e.subject"
        )
        rows = box.ask(sql, dialect.parameters).to_pylist()
        return tuple(Held(reason=self._reason(row["subject"], scope), **row) for row in rows if row["events"] > 0)

    def _reason(self, subject: str, scope: str | None) -> HeldReason:
        if scope is None:
            return HeldReason.NO_TYPE
        several = len(self._directory.named(subject=subject, connection=scope)) > 1
        return HeldReason.SEVERAL_CUSTOMERS if several else HeldReason.NO_CUSTOMER

    @property
    def _tail_columns(self) -> list[str] | None:
        return None if self._tail is None else self._tail.column_names

    def _sources(self, *, window: Window) -> tuple[Source, ...]:
        files = self._reading.files(window=None if window is EVERYTHING else window)
        return sources_of(files=files, tail_columns=self._tail_columns, window=window)

    def _box(self, sources: Sequence[Source]) -> _Opened:
        return _Opened(self._boxes, sources, self._tail, self._voiding())

    def _voiding(self) -> tuple[Source, ...]:
        return sources_of(
            files=self._reading.files(chosen=lambda each: bool(each.voids)),
            tail_columns=voiding_columns(self._tail),
            window=NOWHERE,
        )

    def _out(self, box: Box, sources: Sequence[Source], window: Window) -> TakenBack:
        voiding = self._voiding()
        version = self._reading.version
        dialect = box.dialect()
        named = box.ask(voids_sql(dialect, sources=voiding, version=version), dialect.parameters) if voiding else None
        return taken_back(
            box, named=named, sources=sources, version=version, window=window, types=None, typed=False
        ).without(VOID_TYPE)

    def _events(
        self,
        dialect: Dialect,
        sources: Sequence[Source],
        window: Window,
        wanted: Sequence[str],
        types: Collection[str] | None,
    ) -> str:
        return events_sql(
            dialect,
            sources=sources,
            wanted=wanted,
            version=self._reading.version,
            window=None if window is EVERYTHING else window,
            types=types,
            typed=False,
        )


class _Opened:
    """A box with the tail in it."""

    def __init__(
        self, boxes: Boxes, sources: Sequence[Source], tail: pa.Table | None, voiding: Sequence[Source]
    ) -> None:
        self._opened = boxes(paths=[path for each in (*sources, *voiding) for path in each.paths])
        self._tail = tail

    def __enter__(self) -> Box:
        box = self._opened.__enter__()
        if self._tail is not None:
            box.give(TAIL, self._tail)
        return box

    def __exit__(self, *failure: object) -> None:
        self._opened.__exit__(*failure)  # type: ignore[arg-type]


_OUT: Final = "outs"
_ROUTED: Final = "routed"
_DAY: Final = 86_400_000_000
_FAR_DAYS: Final = 100_000


def _routes_table(routes: Sequence[Route]) -> pa.Table:
    moment = pa.timestamp("us", "UTC")
    return pa.table(
        {
            "subject": pa.array([each.subject for each in routes], pa.string()),
            "begins": pa.array([each.window.start for each in routes], moment),
            "ends": pa.array([each.window.end for each in routes], moment),
        }
    )
