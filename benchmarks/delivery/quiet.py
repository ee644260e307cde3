"""How long quiet tenants take beside one with a great backlog, over what they take alone; and with a capacity pool blocked.

The far side takes 20 ms. Tenants share four pools by number; the loud tenant is the first of the first pool. Some quiet tenants
have their documents due from the start, the others get theirs midway. Both groups are timed for themselves: from the start, and
from the commit of the first document that came midway, to the commit that posted the last. The greater ratio of the two counts.
"""

from __future__ import annotations

import statistics
import threading
import time
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from benchmarks.common import Measured, execute_all, progress
from benchmarks.delivery.times import delivered, posted_of, timing_server
from benchmarks.delivery.worker import deliver
from benchmarks.delivery.world import (
    MOMENT,
    NoopConnector,
    Size,
    copy_of,
    make_source,
    pool_of,
    tenant_name,
    write_journals,
)
from benchmarks.fleet import race
from revline.platform.store.embedded import EmbeddedServer
from revline.platform.store.engine import Database
from revline.platform.tenancy.record import register_tenant
from revline.platform.work import capacity, queries
from revline.platform.work.capacity import PoolLimits

LOUD: Final = tenant_name(0)
POOLS: Final = 4
BLOCKED: Final = f"pool-{POOLS - 1}"
SLOTS: Final = 32
WORKERS: Final = 2
PAUSE_SECONDS: Final = 0.02
LIMIT_SECONDS: Final = 120.0
LOOK_SECONDS: Final = 0.1
COPY: Final = "quiet_run"


@dataclass(frozen=True, kw_only=True)
class Quiet:
    """loud: due documents of the one tenant; tenants: the quiet ones, with `each` documents; midway: how many of them get theirs
    `after_seconds` after the start."""

    loud: int
    tenants: int
    each: int
    midway: int
    after_seconds: float
    rounds: int

    def early(self) -> list[str]:
        return [tenant_name(number) for number in range(1, 1 + self.tenants - self.midway)]

    def late(self) -> list[str]:
        return [tenant_name(number) for number in range(1 + self.tenants - self.midway, 1 + self.tenants)]


SIZES: Final = {
    "tiny": Quiet(loud=30, tenants=6, each=2, midway=2, after_seconds=0.2, rounds=1),
    "small": Quiet(loud=4_000, tenants=40, each=10, midway=12, after_seconds=0.5, rounds=1),
    "full": Quiet(loud=100_000, tenants=100, each=20, midway=30, after_seconds=1.0, rounds=3),
}


def run(scale: str, options: Namespace) -> Measured:
    """Seconds of both groups alone, beside the loud tenant and with a pool blocked; the greater ratios."""
    size = SIZES[scale]
    taken: dict[str, list[tuple[float, float]]] = {}
    with timing_server() as server:
        make_source(server, name="quiet_alone", size=Size(tenants=0, documents_a_tenant=0))
        _write(server, "quiet_alone", size.early(), size.each)
        _register(server, "quiet_alone", size.late())
        server.create_database("quiet_loud", template="quiet_alone")
        progress(f"writing {size.loud} documents of one tenant")
        _write(server, "quiet_loud", [LOUD], size.loud)
        execute_all(server.dsn("revline_owner", "quiet_loud"), ["VACUUM (ANALYZE)"])
        for _ in range(options.rounds or size.rounds):
            for name, source, blocked in (
                ("alone", "quiet_alone", False),
                ("beside", "quiet_loud", False),
                ("alone_blocked", "quiet_alone", True),
                ("beside_blocked", "quiet_loud", True),
            ):
                seconds = _times(server, size, source, blocked=blocked)
                taken.setdefault(name, []).append(seconds)
                progress(f"  {name:<15} {seconds[0]:.2f} s from the start, {seconds[1]:.2f} s for those midway")
    median = {
        name: (statistics.median(early for early, _ in both), statistics.median(late for _, late in both))
        for name, both in taken.items()
    }
    figures = {
        f"quiet_{name}_{group}_seconds": value
        for name, both in median.items()
        for group, value in zip(("early", "midway"), both, strict=True)
    }
    ratios = {
        "quiet_over_alone": _greater(median["beside"], median["alone"]),
        "quiet_over_alone_blocked_pool": _greater(median["beside_blocked"], median["alone_blocked"]),
    }
    return Measured(ratios=ratios, figures=figures)


def _greater(beside: Sequence[float], alone: Sequence[float]) -> float:
    return max(one / other for one, other in zip(beside, alone, strict=True))


def _times(server: EmbeddedServer, size: Quiet, source: str, *, blocked: bool) -> tuple[float, float]:
    dsn = copy_of(server, source, COPY)
    counted = [one for one in (*size.early(), *size.late()) if not blocked or pool_of(one, POOLS) != BLOCKED]
    if blocked:
        _block(server)
    begun = [0.0]
    writer = threading.Thread(target=_write_late, args=(server, size, begun))
    next_look = [0.0]

    def quiet_are_done(passed: float, _: int) -> bool:
        if not begun[0]:
            begun[0] = time.time()
            writer.start()
        if passed < next_look[0]:
            return False
        next_look[0] = passed + LOOK_SECONDS
        return posted_of(server, COPY, counted) >= len(counted) * size.each

    given = {
        "dsn": dsn,
        "size": Size(tenants=0, documents_a_tenant=0, pools=POOLS, slots=SLOTS),
        "pause_seconds": PAUSE_SECONDS,
    }
    race(
        server=server,
        work=deliver,
        arguments=[{"number": number, **given} for number in range(WORKERS)],
        goal=1 << 62,
        limit_seconds=LIMIT_SECONDS,
        watch=quiet_are_done,
    )
    writer.join()
    found = [one for one in delivered(server, COPY) if one.tenant_id in set(counted)]
    late = [one for one in found if one.tenant_id in set(size.late())]
    early = [one for one in found if one.tenant_id in set(size.early())]
    return (
        max(one.posted for one in early) - begun[0],
        max(one.posted for one in late) - min(one.written for one in late),
    )


def _write_late(server: EmbeddedServer, size: Quiet, begun: Sequence[float]) -> None:
    time.sleep(max(0.0, begun[0] + size.after_seconds - time.time()))
    _write(server, COPY, size.late(), size.each)


def _write(server: EmbeddedServer, name: str, tenants: Sequence[str], each: int) -> None:
    database = Database(dsn=server.dsn("revline_app", name), pool_size=1)
    for tenant in tenants:
        write_journals(database, tenant=tenant, count=each, pools=POOLS)
    database.dispose()


def _register(server: EmbeddedServer, name: str, tenants: Sequence[str]) -> None:
    database = Database(dsn=server.dsn("revline_app", name), pool_size=1)
    with database.control() as connection:
        for tenant in tenants:
            register_tenant(connection, tenant_id=tenant, created_at=MOMENT)
    database.dispose()


def _block(server: EmbeddedServer) -> None:
    """Blocks the last pool before any worker starts."""
    manifest = NoopConnector(slots=SLOTS, batch=1).manifest
    limits = PoolLimits(
        pool_id=BLOCKED,
        slots=manifest.slots,
        bucket_per_second=manifest.bucket_per_second,
        bucket_burst=manifest.bucket_burst,
    )
    database = Database(dsn=server.dsn("revline_app", COPY), pool_size=1)
    with database.control() as connection:
        capacity.ensure_pools(connection, limits=[limits], now=queries.moment(connection))
    database.dispose()
    statement = f"UPDATE capacity_pool SET blocked = true WHERE pool_id = '{BLOCKED}'"
    execute_all(server.dsn("revline_owner", COPY), [statement])
