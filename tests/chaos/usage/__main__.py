"""The long form: `python -m tests.chaos.usage`. It kills, tears and refuses; it ends with 1 when an event was lost or doubled."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from rich.console import Console

from tests.chaos.usage.blows import failed_syncs, kills, torn_tails


def main() -> int:
    """Every kind of blow, each on a log of its own."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.usage", description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--torn", type=int, default=200)
    parser.add_argument("--refusals", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    is_clean, console = True, Console(width=200)
    for name, blow, count in (
        ("kills", kills, options.kills),
        ("torn tails", torn_tails, options.torn),
        ("failed syncs", failed_syncs, options.refusals),
    ):
        with tempfile.TemporaryDirectory(prefix="revline-chaos-") as folder:
            found = blow(Path(folder), count=count, seed=options.seed)
        is_clean = is_clean and found.is_clean
        console.print(
            f"{count} {name}: {found.events} events, {found.lost} lost, {found.doubled} doubled, {found.altered} altered"
        )
        for note in found.notes[:20]:
            console.print(f"  {note}")
    return 0 if is_clean else 1


if __name__ == "__main__":
    sys.exit(main())
