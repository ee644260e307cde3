"""A second database for the store's own tests: its tables and a few of every kind, with other names than any package's."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Final

import psycopg
import pytest
from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    Column,
    Date,
    DateTime,
    ForeignKeyConstraint,
    Integer,
    LargeBinary,
    MetaData,
    Numeric,
    Table,
    Text,
)
from sqlalchemy.dialects.postgresql import JSONB

from revline.platform.store import tables
from revline.platform.store.engine import Database
from revline.platform.store.roles import SUPERUSER
from revline.platform.store.schema import schema_sql
from revline.platform.store.unit import open_counter
from revline.platform.store.walls import NAMING, tenant_table
from tests.databases import TestServer

TRIAL: Final = MetaData(naming_convention=NAMING)
for own in (tables.counter, tables.unit, tables.idempotency):
    own.to_metadata(TRIAL)

parcel: Final[Table] = tenant_table(
    "parcel",
    Column("id", Text, primary_key=True),
    Column("amount", Numeric(20, 4)),
    Column("rate", Numeric),
    Column("count", BigInteger),
    Column("is_fragile", Boolean),
    Column("sent_on", Date),
    Column("sent_at", DateTime(timezone=True)),
    Column("label", Text),
    Column("seal", LargeBinary),
    Column("marks", ARRAY(Text)),
    Column("content", JSONB(none_as_null=True)),
    recorded=True,
    into=TRIAL,
)
"""Append-only, with a column of every type the product uses."""

parcel_note: Final[Table] = tenant_table(
    "parcel_note",
    Column("parcel_id", Text, nullable=False),
    Column("note", Text, nullable=False),
    ForeignKeyConstraint(["tenant_id", "parcel_id"], ["parcel.tenant_id", "parcel.id"]),
    recorded=True,
    into=TRIAL,
)
"""Append-only, keyed by position, refers to a parcel."""

shelf: Final[Table] = tenant_table(
    "shelf",
    Column("key", Text, primary_key=True),
    Column("state", Text, nullable=False),
    Column("weight", Integer),
    Column("position", BigInteger, nullable=False),
    archivable=True,
    into=TRIAL,
)
"""A projection split into live rows and history."""

attempt: Final[Table] = tenant_table(
    "attempt",
    Column("id", Text, primary_key=True),
    Column("outcome", Text),
    recorded=True,
    archivable=True,
    into=TRIAL,
)
"""Append-only, and moved to history once finished."""


@pytest.fixture(scope="session")
def trial_name(test_server: TestServer, database_name: str) -> str:
    name = f"{database_name}_trial"
    test_server.new_database(name, template=None)
    with psycopg.connect(test_server.owner_dsn(name)) as connection:
        connection.execute(schema_sql(TRIAL).encode())
    return name


@pytest.fixture(scope="session")
def trial_pool(test_server: TestServer, trial_name: str) -> Iterator[Database]:
    pool = Database(dsn=test_server.server.dsn("revline_app", trial_name))
    yield pool
    pool.dispose()


@pytest.fixture
def trial(test_server: TestServer, trial_pool: Database, trial_name: str) -> Database:
    """The clean trial database as `revline_app`; tenants `alpha`, `beta` and `gamma`."""
    test_server.empty(trial_name)
    with trial_pool.control() as connection:
        for tenant_id in ("alpha", "beta", "gamma"):
            open_counter(connection, tenant_id=tenant_id)
    return trial_pool


@pytest.fixture
def moment(first_moment: datetime) -> datetime:
    return first_moment


@pytest.fixture
def trial_counts(trial: Database, test_server: TestServer, trial_name: str) -> Callable[[], dict[str, int]]:
    """Counts the rows of each partition of `shelf`, as the owner of the server sees them."""

    def count() -> dict[str, int]:
        with psycopg.connect(test_server.server.dsn(SUPERUSER, trial_name)) as connection:
            found: dict[str, int] = {}
            for name in ("shelf_live", "shelf_history"):
                row = connection.execute(f"SELECT count(*) FROM {name}".encode()).fetchone()
                assert row is not None
                found[name] = row[0]
            return found

    return count
