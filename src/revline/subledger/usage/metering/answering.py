"""Demands answered from one reading of the log: grouped so that as few queries as can be read as few files as can be."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import msgspec
import pyarrow as pa

from revline.subledger.usage.kinds import EventType
from revline.subledger.usage.metering.aggregates import Aggregate, Part
from revline.subledger.usage.metering.compiling import (
    OUTS,
    ROUTES,
    Compiled,
    Reach,
    can_share,
    compile_lines,
    compile_meters,
    reads_before,
)
from revline.subledger.usage.metering.finishing import metered
from revline.subledger.usage.metering.kinds import Aggregation, Bucket, Meter
from revline.subledger.usage.metering.partials import PartialFiles, joined, parted, partial_spec, partials_sql
from revline.subledger.usage.metering.ports import Box, Boxes, Reading
from revline.subledger.usage.metering.routing import Routes, routed
from revline.subledger.usage.metering.sources import TAIL, Source, sources_of, voiding_columns
from revline.subledger.usage.metering.subjects import BEGINNING, SubjectDirectory
from revline.subledger.usage.metering.values import CustomerWindow, Demand, Hierarchy, MeterCatalogue, Metered
from revline.subledger.usage.metering.voids import TakenBack, taken_back, voids_sql
from revline.subledger.usage.store.values import SegmentFile
from revline.subledger.usage.versions import Window


class Scope(msgspec.Struct, frozen=True, kw_only=True):
    """Whose use is asked for: meters of one scope join the same routes."""

    connection: str
    hierarchy: Hierarchy
    window: Window | None
    customers: tuple[CustomerWindow, ...]


class Sharing(msgspec.Struct, frozen=True, kw_only=True):
    """Meters that one query can answer. alone: the meter's name where it needs a query of its own. ahead: whether partial
    aggregates can answer them."""

    scope: Scope
    event_type: str
    group_by: tuple[str, ...]
    alone: str = ""
    ahead: bool = False


def shared(*, catalogue: MeterCatalogue, demands: Sequence[Demand]) -> Mapping[Sharing, tuple[str, ...]]:
    """Demands by the query that answers them. Meters without groups share one over all their event types."""
    found: dict[Sharing, list[str]] = defaultdict(list)
    for demand in demands:
        meter, event_type = catalogue.meters[demand.meter], catalogue.type_of(demand.meter)
        key = Sharing(
            scope=_scope(demand, event_type),
            event_type=meter.event_type if meter.group_by else "",
            group_by=meter.group_by,
            alone="" if can_share(meter) else demand.meter,
            ahead=partial_spec(meter, event_type) is not None,
        )
        found[key].append(demand.meter)
    return {key: tuple(names) for key, names in found.items()}


class Answering:
    """One reading asked many demands."""

    def __init__(
        self,
        *,
        reading: Reading,
        catalogue: MeterCatalogue,
        directory: SubjectDirectory,
        boxes: Boxes,
        partials: bool = True,
    ) -> None:
        """partials: read partial aggregates where they hold what is asked; the quantities are the same without."""
        self._reading, self._catalogue, self._directory, self._boxes = reading, catalogue, directory, boxes
        self._partials = partials
        self._tail = reading.tail
        self._routes: dict[Scope, Routes] = {}

    def routes(self, scope: Scope) -> Routes:
        """Who the events of a scope count for."""
        if scope not in self._routes:
            if scope.window is None:
                own = self._directory.routes_to(
                    {each.customer for each in scope.customers},
                    connection=scope.connection,
                    hierarchy=scope.hierarchy,
                )
            else:
                own = self._directory.routes(connection=scope.connection, hierarchy=scope.hierarchy)
            self._routes[scope] = routed(routes=own, window=scope.window, customers=scope.customers)
        return self._routes[scope]

    def quantities(self, demands: Sequence[Demand], *, made: list[Compiled] | None = None) -> Mapping[str, Metered]:
        """What the demands come to, by meter. made: gets the queries that were run. Raises duckdb.Error, OSError, TooLargeError."""
        found: dict[str, Metered] = {}
        for sharing, names in shared(catalogue=self._catalogue, demands=demands).items():
            found.update(self._answer(sharing, {name: self._meter(name) for name in names}, made))
        return {demand.meter: found[demand.meter] for demand in demands}

    def lines(
        self, demand: Demand, *, group: Sequence[str], after: tuple[datetime, int, int] | None, limit: int
    ) -> list[dict[str, Any]]:
        """The events one demand counts of a group, in order of time; those within its window where a level is carried in."""
        meter, event_type = self._meter(demand.meter)
        routes = self.routes(_scope(demand, event_type))
        if routes.window is None:
            return []
        files = self._reading.files(window=routes.window, types={event_type.type})
        with self._opened(routes.window, {event_type.type}, files) as (box, sources, out):
            if not sources:
                return []
            reach = self._reach(box, sources, routes.window, routes, out, {event_type.type}, None)
            compiled = compile_lines(
                box.dialect(),
                meter=meter,
                event_type=event_type,
                group=group,
                reach=reach,
                after=after,
                limit=limit,
            )
            found: list[dict[str, Any]] = box.ask(compiled.sql, compiled.parameters).to_pylist()
            return found

    def _meter(self, name: str) -> tuple[Meter, EventType]:
        return self._catalogue.meters[name], self._catalogue.type_of(name)

    def _answer(
        self, sharing: Sharing, meters: Mapping[str, tuple[Meter, EventType]], made: list[Compiled] | None
    ) -> Mapping[str, Metered]:
        routes = self.routes(sharing.scope)
        window, types = routes.window, {each.type for _, each in meters.values()}
        first = next(iter(meters.values()))[0]
        if window is None:
            return _nothing(meters, routes)
        if reads_before(first):
            window = Window(start=BEGINNING, end=window.end)
        files = self._reading.files(window=window, types=types)
        ahead, rest = (
            parted(files, meters=meters, edges=routes.edges) if self._partials and sharing.ahead else ((), files)
        )
        with self._opened(window, types, files, [path for each in ahead for path in each.paths]) as (box, sources, out):
            if not sources:
                return _nothing(meters, routes)
            reach = self._reach(box, sources, window, routes, out, types, first.bucket)
            if ahead:
                left = sources_of(files=rest, tail_columns=self._tail_columns, window=window, types=types)
                return self._joined(box, meters, ahead, msgspec.structs.replace(reach, sources=left), routes, made)
            compiled, answer = self._ask(box, meters, reach, made)
        return {
            name: metered(
                name=name,
                meter=each,
                aggregate=compiled.meters[name],
                answer=answer,
                groups=compiled.groups,
                slots=routes.slots,
            )
            for name, (each, _) in meters.items()
        }

    def _ask(
        self, box: Box, meters: Mapping[str, tuple[Meter, EventType]], reach: Reach, made: list[Compiled] | None
    ) -> tuple[Compiled, pa.Table]:
        compiled = compile_meters(box.dialect(), meters=meters, reach=reach)
        if made is not None:
            made.append(compiled)
        return compiled, box.ask(compiled.sql, compiled.parameters)

    def _joined(
        self,
        box: Box,
        meters: Mapping[str, tuple[Meter, EventType]],
        ahead: Sequence[PartialFiles],
        reach: Reach,
        routes: Routes,
        made: list[Compiled] | None,
    ) -> Mapping[str, Metered]:
        """Quantities from partial aggregates, with events for what they don't hold."""
        groups = len(next(iter(meters.values()))[0].group_by)
        aggregates = []
        for files in ahead:
            dialect = box.dialect()
            sql = partials_sql(
                dialect,
                files=files,
                meters=meters,
                window=reach.window,
                uniform=reach.uniform,
                apart=bool(reach.apart),
                groups=groups,
            )
            aggregates.append((files, box.ask(sql, dialect.parameters)))
        events = self._ask(box, meters, reach, made) if reach.sources or reach.apart else None
        found = {}
        for name, (meter, of_type) in meters.items():
            aggregate, answer = joined(
                box,
                name=name,
                meter=(meter, of_type),
                scale=_stored_scale(meter, of_type) if events is None else events[0].meters[name].scale,
                aggregates=aggregates,
                events=events,
                groups=groups,
            )
            found[name] = metered(
                name=name, meter=meter, aggregate=aggregate, answer=answer, groups=groups, slots=routes.slots
            )
        return found

    @contextmanager
    def _opened(
        self, window: Window, types: Collection[str], files: Sequence[SegmentFile], more: Sequence[str] = ()
    ) -> Iterator[tuple[Box, tuple[Source, ...], TakenBack]]:
        """A box over files that may hold these events, and what of them was taken back."""
        sources = sources_of(files=files, tail_columns=self._tail_columns, window=window, types=types)
        voiding = self._voiding() if sources else ()
        version = self._reading.version
        paths = [path for source in (*sources, *voiding) for path in source.paths]
        with self._boxes(paths=[*paths, *more]) as box:
            if self._tail is not None:
                box.give(TAIL, self._tail)
            dialect = box.dialect()
            named = (
                box.ask(voids_sql(dialect, sources=voiding, version=version), dialect.parameters) if voiding else None
            )
            yield (
                box,
                sources,
                taken_back(box, named=named, sources=sources, version=version, window=window, types=types),
            )

    @property
    def _tail_columns(self) -> list[str] | None:
        return None if self._tail is None else self._tail.column_names

    def _voiding(self) -> tuple[Source, ...]:
        return sources_of(
            files=self._reading.files(chosen=lambda each: bool(each.voids)),
            tail_columns=voiding_columns(self._tail),
            window=Window(start=BEGINNING, end=BEGINNING),
        )

    def _reach(
        self,
        box: Box,
        sources: tuple[Source, ...],
        window: Window,
        routes: Routes,
        out: TakenBack,
        types: Collection[str],
        bucket: Bucket | None,
    ) -> Reach:
        """Gives the box its routes and what is out, and says what a query is over."""
        apart = out.subjects(types=types) & frozenset(routes.subjects) if len(out.table) else frozenset[str]()
        if apart:
            box.give(OUTS, out.outs)
        box.give(ROUTES, routes.table(apart=apart, bucket=bucket))
        return Reach(
            sources=sources,
            version=self._reading.version,
            window=window,
            uniform=routes.uniform,
            subjects=routes.subjects,
            apart=tuple(sorted(apart)),
            apart_sources=sources if apart else (),
            only=None if apart else routes.only,
        )


def _scope(demand: Demand, event_type: EventType) -> Scope:
    return Scope(
        connection=event_type.subject,
        hierarchy=demand.hierarchy,
        window=demand.window,
        customers=demand.customers,
    )


def _nothing(meters: Mapping[str, tuple[Meter, EventType]], routes: Routes) -> Mapping[str, Metered]:
    return {name: _none(name, meter, of_type, routes) for name, (meter, of_type) in meters.items()}


def _none(name: str, meter: Meter, event_type: EventType, routes: Routes) -> Metered:
    """No rows."""
    answer = pa.table(
        {
            "slot": pa.array([], pa.int32()),
            **{f"g{place}": pa.array([], pa.string()) for place in range(len(meter.group_by))},
            **{part.value: pa.array([], pa.int64()) for part in Part},
        }
    )
    aggregate = Aggregate(parts={part: part.value for part in Part}, scale=_stored_scale(meter, event_type))
    return metered(
        name=name, meter=meter, aggregate=aggregate, answer=answer, groups=len(meter.group_by), slots=routes.slots
    )


def _stored_scale(meter: Meter, event_type: EventType) -> int:
    field = event_type.fields.get(meter.field)
    counted = {Aggregation.COUNT, Aggregation.UNIQUE}
    if field is None or meter.aggregation in counted or (meter.bucket and meter.bucket.aggregation in counted):
        return 0
    return field.scale
