"""Meters as SQL: one query for meters that can share a reading of the events. Pure; the same text runs on both engines.

The relations a query reads besides events: `routes` (subject, slot, begins, ends, since, apart, buckets), where a slot is the
number of one customer's window; `outs` (shard, sequence), events that were taken back, all of subjects that are `apart`. A query
gives for each slot and group whole numbers and exact decimals; `finishing` makes quantities of them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Final

import msgspec

from revline.subledger.usage import columns
from revline.subledger.usage.kinds import EventType
from revline.subledger.usage.metering.aggregates import (
    Aggregate,
    bucketed_sql,
    level_sql,
    merging,
    plain_components,
)
from revline.subledger.usage.metering.dialects import Bound, Dialect, quoted
from revline.subledger.usage.metering.fields import FieldValue, conditions, field_value, groups
from revline.subledger.usage.metering.kinds import Aggregation, Meter
from revline.subledger.usage.metering.sources import TAIL, Source, events_sql, fields_of
from revline.subledger.usage.versions import UsageVersion, Window

ROUTES: Final = "routes"
OUTS: Final = "outs"
FEW_SUBJECTS: Final = 200
"""So many are named in the query, so that sorted files are read in part; more are found by the join alone."""


class Relations(msgspec.Struct, frozen=True, kw_only=True):
    """What a query reads, by the names an engine knows it under."""

    routes: str = ROUTES
    outs: str = OUTS
    tail: str = TAIL


class Reach(msgspec.Struct, frozen=True, kw_only=True):
    """What of the log a query is over. window: around every slot's window. uniform: every slot's window is that one, so that events
    need no look at their slot's. subjects: of the routes, when there are few. apart: of those with events that were taken back,
    which are read from `apart_sources`. only: the slot of all of them, where one subject is all there is and nothing is apart."""

    sources: tuple[Source, ...]
    version: UsageVersion
    window: Window
    uniform: bool
    subjects: tuple[str, ...] = ()
    apart: tuple[str, ...] = ()
    apart_sources: tuple[Source, ...] = ()
    only: int | None = None


class Compiled(msgspec.Struct, frozen=True, kw_only=True):
    """A query and how its columns are read. meters: by name what becomes of the columns. groups: how many group columns, g0 on.
    paths: files it names."""

    sql: str
    parameters: Mapping[str, Bound]
    meters: Mapping[str, Aggregate]
    groups: int
    paths: tuple[str, ...] = ()


def can_share(meter: Meter) -> bool:
    """Whether a meter is one column or two of a plain group-by, and so can share a reading with others."""
    alone = {Aggregation.UNIQUE, Aggregation.PERCENTILE, Aggregation.WEIGHTED_SUM}
    return meter.bucket is None and not meter.carry_over and meter.aggregation not in alone


def reads_before(meter: Meter) -> bool:
    """Whether events before the window count: levels and last values are carried in."""
    return meter.carry_over or meter.aggregation is Aggregation.WEIGHTED_SUM


def compile_meters(
    dialect: Dialect,
    *,
    meters: Mapping[str, tuple[Meter, EventType]],
    reach: Reach,
    relations: Relations | None = None,
) -> Compiled:
    """One query for meters of the same groups; more than one only where each `can_share`."""
    relations = relations or Relations()
    present = fields_of((*reach.sources, *reach.apart_sources))
    (first, event_type), *_ = meters.values()
    group_sql, group_columns = groups(dialect, meter=first, event_type=event_type, present=present)
    needed = [columns.TYPE] if len({each.type for _, each in meters.values()}) > 1 else []
    found: dict[str, tuple[FieldValue | None, tuple[str, ...]]] = {}
    for name, (meter, of_type) in meters.items():
        value = field_value(dialect, name=meter.field, event_type=of_type, present=present) if meter.field else None
        filters, read = conditions(dialect, meter=meter, event_type=of_type, present=present)
        found[name] = (value, filters)
        needed += [*(value.columns if value else ()), *read]
    wanted = dict.fromkeys([columns.SEQUENCE, *needed, *group_columns, *_timed(meters, reach)])
    types = {each.type for _, each in meters.values()}
    after = _routes_come_after(meters, reach)
    events = (
        _unrouted(dialect, tuple(wanted), types, reach, relations)
        if after
        else _routed(
            dialect, tuple(wanted), types, reach, relations, carried=reads_before(first), bucketed=bool(first.bucket)
        )
    )
    paths = tuple(path for source in reach.sources for path in source.paths)
    names = [f"g{place}" for place in range(len(group_sql))]
    keyed = [f"{sql} AS {name}" for sql, name in zip(group_sql, names, strict=True)]
    if len(meters) == 1 and not can_share(first):
        (name, (value, filters)), *_ = found.items()
        where = f" WHERE {' AND '.join(filters)}" if filters else ""
        make = level_sql if reads_before(first) else bucketed_sql
        sql, aggregate = make(
            dialect, meter=first, value=value, events=events, where=where, keyed=keyed, window=reach.window
        )
        return Compiled(
            sql=sql, parameters=dialect.parameters, meters={name: aggregate}, groups=len(names), paths=paths
        )
    sql, aggregates = _shared(dialect, meters, found, events, keyed, relations.routes if after else "")
    return Compiled(sql=sql, parameters=dialect.parameters, meters=aggregates, groups=len(names), paths=paths)


LINE: Final = (
    columns.SHARD,
    columns.SEQUENCE,
    columns.OCCURRED_AT,
    columns.RECEIVED_AT,
    columns.SUBJECT,
    columns.SOURCE,
    columns.ID,
)


def compile_lines(
    dialect: Dialect,
    *,
    meter: Meter,
    event_type: EventType,
    group: Sequence[str],
    reach: Reach,
    after: tuple[datetime, int, int] | None,
    limit: int,
) -> Compiled:
    """The events a meter counts of one slot and group, in order of time, with the value of its field."""
    present = fields_of((*reach.sources, *reach.apart_sources))
    value = field_value(dialect, name=meter.field, event_type=event_type, present=present) if meter.field else None
    filters, read = conditions(dialect, meter=meter, event_type=event_type, present=present)
    group_sql, group_columns = groups(dialect, meter=meter, event_type=event_type, present=present)
    wanted = dict.fromkeys([*LINE, *(value.columns if value else ()), *read, *group_columns])
    events = _routed(dialect, tuple(wanted), {event_type.type}, reach, Relations(), carried=False, bucketed=False)
    kept = [*filters, *(f"{sql} = {dialect.text(one)}" for sql, one in zip(group_sql, group, strict=True))]
    if after is not None:
        moment, shard, sequence = dialect.moment(after[0]), dialect.integer(after[1]), dialect.integer(after[2])
        later = f"e.shard > {shard} OR (e.shard = {shard} AND e.sequence > {sequence})"
        kept.append(f"(e.occurred_at > {moment} OR (e.occurred_at = {moment} AND ({later})))")
    given = ", ".join([*(f"e.{name} AS {name}" for name in LINE), f"{value.sql if value else 'NULL'} AS value"])
    where = f" WHERE {' AND '.join(kept)}" if kept else ""
    order = "ORDER BY e.occurred_at, e.shard, e.sequence"
    return Compiled(
        sql=f"SELECT {given} FROM ({events}) e{where} {order} LIMIT {int(limit)}",
        parameters=dialect.parameters,
        meters={},
        groups=0,
    )


def _timed(meters: Mapping[str, tuple[Meter, EventType]], reach: Reach) -> Sequence[str]:
    needs = not reach.uniform or any(
        meter.bucket or reads_before(meter) or meter.aggregation is Aggregation.LATEST for meter, _ in meters.values()
    )
    return [columns.OCCURRED_AT] if needs else []


def _routes_come_after(meters: Mapping[str, tuple[Meter, EventType]], reach: Reach) -> bool:
    """Whether events can be summed by subject first and meet their customers then: a join of few rows instead of all."""
    plain = all(can_share(meter) and meter.aggregation is not Aggregation.LATEST for meter, _ in meters.values())
    return plain and reach.uniform and not reach.apart and len(reach.subjects) > FEW_SUBJECTS


def _unrouted(
    dialect: Dialect, wanted: tuple[str, ...], types: Collection[str], reach: Reach, relations: Relations
) -> str:
    """Events with their subject."""
    return events_sql(
        dialect,
        sources=reach.sources,
        wanted=[columns.SUBJECT, *(name for name in wanted if name != columns.SUBJECT)],
        version=reach.version,
        window=reach.window,
        types=types,
        tail=relations.tail,
    )


def _routed(
    dialect: Dialect,
    wanted: tuple[str, ...],
    types: Collection[str],
    reach: Reach,
    relations: Relations,
    *,
    carried: bool,
    bucketed: bool,
) -> str:
    """Events with their slot; those of subjects apart without what was taken back. carried: with those before the slot's window.
    bucketed: with how many buckets the slot's window has."""
    given = ["r.slot AS slot", *(f"e.{quoted(name)} AS {quoted(name)}" for name in wanted)]
    if bucketed:
        given.append("r.buckets AS buckets")
    if carried:
        given += ["r.subject AS subject", "r.begins AS begins", "r.ends AS ends"]
    on = ["e.subject = r.subject"]
    if carried:
        on += [f"e.{columns.OCCURRED_AT} >= r.since", f"e.{columns.OCCURRED_AT} < r.ends"]
    elif not reach.uniform:
        on += [f"e.{columns.OCCURRED_AT} >= r.begins", f"e.{columns.OCCURRED_AT} < r.ends"]

    alone = reach.only is not None and not carried and not bucketed

    def part(*, apart: bool) -> str:
        subjects = reach.apart if apart else reach.subjects
        read = [columns.SUBJECT, *(name for name in wanted if name != columns.SUBJECT)]
        read += [columns.SHARD] if apart and columns.SHARD not in read else []
        if len(on) > 1 and columns.OCCURRED_AT not in read:
            read.append(columns.OCCURRED_AT)
        events = events_sql(
            dialect,
            sources=reach.apart_sources if apart else reach.sources,
            wanted=read,
            version=reach.version,
            window=reach.window,
            types=types,
            subjects=subjects if len(subjects) <= FEW_SUBJECTS else (),
            tail=relations.tail,
        )
        if alone:
            plain = [f"{int(reach.only or 0)} AS slot", *given[1:]]
            return f"SELECT {', '.join(plain)} FROM ({events}) e"
        routes = f"(SELECT * FROM {relations.routes} WHERE {'apart' if apart else 'NOT apart'})"
        sql = f"SELECT {', '.join(given)} FROM ({events}) e INNER JOIN {routes} r ON {' AND '.join(on)}"
        if apart:
            sql += f" {dialect.anti_join} {relations.outs} o ON o.shard = e.shard AND o.sequence = e.sequence"
        return sql

    parts = [part(apart=False)] if reach.sources else []
    parts += [part(apart=True)] if reach.apart and reach.apart_sources else []
    return " UNION ALL ".join(parts)


def _shared(
    dialect: Dialect,
    meters: Mapping[str, tuple[Meter, EventType]],
    found: Mapping[str, tuple[FieldValue | None, tuple[str, ...]]],
    events: str,
    keyed: Sequence[str],
    routes: str,
) -> tuple[str, Mapping[str, Aggregate]]:
    """One group-by for all: a column that two meters would both ask for is asked for once. routes: to join by subject when events
    are summed up, "" when they have their slot already."""
    several = len({each.type for _, each in meters.values()}) > 1
    names: dict[str, str] = {}
    merged: dict[str, str] = {}
    aggregates: dict[str, Aggregate] = {}
    alone = len(meters) == 1
    where = ""
    for name, (meter, event_type) in meters.items():
        value, filters = found[name]
        if alone and filters:
            where, filters = f" WHERE {' AND '.join(filters)}", ()
        suffix = f" FILTER (WHERE {' AND '.join(filters)})" if filters else ""
        parts = plain_components(dialect, aggregation=meter.aggregation, value=value)
        chosen = {part: names.setdefault(sql + suffix, f"c{len(names)}") for part, sql in parts.items()}
        if routes:
            scale = value.scale if value else 0
            merged |= {c: merging(dialect, meter.aggregation, part, f"i.{c}", scale) for part, c in chosen.items()}
        aggregates[name] = Aggregate(
            parts=chosen,
            scale=value.scale if value else 0,
            type=event_type.type if several else "",
            filtered=bool(filters),
        )
    asked = [f"{sql} AS {name}" for sql, name in names.items()]
    first = "e.subject AS subject" if routes else "e.slot AS slot"
    keys = [first, *(["e.type AS type"] if several else []), *keyed]
    places = ", ".join(str(place) for place in range(1, len(keys) + 1))
    sql = f"SELECT {', '.join([*keys, *asked])} FROM ({events}) e{where} GROUP BY {places}"
    if not routes:
        return sql, aggregates
    outer = ["r.slot AS slot", *(f"i.{name} AS {name}" for name in (each.rpartition(" AS ")[2] for each in keys[1:]))]
    sums = [f"{merged[name]} AS {name}" for name in names.values()]
    join = f"INNER JOIN {routes} r ON i.subject = r.subject"
    return f"SELECT {', '.join([*outer, *sums])} FROM ({sql}) i {join} GROUP BY {places}", aggregates
