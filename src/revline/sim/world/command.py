"""`revline sim`: many worlds from a first seed on, or one with its timeline. Prints what it found and how to see it again."""

from __future__ import annotations

from time import perf_counter
from typing import Final

from rich.console import Console

from revline.core.clock import Clock
from revline.doors.cli.output import emit_json, say
from revline.platform.config.registry import Registry
from revline.sim.world.ground import new_databases
from revline.sim.world.run import TWICE_OF, Outcome, Summary, one_world, summary_of, words

FAILURES_MAX: Final = 5
SEEDS_MAX: Final = 1_000_000


def run(
    *,
    registry: Registry,
    clock: Clock,
    seeds: int,
    first: int,
    seconds: float,
    trace: bool,
    as_json: bool,
) -> int:
    """Live `seeds` worlds (or as many as begin within `seconds`, when that is not 0) from seed `first` on; 1 when one breaks a
    promise. first -1: a new one each time, by the clock. trace: print the timeline of each."""
    began_with = first if first >= 0 else int(clock.now().timestamp()) % SEEDS_MAX * 1_000
    outcomes: list[Outcome] = []
    twice = 0
    say(f"worlds from seed {began_with} on")
    with new_databases(registry=registry) as databases:
        began = perf_counter()
        for seed in range(began_with, began_with + seeds):
            if seconds and perf_counter() - began > seconds:
                break
            again = seed % TWICE_OF == 3 or trace
            twice += again
            outcome = one_world(databases, seed=seed, say=print if trace else None, twice=again)
            outcomes.append(outcome)
            _tell(outcome)
            if sum(bool(one.violations) for one in outcomes) >= FAILURES_MAX:
                break
        spent = perf_counter() - began
    summary = summary_of(outcomes, first=began_with, seconds=spent, lived_twice=twice)
    emit_json(summary) if as_json else _show(summary)
    return 1 if summary.failed else 0


def _tell(outcome: Outcome) -> None:
    for one in outcome.violations:
        say(f"seed {outcome.seed}: {words(one)}")
    if outcome.violations:
        say(f"seed {outcome.seed}: see it again with `revline sim --seed {outcome.seed} --trace`")


def _show(summary: Summary) -> None:
    console = Console(highlight=False, soft_wrap=True)
    console.print(
        f"{summary.seeds} worlds in {summary.seconds} s ({summary.seeds_per_second} a second,"
        f" {summary.simulated_seconds} simulated seconds): {len(summary.failed)} broke a promise"
    )
    console.print(
        f"{summary.documents} documents, {summary.commits} transactions, {summary.calls} calls,"
        f" {summary.cases} open cases at the end; {summary.lived_twice} worlds lived twice, the same both times"
    )
    for name, count in summary.happened.items():
        console.print(f"  {count:>7}  {name}")
