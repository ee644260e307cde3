"""Procrastinate's jobs that do nothing, on the same server: one asyncio worker a process, at the settings it is given."""

from __future__ import annotations

import asyncio
from typing import Any, Final

import procrastinate

from benchmarks.common import progress
from benchmarks.delivery.settings import Setting
from benchmarks.delivery.world import copy_of, journal, tenant_name
from benchmarks.fleet import Raced, Reins, race
from revline.core.hashing import canonical_bytes
from revline.platform.store.embedded import EmbeddedServer

LIMIT_SECONDS: Final = 120.0
BATCH: Final = 500
SETTINGS: Final = tuple(
    Setting.of(workers=workers, concurrency=concurrency, delete=delete)
    for workers, concurrency, delete in (
        (1, 1, 0), (1, 8, 0), (1, 32, 0), (1, 100, 0), (2, 8, 0), (2, 32, 0), (4, 8, 0), (1, 32, 1), (2, 32, 1), (4, 8, 1),
    )
)  # fmt: skip
"""delete: whether a job that succeeded is deleted at once (no history is kept then)."""
BEST: Final = SETTINGS[5]


def make_source(server: EmbeddedServer, *, name: str, jobs: int) -> None:
    """A database with so many jobs due; each carries a document's body, as a job that delivers it would."""
    progress(f"enqueueing {jobs} jobs of Procrastinate")
    server.create_database(name)
    asyncio.run(_fill(server.dsn("revline_owner", name), jobs))


async def _fill(dsn: str, jobs: int) -> None:
    app, noop = _app(dsn, None)
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
        "concurrency": setting.whole("concurrency"),
        "delete": bool(setting["delete"]),
    }
    return race(
        server=server,
        work=work_off,
        arguments=[given] * setting.whole("workers"),
        goal=jobs,
        limit_seconds=LIMIT_SECONDS,
    )


def work_off(reins: Reins, *, dsn: str, concurrency: int, delete: bool) -> None:
    """One worker process."""
    asyncio.run(_work_off(reins, dsn=dsn, concurrency=concurrency, delete=delete))


async def _work_off(reins: Reins, *, dsn: str, concurrency: int, delete: bool) -> None:
    app, _ = _app(dsn, reins)
    async with app.open_async():
        await asyncio.to_thread(reins.go)
        running = asyncio.create_task(
            app.run_worker_async(
                concurrency=concurrency,
                wait=True,
                install_signal_handlers=False,
                delete_jobs="successful" if delete else "never",
            )
        )
        while not reins.stop.is_set() and not running.done():
            await asyncio.sleep(0.02)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


def _app(dsn: str, reins: Reins | None) -> tuple[procrastinate.App, Any]:
    app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=dsn, min_size=2, max_size=16))

    @app.task(name="noop")
    async def noop(number: int, body: str) -> None:
        assert reins is not None
        reins.add(1)

    return app, noop
