"""What one derived root costs in a unit of work: rows and milliseconds, 1 and 50 roots a unit, beside its floor.

A root reads its fact and the state of its open item, computes nothing, and writes what deriving an invoice writes: an
accounting event, a journal with three lines, a document with its state, a transition and its lane, names, lineage edges and a
disposition: 16 rows, through `Database.unit` with walls, position counter and audit chain. The floor writes the same rows by
the same statements with psycopg alone: no policy, no counter, no chain, no checks.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, Final

import psycopg
from psycopg.types.json import Jsonb
from sqlalchemy import BigInteger, Column, Date, DateTime, MetaData, Numeric, Table, Text, bindparam, select
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects.postgresql import JSONB

from benchmarks.common import Measured, durable_server, execute_all, interleaved, progress
from revline.platform.store import tables
from revline.platform.store.engine import Database
from revline.platform.store.schema import schema_sql
from revline.platform.store.unit import Unit, open_counter
from revline.platform.store.walls import NAMING, is_tenant_table, tenant_table

DIALECT: Final = postgresql.dialect()
TRIAL: Final = MetaData(naming_convention=NAMING)
for own in (tables.counter, tables.unit):
    own.to_metadata(TRIAL)
MOMENT: Final = datetime(2026, 1, 31, 9, tzinfo=UTC)
TENANT: Final = "alpha"
SCALES: Final = {"small": (40, 12), "full": (400, 60)}
"""Units before the medians, then repetitions of 1 and of 50 roots."""


def _recorded(name: str, *columns: Column[Any]) -> Table:
    return tenant_table(name, Column("id", Text, primary_key=True), *columns, recorded=True, into=TRIAL)


def _text(name: str) -> Column[str]:
    return Column(name, Text, nullable=False)


fact = _recorded("fact", _text("root"), Column("body", JSONB, nullable=False))
event = _recorded("event", _text("root"), _text("kind"), Column("body", JSONB, nullable=False))
journal = _recorded("journal", _text("event_id"), _text("book"), Column("accounting_date", Date, nullable=False))
line = _recorded("line", _text("journal_id"), _text("account"), Column("amount", Numeric(24, 6)), _text("currency"))
document = _recorded("document", _text("root"), _text("reference"), Column("body", JSONB, nullable=False))
transition = _recorded("transition", _text("document_id"), _text("state"))
name_of = _recorded("name_of", _text("value"), _text("kind"))
edge = _recorded("edge", _text("source"), _text("target"))
disposition = _recorded("disposition", _text("fact_id"), _text("effect"))
state = tenant_table(
    "state", Column("id", Text, primary_key=True), _text("state"), Column("position", BigInteger), into=TRIAL
)
lane = tenant_table("lane", Column("id", Text, primary_key=True), Column("due_at", DateTime(timezone=True)), into=TRIAL)

FACTS: Final = select(fact).where(fact.c.tenant_id == TENANT, fact.c.root.in_(bindparam("roots", expanding=True)))
STATES: Final = select(state).where(state.c.tenant_id == TENANT, state.c.id.in_(bindparam("roots", expanding=True)))


def run(scale: str) -> Measured:
    """Milliseconds a unit and a root, rows a root, and the ratio to the floor."""
    repetitions = dict(zip((1, 50), SCALES[scale], strict=True))
    ratios: dict[str, float] = {}
    figures: dict[str, float] = {"rows_a_root": sum(1 for _ in rows_of_root("invoice-0"))}
    with durable_server() as server:
        for name in ("with_walls", "floor"):
            server.create_database(name)
            execute_all(server.dsn("revline_owner", name), [schema_sql(TRIAL)])
        for table in TRIAL.sorted_tables:
            if is_tenant_table(table):
                execute_all(
                    server.dsn("revline_owner", "floor"),
                    [
                        f"ALTER TABLE {table.name} NO FORCE ROW LEVEL SECURITY",
                        f"ALTER TABLE {table.name} DISABLE ROW LEVEL SECURITY",
                    ],
                )
        database = Database(dsn=server.dsn("revline_app", "with_walls"), pool_size=1)
        with database.control() as connection:
            open_counter(connection, tenant_id=TENANT)
        floor = psycopg.connect(server.dsn("revline_app", "floor"))
        floor.prepare_threshold = 0
        numbers = iter(range(10_000_000))
        for roots, rounds in repetitions.items():
            progress(f"{roots} roots a unit")
            medians = interleaved(
                {
                    "revline": lambda roots=roots: _derive(database, _next(numbers, roots)),  # type: ignore[misc]
                    "floor": lambda roots=roots: _derive_bare(floor, _next(numbers, roots)),  # type: ignore[misc]
                },
                rounds=rounds,
                warm_up=8,
            )
            for contestant, median in medians.items():
                figures[f"{contestant}_{roots}_roots_milliseconds_a_unit"] = median.wall_seconds * 1000
                figures[f"{contestant}_{roots}_roots_milliseconds_a_root"] = median.wall_seconds * 1000 / roots
                figures[f"{contestant}_{roots}_roots_client_cpu_milliseconds_a_root"] = (
                    median.processor_seconds * 1000 / roots
                )
            figures[f"revline_{roots}_roots_roots_a_second"] = roots / medians["revline"].wall_seconds
            ratios[f"{roots}_roots"] = medians["revline"].wall_seconds / medians["floor"].wall_seconds
        floor.close()
        database.dispose()
    return Measured(ratios=ratios, figures=figures)


def rows_of_root(root: str) -> Iterator[tuple[Table, dict[str, Any]]]:
    """What deriving one invoice writes, with bodies of a usual size."""
    body = {"customer": f"cus-{root}", "lines": [{"amount": "100.00", "product": "seats", "text": "x" * 80}] * 3}
    yield event, {"id": f"e-{root}", "root": root, "kind": "invoice.issued", "body": body}
    yield journal, {"id": f"j-{root}", "event_id": f"e-{root}", "book": "main", "accounting_date": date(2026, 1, 31)}
    for number, amount in enumerate(("119.00", "-100.00", "-19.00")):
        yield line, {
            "id": f"l-{root}-{number}", "journal_id": f"j-{root}", "account": f"{1200 + number}",
            "amount": Decimal(amount), "currency": "EUR",
        }  # fmt: skip
    yield document, {"id": f"d-{root}", "root": root, "reference": f"r-{root}", "body": body}
    yield transition, {"id": f"t-{root}", "document_id": f"d-{root}", "state": "prepared"}
    yield state, {"id": root, "state": "prepared"}
    yield lane, {"id": root, "due_at": MOMENT}
    for number in range(3):
        yield name_of, {"id": f"n-{root}-{number}", "value": f"{root}-{number}", "kind": "number"}
    for number in range(3):
        yield edge, {"id": f"g-{root}-{number}", "source": f"e-{root}", "target": f"d-{root}"}
    yield disposition, {"id": f"x-{root}", "fact_id": f"f-{root}", "effect": f"e-{root}"}


def _next(numbers: Iterator[int], count: int) -> list[str]:
    return [f"invoice-{next(numbers)}" for _ in range(count)]


def _derive(database: Database, roots: list[str]) -> None:
    with database.unit(
        tenants=[TENANT], kind="derive", actor="worker:1", reason="benchmark", recorded_at=MOMENT
    ) as unit:
        _read_and_write(unit, roots)


def _read_and_write(unit: Unit, roots: list[str]) -> None:
    unit.connection.execute(FACTS, {"roots": roots}).all()
    unit.connection.execute(STATES, {"roots": roots}).all()
    for root in roots:
        for table, values in rows_of_root(root):
            if table is state or table is lane:
                unit.project(table, key=["id"], tenant_id=TENANT, **values)
            else:
                unit.record(table, tenant_id=TENANT, **values)


def _derive_bare(connection: psycopg.Connection[Any], roots: list[str]) -> None:
    for table in (fact, state):
        column = "root" if table is fact else "id"
        connection.execute(
            f"SELECT * FROM {table.name} WHERE tenant_id = %s AND {column} = ANY(%s)".encode(), (TENANT, roots)
        ).fetchall()
    grouped: dict[Table, list[dict[str, Any]]] = {}
    for root in roots:
        for table, values in rows_of_root(root):
            grouped.setdefault(table, []).append(values)
    with connection.pipeline():
        for table, rows in grouped.items():
            connection.execute(*_bare_insert(table, rows, unique=roots[0]))
        connection.commit()


def _bare_insert(table: Table, rows: list[dict[str, Any]], *, unique: str) -> tuple[bytes, list[Any]]:
    names = list(rows[0])
    casts = ", ".join(f"%s::{table.c[name].type.compile(DIALECT)}[]" for name in names)
    fixed = "'alpha'" if table in (state, lane) else "'alpha', %s, ordinality"
    own = "tenant_id" if table in (state, lane) else "tenant_id, position, ordinal"
    arrays = [[Jsonb(row[name]) if name == "body" else row[name] for row in rows] for name in names]
    position = [] if table in (state, lane) else [int(unique.rpartition("-")[2]) + 1]
    statement = (
        f"INSERT INTO {table.name} ({own}, {', '.join(names)}) SELECT {fixed}, {', '.join(names)}"
        f" FROM unnest({casts}) WITH ORDINALITY AS given({', '.join(names)}, ordinality)"
    )
    return statement.encode(), [*position, *arrays]
