"""Statements that go straight through the driver belong to the transaction that is open."""

from __future__ import annotations

import psycopg
import pytest
from sqlalchemy import text

from revline.platform.store.direct import fetch, fetch_named, send
from revline.platform.store.engine import Database

_PAIR = text("SELECT CAST(:left AS integer) AS one, CAST(:right AS text) AS other")
_MAKE = text("CREATE TEMPORARY TABLE passing (value integer) ON COMMIT DROP")
_PUT = text("INSERT INTO passing SELECT unnest(CAST(:values AS integer[]))")
_SUM = text("SELECT sum(value) FROM passing")


def test_rows_come_as_tuples_or_by_name(database: Database) -> None:
    with database.control() as connection:
        assert fetch(connection, _PAIR, {"left": 1, "right": "50 %"}) == [(1, "50 %")]
        assert fetch_named(connection, _PAIR, {"left": 1, "right": "a"}) == [{"one": 1, "other": "a"}]


def test_what_is_sent_is_seen_by_the_transactions_other_statements(database: Database) -> None:
    with database.control() as connection:
        send(connection, _MAKE, {})
        send(connection, _PUT, {"values": [1, 2]})
        assert connection.execute(_SUM).scalar_one() == 3


def test_outside_a_transaction_nothing_is_sent(database: Database) -> None:
    with database.engine.connect() as connection, pytest.raises(RuntimeError, match="no transaction"):
        send(connection, _MAKE, {})


def test_an_error_is_the_drivers_and_ends_the_transaction(database: Database) -> None:
    with pytest.raises(psycopg.errors.InvalidTextRepresentation), database.control() as connection:
        fetch(connection, _PAIR, {"left": "no number", "right": ""})
    with database.control() as connection:
        assert fetch(connection, _PAIR, {"left": 2, "right": ""}) == [(2, "")]
