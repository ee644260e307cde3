"""DBOS workflows that do nothing, on the same server: one executor a process on one queue, at the settings it is given."""

from __future__ import annotations

import time
from typing import Final

import sqlalchemy
from dbos import DBOS, DBOSClient, DBOSConfig

from benchmarks.common import progress
from benchmarks.delivery.procrastinate_peer import body_of
from benchmarks.delivery.settings import Setting
from benchmarks.delivery.world import copy_of
from benchmarks.fleet import CONTEXT, Raced, Reins, race
from revline.platform.store.embedded import EmbeddedServer

LIMIT_SECONDS: Final = 120.0
BATCH: Final = 100
QUEUE: Final = "noops"
VERSION: Final = "1"
SETTINGS: Final = tuple(
    Setting.of(workers=workers, concurrency=concurrency, poll_seconds=poll, asynchronous=asynchronous)
    for workers, concurrency, poll, asynchronous in (
        (1, 32, 0.02, 0), (1, 100, 0.02, 0), (1, 200, 0.02, 0), (1, 100, 0.005, 0), (2, 50, 0.02, 0), (2, 100, 0.02, 0),
        (2, 200, 0.01, 0), (3, 100, 0.02, 0), (1, 100, 0.02, 1), (2, 100, 0.02, 1), (2, 200, 0.01, 1),
    )
)  # fmt: skip
"""asynchronous: whether the workflow is a coroutine or runs in a thread."""
BEST: Final = SETTINGS[5]


def make_source(server: EmbeddedServer, *, name: str, jobs: int) -> None:
    """A database with so many workflows enqueued; each carries a document's body, as one that delivers it would."""
    progress(f"enqueueing {jobs} workflows of DBOS")
    server.create_database(name)
    filling = CONTEXT.Process(target=fill, kwargs={"url": _url(server, name), "jobs": jobs})
    filling.start()
    filling.join()
    assert filling.exitcode == 0, "DBOS could not enqueue"


def fill(*, url: str, jobs: int) -> None:
    """Enqueues, in a process of its own: DBOS is one a process."""
    engine = sqlalchemy.create_engine(url)
    DBOS(config=_config(url, "filling"))
    DBOS.launch()
    DBOS.register_queue(QUEUE, worker_concurrency=1)
    DBOS.destroy(destroy_registry=True)
    client = DBOSClient(system_database_url=url)
    for start in range(0, jobs, BATCH):
        with engine.begin() as connection:
            for number in range(start, min(start + BATCH, jobs)):
                client.enqueue_in_transaction(
                    connection,
                    {"workflow_name": "noop", "queue_name": QUEUE, "app_version": VERSION},
                    number,
                    body_of(number),
                )
    client.destroy()
    engine.dispose()


def run_jobs(server: EmbeddedServer, source: str, jobs: int, setting: Setting) -> Raced:
    """Run the workflows of a copy of `source`."""
    copy_of(server, source, "dbos_run")
    given = {
        "url": _url(server, "dbos_run"),
        "concurrency": setting.whole("concurrency"),
        "poll_seconds": setting["poll_seconds"],
        "asynchronous": bool(setting["asynchronous"]),
    }
    return race(
        server=server,
        work=work_off,
        arguments=[{"number": number, **given} for number in range(setting.whole("workers"))],
        goal=jobs,
        limit_seconds=LIMIT_SECONDS,
    )


def work_off(reins: Reins, *, url: str, number: int, concurrency: int, poll_seconds: float, asynchronous: bool) -> None:
    """One executor. It begins to poll when its queue is registered anew."""
    DBOS(config=_config(url, f"executor-{number}"))
    _register(reins, asynchronous=asynchronous)
    reins.go()
    DBOS.launch()
    DBOS.register_queue(
        QUEUE, worker_concurrency=concurrency, polling_interval_sec=poll_seconds, on_conflict="always_update"
    )
    while not reins.stop.is_set():
        time.sleep(0.02)
    DBOS.destroy(workflow_completion_timeout_sec=5)


def _register(reins: Reins, *, asynchronous: bool) -> None:
    if asynchronous:

        @DBOS.workflow(name="noop")
        async def noop_async(number: int, body: str) -> None:
            reins.add(1)

    else:

        @DBOS.workflow(name="noop")
        def noop(number: int, body: str) -> None:
            reins.add(1)


def _config(url: str, executor: str) -> DBOSConfig:
    return {
        "name": "benchmark",
        "system_database_url": url,
        "executor_id": executor,
        "application_version": VERSION,
        "log_level": "CRITICAL",
        "sys_db_pool_size": 20,
    }


def _url(server: EmbeddedServer, name: str) -> str:
    return server.dsn("revline_owner", name).replace("postgresql://", "postgresql+psycopg://")
