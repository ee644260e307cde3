"""From a quantity back to its events: the same query again, and the events it counts, page by page in order of time."""

from __future__ import annotations

from datetime import datetime
from pathlib import PurePath

from revline.subledger.usage.metering.answering import Answering
from revline.subledger.usage.metering.compiling import Compiled
from revline.subledger.usage.metering.values import CustomerWindow, Demand, EventLine, LineageDemand, LineagePage

LINES_MAX = 10_000

Place = tuple[datetime, int, int]
"""Where a page ended: an event's time, shard and sequence."""


def lineage_page(answering: Answering, demand: LineageDemand, *, after: Place | None, limit: int) -> LineagePage:
    """The quantity as the query gives it now, and a page of its events. Raises duckdb.Error, OSError."""
    own = Demand(
        meter=demand.meter,
        customers=(CustomerWindow(customer=demand.customer, window=demand.window),),
        hierarchy=demand.hierarchy,
    )
    made: list[Compiled] = []
    metered = answering.quantities([own], made=made)[demand.meter]
    rows = [row for row in metered.table.to_pylist() if tuple(row["group"]) == demand.group]
    found = answering.lines(own, group=demand.group, after=after, limit=max(1, min(limit, LINES_MAX)) + 1)
    lines = tuple(EventLine(**{**row, "value": "" if row["value"] is None else str(row["value"])}) for row in found)
    size = max(1, min(limit, LINES_MAX))
    last = lines[size - 1] if len(lines) > size else None
    row = rows[0] if rows else None
    return LineagePage(
        quantity=row["quantity"] if row else metered.zero,
        events=row["events"] if row else 0,
        sequences=int(row["sequences"]) if row else 0,
        lines=lines[:size],
        next=(last.occurred_at, last.shard, last.sequence) if last else None,
        statement="\n".join(_shown(each) for each in made),
    )


def _shown(compiled: Compiled) -> str:
    """The statement as it was run, files by their names alone, and each value it was given."""
    sql = compiled.sql
    for path in compiled.paths:
        sql = sql.replace(path, PurePath(path).name)
    values = "".join(f"\n-- {name} = {value!r}" for name, value in compiled.parameters.items())
    return sql + values
