"""The acknowledged path over its floor: decode, identity, exact dedupe, sealed chunks, one fdatasync, an answer to each event."""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from benchmarks.common import Measured, Timed, timed
from benchmarks.usage_ingest.events import TYPES, Commit, many_tenants, one_tenant
from benchmarks.usage_ingest.floor import Loose, Typed, floor
from revline.core.clock import SystemClock
from revline.core.problem import Problem
from revline.platform.collecting import collect_seldom
from revline.platform.tenancy.data_keys import MemoryDataKeys
from revline.subledger.usage.decoding.catalogue import TypeCatalogue
from revline.subledger.usage.decoding.decode import decode
from revline.subledger.usage.log.log import UsageLog
from revline.subledger.usage.log.values import LogLimits, Submission

KEYS = MemoryDataKeys(secret=b"of a benchmark")
EVENTS = {"small": 100_000, "full": 500_000}
ROUNDS = {"small": 3, "full": 7}


def catalogues() -> Callable[[str], TypeCatalogue]:
    """The catalogue of each tenant, made once."""
    made: dict[str, TypeCatalogue] = {}

    def of(tenant: str) -> TypeCatalogue:
        found = made.get(tenant)
        if found is None:
            seed = KEYS.identity_seed(tenant)
            assert isinstance(seed, int)
            found = made[tenant] = TypeCatalogue(tenant_id=tenant, seed=seed, types=TYPES)
        return found

    return of


def acknowledge(log: UsageLog, commits: Sequence[Commit], types_of: Callable[[str], TypeCatalogue]) -> dict[str, int]:
    """Submits each commit and waits for its answers; how many events were accepted, repeated and in conflict."""
    verdicts: list[bytes] = []
    for commit in commits:
        submissions = []
        for tenant, body in commit:
            decoded = decode(body, types_of(tenant))
            assert not isinstance(decoded, Problem)
            submissions.append(Submission(decoded=decoded))
        for answers in log.commit(submissions):
            assert not isinstance(answers, Problem)
            verdicts.append(answers.verdicts)
    every = b"".join(verdicts)
    return {"accepted": every.count(0), "duplicates": every.count(1), "conflicts": every.count(2)}


def opened(folder: Path, *, limits: LogLimits | None = None) -> UsageLog:
    """A new log."""
    log = UsageLog.open(folder=folder, shard=0, keys=KEYS, clock=SystemClock(), limits=limits)
    assert isinstance(log, UsageLog)
    return log


def ratio_of(taken: Mapping[str, Sequence[Timed]], name: str, floor_name: str) -> float:
    """The median of the ratios of processor time inside each round."""
    pairs = zip(taken[name], taken[floor_name], strict=True)
    return statistics.median(one.processor_seconds / other.processor_seconds for one, other in pairs)


def measure(scale: str) -> Measured:
    """ack_over_floor_b1000, ack_over_floor_b100, ack_1000_tenants."""
    ratios, figures = {}, {}
    for name, commits in (
        ("ack_over_floor_b1000", one_tenant(EVENTS[scale], batch=1000, seed=1)),
        ("ack_over_floor_b100", one_tenant(EVENTS[scale] // 5, batch=100, seed=2)),
        ("ack_1000_tenants", many_tenants(EVENTS[scale], batch=1000, seed=3)),
    ):
        types_of = catalogues()
        for commit in commits:
            for tenant, _ in commit:
                types_of(tenant)
        collect_seldom()  # as every process of Revline that serves
        taken: dict[str, list[Timed]] = {"floor": [], "floor_dict": [], "ack": []}
        for number in range(ROUNDS[scale] + 1):
            with tempfile.TemporaryDirectory(prefix="revline-benchmark-") as place:
                folder = Path(place)
                log = opened(folder / "log")
                took = {
                    "floor": timed(lambda: floor(folder, commits, kind=Typed)),  # noqa: B023
                    "floor_dict": timed(lambda: floor(folder, commits, kind=Loose)),  # noqa: B023
                    "ack": timed(lambda: acknowledge(log, commits, types_of)),  # noqa: B023
                }
                log.close()
            if number:
                for which, one in took.items():
                    taken[which].append(one)
        ratios[name] = ratio_of(taken, "ack", "floor")
        ratios[f"{name}_dict"] = ratio_of(taken, "ack", "floor_dict")
        events = sum(body.count(b'"specversion"') for commit in commits for _, body in commit)
        for which, all_of_it in taken.items():
            seconds = statistics.median(one.processor_seconds for one in all_of_it)
            figures[f"{name}_{which}_microseconds_an_event"] = seconds / events * 1e6
    return Measured(ratios=ratios, figures=figures)
