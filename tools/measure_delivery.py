"""Measures delivery part by part on a machine that has become quiet: `python -m tools.measure_delivery [--scale full]`.

Waits until the processors are idle, runs each part of `python -m benchmarks delivery` in a process of its own, keeps its last
line in a folder and prints the figures as Markdown tables. With --write, everything the folder holds becomes the last section of
docs/explanation/delivery-speed.md.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

PARTS: Final = ("noop", "http", "quiet", "lanes", "latency")
BUSY_PERCENT_MAX: Final = 8.0
"""Of all processors' time, whoever took it. (The load average would still be high of the part before.)"""
LOOK_SECONDS: Final = 5.0
ROOT: Final = Path(__file__).resolve().parent.parent
PAGE: Final = ROOT / "docs" / "explanation" / "delivery-speed.md"
SECTION: Final = "## Figures\n"


def main() -> int:
    """Runs what is asked for; gives 1 when a part failed."""
    parser = argparse.ArgumentParser(prog="python -m tools.measure_delivery", description=__doc__)
    parser.add_argument("--scale", choices=("small", "full"), default="full")
    parser.add_argument("--part", choices=PARTS, action="append", help="this part (may be given often; default: all)")
    parser.add_argument("--into", type=Path, default=ROOT / "build" / "delivery", help="folder for the results")
    parser.add_argument("--write", action="store_true", help="write what the folder holds into the documentation")
    parser.add_argument("--wait-minutes", type=float, default=10.0, help="the longest wait for a quiet machine")
    arguments = parser.parse_args()
    arguments.into.mkdir(parents=True, exist_ok=True)
    failed = False
    for part in arguments.part or PARTS:
        busy = wait_until_quiet(arguments.wait_minutes * 60)
        result = measured(part, arguments.scale, arguments.into, busy_percent=busy)
        failed = failed or result is None
        if result is not None:
            print("\n".join(table(part, result)), flush=True)
    if arguments.write:
        write(arguments.into)
    return 1 if failed else 0


def wait_until_quiet(limit_seconds: float) -> float:
    """Until the processors are next to idle, or the limit is over; gives how busy they were, which is in the result either way."""
    begun = time.monotonic()
    while (busy := busy_percent()) > BUSY_PERCENT_MAX and time.monotonic() - begun < limit_seconds:
        pass
    return busy


def busy_percent() -> float:
    """Which part of all processors' time was taken while this looked."""
    idle_before, whole_before = processor_ticks()
    time.sleep(LOOK_SECONDS)
    idle, whole = processor_ticks()
    return 100 * (1 - (idle - idle_before) / max(1, whole - whole_before))


def processor_ticks() -> tuple[int, int]:
    """Idle (or waiting for a disk), and all."""
    ticks = [int(value) for value in Path("/proc/stat").read_text(encoding="utf-8").splitlines()[0].split()[1:9]]
    return ticks[3] + ticks[4], sum(ticks)


def measured(part: str, scale: str, folder: Path, *, busy_percent: float) -> dict[str, Any] | None:
    """The result of one part, None when it failed. What it says on the way goes to a log beside."""
    command = [sys.executable, "-m", "benchmarks", "delivery", "--json", "--scale", scale, "--part", part]
    with (folder / f"{part}.log").open("w", encoding="utf-8") as log:
        done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=log, text=True, check=False)
    lines = done.stdout.strip().splitlines()
    if done.returncode != 0 or not lines:
        print(f"{part} failed; see {folder / f'{part}.log'}", file=sys.stderr)
        return None
    found: dict[str, Any] = json.loads(lines[-1]) | {"busy_percent_before": round(busy_percent, 1)}
    (folder / f"{part}.json").write_text(json.dumps(found) + "\n", encoding="utf-8")
    return found


def write(folder: Path) -> None:
    """Puts the results of a folder in place of the page's last section."""
    lines: list[str] = []
    for part in PARTS:
        file = folder / f"{part}.json"
        if file.exists():
            result = json.loads(file.read_text(encoding="utf-8"))
            day = datetime.fromtimestamp(file.stat().st_mtime, tz=UTC).date()
            versions = ", ".join(f"{name} {version}" for name, version in result["versions"].items())
            lines += table(part, result)
            lines.append(f"\n{day}, scale {result['scale']}, {result['load']['processors']} processors, {versions}.")
    before = PAGE.read_text(encoding="utf-8").partition(SECTION)[0]
    PAGE.write_text(before + SECTION + "\n".join(lines) + "\n", encoding="utf-8")


def table(part: str, result: dict[str, Any]) -> list[str]:
    """A result as Markdown."""
    circumstances = f"revision {result['revision']}, processors {result['busy_percent_before']:g} % busy before"
    rows = [f"| {name} | {shown(value)} |" for name, value in {**result["ratios"], **result["figures"]}.items()]
    return [f"\n### {part} ({circumstances})\n", "| figure | value |", "| --- | ---: |", *rows]


def shown(value: float) -> str:
    """Three digits that count."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


if __name__ == "__main__":
    raise SystemExit(main())
