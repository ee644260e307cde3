"""Migrations make exactly what the packages declare, once, and say where a database stands."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from revline.platform.store.engine import Database
from revline.platform.store.migrate import check, upgrade
from revline.platform.store.roles import SUPERUSER
from revline.platform.store.schema import schema_sql
from revline.platform.store.walls import metadata
from tests.databases import DECLARED, MIGRATED, TestServer


@pytest.fixture
def empty_database(test_server: TestServer, database_name: str) -> Iterator[str]:
    name = f"{database_name}_migrations"
    test_server.new_database(name, template=None)
    yield name
    test_server.server.drop_database(name)


def test_the_migrated_database_is_what_the_tables_declare(test_server: TestServer) -> None:
    migrated, declared = test_server.lines(MIGRATED), test_server.lines(DECLARED)
    assert sorted(declared - migrated) == [], "declared, but not made by the migrations: write a revision"
    assert sorted(migrated - declared) == [], "made by the migrations, but not declared"


def test_an_upgrade_goes_from_nothing_to_the_newest_revision_and_can_be_repeated(
    test_server: TestServer, empty_database: str
) -> None:
    dsn = test_server.owner_dsn(empty_database)
    assert check(dsn=dsn).current == ""
    assert not check(dsn=dsn).is_current
    first = upgrade(owner_dsn=dsn)
    assert first.is_current
    assert upgrade(owner_dsn=dsn) == first


@pytest.mark.parametrize("role", ["revline_app", "revline_control"])
def test_any_role_may_ask_where_the_database_stands(test_server: TestServer, empty_database: str, role: str) -> None:
    upgrade(owner_dsn=test_server.owner_dsn(empty_database))
    assert check(dsn=test_server.server.dsn(role, empty_database)).is_current


def test_the_schema_is_made_whole_or_not_at_all(test_server: TestServer, empty_database: str) -> None:
    with (
        pytest.raises(psycopg.errors.DuplicateTable),
        psycopg.connect(test_server.owner_dsn(empty_database)) as connection,
    ):
        connection.execute((schema_sql(metadata) + "CREATE TABLE unit (id text);").encode())
    database = Database(dsn=test_server.server.dsn(SUPERUSER, empty_database), pool_size=1)
    with database.control() as connection_as_superuser:
        found = connection_as_superuser.exec_driver_sql(
            "SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace"
        ).scalar_one()
    database.dispose()
    assert found == 0


def test_the_schema_is_the_same_text_every_time() -> None:
    assert schema_sql(metadata) == schema_sql(metadata)
