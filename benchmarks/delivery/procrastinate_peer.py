"""Procrastinate's jobs that do nothing, on the same server: asyncio workers in processes, at the settings it is given."""

from __future__ import annotations

import asyncio
import importlib.util
import logging
from typing import Any, Final

import procrastinate
from psycopg_pool import AsyncConnectionPool

from benchmarks.common import execute_all, progress
from benchmarks.delivery.erp import run_in_loop
from benchmarks.delivery.settings import Setting
from benchmarks.delivery.world import copy_of, journal, tenant_name
from benchmarks.fleet import Raced, Reins, race
from revline.core.hashing import canonical_bytes
from revline.platform.store.embedded import EmbeddedServer

LIMIT_SECONDS: Final = 120.0
BATCH: Final = 500
THERE: Final = importlib.util.find_spec("uvloop") is not None
CONNECTIONS: Final = 12
"""Of a process, beside one for each worker's notifications."""
SPARE_CONNECTIONS: Final = 2
SETTINGS: Final = tuple(
    Setting.of(processes=processes, workers=workers, concurrency=concurrency, delete=delete, uvloop=uvloop)
    for processes, workers, concurrency, delete, uvloop in (
        (1, 1, 32, 0, 0), (1, 8, 2, 0, 0), (1, 8, 2, 0, 1), (1, 16, 2, 0, 1), (2, 4, 2, 0, 1), (2, 8, 2, 0, 0),
        (2, 8, 2, 0, 1), (2, 8, 2, 1, 1),
    )
    if THERE or not uvloop
)  # fmt: skip
"""workers: in one process and on its connections, because a worker fetches one job after the other, each in a commit of its own;
concurrency: jobs of one worker at once; delete: whether a job that succeeded is deleted at once (no history is kept then)."""
BEST: Final = next(setting for setting in SETTINGS if setting["processes"] == 2 and setting["workers"] == 8)


def make_source(server: EmbeddedServer, *, name: str, jobs: int) -> None:
    """A database with so many jobs due; each carries a document's body, as a job that delivers it would."""
    progress(f"enqueueing {jobs} jobs of Procrastinate")
    server.create_database(name)
    asyncio.run(_fill(server.dsn("revline_owner", name), jobs))
    execute_all(server.dsn("revline_owner", name), ["VACUUM (ANALYZE)"])


async def _fill(dsn: str, jobs: int) -> None:
    app, noop = _app(None, dsn)
    async with app.open_async():
        await app.schema_manager.apply_schema_async()
        for start in range(0, jobs, BATCH):
            page = [{"number": number, "body": body_of(number)} for number in range(start, min(start + BATCH, jobs))]
            await noop.configure().batch_defer_async(*page)


def body_of(number: int) -> str:
    """What a job is given: the journal that our document holds."""
    return canonical_bytes(journal(tenant_name(number % 200), number)).decode()


def run_jobs(server: EmbeddedServer, source: str, jobs: int, setting: Setting) -> Raced:
    """Run the jobs of a copy of `source`."""
    copy_of(server, source, "procrastinate_run")
    given = {
        "dsn": server.dsn("revline_owner", "procrastinate_run"),
        "workers": setting.whole("workers"),
        "concurrency": setting.whole("concurrency"),
        "delete": bool(setting["delete"]),
        "uvloop": bool(setting["uvloop"]),
    }
    return race(
        server=server,
        work=work_off,
        arguments=[given] * setting.whole("processes"),
        goal=jobs,
        limit_seconds=LIMIT_SECONDS,
    )


def work_off(reins: Reins, *, dsn: str, workers: int, concurrency: int, delete: bool, uvloop: bool) -> None:
    """One process."""
    logging.disable()
    run_in_loop(_work_off(reins, dsn=dsn, workers=workers, concurrency=concurrency, delete=delete), uvloop=uvloop)


async def _work_off(reins: Reins, *, dsn: str, workers: int, concurrency: int, delete: bool) -> None:
    """Several workers on one loop and one pool, whose connections are not looked at before each use."""
    app, _ = _app(reins)
    size = workers + min(workers * concurrency, CONNECTIONS) + SPARE_CONNECTIONS
    async with AsyncConnectionPool(dsn, min_size=size, max_size=size, open=False) as pool:
        await pool.wait()
        async with app.open_async(pool):
            await asyncio.to_thread(reins.go)
            running = [
                asyncio.create_task(
                    app.run_worker_async(
                        name=f"worker-{number}",
                        concurrency=concurrency,
                        wait=True,
                        install_signal_handlers=False,
                        delete_jobs="successful" if delete else "never",
                    )
                )
                for number in range(workers)
            ]
            while not reins.stop.is_set() and not any(one.done() for one in running):
                await asyncio.sleep(0.02)
            for one in running:
                one.cancel()
            await asyncio.gather(*running, return_exceptions=True)


def _app(reins: Reins | None, dsn: str = "") -> tuple[procrastinate.App, Any]:
    app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=dsn, min_size=2, max_size=2))

    @app.task(name="noop")
    async def noop(number: int, body: str) -> None:
        assert reins is not None
        reins.add(1)

    return app, noop
