"""The long form: `python -m tests.chaos --seeds 25` tells a story a seed and prints a table by variant and kind of fault.

Twenty-five seeds in a row have every variant under every fault. `--variant` and `--fault` (given as often as wanted) tell only
such stories of the seeds. A story is told again by `--first SEED --seeds 1`. Ends with 1 when anything is not as it should be.
"""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from traceback import format_exc
from typing import Final

from rich.box import MARKDOWN
from rich.console import Console
from rich.table import Table

from tests.chaos.judging import EndState
from tests.chaos.planning import VARIANTS, Blow, Fault, Plan, plan_of
from tests.chaos.running import month_of
from tests.chaos.standing import durable_stand
from tests.chaos.story import Told, tell, undisturbed

MONTH_SEEDS: Final = 3
"""So many different months, each told undisturbed once."""
FIGURES: Final[Mapping[str, Callable[[Sequence[Told]], int]]] = {
    "stories": len,
    "kills": lambda told: sum(one.count(Blow.KILL) for one in told),
    "in flight": lambda told: sum(one.in_flight for one in told),
    "pauses": lambda told: sum(one.count(Blow.PAUSE) for one in told),
    "restarts": lambda told: sum(one.count(Blow.RESTART) for one in told),
    "calls broken": lambda told: sum(sum(one.broken.values()) for one in told),
    "documents": lambda told: sum(one.documents for one in told),
    "in a case": lambda told: sum(len(one.open_ends.in_case) for one in told),
    "lost": lambda told: sum(len(one.verdict.lost) + len(one.open_ends.silent) for one in told),
    "doubled": lambda told: sum(
        len(one.verdict.doubled) + len(one.verdict.unknown) + len(one.open_ends.sent_again) for one in told
    ),
    "out of order": lambda told: sum(len(one.verdict.out_of_order) for one in told),
}


def main() -> int:
    """Tell the stories; 0 when all is well."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description="Strike workers, judge the books.")
    parser.add_argument("--seeds", type=int, default=25, help="how many seeds")
    parser.add_argument("--first", type=int, default=1, help="the first seed")
    parser.add_argument("--kills", type=int, default=None, help="kills a story, instead of its fault's own number")
    parser.add_argument("--variant", action="append", choices=[one.name for one in VARIANTS], help="only this one")
    parser.add_argument("--fault", action="append", choices=[one.value for one in Fault], help="only this one")
    options = parser.parse_args()
    plans = [plan_of(seed=seed, kills=options.kills) for seed in range(options.first, options.first + options.seeds)]
    plans = [one for one in plans if one.variant.name in (options.variant or [one.variant.name])]
    plans = [one for one in plans if one.fault.value in (options.fault or [one.fault.value])]
    # So that nothing it started is left behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    console = Console(width=200)
    console.print(f"{len(plans)} stories")
    told, calm = _tell_all(plans, console)
    console.print(_table(told, calm))
    return 0 if len(told) == len(plans) and all(one.well(calm[_month_seed(one.plan)]) for one in told) else 1


def _tell_all(plans: Sequence[Plan], console: Console) -> tuple[list[Told], dict[int, EndState]]:
    calm: dict[int, EndState] = {}
    told: list[Told] = []
    with durable_stand() as stand:
        for plan in plans:
            month_seed = _month_seed(plan)
            month = month_of(seed=month_seed)
            if month_seed not in calm:
                calm[month_seed] = undisturbed(stand, month=month)
            again = f"--first {plan.seed} --seeds 1"
            try:
                one = tell(stand, month=month, plan=plan)
            except Exception:  # noqa: BLE001 - the other stories are told all the same
                console.print(
                    f"seed {plan.seed} ({plan.variant.name}, {plan.fault}) FAILED ({again})\n{format_exc()}"[:6_000]
                )
                continue
            told.append(one)
            well = one.well(calm[month_seed])
            console.print(_line(one, again="" if well else again), style="dim" if well else "bold")
            if not well:
                _explain(console, one, calm[month_seed])
    return told, calm


def _line(one: Told, *, again: str) -> str:
    plan = one.plan
    figures = ", ".join(f"{name} {count([one])}" for name, count in FIGURES.items() if name != "stories")
    steps = ", two steps" if plan.two_step else ""
    lost = f", {plan.lost_percent} % of answers lost" if plan.lost_percent else ""
    more = f"taken over {one.taken_over}, late {one.late_seconds:.1f} s, {one.seconds:.0f} s"
    end = f"NOT WELL ({again})" if again else "well"
    return f"seed {plan.seed} ({plan.variant.name}, {plan.fault}{steps}{lost}): {figures}, {more}: {end}"


def _explain(console: Console, one: Told, calm: EndState) -> None:
    console.print(one.verdict, one.open_ends)
    console.print(f"same books {one.same_books}, all posted {one.all_posted}, same state {one.state == calm}")
    for name, value in calm.states.items():
        if one.state.states.get(name) != value:
            console.print(name, one.state.states.get(name))


def _table(told: Sequence[Told], calm: dict[int, EndState]) -> Table:
    table = Table(box=MARKDOWN)
    for column in ("ERP", "fault"):
        table.add_column(column)
    for column in (*FIGURES, "well", "seconds"):
        table.add_column(column, justify="right")
    for variant in VARIANTS:
        for fault in Fault:
            _row(table, calm, variant.name, fault.value, [one for one in told if _is(one, variant.name, fault)])
        _row(table, calm, variant.name, "all", [one for one in told if _is(one, variant.name, None)])
    for fault in Fault:
        _row(table, calm, "all", fault.value, [one for one in told if one.plan.fault is fault])
    _row(table, calm, "all", "all", told)
    return table


def _is(one: Told, variant: str, fault: Fault | None) -> bool:
    return one.plan.variant.name == variant and fault in {None, one.plan.fault}


def _row(table: Table, calm: dict[int, EndState], name: str, fault: str, told: Sequence[Told]) -> None:
    if not told:
        return
    well = all(one.well(calm[_month_seed(one.plan)]) for one in told)
    figures = [str(count(told)) for count in FIGURES.values()]
    table.add_row(name, fault, *figures, "yes" if well else "NO", f"{sum(one.seconds for one in told):.0f}")


def _month_seed(plan: Plan) -> int:
    return plan.seed % MONTH_SEEDS


if __name__ == "__main__":
    sys.exit(main())
