"""`python -m tests.sim --write` plants every defect in turn, lives worlds until one finds it, and writes the table."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from time import perf_counter

import msgspec
import pytest
from rich.console import Console

from revline.app.kinds import registry
from revline.sim.world.ground import Databases, new_databases
from revline.sim.world.run import one_world
from tests.sim.planting import Defect, defects

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reliability.md"
BEGIN, END = "<!-- planted defects: begin -->", "<!-- planted defects: end -->"
SEEDS_MAX = 1_000


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """What finding a defect took. worlds: lived until one broke a promise, 0 when none did. invariants: those that were broken."""

    defect: Defect
    worlds: int
    seed: int
    invariants: tuple[str, ...]
    seconds: float


def find(databases: Databases, one: Defect, *, first: int, most: int) -> Found:
    """Live worlds with the defect in place until one of them breaks a promise."""
    began = perf_counter()
    databases.clear(everything=True)
    with pytest.MonkeyPatch.context() as patch:
        one.apply(patch)
        for number in range(most):
            outcome = one_world(databases, seed=first + number, twice=False)
            if outcome.violations:
                names = tuple(dict.fromkeys(each.invariant for each in outcome.violations))
                return Found(
                    defect=one,
                    worlds=number + 1,
                    seed=first + number,
                    invariants=names,
                    seconds=perf_counter() - began,
                )
    return Found(defect=one, worlds=0, seed=0, invariants=(), seconds=perf_counter() - began)


def table(found: list[Found], *, before: str = "") -> str:
    """The rows of docs/reliability.md. before: the table there is; what was not tried now keeps its row."""
    known = {line.split(" | ")[0].removeprefix("| "): line for line in before.splitlines() if line.startswith("| ")}
    tried = {
        one.defect.name: f"| {one.defect.name} | {one.defect.what} | {one.worlds or 'not found'} | {', '.join(one.invariants)} |"
        for one in found
    }
    names = [one.name for one in defects()]
    rows = [tried.get(name) or known[name] for name in names if name in tried or name in known]
    return "\n".join(["| Defect | What it does | Worlds until found | Promise it broke |", "|---|---|---:|---|", *rows])


def main() -> int:
    """Find them; 1 when one is not found."""
    parser = argparse.ArgumentParser(prog="python -m tests.sim", description="Plant defects, live worlds, find them.")
    parser.add_argument("--first", type=int, default=1, help="the first seed of each search")
    parser.add_argument("--most", type=int, default=SEEDS_MAX, help="worlds until a search gives up")
    parser.add_argument("--only", default="", help="names of defects, with commas between")
    parser.add_argument("--write", action="store_true", help="write the table into docs/reliability.md")
    options = parser.parse_args()
    console = Console(width=160)
    wanted = {name for name in options.only.split(",") if name}
    found: list[Found] = []
    with new_databases(registry=registry()) as databases:
        for one in defects():
            if wanted and one.name not in wanted:
                continue
            found.append(find(databases, one, first=options.first, most=options.most))
            told = found[-1]
            console.print(
                f"{one.name}: {told.worlds or 'NOT FOUND'} worlds ({told.seconds:.0f} s), seed {told.seed}:"
                f" {', '.join(told.invariants)}",
                highlight=False,
            )
    if options.write:
        page = PAGE.read_text(encoding="utf-8")
        head, _, rest = page.partition(BEGIN)
        before, _, tail = rest.partition(END)
        PAGE.write_text(f"{head}{BEGIN}\n{table(found, before=before)}\n{END}{tail}", encoding="utf-8")
    return 0 if all(one.worlds for one in found) else 1


if __name__ == "__main__":
    sys.exit(main())
