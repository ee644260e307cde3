"""What the position counter costs: units a second with it and without.

Cases: 1, 2 and 4 workers; one tenant and many; 1 and 50 roots a unit.

A unit writes four rows a root with one statement. With the counter it then locks its tenant's counter row, stamps the rows,
steps the counter and writes the row of the audit chain; without (the floor) it writes the same rows and a chain row under a
position of its own. Workers are processes; each case runs for a fixed time, the two contestants in turn.
"""

from __future__ import annotations

import hashlib
import multiprocessing
import statistics
import time
from multiprocessing.queues import Queue
from typing import Any

import psycopg

from benchmarks.common import Measured, durable_server, execute_all, progress

ROWS_A_ROOT = 4
MANY_TENANTS = 64
SCALES = {"small": (0.6, 1), "full": (3.0, 5)}
STATEMENTS = (
    "CREATE TABLE counter (tenant_id text PRIMARY KEY, position bigint NOT NULL, hash bytea NOT NULL) WITH (fillfactor = 50)",
    """CREATE TABLE unit (tenant_id text, position bigint, previous_hash bytea, hash bytea, actor text, reason text,
        kind text, row_count integer, PRIMARY KEY (tenant_id, position))""",
    """CREATE TABLE entry (tenant_id text, position bigint, ordinal integer, root text, body text,
        PRIMARY KEY (tenant_id, position, ordinal))""",
    f"INSERT INTO counter SELECT 'tenant-' || n, 0, '' FROM generate_series(0, {MANY_TENANTS - 1}) n",
    "GRANT SELECT, INSERT, UPDATE ON counter, unit, entry TO revline_app",
)


def run(scale: str) -> Measured:
    """Units a second of each case, and the ratio of time a unit to the floor's."""
    seconds, rounds = SCALES[scale]
    ratios: dict[str, float] = {}
    figures: dict[str, float] = {"rows_a_root": ROWS_A_ROOT, "many_tenants": MANY_TENANTS, "seconds_a_case": seconds}
    with durable_server() as server:
        execute_all(server.dsn("revline_owner"), STATEMENTS)
        dsn = server.dsn("revline_app")
        for roots in (1, 50):
            for spread in ("one", "many"):
                for workers in (1, 2, 4):
                    case = f"{spread}_tenant{'s' if spread == 'many' else ''}_{workers}_workers_{roots}_roots"
                    progress(case)
                    taken: dict[bool, list[float]] = {True: [], False: []}
                    for _ in range(rounds):
                        for counted in (False, True):
                            rate = _rate(dsn, workers, roots, seconds, counted=counted, many=spread == "many")
                            taken[counted].append(rate)
                    figures[f"counter_{case}_units_a_second"] = statistics.median(taken[True])
                    figures[f"floor_{case}_units_a_second"] = statistics.median(taken[False])
                    ratios[case] = statistics.median(taken[False]) / statistics.median(taken[True])
    return Measured(ratios=ratios, figures=figures)


def _rate(dsn: str, workers: int, roots: int, seconds: float, *, counted: bool, many: bool) -> float:
    context = multiprocessing.get_context("spawn")
    barrier, answers = context.Barrier(workers), context.Queue()
    running = [
        context.Process(
            target=_work,
            args=(dsn, number, roots, seconds, barrier, answers),
            kwargs={"counted": counted, "many": many},
        )
        for number in range(workers)
    ]
    for process in running:
        process.start()
    total = sum(answers.get(timeout=60 + seconds) for _ in running)
    for process in running:
        process.join()
    return float(total)


def _work(
    dsn: str, number: int, roots: int, seconds: float, barrier: Any, answers: Queue[float], *, counted: bool, many: bool
) -> None:
    own_position = time.time_ns() // 8 * 8 + number
    with psycopg.connect(dsn) as connection:
        connection.prepare_threshold = 0
        for step in range(5):
            own_position += 8
            _unit(connection, f"tenant-{number + step}" if many else "tenant-0", own_position, roots, counted=counted)
        barrier.wait()
        done, begin = 0, time.perf_counter()
        while (passed := time.perf_counter() - begin) < seconds:
            own_position += 8
            tenant = f"tenant-{(number * 16 + done) % MANY_TENANTS}" if many else "tenant-0"
            _unit(connection, tenant, own_position, roots, counted=counted)
            done += 1
        answers.put(done / passed)


def _unit(connection: psycopg.Connection[Any], tenant: str, own_position: int, roots: int, *, counted: bool) -> None:
    connection.execute("SELECT set_config('revline.tenants', %s, true)", (tenant,))
    position, previous = own_position, b""
    if counted:
        row = connection.execute(
            "SELECT position, hash FROM counter WHERE tenant_id = ANY(%s) ORDER BY tenant_id FOR UPDATE", ([tenant],)
        ).fetchone()
        assert row is not None
        position, previous = row[0] + 1, row[1]
    bodies = [f"{position}-{index}" * 8 for index in range(roots * ROWS_A_ROOT)]
    digest = hashlib.sha256(previous + "".join(bodies).encode()).digest()
    with connection.pipeline():
        connection.execute(
            "INSERT INTO entry SELECT %s, %s, ordinal, 'root-' || ordinal, body"
            " FROM unnest(%s::integer[], %s::text[]) AS given(ordinal, body)",
            (tenant, position, list(range(len(bodies))), bodies),
        )
        if counted:
            connection.execute(
                "UPDATE counter SET position = %s, hash = %s WHERE tenant_id = %s", (position, digest, tenant)
            )
        connection.execute(
            "INSERT INTO unit VALUES (%s, %s, %s, %s, 'benchmark', 'measure', 'accept', %s)",
            (tenant, position, previous, digest, len(bodies)),
        )
        connection.commit()
