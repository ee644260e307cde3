"""The walls between tenants: first what the roles may do, then attempts to cross, on every tenant table there is."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, Final

import psycopg
import pytest
from psycopg import sql
from psycopg.types.json import Jsonb
from sqlalchemy import ARRAY, JSON, MetaData, Table

from revline.platform.store.arrays import array_literal
from revline.platform.store.engine import Database
from revline.platform.store.roles import SUPERUSER, PrivilegeError, assert_least_privilege
from revline.platform.store.walls import (
    MAXIMUM_TENANTS_PER_UNIT,
    is_archivable,
    is_tenant_table,
    metadata,
    tenants_setting,
    wall_findings,
)
from tests.databases import TestServer, import_tables

import_tables()
TENANT_TABLES: Final = sorted((table for table in metadata.sorted_tables if is_tenant_table(table)), key=str)
CONTROL_TABLES: Final = sorted((table for table in metadata.sorted_tables if not is_tenant_table(table)), key=str)
every_tenant_table = pytest.mark.parametrize("table", TENANT_TABLES, ids=str)


@pytest.fixture(scope="module")
def filled(test_server: TestServer, database_name: str) -> Iterator[str]:
    """A database with one row of `alpha` and one of `beta` in every tenant table; checks and references are dropped for it,
    policies and rights stand."""
    name = f"{database_name}_walls"
    test_server.new_database(name)
    with psycopg.connect(test_server.server.dsn(SUPERUSER, name)) as connection:
        constraints = connection.execute(
            "SELECT conrelid::regclass::text, conname FROM pg_constraint WHERE contype IN ('c', 'f') AND coninhcount = 0"
            " AND connamespace = 'public'::regnamespace AND conparentid = 0"
        ).fetchall()
        for table, constraint in constraints:
            connection.execute(
                sql.SQL("ALTER TABLE {} DROP CONSTRAINT {}").format(sql.SQL(table), sql.Identifier(constraint))
            )
        for one in TENANT_TABLES:
            for tenant in ("alpha", "beta"):
                connection.execute(*insertion(one, tenant))
    yield name
    test_server.server.drop_database(name)


def a_value(column: Any) -> Any:
    kind = column.type
    if isinstance(kind, JSON):
        return Jsonb({})
    if isinstance(kind, ARRAY):
        return array_literal(["x"])
    samples: dict[type, Any] = {
        str: "x", int: 1, Decimal: Decimal(1), bool: False, bytes: b"x",
        datetime: datetime(2026, 1, 31, tzinfo=UTC), date: date(2026, 1, 31),
    }  # fmt: skip
    return samples[kind.python_type]


def insertion(table: Table, tenant: str) -> tuple[sql.Composed, list[Any]]:
    columns = [column for column in table.columns if column.computed is None]
    values = [tenant if column.name == "tenant_id" else a_value(column) for column in columns]
    names = sql.SQL(", ").join(sql.Identifier(column.name) for column in columns)
    marks = sql.SQL(", ").join(sql.Placeholder() for _ in columns)
    return sql.SQL("INSERT INTO {} ({}) VALUES ({})").format(sql.Identifier(table.name), names, marks), values


@contextmanager
def connected(test_server: TestServer, name: str, *tenants: str, role: str = "revline_app") -> Iterator[Any]:
    with psycopg.connect(test_server.server.dsn(role, name)) as connection:
        if tenants:
            connection.execute("SELECT set_config('revline.tenants', %s, true)", (tenants_setting(tenants),))
        yield connection
        connection.rollback()


def count(connection: Any, name: str) -> int:
    row = connection.execute(sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(name))).fetchone()
    return int(row[0])


@pytest.mark.parametrize("role", ["revline_app", "revline_control"])
def test_runtime_roles_own_nothing_and_bypass_nothing(test_server: TestServer, database_name: str, role: str) -> None:
    database = Database(dsn=test_server.server.dsn(role, database_name), pool_size=1)
    with database.control() as connection:
        assert_least_privilege(connection)
    database.dispose()


@pytest.mark.parametrize(("role", "said"), [(SUPERUSER, "superuser"), ("revline_owner", "owns relations")])
def test_a_role_that_may_more_is_refused(test_server: TestServer, database_name: str, role: str, said: str) -> None:
    database = Database(dsn=test_server.server.dsn(role, database_name), pool_size=1)
    with pytest.raises(PrivilegeError, match=said), database.control() as connection:
        assert_least_privilege(connection)
    database.dispose()


def test_every_declared_table_keeps_the_rules() -> None:
    assert wall_findings(metadata) == []


@every_tenant_table
def test_row_level_security_is_forced(test_server: TestServer, filled: str, table: Table) -> None:
    names = [table.name, *([f"{table.name}_live", f"{table.name}_history"] if is_archivable(table) else [])]
    with connected(test_server, filled) as connection:
        rows = connection.execute(
            "SELECT relrowsecurity AND relforcerowsecurity FROM pg_class WHERE relname = ANY(%s)"
            " AND relnamespace = 'public'::regnamespace",
            (names,),
        ).fetchall()
    assert rows == [(True,)] * len(names)


@every_tenant_table
def test_naming_no_tenant_shows_nothing(test_server: TestServer, filled: str, table: Table) -> None:
    for role in ("revline_app", "revline_owner"):
        with connected(test_server, filled, role=role) as connection:
            assert count(connection, table.name) == 0


@every_tenant_table
def test_a_tenant_sees_its_own_rows_only(test_server: TestServer, filled: str, table: Table) -> None:
    with connected(test_server, filled, "beta") as connection:
        seen = connection.execute(sql.SQL("SELECT tenant_id FROM {}").format(sql.Identifier(table.name))).fetchall()
    assert seen == [("beta",)]
    with connected(test_server, filled, "alpha", "beta") as connection:
        assert count(connection, table.name) == 2


@every_tenant_table
def test_a_row_can_not_be_written_for_another_tenant(test_server: TestServer, filled: str, table: Table) -> None:
    with connected(test_server, filled, "beta") as connection:
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="row-level security"):
            connection.execute(*insertion(table, "gamma"))
        connection.rollback()


@every_tenant_table
@pytest.mark.parametrize("manner", ["UPDATE {} SET tenant_id = tenant_id", "DELETE FROM {}"])
def test_another_tenants_rows_can_not_be_touched(
    test_server: TestServer, filled: str, table: Table, manner: str
) -> None:
    aimed = sql.SQL(manner).format(sql.Identifier(table.name)) + sql.SQL(" WHERE tenant_id = 'alpha'")
    with connected(test_server, filled, "beta") as connection:
        touched = 0
        with contextlib.suppress(psycopg.errors.InsufficientPrivilege):
            touched = connection.execute(aimed).rowcount
    assert touched == 0


@every_tenant_table
def test_a_row_can_not_be_given_to_another_tenant(test_server: TestServer, filled: str, table: Table) -> None:
    given = sql.SQL("UPDATE {} SET tenant_id = 'alpha'").format(sql.Identifier(table.name))
    with connected(test_server, filled, "beta") as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute(given)


@every_tenant_table
def test_the_control_role_reads_no_tenant_table(test_server: TestServer, filled: str, table: Table) -> None:
    with (
        connected(test_server, filled, "alpha", role="revline_control") as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        count(connection, table.name)


@pytest.mark.parametrize("table", [table for table in TENANT_TABLES if is_archivable(table)], ids=str)
def test_partitions_are_reached_through_their_table_only(test_server: TestServer, filled: str, table: Table) -> None:
    for part in ("live", "history"):
        with (
            connected(test_server, filled, "alpha") as connection,
            pytest.raises(psycopg.errors.InsufficientPrivilege),
        ):
            count(connection, f"{table.name}_{part}")


@pytest.mark.parametrize("table", [table for table in CONTROL_TABLES if table.info["control_role"] == "none"], ids=str)
def test_the_control_role_reads_nobody_s_name(test_server: TestServer, filled: str, table: Table) -> None:
    with (
        connected(test_server, filled, role="revline_control") as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        count(connection, table.name)


@pytest.mark.parametrize("table", [table for table in CONTROL_TABLES if table.info["control_role"] != "none"], ids=str)
def test_the_control_role_reads_control_tables(test_server: TestServer, filled: str, table: Table) -> None:
    with connected(test_server, filled, role="revline_control") as connection:
        assert count(connection, table.name) >= 0


def test_no_role_makes_tables_or_enters_uninvited(test_server: TestServer, filled: str) -> None:
    for role in ("revline_app", "revline_control"):
        with (
            connected(test_server, filled, role=role) as connection,
            pytest.raises(psycopg.errors.InsufficientPrivilege),
        ):
            connection.execute("CREATE TABLE own (id text)")


def test_tenants_named_in_one_transaction_are_forgotten_in_the_next(database: Database) -> None:
    with database.read(tenants=["alpha"]) as connection:
        assert connection.exec_driver_sql("SELECT current_setting('revline.tenants', true)").scalar_one() == ",alpha,"
    for _ in range(8):
        with database.control() as connection:
            setting = connection.exec_driver_sql("SELECT current_setting('revline.tenants', true)").scalar_one()
            assert setting in {"", None}


def test_a_name_within_a_name_is_another_tenant(test_server: TestServer, filled: str) -> None:
    table = TENANT_TABLES[0].name
    for near in ("alpha-2", "x-alpha", "alph", "lpha"):
        with connected(test_server, filled, near) as connection:
            assert count(connection, table) == 0


@pytest.mark.parametrize("name", ["alpha,beta", "Alpha", "", "a" * 40, "1a", "alpha ", "alpha\n", "ä"])
def test_what_is_no_slug_names_no_tenant(database: Database, name: str) -> None:
    with pytest.raises(ValueError, match="not a tenant id"), database.read(tenants=[name]):
        pass


def test_one_transaction_names_a_limited_number_of_tenants(database: Database) -> None:
    names = [f"tenant-{number}" for number in range(MAXIMUM_TENANTS_PER_UNIT + 1)]
    with database.read(tenants=names[:-1]):
        pass
    with pytest.raises(ValueError, match="at most"), database.read(tenants=names):
        pass


def test_a_read_can_not_write(database: Database) -> None:
    with (
        database.read(tenants=["alpha"]) as connection,
        pytest.raises(Exception, match="read-only transaction"),
    ):
        connection.exec_driver_sql("DELETE FROM counter")


def test_a_table_that_breaks_the_rules_is_found() -> None:
    from sqlalchemy import Column, Index, Text  # noqa: PLC0415

    loose = MetaData()
    Table("stray", loose, Column("id", Text, primary_key=True))
    Table("bad", loose, Column("id", Text, primary_key=True), Index("by_id", "id"), info={"wall": "tenant"})
    said = " ".join(wall_findings(loose))
    assert "stray is declared with neither" in said
    assert "a key of bad (id) does not begin with tenant_id" in said
    assert "index by_id does not begin with tenant_id" in said
