"""The only place that wires things together: settings to databases, configuration to connectors, rooms to doors."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from revline.app import processes
from revline.app.kinds import registry
from revline.app.runtime import open_runtime
from revline.core.clock import SystemClock
from revline.core.problem import Mender, Problem, Retryable, define, problem
from revline.doors.cli.context import Program
from revline.doors.cli.main import build
from revline.doors.cli.output import say_problem
from revline.doors.services import Services
from revline.examples import write_example
from revline.platform.settings import Settings, load

if TYPE_CHECKING:
    from revline.doors.usage.ports import UsageRoom

define(
    code="configuration.folder_taken",
    title="The folder can't be filled",
    status=409,
    retryable=Retryable.AFTER_FIX,
    mender=Mender.SENDER,
    remedy="Name a new folder in a place you can write to.",
)


def main() -> None:
    """The `revline` command."""
    settings = load(environment=os.environ)
    if isinstance(settings, Problem):
        say_problem(settings)
        sys.exit(1)
    build(program=program_of(settings), registry=registry())()


def program_of(settings: Settings) -> Program:
    """What the commands call, under these settings."""
    return Program(
        services=partial(_services, settings),
        up=partial(processes.up, settings),
        worker=partial(processes.run_worker, settings),
        serve=partial(processes.run_server, settings),
        usage_shard=partial(_usage_shard, settings),
        usage_consume=partial(_usage_consume, settings),
        usage_spread=partial(_usage_spread, settings),
        usage=partial(_usage, settings),
        upgrade=partial(processes.upgrade, settings),
        demo=_demo,
        sim=_sim,
        starter=_starter,
    )


def _demo(folder: Path, small: bool, keep: bool) -> int:  # noqa: FBT001 - one command's flags
    # The played systems take a third of a second to import; only this command needs them.
    from revline.sim.demo.run import run  # noqa: PLC0415

    return run(folder, small, keep)


def _sim(seeds: int, first: int, seconds: float, trace: bool, as_json: bool) -> int:  # noqa: FBT001 - one command's flags
    # As the demonstration: only this command needs the played systems.
    from revline.sim.world.command import run  # noqa: PLC0415

    return run(
        registry=registry(),
        clock=SystemClock(),
        seeds=seeds,
        first=first,
        seconds=seconds,
        trace=trace,
        as_json=as_json,
    )


def _usage_shard(settings: Settings, shards: Sequence[int], port: int | None) -> int:
    # The usage log's libraries take longer to import than `--help` may; only this command needs them here.
    from revline.app.usage import run_shard  # noqa: PLC0415

    return run_shard(settings, shards, settings.port if port is None else port)


def _usage_consume(settings: Settings, topic: str, tenant: str) -> int:
    from revline.app.usage_stream import run_consumer  # noqa: PLC0415 - as above

    return run_consumer(settings, topic, tenant)


def _usage_spread(settings: Settings, topic: str, into: str, tenant: str) -> int:
    from revline.app.usage_stream import run_spreader  # noqa: PLC0415 - as above

    return run_spreader(settings, topic, into, tenant)


def _usage(settings: Settings) -> tuple[Services, UsageRoom] | Problem:
    from revline.app.usage import usage_for_command  # noqa: PLC0415 - as above

    return usage_for_command(settings)


def _services(settings: Settings) -> Services | Problem:
    runtime = open_runtime(settings)
    return runtime if isinstance(runtime, Problem) else runtime.services


def _starter(folder: Path) -> tuple[str, ...] | Problem:
    try:
        return tuple(path.name for path in write_example(target=folder))
    except FileExistsError as error:
        return problem("configuration.folder_taken", str(error))
    except OSError as error:
        return problem("configuration.folder_taken", f"{folder}: {error.strerror}")
