"""The long form: `python -m tests.chaos --seeds 20 --kills 10` tells a story a seed, every variant in turn, and prints a table.

A seed that fails is one command to replay: `--first SEED --seeds 1`. Ends with 1 when anything is not as it should be.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.table import Table

from revline.platform.store.engine import Database
from tests.chaos.judging import EndState
from tests.chaos.running import month_of
from tests.chaos.story import VARIANTS, Stand, Told, tell, undisturbed
from tests.databases import TestServer

DATABASE = "chaos"
MONTH_SEEDS = 3
"""So many different months, each told undisturbed once."""
COLUMNS = (
    "seed",
    "ERP",
    "kills",
    "in flight",
    "documents",
    "lost",
    "doubled",
    "out of order",
    "same state",
    "same books",
)


def main() -> int:
    """Tell the stories; 0 when all is well."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description="Kill workers, judge the books.")
    parser.add_argument("--seeds", type=int, default=20, help="how many stories")
    parser.add_argument("--first", type=int, default=1, help="the first story's seed")
    parser.add_argument("--kills", type=int, default=10, help="kills a story")
    options = parser.parse_args()
    console = Console(width=120)
    server = TestServer()
    try:
        with tempfile.TemporaryDirectory(prefix="revline-chaos-") as folder:
            server.new_database(DATABASE)
            database = Database(dsn=server.server.dsn("revline_app", DATABASE), pool_size=8)
            stand = Stand(
                database=database,
                dsn=server.server.dsn("revline_app", DATABASE),
                folder=Path(folder),
                empty=lambda: server.empty(DATABASE),
            )
            seeds = range(options.first, options.first + options.seeds)
            try:
                return _tell_all(stand, console, seeds, options.kills)
            finally:
                database.dispose()
    finally:
        server.close()


def _tell_all(stand: Stand, console: Console, seeds: range, kills: int) -> int:
    table = Table(title="Workers killed (SIGKILL) over a month on the simulated ERP", box=None, title_justify="left")
    for column in (*COLUMNS, "seconds"):
        table.add_column(column, justify="left" if column == "ERP" else "right")
    calm: dict[int, EndState] = {}
    told: list[Told] = []
    well = True
    for seed in seeds:
        month_seed = seed % MONTH_SEEDS
        month = month_of(seed=month_seed)
        if month_seed not in calm:
            calm[month_seed] = undisturbed(stand, month=month)
        variant = VARIANTS[(seed - 1) % len(VARIANTS)]
        one = tell(stand, month=month, variant=variant, seed=seed, kills=kills)
        same = one.state == calm[month_seed]
        well &= same and one.same_books and one.verdict.good and one.all_posted
        table.add_row(
            str(seed), variant.name, *_figures([one]), _word(same), _word(one.same_books), f"{one.seconds:.0f}"
        )
        console.print(f"seed {seed}: {len(one.kills)} kills in {one.seconds:.0f} s", style="dim")
        told.append(one)
    table.add_section()
    table.add_row("", "all", *_figures(told), _word(well), _word(well), f"{sum(one.seconds for one in told):.0f}")
    console.print(table)
    return 0 if well else 1


def _figures(told: list[Told]) -> list[str]:
    counts = (
        sum(len(one.kills) for one in told),
        sum(one.in_flight for one in told),
        sum(one.documents for one in told),
        sum(len(one.verdict.lost) for one in told),
        sum(len(one.verdict.doubled) + len(one.verdict.unknown) for one in told),
        sum(len(one.verdict.out_of_order) for one in told),
    )
    return [str(count) for count in counts]


def _word(true: bool) -> str:
    return "yes" if true else "NO"


if __name__ == "__main__":
    sys.exit(main())
