"""The pool and its transactions: several threads, one moment a read, connections lost and found."""

from __future__ import annotations

import time
from datetime import datetime

import psycopg
import pytest
import sqlalchemy.exc
from sqlalchemy import select, text

from revline.platform.store import engine, tables
from revline.platform.store.engine import Database, is_transient
from revline.platform.store.roles import SUPERUSER
from tests.databases import TestServer


def test_control_commits_and_sees_no_tenants_rows(database: Database, moment: datetime) -> None:
    with database.unit(tenants=["alpha"], kind="k", actor="a", reason="r", recorded_at=moment) as unit:
        unit.project(
            tables.idempotency, key=["key"], tenant_id="alpha", key_="k", input_hash=b"", field_digests={}, actor="a",
            reason="r", created_at=moment, expires_at=moment,
        )  # fmt: skip
    with database.control() as connection:
        assert connection.execute(select(tables.idempotency)).all() == []
        assert connection.execute(
            select(tables.counter.c.position).order_by(tables.counter.c.tenant_id)
        ).scalars().all() == [1, 0]


def test_a_read_sees_one_moment(database: Database, test_server: TestServer, database_name: str) -> None:
    count = text("SELECT count(*) FROM counter")
    with database.read(tenants=["alpha"]) as connection:
        before = connection.execute(count).scalar_one()
        with psycopg.connect(test_server.server.dsn("revline_app", database_name)) as other:
            other.execute("DELETE FROM counter WHERE tenant_id = 'beta'")
        assert connection.execute(count).scalar_one() == before
    with database.read(tenants=["alpha"]) as connection:
        assert connection.execute(count).scalar_one() == before - 1


@pytest.mark.parametrize("lost", ["in a statement", "at the end"])
def test_a_lost_connection_is_transient_and_the_next_unit_has_another(
    database: Database, test_server: TestServer, database_name: str, moment: datetime, lost: str
) -> None:
    def lose() -> None:
        with database.unit(tenants=["alpha"], kind="k", actor="a", reason="r", recorded_at=moment) as unit:
            process_id = unit.connection.exec_driver_sql("SELECT pg_backend_pid()").scalar_one()
            with psycopg.connect(test_server.server.dsn(SUPERUSER, database_name)) as other:
                other.execute("SELECT pg_terminate_backend(%s, 5000)", (process_id,))
            if lost == "in a statement":
                unit.connection.exec_driver_sql("SELECT 1")
            unit.project(
                tables.idempotency, key=["key"], tenant_id="alpha", key_="k", input_hash=b"", field_digests={},
                actor="a", reason="r", created_at=moment, expires_at=moment,
            )  # fmt: skip

    with pytest.raises((sqlalchemy.exc.OperationalError, psycopg.OperationalError)) as failure:
        lose()
    assert is_transient(failure.value)
    with database.unit(tenants=["alpha"], kind="k", actor="a", reason="r", recorded_at=moment) as unit:
        assert unit.connection.exec_driver_sql("SELECT 1").scalar_one() == 1


def test_a_wrong_statement_is_not_transient(database: Database) -> None:
    with pytest.raises(sqlalchemy.exc.ProgrammingError) as failure, database.control() as connection:
        connection.exec_driver_sql("SELECT nothing")
    assert not is_transient(failure.value)
    assert not is_transient(ValueError("x"))


def test_parameters_stand_in_no_error(database: Database) -> None:
    with pytest.raises(sqlalchemy.exc.DBAPIError) as failure, database.control() as connection:
        connection.execute(text("SELECT CAST(:secret AS integer)"), {"secret": "canary"})
    assert "[parameters" not in str(failure.value)


@pytest.mark.parametrize("unused_seconds", [0, 10])
def test_a_connection_that_ended_in_the_pool_is_replaced_before_it_is_used(
    database: Database,
    test_server: TestServer,
    database_name: str,
    monkeypatch: pytest.MonkeyPatch,
    unused_seconds: int,
) -> None:
    with database.control() as connection:
        process_id = connection.exec_driver_sql("SELECT pg_backend_pid()").scalar_one()
    with psycopg.connect(test_server.server.dsn(SUPERUSER, database_name)) as other:
        other.execute("SELECT pg_terminate_backend(%s, 5000)", (process_id,))
    now = time.monotonic()
    monkeypatch.setattr(engine.time, "monotonic", lambda: now + unused_seconds)
    with database.control() as connection:
        assert connection.exec_driver_sql("SELECT pg_backend_pid()").scalar_one() != process_id


@pytest.mark.parametrize(("unused_seconds", "asked"), [(0.1, 0), (10, 1)])
def test_only_a_connection_long_unused_is_asked_whether_it_lives(
    app_dsn: str, monkeypatch: pytest.MonkeyPatch, unused_seconds: float, asked: int
) -> None:
    database = Database(dsn=app_dsn, pool_size=1)
    with database.control() as connection:
        connection.exec_driver_sql("SELECT 1")
    sent: list[object] = []
    plain = psycopg.Connection.execute
    monkeypatch.setattr(
        psycopg.Connection, "execute", lambda self, query, *more: (sent.append(query), plain(self, query, *more))[1]
    )
    now = time.monotonic()
    monkeypatch.setattr(engine.time, "monotonic", lambda: now + unused_seconds)
    with database.control() as connection:
        connection.exec_driver_sql("SELECT 1")
    assert len(sent) == asked
    database.dispose()
