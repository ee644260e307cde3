"""Usage from a body to disk, over what any durable intake has to do: `python -m benchmarks usage-ingest --json [--scale full]`.

Each module here with a `measure(scale)` is a part; `--part NAME`, given as often as wanted, runs only such.
"""

from __future__ import annotations

import argparse
import importlib
import pkgutil

from benchmarks.common import Measured, progress


def parts() -> list[str]:
    """The parts there are."""
    names = [module.name for module in pkgutil.iter_modules(__path__)]
    return [name for name in names if hasattr(importlib.import_module(f"{__name__}.{name}"), "measure")]


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of this benchmark."""
    parser.add_argument("--part", action="append", choices=parts(), help="only this part")


def run(scale: str, options: argparse.Namespace) -> Measured:
    """Every part, or those that were asked for."""
    ratios: dict[str, float] = {}
    figures: dict[str, float] = {}
    for name in options.part or parts():
        progress(f"usage-ingest: {name}")
        measured: Measured = importlib.import_module(f"{__name__}.{name}").measure(scale)
        ratios |= measured.ratios
        figures |= measured.figures
    return Measured(ratios=ratios, figures=figures)
