"""Applying a folder: a version for what changed, nothing for what did not, every version kept."""

from __future__ import annotations

import threading
from datetime import datetime

import pytest

from revline.app.kinds import registry
from revline.core.problem import Problem
from revline.platform.config import queries
from revline.platform.config.changes import ChangeSign
from revline.platform.config.documents import Configuration
from revline.platform.config.loader import Loaded
from revline.platform.config.service import Applied, apply
from revline.platform.store.engine import Database
from revline.platform.tenancy.queries import active_tenants, tenant_state
from revline.platform.tenancy.record import register_tenant
from revline.subledger.posting.kinds import PostingRule, RateTable
from revline.subledger.posting.setup import PostingSetup, compile_setup
from tests.unit.posting.builders import TENANT, starter_with


class FixedClock:
    def __init__(self, moment: datetime) -> None:
        self._moment = moment

    def now(self) -> datetime:
        return self._moment


@pytest.fixture
def clock(first_moment: datetime) -> FixedClock:
    return FixedClock(first_moment)


def applied(database: Database, clock: FixedClock, loaded: Loaded, *, dry_run: bool = False) -> Applied:
    result = apply(
        database=database,
        registry=registry(),
        loaded=loaded,
        clock=clock,
        register_tenant=lambda connection, tenant, now: register_tenant(connection, tenant_id=tenant, created_at=now),
        actor="person:ann",
        reason="set up",
        dry_run=dry_run,
    )
    assert not isinstance(result, Problem), result
    (one,) = result
    return one


def active(database: Database) -> Configuration | None:
    with database.read(tenants=[TENANT]) as connection:
        return queries.active(connection, tenant_id=TENANT, registry=registry())


CHEAPER_EURO = {"30-book.yaml": ('rate: "1.08"', 'rate: "1.07"')}


def test_the_first_application_registers_the_tenant_and_activates_version_one(
    database: Database, clock: FixedClock
) -> None:
    loaded = starter_with()
    first = applied(database, clock, loaded)
    assert (first.old_version, first.new_version, first.position) == (0, 1, 1)
    assert {change.sign for change in first.changes} == {ChangeSign.ADDED}
    assert len(first.changes) == len(loaded.documents)
    with database.read(tenants=[TENANT]) as connection:
        assert TENANT in active_tenants(connection)
        assert tenant_state(connection, tenant_id=TENANT) == "active"
        row = queries.active_version(connection, tenant_id=TENANT)
    assert row is not None
    assert (row.actor, row.reason, row.position, row.activated_at) == ("person:ann", "set up", 1, clock.now())


def test_what_is_read_back_is_what_was_loaded_and_compiles_to_the_same_books(
    database: Database, clock: FixedClock
) -> None:
    loaded = starter_with()
    applied(database, clock, loaded)
    read = active(database)
    assert read is not None
    given = loaded.configurations()[TENANT]
    assert read.digest == given.digest
    assert {name: each.spec for name, each in read.all(PostingRule).items()} == {
        name: each.spec for name, each in given.all(PostingRule).items()
    }
    setup = compile_setup(read)
    assert isinstance(setup, PostingSetup)
    assert setup.version == 1
    assert setup.place_of("payout-paid")[0] == "51-rules-money.yaml"


def test_applying_the_same_folder_again_does_nothing(database: Database, clock: FixedClock) -> None:
    applied(database, clock, starter_with())
    again = applied(
        database, clock, starter_with({"51-rules-money.yaml": ("# What the processor kept.", "#\n# Fees.")})
    )
    assert (again.old_version, again.new_version, again.position, again.changes) == (1, 1, 0, ())


def test_a_change_makes_a_version_that_says_what_differs_and_the_old_one_stays(
    database: Database, clock: FixedClock
) -> None:
    applied(database, clock, starter_with())
    second = applied(database, clock, starter_with(CHEAPER_EURO))
    assert (second.old_version, second.new_version) == (1, 2)
    (change,) = second.changes
    assert (change.sign, change.kind, change.name) == (ChangeSign.CHANGED, "RateTable", "eur-usd")
    (field,) = change.fields
    assert (field.path, field.before, field.after) == ("spec.rates[1].rate", '"1.08"', '"1.07"')
    with database.read(tenants=[TENANT]) as connection:
        old = queries.at_version(connection, tenant_id=TENANT, version=1, registry=registry())
        assert queries.at_version(connection, tenant_id=TENANT, version=3, registry=registry()) is None
        assert [row.version for row in queries.versions(connection, tenant_id=TENANT)] == [2, 1]
    assert old is not None
    assert str(old.all(RateTable)["eur-usd"].spec.rates[1].rate) == "1.08"


def test_a_dry_run_says_the_same_and_changes_nothing(database: Database, clock: FixedClock) -> None:
    dry = applied(database, clock, starter_with(), dry_run=True)
    assert active(database) is None
    assert dry == applied(database, clock, starter_with())


def test_a_folder_with_an_error_is_not_applied_at_all(database: Database, clock: FixedClock) -> None:
    refused = apply(
        database=database,
        registry=registry(),
        loaded=starter_with({"10-tenant.yaml": ("USD", "USX")}),
        clock=clock,
        register_tenant=lambda connection, tenant, now: None,
        actor="person:ann",
        reason="set up",
    )
    assert isinstance(refused, Problem)
    assert refused.code == "configuration.invalid"
    assert refused.errors
    assert active(database) is None


def test_two_applications_at_once_take_turns(database: Database, clock: FixedClock) -> None:
    applied(database, clock, starter_with())
    results: list[Applied] = []
    folders = [starter_with(CHEAPER_EURO), starter_with({"30-book.yaml": ('rate: "1.08"', 'rate: "1.06"')})]
    threads = [
        threading.Thread(target=lambda folder=folder: results.append(applied(database, clock, folder)))
        for folder in folders
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    assert sorted(result.new_version for result in results) == [2, 3]
