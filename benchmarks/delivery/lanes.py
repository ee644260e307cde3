"""Claiming and settling lanes with 10,000 due lanes, and with a million due and a million parked ones of 10,000 tenants.

How many lanes a tenant has follows Zipf's law. Rows are loaded by COPY; a claimed lane has one item finished and is due again
at once, so the backlog stays as it is. Both databases stand on one server and take turns.
"""

from __future__ import annotations

import random
import statistics
import time
from argparse import Namespace
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

import psycopg
from psycopg import sql
from sqlalchemy import event

from benchmarks.common import Measured, durable_server, progress
from benchmarks.delivery.world import MOMENT, tenant_name
from benchmarks.fleet import server_seconds
from revline.platform.store.embedded import EmbeddedServer
from revline.platform.store.engine import Database
from revline.platform.store.migrate import upgrade
from revline.platform.tenancy.record import register_tenant
from revline.platform.work import queries, record, service
from revline.platform.work.lanes import NewItem, PoolRoom, progressed

KIND: Final = "delivery"
EMPTY: Final = "lanes_empty"
TEMPLATE_TENANT: Final = "template"
PARKED_CODE: Final = "erp.rejected"
ITEMS_A_LANE: Final = 1_000_000
LANES_A_CLAIM: Final = 500
TENANTS_A_CLAIM: Final = 50


@dataclass(frozen=True, kw_only=True)
class Size:
    """few, many: due lanes of the two databases, parked ones beside the many; seconds: of one turn of a database."""

    tenants: int
    few: int
    many: int
    parked: int
    pools: int
    seconds: float
    rounds: int


SIZES: Final = {
    "tiny": Size(tenants=20, few=50, many=200, parked=100, pools=2, seconds=0.05, rounds=1),
    "small": Size(tenants=1_000, few=10_000, many=100_000, parked=100_000, pools=100, seconds=1.0, rounds=3),
    "full": Size(tenants=10_000, few=10_000, many=1_000_000, parked=1_000_000, pools=100, seconds=4.0, rounds=7),
}


@dataclass(frozen=True, kw_only=True)
class Turns:
    """What a database did in its turn: lanes claimed and settled, claims, and seconds of the clock and of processors."""

    lanes: int
    claims: int
    wall_seconds: float
    client_seconds: float
    server_seconds: float


def run(scale: str, options: Namespace) -> Measured:
    """Lanes a second in both databases, and the ratio."""
    size = SIZES[scale]
    taken: dict[str, list[Turns]] = {"few": [], "many": []}
    with durable_server() as server:
        _make_empty(server)
        for name, due, parked in (("few", size.few, 0), ("many", size.many, size.parked)):
            _load(server, name=f"lanes_{name}", size=size, due=due, parked=parked)
        databases = {
            name: Database(dsn=server.dsn("revline_app", f"lanes_{name}"), pool_size=1, repeats=True) for name in taken
        }
        for name, database in databases.items():
            _turns(server, database, size, seconds=size.seconds / 2)
            if options.explain:
                _explain(database, size, name)
        for number in range(options.rounds or size.rounds):
            for name, database in databases.items():
                turns = _turns(server, database, size, seconds=size.seconds)
                taken[name].append(turns)
                progress(f"  round {number + 1}: {name:<5} {turns.lanes / turns.wall_seconds:10,.0f} lanes a second")
        for database in databases.values():
            database.dispose()
    figures = {key: value for name, turns in taken.items() for key, value in _figures(name, turns).items()}
    ratio = figures["lanes_many_a_second"] / figures["lanes_few_a_second"]
    return Measured(ratios={"lanes_1m_over_10k": ratio}, figures=figures)


def _turns(server: EmbeddedServer, database: Database, size: Size, *, seconds: float) -> Turns:
    rooms = [PoolRoom(pool_id=_pool(number), lanes=400) for number in range(size.pools)]
    lanes = claims = 0
    begun, client, postgres = time.perf_counter(), time.process_time(), server_seconds(server)
    while (passed := time.perf_counter() - begun) < seconds:
        lanes += _claim_and_settle(database, rooms)
        claims += 1
    return Turns(
        lanes=lanes,
        claims=claims,
        wall_seconds=passed,
        client_seconds=time.process_time() - client,
        server_seconds=server_seconds(server) - postgres,
    )


def _claim_and_settle(database: Database, rooms: Sequence[PoolRoom]) -> int:
    claim = service.claim(
        database, kind=KIND, owner="benchmark", limit=LANES_A_CLAIM, pools=rooms, tenants_max=TENANTS_A_CLAIM
    )
    changes = [progressed(lane=lane, done=1, release=True) for lane in claim.lanes]
    written = service.settle(database, owner="benchmark", changes=changes)
    assert len(written) == len(changes)
    return len(changes)


def _figures(name: str, turns: Sequence[Turns]) -> dict[str, float]:
    lanes, claims = sum(one.lanes for one in turns), sum(one.claims for one in turns)
    return {
        f"lanes_{name}_a_second": statistics.median(one.lanes / one.wall_seconds for one in turns),
        f"lanes_{name}_a_claim": lanes / claims,
        f"lanes_{name}_milliseconds_a_claim": statistics.median(1000 * one.wall_seconds / one.claims for one in turns),
        f"lanes_{name}_client_cpu_milliseconds": 1000 * sum(one.client_seconds for one in turns) / lanes,
        f"lanes_{name}_postgres_cpu_milliseconds": 1000 * sum(one.server_seconds for one in turns) / lanes,
    }


def zipf(*, total: int, among: int) -> list[int]:
    """`total` parted by Zipf's law with exponent 1: the n-th gets in proportion to 1/n; what is left over goes to the first."""
    whole = sum(1 / rank for rank in range(1, among + 1))
    shares = [int(total / (rank * whole)) for rank in range(1, among + 1)]
    for number in range(total - sum(shares)):
        shares[number % among] += 1
    return shares


def _make_empty(server: EmbeddedServer) -> None:
    """A migrated database with one lane that the product itself made; others are made after it."""
    server.create_database(EMPTY)
    upgrade(owner_dsn=server.dsn("revline_owner", EMPTY))
    database = Database(dsn=server.dsn("revline_app", EMPTY), pool_size=1)
    with database.control() as connection:
        register_tenant(connection, tenant_id=TEMPLATE_TENANT, created_at=MOMENT)
    with database.unit(
        tenants=[TEMPLATE_TENANT], kind="derive", actor="worker:benchmark", reason="benchmark", recorded_at=MOMENT
    ) as unit:
        item = NewItem(lane_id="template", subject="template", pool_id="template")
        record.enqueue(unit, tenant_id=TEMPLATE_TENANT, kind=KIND, items=[item])
    database.dispose()


def _load(server: EmbeddedServer, *, name: str, size: Size, due: int, parked: int) -> None:
    progress(f"loading {due} due and {parked} parked lanes of {size.tenants} tenants")
    server.create_database(name, template=EMPTY)
    database = Database(dsn=server.dsn("revline_app", name), pool_size=1)
    with database.control() as connection:
        now = queries.moment(connection)
    database.dispose()
    with psycopg.connect(server.dsn("revline_owner", name), autocommit=True) as connection:
        later = _without_indexes(connection, "lane")
        connection.execute(
            "CREATE TEMP TABLE given (tenant_id text, lane_id text, pool_id text, due_at timestamptz, parked_code text)"
        )
        rows = _rows(size, due=due, parked=parked, now=now)
        with connection.cursor() as cursor, cursor.copy("COPY given FROM STDIN") as copy:
            for row in rows:
                copy.write_row(row)
        _insert_like(connection, "lane", source="given", fixed={"pending": ITEMS_A_LANE})
        ring = "(SELECT DISTINCT tenant_id, pool_id FROM given WHERE parked_code = '') AS given"
        _insert_like(connection, "tenant_ring", source=ring, fixed={})
        for statement in ("DELETE FROM lane WHERE tenant_id = 'template'", *later, "VACUUM (ANALYZE)"):
            connection.execute(statement.encode())


def _rows(size: Size, *, due: int, parked: int, now: Any) -> Iterator[tuple[Any, ...]]:
    """Lane ids are random, as hashes are; due times lie in the last hour."""
    chance = random.Random(11)
    for total, code in ((due, ""), (parked, PARKED_CODE)):
        for rank, count in enumerate(zipf(total=total, among=size.tenants)):
            tenant, pool = tenant_name(rank), _pool(rank % size.pools)
            for _ in range(count):
                at = now - timedelta(seconds=chance.uniform(1, 3_600))
                yield tenant, f"{chance.getrandbits(128):032x}", pool, at, code


def _insert_like(connection: psycopg.Connection[Any], table: str, *, source: str, fixed: dict[str, int]) -> None:
    """Rows like the one the product made, but for what is given or fixed: new columns need no change here."""
    columns = [
        row[0]
        for row in connection.execute(
            "SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped",
            (table,),
        )
    ]
    given = {"tenant_id", "pool_id"} | ({"lane_id", "due_at", "parked_code"} if table == "lane" else set())
    values = [
        sql.Literal(fixed[name]) if name in fixed else sql.Identifier("given" if name in given else "like_it", name)
        for name in columns
    ]
    connection.execute(
        sql.SQL("INSERT INTO {} ({}) SELECT {} FROM {} CROSS JOIN (SELECT * FROM {} LIMIT 1) AS like_it").format(
            sql.Identifier(table),
            sql.SQL(", ").join(map(sql.Identifier, columns)),
            sql.SQL(", ").join(values),
            sql.SQL(source),  # type: ignore[arg-type]
            sql.Identifier(table),
        )
    )


def _without_indexes(connection: psycopg.Connection[Any], table: str) -> list[str]:
    """Drops a table's indexes but its key; gives the statements that make them again, which is faster after a load."""
    found = connection.execute(
        "SELECT indexname, indexdef FROM pg_indexes WHERE tablename = %s AND indexname NOT LIKE 'pk_%%'", (table,)
    ).fetchall()
    for name, _ in found:
        connection.execute(sql.SQL("DROP INDEX {}").format(sql.Identifier(name)))
    return [statement for _, statement in found]


def _pool(number: int) -> str:
    return f"pool-{number}"


def _explain(database: Database, size: Size, name: str) -> None:
    """Shows how PostgreSQL carries out a claim, and undoes it."""
    seen: list[tuple[str, Any]] = []

    @event.listens_for(database.engine, "before_cursor_execute")
    def note(_: Any, __: Any, statement: str, parameters: Any, ___: Any, ____: Any) -> None:
        seen.append((statement, parameters))

    _claim_and_settle(database, [PoolRoom(pool_id=_pool(number), lanes=400) for number in range(size.pools)])
    event.remove(database.engine, "before_cursor_execute", note)
    driver = database.engine.raw_connection()
    for statement, parameters in seen:
        if "tenant_ring" in statement or "UPDATE lane" in statement:
            cursor = driver.cursor()
            cursor.execute("EXPLAIN (ANALYZE, BUFFERS) " + statement, parameters)
            progress(f"--- {name}\n{statement}\n" + "\n".join(row[0] for row in cursor.fetchall()))
            driver.rollback()
    driver.close()
