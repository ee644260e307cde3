"""Exact dedupe with few and with many identities stored, the memory they take, and commits while runs are written and merged.

The small scale stores a tenth: 0.5 and 5 million.
"""

from __future__ import annotations

import random
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np

from benchmarks.common import Measured, timed
from benchmarks.usage_ingest.acknowledged import catalogues, opened
from benchmarks.usage_ingest.events import one_tenant
from revline.core.problem import Problem
from revline.subledger.usage.decoding.decode import decode
from revline.subledger.usage.log.identities import FAN, Identities
from revline.subledger.usage.log.log import UsageLog
from revline.subledger.usage.log.runs import SLICE, Manifest, Sorted, sorted_slice, write_manifest, write_run
from revline.subledger.usage.log.values import LogLimits, Submission

STORED: Final = {"small": (500_000, 5_000_000), "full": (5_000_000, 50_000_000)}
BATCH: Final = 1000
BATCHES: Final = 200
EVENTS_A_ROUND: Final = 50_000
ROUNDS: Final = 7
HOT: Final = LogLimits().hot_events_max
"""The size of the smallest runs."""


def _stored(folder: Path, count: int, chance: np.random.Generator) -> None:
    """Runs of so many identities, of the sizes that merging leaves: levels a fourth of one another, up to three runs of each."""
    sizes, rest, size = [], count, HOT
    while size * FAN <= rest:
        size *= FAN
    while rest > 0:
        size = size if size <= rest else max(size // FAN, 1)
        if size <= rest:
            sizes.append(size)
            rest -= size
    files = []
    for number, size in enumerate(sizes, start=1):
        pieces = max(1, size // SLICE)
        files.append(write_run(folder, name=f"{number:012d}.keys", count=size, slices=_slices(size, pieces, chance)))
    write_manifest(folder, Manifest(made=len(files), runs=tuple(files)))


def _slices(count: int, pieces: int, chance: np.random.Generator) -> Iterator[Sorted]:
    """Random identities in order."""
    width = (1 << 64) // pieces
    for piece in range(pieces):
        size = count // pieces + (count % pieces if piece == 0 else 0)
        high = chance.integers(piece * width, min((piece + 1) * width, (1 << 64) - 1), size, dtype=np.uint64)
        low = chance.integers(0, (1 << 64) - 1, size, dtype=np.uint64)
        yield sorted_slice(high, low, low ^ high)


def _anonymous_bytes() -> int:
    for line in Path("/proc/self/smaps_rollup").read_text(encoding="ascii").splitlines():
        if line.startswith("Anonymous:"):
            return int(line.split()[1]) * 1024
    return 0


def _meet(identities: Identities, chance: random.Random, known: list[bytes]) -> float:
    """Processor seconds of meeting batches of new identities, one in a hundred an old one."""
    batches = []
    for _ in range(BATCHES):
        keys = [chance.randbytes(16) for _ in range(BATCH)]
        for place in range(0, BATCH, 100):
            keys[place] = known[chance.randrange(len(known))]
        batches.append((keys, [chance.randbytes(8) for _ in range(BATCH)]))
    start = time.process_time()
    for keys, digests in batches:
        identities.meet(keys, digests)
    return time.process_time() - start


def _known_of(identities: Identities, chance: random.Random) -> list[bytes]:
    """Some stored keys."""
    runs = identities._view.runs
    found = []
    for _ in range(5_000):
        run = runs[chance.randrange(len(runs))]
        place = chance.randrange(run.file.count)
        found.append(run.high[place].astype(">u8").tobytes() + run.low[place].astype(">u8").tobytes())
    return found


def _submissions(seed: int) -> list[Submission]:
    """Events that were never sent, decoded, a thousand in each."""
    types, found = catalogues()("tenant-0000"), []
    for commit in one_tenant(EVENTS_A_ROUND, batch=BATCH, seed=seed):
        decoded = decode(commit[0][1], types)
        assert not isinstance(decoded, Problem)
        found.append(Submission(decoded=decoded))
    return found


def _rates(scale: str) -> tuple[dict[str, float], dict[str, float]]:
    chance, few_many = random.Random(5), STORED[scale]
    meeting: dict[int, list[float]] = {count: [] for count in few_many}
    committing: dict[int, list[float]] = {count: [] for count in few_many}
    memory = 0.0
    with tempfile.TemporaryDirectory(prefix="revline-benchmark-") as place:
        logs: dict[int, UsageLog] = {}
        known: dict[int, list[bytes]] = {}
        for count in few_many:
            folder = Path(place) / str(count)
            folder.mkdir()
            _stored(folder, count, np.random.default_rng(count))
            before = _anonymous_bytes()
            logs[count] = opened(folder, limits=LogLimits(hot_events_max=10**9))
            filters = sum(run.memory_bytes for run in logs[count].identities._view.runs)
            memory = max(_anonymous_bytes() - before, filters) / count
            known[count] = _known_of(logs[count].identities, chance)
        for number in range(ROUNDS + 1):
            for count in few_many:
                seconds = _meet(logs[count].identities, chance, known[count])
                submissions = _submissions(number)
                took = timed(lambda: [logs[count].commit([one]) for one in submissions])  # noqa: B023
                if number:
                    meeting[count].append(seconds / BATCHES / BATCH * 1e6)
                    committing[count].append(took.processor_seconds / EVENTS_A_ROUND * 1e6)
        for log in logs.values():
            log.close()
    few, many = few_many
    ratios = {
        "dedupe_50m_over_5m": statistics.median(a / b for a, b in zip(committing[few], committing[many], strict=True)),
        "dedupe_alone_50m_over_5m": statistics.median(a / b for a, b in zip(meeting[few], meeting[many], strict=True)),
    }
    figures = {
        "dedupe_commit_few_stored_microseconds_an_event": statistics.median(committing[few]),
        "dedupe_commit_many_stored_microseconds_an_event": statistics.median(committing[many]),
        "dedupe_alone_few_stored_microseconds_an_event": statistics.median(meeting[few]),
        "dedupe_alone_many_stored_microseconds_an_event": statistics.median(meeting[many]),
        "dedupe_many_stored_millions": many / 1e6,
        "dedupe_anonymous_bytes_an_event": memory,
    }
    return ratios, figures


def _commits(scale: str) -> dict[str, float]:
    """The wall time of commits of 1,000 events, alone and while runs are written and merged all the time."""
    events = 200_000 if scale == "small" else 1_000_000
    types_of = catalogues()
    figures: dict[str, float] = {}
    for name, limits in (("alone", LogLimits(hot_events_max=10**9)), ("merging", LogLimits(hot_events_max=20_000))):
        took: list[float] = []
        with tempfile.TemporaryDirectory(prefix="revline-benchmark-") as place:
            log = opened(Path(place), limits=limits)
            for commit in one_tenant(events, batch=1000, seed=11):
                for tenant, body in commit:
                    decoded = decode(body, types_of(tenant))
                    assert not isinstance(decoded, Problem)
                    start = time.perf_counter()
                    log.commit([Submission(decoded=decoded)])
                    took.append((time.perf_counter() - start) * 1e3)
            log.close()
        took.sort()
        figures[f"commit_p50_{name}_milliseconds"] = took[len(took) // 2]
        figures[f"commit_p99_{name}_milliseconds"] = took[len(took) * 99 // 100]
        figures[f"commit_longest_{name}_milliseconds"] = took[-1]
    return figures


def measure(scale: str) -> Measured:
    """dedupe_50m_over_5m: the rate of commits of decoded events with many identities stored, over that with a tenth of them; for
    the look-up alone, one in a hundred an identity that is stored, it is dedupe_alone_50m_over_5m."""
    ratios, figures = _rates(scale)
    return Measured(ratios=ratios, figures=figures | _commits(scale))
