"""What the row-level policy costs a group commit: 500 keyed updates over 1, 10, 100 and 500 tenants, with and without it.

Four tables of equal content: no policy (the floor), Revline's policy (a search of the name in the list of names), membership
of an array evaluated for each row, and membership of an array evaluated once a statement (a scalar sub-select).
"""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial
from typing import Any

import psycopg

from benchmarks.common import Measured, durable_server, execute_all, interleaved, progress
from revline.platform.store.walls import TENANT_POLICY

ARRAY = "tenant_id = ANY(string_to_array(trim(current_setting('revline.tenants', true), ','), ','))"
ARRAY_ONCE = f"tenant_id = ANY((SELECT {ARRAY.removeprefix('tenant_id = ANY(')[:-1]})::text[])"
TABLES = {"floor": None, "walls": TENANT_POLICY, "by_array": ARRAY, "by_array_once": ARRAY_ONCE}
UPDATES = 500
SPREADS = (1, 10, 100, 500)
SCALES = {"small": (1_000, 100_000, 9), "full": (10_000, 1_000_000, 21)}


def run(scale: str) -> Measured:
    """Medians of one group commit in milliseconds, and ratios to the table without a policy."""
    tenants, rows, rounds = SCALES[scale]
    ratios: dict[str, float] = {}
    figures: dict[str, float] = {"tenants": tenants, "rows": rows, "updates_a_commit": UPDATES}
    with durable_server() as server:
        _prepare(server.dsn("revline_owner"), tenants=tenants, rows=rows)
        with psycopg.connect(server.dsn("revline_app")) as connection:
            connection.prepare_threshold = 0
            chance = random.Random(7)
            for spread in SPREADS:
                progress(f"{UPDATES} updates over {spread} tenants")
                contestants: dict[str, Callable[[], object]] = {
                    table: partial(_group_commit, connection, table, chance, tenants, rows // tenants, spread)
                    for table in TABLES
                }
                for table, median in interleaved(contestants, rounds=rounds).items():
                    figures[f"{table}_{spread}_tenants_milliseconds"] = median.wall_seconds * 1000
                    figures[f"{table}_{spread}_tenants_client_cpu_milliseconds"] = median.processor_seconds * 1000
                floor = figures[f"floor_{spread}_tenants_milliseconds"]
                for table in list(TABLES)[1:]:
                    ratios[f"{table}_{spread}_tenants"] = figures[f"{table}_{spread}_tenants_milliseconds"] / floor
    return Measured(ratios=ratios, figures=figures)


def _prepare(dsn: str, *, tenants: int, rows: int) -> None:
    per_tenant = rows // tenants
    for table, policy in TABLES.items():
        statements = [
            f"""CREATE TABLE {table} (tenant_id text NOT NULL, id text NOT NULL, state text NOT NULL, body text NOT NULL,
                PRIMARY KEY (tenant_id, id)) WITH (fillfactor = 80)""",
            f"""INSERT INTO {table} SELECT 'tenant-' || t, 'document-' || n, 'ready', repeat('x', 200)
                FROM generate_series(1, {tenants}) t, generate_series(1, {per_tenant}) n""",
            f"GRANT SELECT, INSERT, UPDATE, DELETE ON {table} TO revline_app",
            f"VACUUM ANALYZE {table}",
        ]
        if policy is not None:
            statements += [
                f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY",
                f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY",
                f"CREATE POLICY tenant_wall ON {table} USING ({policy}) WITH CHECK ({policy})",
            ]
        execute_all(dsn, statements)


def _group_commit(
    connection: psycopg.Connection[Any], table: str, chance: random.Random, tenants: int, per_tenant: int, spread: int
) -> None:
    named = [f"tenant-{number}" for number in chance.sample(range(1, tenants + 1), spread)]
    keys = [
        (named[index % spread], f"document-{(index // spread + chance.randrange(per_tenant)) % per_tenant + 1}")
        for index in range(UPDATES)
    ]
    with connection.transaction():
        connection.execute("SELECT set_config('revline.tenants', %s, true)", (f",{','.join(named)},",))
        done = connection.execute(
            f"UPDATE {table} SET state = 'posted' FROM unnest(%s::text[], %s::text[]) AS wanted(tenant_id, id)"
            f" WHERE {table}.tenant_id = wanted.tenant_id AND {table}.id = wanted.id".encode(),
            ([tenant for tenant, _ in keys], [key for _, key in keys]),
        )
        if done.rowcount == 0:
            raise RuntimeError("no row was updated")
