"""DBOS workflows that do nothing, on the same server: one executor a process on one queue, at the settings it is given."""

from __future__ import annotations

import time
from typing import Final

import sqlalchemy
from dbos import DBOS, DBOSClient, DBOSConfig

from benchmarks.common import execute_all, progress
from benchmarks.delivery.procrastinate_peer import body_of
from benchmarks.delivery.settings import Setting
from benchmarks.delivery.world import copy_of
from benchmarks.fleet import CONTEXT, Raced, Reins, race
from revline.platform.store.embedded import EmbeddedServer

LIMIT_SECONDS: Final = 120.0
BATCH: Final = 100
QUEUE: Final = "noops"
VERSION: Final = "1"
IDLE_POLL_SECONDS: Final = 0.005
CONNECTIONS: Final = 20
"""Of an executor whose number of threads has no limit."""
SPARE_CONNECTIONS: Final = 4
"""For its own polls."""
SETTINGS: Final = tuple(
    Setting.of(
        executors=executors, concurrency=concurrency, poll_seconds=poll, threads=threads, asynchronous=asynchronous
    )
    for executors, concurrency, poll, threads, asynchronous in (
        (1, 400, 0.02, 16, 0), (1, 400, 0.02, 32, 0), (2, 100, 0.02, 0, 0), (2, 400, 0.02, 8, 0), (2, 400, 0.02, 16, 0),
        (2, 400, 0.02, 32, 0), (3, 400, 0.02, 16, 0), (2, 400, 0.02, 16, 1),
    )
)  # fmt: skip
"""concurrency: workflows an executor may have at once, which is what one poll brings; threads: that run them, each with a
connection (0: as many as workflows, which wait for connections and for the interpreter's lock); asynchronous: whether the workflow
is a coroutine or runs in a thread. A shorter interval brings nothing where a poll brings hundreds."""
BEST: Final = SETTINGS[4]


def make_source(server: EmbeddedServer, *, name: str, jobs: int) -> None:
    """A database with so many workflows enqueued; each carries a document's body, as one that delivers it would."""
    progress(f"enqueueing {jobs} workflows of DBOS")
    server.create_database(name)
    filling = CONTEXT.Process(target=fill, kwargs={"url": _url(server, name), "jobs": jobs})
    filling.start()
    filling.join()
    assert filling.exitcode == 0, "DBOS could not enqueue"
    execute_all(server.dsn("revline_owner", name), ["VACUUM (ANALYZE)"])


def fill(*, url: str, jobs: int) -> None:
    """Enqueues, in a process of its own: DBOS is one a process.

    The queue lets nothing run until executors register it anew. It is polled often from the start, because an executor comes from
    a long interval to a short one only by a tenth a poll.
    """
    engine = sqlalchemy.create_engine(url)
    DBOS(config=_config(url, executor="filling", threads=0))
    DBOS.launch()
    DBOS.register_queue(QUEUE, worker_concurrency=0, polling_interval_sec=IDLE_POLL_SECONDS)
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


def run_jobs(server: EmbeddedServer, source: str, jobs: int, setting: Setting, *, steps: bool = False) -> Raced:
    """Run the workflows of a copy of `source`. steps: each makes its call as a step, whose outcome is kept."""
    copy_of(server, source, "dbos_run")
    given = {
        "url": _url(server, "dbos_run"),
        "concurrency": setting.whole("concurrency"),
        "poll_seconds": setting["poll_seconds"],
        "threads": setting.whole("threads"),
        "asynchronous": bool(setting["asynchronous"]),
        "steps": steps,
    }
    return race(
        server=server,
        work=work_off,
        arguments=[{"number": number, **given} for number in range(setting.whole("executors"))],
        goal=jobs,
        limit_seconds=LIMIT_SECONDS,
    )


def work_off(
    reins: Reins,
    *,
    url: str,
    number: int,
    concurrency: int,
    poll_seconds: float,
    threads: int,
    asynchronous: bool,
    steps: bool,
) -> None:
    """One executor. It runs nothing until its queue is registered anew."""
    DBOS(config=_config(url, executor=f"executor-{number}", threads=threads))
    if asynchronous:
        _register_coroutine(reins, steps=steps)
    else:
        _register(reins, steps=steps)
    DBOS.launch()
    reins.go()
    DBOS.register_queue(
        QUEUE,
        worker_concurrency=concurrency or None,
        polling_interval_sec=poll_seconds,
        on_conflict="always_update",
    )
    while not reins.stop.is_set():
        time.sleep(0.02)
    DBOS.destroy(workflow_completion_timeout_sec=5)


def _register(reins: Reins, *, steps: bool) -> None:
    def call(number: int, body: str) -> str:
        return body

    made = DBOS.step(name="call")(call) if steps else call

    @DBOS.workflow(name="noop")
    def noop(number: int, body: str) -> None:
        made(number, body)
        reins.add(1)


def _register_coroutine(reins: Reins, *, steps: bool) -> None:
    async def call(number: int, body: str) -> str:
        return body

    made = DBOS.step(name="call")(call) if steps else call

    @DBOS.workflow(name="noop")
    async def noop(number: int, body: str) -> None:
        await made(number, body)
        reins.add(1)


def _config(url: str, *, executor: str, threads: int) -> DBOSConfig:
    """Nothing that costs without being needed: no traces, no logs, no notifications, no ping before each use of a connection."""
    config: DBOSConfig = {
        "name": "benchmark",
        "system_database_url": url,
        "executor_id": executor,
        "application_version": VERSION,
        "log_level": "CRITICAL",
        "enable_otlp": False,
        "use_listen_notify": False,
        "sys_db_pool_size": (threads or CONNECTIONS) + SPARE_CONNECTIONS,
        "db_engine_kwargs": {"pool_pre_ping": False},
    }
    if threads:
        config["max_executor_threads"] = threads
    return config


def _url(server: EmbeddedServer, name: str) -> str:
    return server.dsn("revline_owner", name).replace("postgresql://", "postgresql+psycopg://")
