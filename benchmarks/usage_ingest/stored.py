"""Everything over the floor: acknowledged, then columns, zstd Parquet and partial aggregates, by the product's own tail and sealer.

The manifest's row in PostgreSQL is left out: it is one transaction for fifty tenants. One tenant is sealed whole. Of a thousand the
fifty with most rows are sealed once, as a full tail has it; its limit is some three million rows, so the files here are smaller and
each dearer than in life. What still waits then is told as a figure: it is sealed later, in files as large.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from benchmarks.common import Measured, Timed, timed
from benchmarks.usage_ingest.acknowledged import acknowledge, catalogues, opened, ratio_of
from benchmarks.usage_ingest.events import FIELDS, NAMES, Commit, many_tenants, one_tenant
from benchmarks.usage_ingest.floor import Typed, floor
from revline.core.clock import SystemClock
from revline.subledger.usage import columns
from revline.subledger.usage.decoding.catalogue import TypeCatalogue
from revline.subledger.usage.store.objects import FolderObjects
from revline.subledger.usage.store.sealing import Sealer
from revline.subledger.usage.store.tail import Captured, Tail
from revline.subledger.usage.store.values import PartialSpec, SealLimits

EVENTS: Final = {"small": 200_000, "full": 1_000_000}
ROUNDS: Final = {"small": 3, "full": 5}
MEGABYTE: Final = 1024 * 1024
SPECS: Final = tuple(
    PartialSpec(event_type=name, value=columns.field_column(field, FIELDS[field]))
    for name in NAMES
    for field in ("tokens", "seconds")
)


class Unpublished(Sealer):
    """Seals without a manifest."""

    def _requests(self) -> Mapping[str, int]:
        return {}

    def _captured(self, tenants: list[str]) -> list[Captured]:
        found = [self._tail.capture(tenant_id=one, sealed={}) for one in tenants]
        return [one for one in found if one.rows]

    def _epochs(self, tenants: Sequence[str]) -> Mapping[str, int]:
        return dict.fromkeys(tenants, 0)

    def _publish(self, captured: Any, written: Any) -> None:
        del captured, written


def sealer_of(tail: Tail, folder: Path, limits: SealLimits) -> Sealer:
    """What seals a tail into a folder."""
    return Unpublished(
        tail=tail,
        database=None,  # type: ignore[arg-type] - nothing is asked of it
        objects=FolderObjects(folder),
        clock=SystemClock(),
        random_bytes=os.urandom,
        specs=lambda _: SPECS,
        free_log=lambda: None,
        limits=limits,
    )


def store(
    folder: Path, commits: Sequence[Commit], types_of: Callable[[str], TypeCatalogue], limits: SealLimits
) -> dict[str, int]:
    """Acknowledges the commits and seals as the limits say; at the end all of a lone tenant."""
    log, tail = opened(folder / "log"), Tail()
    sealer = sealer_of(tail, folder / "files", limits)
    log.subscribe(tail)
    acknowledge(log, commits, types_of)
    log.close()
    largest = sorted(tail.waiting(), key=lambda one: -one[1])[: limits.tenants]
    files = sealer.seal([tenant for tenant, _, _ in largest]).files
    return {"files": files, "waiting": sum(rows for _, rows, _ in tail.waiting())}


def commit_milliseconds(folder: Path, commits: Sequence[Commit], *, sealing: bool) -> list[float]:
    """How long each commit took until it was acknowledged, alone or beside a thread that seals all the time."""
    types_of, log, tail, ended = catalogues(), opened(folder / "log"), Tail(), threading.Event()
    sealer = sealer_of(tail, folder / "files", SealLimits())
    log.subscribe(tail)

    def seal() -> None:
        while not ended.is_set():
            sealer.seal([tenant for tenant, _, _ in tail.waiting()])

    beside = threading.Thread(target=seal)
    if sealing:
        beside.start()
    taken = [timed(lambda: acknowledge(log, [commit], types_of)).wall_seconds * 1e3 for commit in commits]  # noqa: B023
    ended.set()
    if sealing:
        beside.join()
    log.close()
    return taken


def measure_commits(scale: str) -> Measured:
    """commit_p99_sealing_over_quiet, and what both are."""
    commits = one_tenant(EVENTS[scale], batch=1000, seed=5)
    figures: dict[str, float] = {}
    for name, sealing in (("warm", True), ("quiet", False), ("sealing", True)):
        with tempfile.TemporaryDirectory(prefix="revline-benchmark-") as place:
            taken = sorted(commit_milliseconds(Path(place), commits, sealing=sealing))
        figures[f"commit_p50_{name}_milliseconds"] = taken[len(taken) // 2]
        figures[f"commit_p99_{name}_milliseconds"] = taken[len(taken) * 99 // 100]
    ratio = figures["commit_p99_sealing_milliseconds"] / figures["commit_p99_quiet_milliseconds"]
    return Measured(ratios={"commit_p99_sealing_over_quiet": ratio}, figures=figures)


def measure(scale: str) -> Measured:
    """all_in_over_floor_b1000, all_in_1000_tenants, commit_p99_sealing_over_quiet."""
    ratios: dict[str, float] = {}
    figures: dict[str, float] = {}
    for name, commits in (
        ("all_in_over_floor_b1000", one_tenant(EVENTS[scale], batch=1000, seed=1)),
        ("all_in_1000_tenants", many_tenants(EVENTS[scale], batch=1000, seed=3)),
    ):
        types_of = catalogues()
        for commit in commits:
            for tenant, _ in commit:
                types_of(tenant)
        taken: dict[str, list[Timed]] = {"floor": [], "ack": [], "all": []}
        told: dict[str, int] = {}
        for number in range(ROUNDS[scale] + 1):
            with tempfile.TemporaryDirectory(prefix="revline-benchmark-") as place:
                folder = Path(place)
                log = opened(folder / "acknowledged")
                took = {
                    "floor": timed(lambda: floor(folder, commits, kind=Typed)),  # noqa: B023
                    "ack": timed(lambda: acknowledge(log, commits, types_of)),  # noqa: B023
                    "all": timed(lambda: told.update(store(folder, commits, types_of, SealLimits()))),  # noqa: B023
                }
                log.close()
            if number:
                for which, one in took.items():
                    taken[which].append(one)
        ratios[name] = ratio_of(taken, "all", "floor")
        figures[f"{name}_acknowledged_alone"] = ratio_of(taken, "ack", "floor")
        for which, all_of_it in taken.items():
            seconds = statistics.median(one.processor_seconds for one in all_of_it)
            figures[f"{name}_{which}_microseconds_an_event"] = seconds / EVENTS[scale] * 1e6
        figures |= {f"{name}_{which}": float(count) for which, count in told.items()}
    beside = measure_commits(scale)
    return Measured(ratios={**ratios, **beside.ratios}, figures={**figures, **beside.figures})
