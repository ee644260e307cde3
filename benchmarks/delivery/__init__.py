"""Delivery: how fast, how fair, how it grows, in parts that also run alone (`--part NAME`).

`noop`: documents through every state and row with a far side that does nothing, beside jobs in Procrastinate and DBOS.
`http`: the same documents over the wire to an ERP that takes 20 ms, beside the HTTP client bare.
`quiet`: quiet tenants beside one with a great backlog, over what they take alone.
`lanes`: claiming and settling with a million due and a million parked lanes, beside ten thousand.
`latency`: from the commit that makes a document due to the commit that posts it, at three rates.
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from benchmarks.common import Measured
from benchmarks.delivery import http, lanes, latency, noop, quiet
from benchmarks.fleet import CONTEXT

PARTS = {"noop": noop.run, "http": http.run, "quiet": quiet.run, "lanes": lanes.run, "latency": latency.run}


def add_options(parser: ArgumentParser) -> None:
    """Options of this benchmark beside those that all have."""
    parser.add_argument("--part", choices=sorted(PARTS), help="run one part (default: all)")
    parser.add_argument("--rounds", type=int, default=0, help="rounds of a part instead of its usual number")
    group = parser.add_argument_group("parts noop and http")
    group.add_argument("--ours-only", action="store_true", help="no peers")
    group.add_argument("--profile", action="store_true", help="one process: statements a document and their time")
    group.add_argument("--cprofile", default="", metavar="FILE", help="one process, one thread: write a cProfile dump")
    group.add_argument("--turn-milliseconds", type=int, default=20, help="pause between turns of a profiled run")
    parser.add_argument("--explain", action="store_true", help="part lanes: how PostgreSQL carries out a claim")
    for name, what in (
        ("tenants", "tenants"),
        ("documents-a-tenant", "documents of each, one a lane"),
        ("pools", "capacity pools the tenants share"),
        ("slots", "calls at once of a pool"),
        ("batch", "documents in one call"),
        ("workers", "worker processes"),
    ):
        group.add_argument(f"--{name}", type=int, default=0, help=what)


def run(scale: str, options: Namespace) -> Measured:
    """All parts, or the one asked for."""
    CONTEXT.set_forkserver_preload(["benchmarks.delivery.worker", "benchmarks.delivery.http"])
    parts = [options.part] if options.part else list(PARTS)
    found = [PARTS[name](scale, options) for name in parts]
    return Measured(
        ratios={key: value for one in found for key, value in one.ratios.items()},
        figures={key: value for one in found for key, value in one.figures.items()},
    )
