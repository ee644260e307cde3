"""Many worlds, one after the other: lived, judged, counted. Some are lived twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from time import perf_counter
from typing import Any, Final

import msgspec
import structlog

from revline.sim.world.database import WorldDatabase
from revline.sim.world.ground import Databases
from revline.sim.world.plan import BEGINNING, Breaks
from revline.sim.world.process import Process, Weather
from revline.sim.world.records import Records, read_records
from revline.sim.world.time import SimulatedTime
from revline.sim.world.trace import Trace
from revline.sim.world.verdict import Violation, violations_of
from revline.sim.world.world import Ground, Lived, live

TWICE_OF: Final = 10
"""One world in so many is lived twice."""


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """One world that was lived and judged. documents, cases: of its tenants at the end."""

    seed: int
    violations: tuple[Violation, ...]
    lived: Lived
    documents: int
    cases: int
    wall_seconds: float


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """What a run came to. seconds, seeds_per_second, simulated_seconds: decimal texts. happened: crashes, stalls, faults and calls
    by what became of them. failed: seed -> what was wrong."""

    first: int
    seeds: int
    seconds: str
    seeds_per_second: str
    simulated_seconds: str
    commits: int
    calls: int
    documents: int
    cases: int
    lived_twice: int
    happened: Mapping[str, int]
    failed: Mapping[str, tuple[str, ...]]


def one_world(databases: Databases, *, seed: int, say: Callable[[str], None] | None = None, twice: bool) -> Outcome:
    """Live and judge the world of a seed. twice: also live it again elsewhere; both must be the same, byte for byte."""
    began = perf_counter()
    databases.clear()
    _logs_go_to(say)
    lived = live(ground=databases.first, seed=seed, say=say)
    violations, records = judged(ground=databases.first, lived=lived)
    if twice:
        violations += _same_again(databases.second, seed, lived, records)
    return Outcome(
        seed=seed,
        violations=violations,
        lived=lived,
        documents=sum(len(one.documents) for one in records.values()),
        cases=sum(len(codes) for one in records.values() for codes in one.open_cases.values()),
        wall_seconds=perf_counter() - began,
    )


def judged(*, ground: Ground, lived: Lived) -> tuple[tuple[Violation, ...], Mapping[str, Records]]:
    """What is wrong with a world that has ended, and what Revline's tables said."""
    records = _records(ground, lived)
    return violations_of(lived=lived, records=records, expectation=ground.expectation), records


def summary_of(outcomes: Iterable[Outcome], *, first: int, seconds: float, lived_twice: int) -> Summary:
    """The sums of many outcomes."""
    every = tuple(outcomes)
    happened: Counter[str] = Counter()
    for one in every:
        happened.update({str(name): count for name, count in one.lived.happened.items()})
    return Summary(
        first=first,
        seeds=len(every),
        seconds=f"{seconds:.1f}",
        seeds_per_second=f"{len(every) / seconds if seconds else 0:.2f}",
        simulated_seconds=f"{sum(one.lived.seconds for one in every):.0f}",
        commits=sum(one.lived.commits for one in every),
        calls=sum(one.lived.calls for one in every),
        documents=sum(one.documents for one in every),
        cases=sum(one.cases for one in every),
        lived_twice=lived_twice,
        happened=dict(sorted(happened.items())),
        failed={str(one.seed): tuple(map(words, one.violations)) for one in every if one.violations},
    )


def words(violation: Violation) -> str:
    """A violation as a line."""
    where = f" ({violation.tenant_id})" if violation.tenant_id else ""
    return f"{violation.invariant}{where}: {violation.detail}"


def _same_again(ground: Ground, seed: int, lived: Lived, records: Mapping[str, Records]) -> tuple[Violation, ...]:
    again = live(ground=ground, seed=seed)
    told = _records(ground, again)
    found = []
    if again.digest != lived.digest:
        found.append(f"the timeline is {lived.digest} once and {again.digest} once")
    for tenant_id, one in records.items():
        if one.journals != told[tenant_id].journals:
            found.append(f"journals of {tenant_id} differ")
        if one.revisions != told[tenant_id].revisions:
            found.append(f"documents of {tenant_id} differ")
    return tuple(Violation(invariant="determinism", tenant_id="", detail=detail) for detail in found)


def _records(ground: Ground, lived: Lived) -> Mapping[str, Records]:
    time = SimulatedTime(start=BEGINNING)
    judge = Process(
        name="judge",
        time=time,
        weather=Weather(seed=lived.plan.seed, breaks=Breaks()),
        turns=ground.turns,
        trace=Trace(time=time),
        skew=timedelta(0),
        died=lambda _: None,
    )
    database = WorldDatabase(engine=ground.engine, process=judge)
    return {one.tenant_id: read_records(database, tenant_id=one.tenant_id) for one in lived.plan.tenants}


def _logs_go_to(say: Callable[[str], None] | None) -> None:
    """What Revline logs is part of the timeline, where anybody reads it."""

    def told(_: Any, level: str, event: Any) -> Any:
        if say is not None:
            error = event.get("exc_info")
            why = f" {type(error).__name__}: {str(error)[:300]}" if isinstance(error, BaseException) else ""
            say(f"{'':10}  {'log':<8} {level} {event.get('event')}{why}")
        raise structlog.DropEvent

    structlog.configure(processors=[told])
