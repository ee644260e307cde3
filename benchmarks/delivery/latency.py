"""From the commit that makes a document due to the commit that posts it, at a quarter, a half and three quarters of the maximum.

Documents arrive at a fixed rate whatever becomes of those before (an open loop), a few of one tenant in a unit, written by a
process beside the worker. Each is timed from when its unit was to be committed, not from when it was: a writer that is late
because the machine is busy doesn't make the delay disappear, and one that was not posted in the end counts as long as it was
waited for. The maximum is the lesser of two rates taken together: what the worker posts a second of a backlog that lasts, and what
the writer writes beside it without a pause. More than that doesn't both arrive and get posted on the machine.
"""

from __future__ import annotations

import math
import time
from argparse import Namespace
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from benchmarks.common import Measured, progress
from benchmarks.delivery.times import delivered, timing_server
from benchmarks.delivery.worker import deliver
from benchmarks.delivery.world import Size, copy_of, journal, make_source, tenant_name, write_journals
from benchmarks.fleet import Reins, race
from revline.platform.store.embedded import EmbeddedServer
from revline.platform.store.engine import Database

SOURCE: Final = "latency_source"
COPY: Final = "latency_run"
TENANTS: Final = 100
A_UNIT: Final = 10
POOLS: Final = 4
SLOTS: Final = 100
SHARES: Final = (25, 50, 75)
SETTLING_SECONDS: Final = 1.0
"""What arrives before is not counted: caches fill and pools become known."""
END_SECONDS: Final = 20.0
STOP_LOOK_SECONDS: Final = 0.1
FIRST: Final = 1_000_000
"""Number of the first journal of a tenant that arrives."""


@dataclass(frozen=True, kw_only=True)
class Length:
    """backlog: documents a tenant has before the maximum is measured; seconds of that, and of each rate. maximum_at_most: what a
    maximum found in too short a time is cut to."""

    backlog: int
    maximum_seconds: float
    seconds: float
    maximum_at_most: float = math.inf


LENGTHS: Final = {
    "tiny": Length(backlog=2, maximum_seconds=1.5, seconds=1.5, maximum_at_most=200),
    "small": Length(backlog=40, maximum_seconds=4.0, seconds=4.0),
    "full": Length(backlog=300, maximum_seconds=15.0, seconds=25.0),
}


def run(scale: str, options: Namespace) -> Measured:
    """The maximum, and median and 99th percentile in milliseconds at each share of it."""
    length = LENGTHS[scale]
    figures: dict[str, float] = {}
    with timing_server() as server:
        make_source(server, name=SOURCE, size=Size(tenants=TENANTS, documents_a_tenant=1, pools=POOLS))
        backlog = Size(tenants=TENANTS, documents_a_tenant=length.backlog, pools=POOLS)
        make_source(server, name="latency_backlog", size=backlog)
        posted, written = _maxima(server, backlog, length.maximum_seconds)
        maximum = min(length.maximum_at_most, posted, written)
        progress(f"  maximum: {posted:,.0f} documents a second are posted while {written:,.0f} are written")
        figures["latency_posted_documents_a_second"] = posted
        figures["latency_written_documents_a_second"] = written
        figures["latency_maximum_documents_a_second"] = maximum
        for share in SHARES:
            found = _latencies(server, rate=maximum * share / 100, seconds=length.seconds)
            for name, value in found.items():
                figures[f"latency_at_{share}_percent_{name}"] = value
            progress(
                f"  {share} %: p50 {found['p50_milliseconds']:.0f} ms, p99 {found['p99_milliseconds']:.0f} ms,"
                f" writer late by {found['writer_late_p99_milliseconds']:.0f} ms at most times"
            )
    return Measured(ratios={}, figures=figures)


def _maxima(server: EmbeddedServer, backlog: Size, seconds: float) -> tuple[float, float]:
    """Documents posted and written a second while both go as fast as they can."""
    copy_of(server, "latency_backlog", COPY)
    _, wanted = _race(server, rate=0.0, seconds=seconds, goal=backlog.documents)
    return _rate([one.posted for one in delivered(server, COPY)]), _rate(list(wanted.values()))


def _rate(moments: Sequence[float]) -> float:
    """How many a second, once it has settled."""
    if not moments:
        return 0.0
    first, last = min(moments), max(moments)
    settled = first + min(SETTLING_SECONDS, (last - first) / 4)
    return sum(moment > settled for moment in moments) / max(0.001, last - settled)


def _latencies(server: EmbeddedServer, *, rate: float, seconds: float) -> dict[str, float]:
    copy_of(server, SOURCE, COPY)
    units = max(1, int(rate * seconds / A_UNIT))
    begun, wanted = _race(server, rate=rate, seconds=seconds, goal=TENANTS + units * A_UNIT)
    ended = time.time()
    found = {one.document_id: one for one in delivered(server, COPY)}
    counted = {name: moment for name, moment in wanted.items() if moment > begun + SETTLING_SECONDS}
    unposted = counted.keys() - found.keys()
    waited = [1000 * ((ended if name in unposted else found[name].posted) - counted[name]) for name in counted]
    late = [1000 * (found[name].written - counted[name]) for name in counted.keys() - unposted]
    return {
        "documents": float(len(counted)),
        "unposted": float(len(unposted)),
        "p50_milliseconds": _percentile(waited, 50),
        "p99_milliseconds": _percentile(waited, 99),
        "writer_late_p99_milliseconds": _percentile(late, 99),
    }


def _percentile(values: Sequence[float], percent: int) -> float:
    """The value that so many percent don't exceed; 0 of nothing."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, len(ordered) * percent // 100)] if ordered else 0.0


def _race(server: EmbeddedServer, *, rate: float, seconds: float, goal: int) -> tuple[float, Mapping[str, float]]:
    """A worker and a writer; gives when they began and when each document was to be committed.

    rate: documents a second, 0 for as many as can be written. goal: what must be posted; at rate 0 the time alone ends it.
    """
    given = {"dsn": server.dsn("revline_app", COPY), "rate": rate, "seconds": seconds}
    raced = race(
        server=server,
        work=work,
        arguments=[{"writes": False, **given}, {"writes": True, **given}],
        goal=goal,
        limit_seconds=seconds + (END_SECONDS if rate else 0),
    )
    begun, wanted = next(one for one in raced.told if one)
    return begun, wanted


def work(reins: Reins, *, writes: bool, dsn: str, rate: float, seconds: float) -> None:
    """The worker, or the writer beside it."""
    if not writes:
        size = Size(tenants=TENANTS, documents_a_tenant=1, pools=POOLS, slots=SLOTS)
        deliver(reins, dsn=dsn, number=1, size=size)
        return
    database = Database(dsn=dsn, pool_size=1)
    wanted: dict[str, float] = {}
    reins.go()
    begun = time.time()
    for number in range(int(rate * seconds / A_UNIT) if rate else 1_000_000):
        due = begun + number * A_UNIT / rate if rate else time.time()
        while (left := due - time.time()) > 0 and not reins.stop.is_set():
            time.sleep(min(left, STOP_LOOK_SECONDS))
        if reins.stop.is_set():
            break
        tenant, first = tenant_name(number % TENANTS), FIRST + number // TENANTS * A_UNIT
        write_journals(database, tenant=tenant, count=A_UNIT, pools=POOLS, first=first, registered=True)
        wanted |= {journal(tenant, first + place).document_id: due for place in range(A_UNIT)}
    reins.told.put((begun, wanted))
