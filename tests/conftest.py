"""Fixtures every test may use. `database` is a clean database with every table, as the application's role."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pytest
import structlog
from argon2 import PasswordHasher

from revline.platform.access import passwords
from revline.platform.store.engine import Database
from revline.platform.store.unit import open_counter
from tests.databases import TestServer
from tests.files_once import read_once

FIRST_MOMENT: Final = datetime(2026, 1, 31, 9, 0, tzinfo=UTC)
TENANTS: Final = ("alpha", "beta")

_of_controller: pytest.StashKey[TestServer] = pytest.StashKey()


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    """With several workers the controller owns the server; alone, the first test that needs it starts it."""
    read_once()
    if not hasattr(config, "workerinput") and config.getoption("numprocesses", None):
        config.stash[_of_controller] = TestServer()


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tells a worker where the controller's server is."""
    node.workerinput["server_folder"] = str(node.config.stash[_of_controller].folder)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stops the controller's server."""
    if _of_controller in config.stash:
        config.stash[_of_controller].close()


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keeps the tests of an xdist_group on one worker: since pytest 9.2 the suffix that xdist 3.8 schedules by gets lost
    (pytest-xdist issue 1386). Does nothing once xdist sets it itself.
    """
    if not getattr(config.option, "loadgroup", False):
        return
    for item in items:
        names = {str((*mark.args, mark.kwargs.get("name"))[0]) for mark in item.iter_markers("xdist_group")}
        suffix = f"@{'_'.join(sorted(names))}"
        if names and not item.nodeid.endswith(suffix):
            node: Any = item
            node._id = type(node.id).parse(item.nodeid + suffix)


def log_plainly() -> None:
    """Lines as they come: drawing a frame round every logged exception would take a third of the time of delivery's tests."""
    structlog.reset_defaults()
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback),
        ]
    )


@pytest.fixture(autouse=True)
def logs_of_one_test() -> Iterator[None]:
    """What a test does to the process's logging ends with it: a command run in process logs to a stream that is closed soon."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    log_plainly()
    yield
    log_plainly()
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture(scope="session", autouse=True)
def real_hasher() -> Iterator[PasswordHasher]:
    """The product's, which is dear for whoever guesses and would be for every log-in of every test: those get a cheap one."""
    real: PasswordHasher = passwords._HASHER
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(passwords, "_HASHER", PasswordHasher(time_cost=1, memory_cost=64, parallelism=1))
        yield real


@pytest.fixture(scope="session")
def test_server(request: pytest.FixtureRequest) -> Iterator[TestServer]:
    """The session's embedded server (fsync off)."""
    given = getattr(request.config, "workerinput", {}).get("server_folder")
    server = TestServer(Path(given) if given else None)
    yield server
    server.close()


@pytest.fixture(scope="session")
def database_name(test_server: TestServer, request: pytest.FixtureRequest) -> str:
    """The database of this worker, made from the template."""
    name = f"test_{getattr(request.config, 'workerinput', {}).get('workerid', 'alone')}"
    test_server.new_database(name)
    return name


@pytest.fixture(scope="session")
def app_database(test_server: TestServer, database_name: str) -> Iterator[Database]:
    """The pool of the application's role, kept for the session. Tests take `database`."""
    database = Database(dsn=test_server.server.dsn("revline_app", database_name), pool_size=8)
    yield database
    database.dispose()


@pytest.fixture
def database(app_database: Database, test_server: TestServer, database_name: str) -> Database:
    """A clean database as `revline_app`; the tenants `alpha` and `beta` have their counters."""
    test_server.empty(database_name)
    with app_database.control() as connection:
        for tenant_id in TENANTS:
            open_counter(connection, tenant_id=tenant_id)
    return app_database


@pytest.fixture
def app_dsn(database: Database, test_server: TestServer, database_name: str) -> str:
    """The URL of the clean database for the application's role: for processes a test starts."""
    return test_server.server.dsn("revline_app", database_name)


@pytest.fixture
def owner_dsn(test_server: TestServer, database_name: str) -> str:
    """The URL for the owner, who is no way round the walls either."""
    return test_server.owner_dsn(database_name)


@pytest.fixture
def control_database(database: Database, test_server: TestServer, database_name: str) -> Iterator[Database]:
    """The clean database as `revline_control`, who sees control tables only."""
    control = Database(dsn=test_server.server.dsn("revline_control", database_name), pool_size=2)
    yield control
    control.dispose()


@pytest.fixture
def first_moment() -> datetime:
    """A fixed aware time: 2026-01-31 09:00 UTC."""
    return FIRST_MOMENT
