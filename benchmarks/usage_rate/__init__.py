"""A month of usage rated: 5 meters of 5 event types at 5 prices of every tier kind, exact, beside a bare group-by of its columns.

`group_by` is DuckDB alone over the same files, the same columns and types, with the same memory and threads: what no rating can be
below. `group_by_narrow` leaves out the receipt sequences, which prove a line later. Files are what the store's writer makes when
it compacts. `rate` counts every customer's meters event by event and prices them; `rate_from_partials` does so by partial
aggregates; `lineage` is one line's query again with a page of its events; `late` finds and re-rates what one late event touched.
PostgreSQL holds a smaller month of its own (what COPY loads in reasonable time), compared with Revline over that month.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

from benchmarks.common import Measured, interleaved, progress
from benchmarks.usage_rate import month, postgres, rating

SCALES: Final = {"small": (2_500_000, 250, 3, 400_000), "full": (100_000_000, 10_000, 5, 5_000_000)}
"""Events, customers, rounds, and events in PostgreSQL. A customer has 10,000 events in both."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """What may be asked beside the scale."""
    parser.add_argument("--events", type=int, default=0, help="so many events instead of the scale's")
    parser.add_argument("--without-postgres", action="store_true")


def run(scale: str, arguments: argparse.Namespace) -> Measured:
    """Every contestant once a round, in turn."""
    events, customers, rounds, few = SCALES[scale]
    events = arguments.events or events
    folder = Path(tempfile.mkdtemp(prefix="revline-usage-rate-"))
    try:
        progress(f"writing {events:,} events of {customers:,} customers")
        made = month.write(folder / "month", events=events, customers=customers)
        progress(
            f"{made.size_bytes / events:.1f} bytes an event, {made.partial_bytes / events:.1f} of partial aggregates"
        )
        room = rating.Room(made, scratch=folder)
        contestants: dict[str, Callable[[], object]] = {
            "group_by": room.group_by,
            "group_by_narrow": room.group_by_narrow,
            "rate": lambda: room.rate(partials=False),
            "rate_from_partials": lambda: room.rate(partials=True),
            "lineage": room.lineage,
            "late": room.late,
        }
        room.check()
        taken = interleaved(contestants, rounds=rounds)
        seconds = {name: each.processor_seconds for name, each in taken.items()}
        walls = {name: each.wall_seconds for name, each in taken.items()}
        ratios = {
            "rate_over_groupby": seconds["rate"] / seconds["group_by"],
            "rate_from_partials_over_groupby": seconds["rate_from_partials"] / seconds["group_by"],
            "lineage_over_groupby": seconds["lineage"] / seconds["group_by"],
            "late_over_full": seconds["late"] / seconds["rate"],
            "rate_over_groupby_narrow": seconds["rate"] / seconds["group_by_narrow"],
        }
        figures = {
            **{f"{name}_processor_seconds": value for name, value in seconds.items()},
            **{f"{name}_wall_seconds": value for name, value in walls.items()},
            "events": float(events),
            "lines": float(room.lines),
            "million_events_rated_a_second": events / walls["rate"] / 1e6,
            "bytes_an_event": made.size_bytes / events,
        }
        if not arguments.without_postgres:
            few = min(events, few)
            own = (
                room
                if few == events
                else rating.Room(month.write(folder / "few", events=few, customers=customers), scratch=folder)
            )
            more = postgres.compare(own, rounds=rounds)
            ratios["rate_over_postgres"] = more["rate_wall_seconds"] / more["postgres_rate_wall_seconds"]
            figures |= {f"{name}_of_{few}_events": value for name, value in more.items()}
        return Measured(ratios=ratios, figures=figures)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
