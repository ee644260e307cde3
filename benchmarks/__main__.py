"""Runs one benchmark by name: `python -m benchmarks NAME --json [--scale small|full]`.

NAME is a module of this package with dashes for underscores; it has `run(scale: str) -> Measured`. One with options of its own
has `add_options(parser)` too, and is run with what was given. Nothing is asserted here.
The last line of standard output is one JSON object with --json; what a person reads goes to standard error.
"""

from __future__ import annotations

import argparse
import importlib
import pkgutil
import sys

import benchmarks
from benchmarks.common import Measured, load_now, to_json_line

HARNESS = {"__main__", "common", "fleet"}


def names() -> list[str]:
    """The benchmarks there are."""
    found = (module.name for module in pkgutil.iter_modules(benchmarks.__path__))
    return sorted(name.replace("_", "-") for name in found if name not in HARNESS)


def main() -> int:
    """Runs the benchmark named on the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("name", choices=names())
    parser.add_argument("--scale", choices=("small", "full"), default="small")
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    chosen = next((name for name in sys.argv[1:] if name in names()), "")
    module = importlib.import_module(f"benchmarks.{chosen.replace('-', '_')}") if chosen else None
    if hasattr(module, "add_options"):
        module.add_options(parser)
    arguments = parser.parse_args()
    assert module is not None
    load = load_now()
    measured: Measured = (
        module.run(arguments.scale, arguments) if hasattr(module, "add_options") else module.run(arguments.scale)
    )
    for name, value in {**measured.ratios, **measured.figures}.items():
        print(f"{name:<60} {value:>14,.3f}", file=sys.stderr)
    if arguments.json:
        print(to_json_line(name=arguments.name, scale=arguments.scale, measured=measured, load=load))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
