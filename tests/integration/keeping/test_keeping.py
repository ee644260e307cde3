"""What housekeeping removes when its time has come, and what must stay for good."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from sqlalchemy import select, text

from revline.app.keeping import Keeper, Retention
from revline.core.documents import DocumentState, Rank
from revline.core.farside import Rejected
from revline.core.problem import Problem, problem
from revline.delivery import acts
from revline.delivery.housekeeping import archive_finished
from revline.delivery.permitted import Act
from revline.platform.bulk import queries as bulk_queries
from revline.platform.store.chain import verify_chain
from revline.platform.store.engine import Database
from revline.platform.store.housekeeping import PAGE, holders
from revline.platform.store.idempotency import remember
from revline.platform.store.walls import is_recorded, metadata
from revline.platform.tenancy.record import register_tenant
from revline.platform.work import queries as work_queries
from tests.fakes.far_side import FakeConnector, FarSystem
from tests.integration.api.test_acts import Door, cli, door
from tests.integration.bulk.test_bulk_acts import Office, run
from tests.integration.delivery.test_acts import do
from tests.integration.delivery.world import NOON, World, document_id, journal

__all__ = ["cli", "door"]
DAY = timedelta(days=1)
AT_ONCE = Retention(lanes=timedelta(0), acts=timedelta(0), rereads=timedelta(0))


@pytest.fixture
def world(database: Database) -> World:
    with database.control() as connection:
        register_tenant(connection, tenant_id="alpha", created_at=NOON)
    return World(database, FakeConnector(FarSystem()))


def keeper(world: World, retention: Retention = AT_ONCE) -> Keeper:
    return Keeper(database=world.database, clock=world.clock, retention=retention)


def count(database: Database, table: str) -> int:
    with database.read(tenants=["alpha"]) as connection:
        return int(connection.execute(text(f"SELECT count(*) FROM {table} WHERE tenant_id = 'alpha'")).scalar_one())


def recorded(database: Database, tenants: Sequence[str] = ("alpha",)) -> str:
    """A digest over every row that the audit chain holds."""
    found = hashlib.sha256()
    with database.read(tenants=list(tenants)) as connection:
        for table in metadata.sorted_tables:
            if is_recorded(table):
                rows = connection.execute(select(table).where(table.c.tenant_id.in_(tenants))).all()
                found.update(repr((table.name, sorted(map(repr, rows)))).encode())
    return found.hexdigest()


def test_lanes_that_are_idle_for_long_go_with_their_items_and_come_back_when_needed(world: World) -> None:
    world.write(journal("one", lane="a"), journal("two", lane="a"))
    world.deliver()
    archive_finished(world.database, before=world.clock.now() + DAY)
    before, attempts = recorded(world.database), count(world.database, "attempt")
    assert keeper(world, Retention()).turn().removed == {}
    assert keeper(world).turn().removed["delivery lanes"] == 1
    assert (count(world.database, "lane"), count(world.database, "lane_item")) == (0, 0)
    assert (recorded(world.database), count(world.database, "attempt")) == (before, attempts)
    with world.database.read(tenants=["alpha"]) as connection:
        assert verify_chain(connection, tenant_id="alpha").holds
    world.write(journal("three", lane="a"))
    world.deliver()
    assert world.state("three") is DocumentState.POSTED
    assert world.show("one").attempts


def test_a_lane_on_which_something_may_be_put_back_stays(world: World) -> None:
    world.connector.before = lambda step: Rejected(problem=problem("erp.rejected", "no"))
    world.write(journal("aside", rank=Rank.INVOICE), journal("waived", rank=Rank.INVOICE))
    world.deliver()
    do(world, Act.SKIP, "aside")
    do(world, Act.WAIVE, "waived")
    world.connector.before = lambda step: None
    world.deliver()
    archive_finished(world.database, before=world.clock.now() + DAY)
    assert "delivery lanes" not in keeper(world).turn().removed
    for name in ("aside", "waived"):
        assert not isinstance(do(world, Act.REPLAY, name), Problem)
    world.deliver()
    assert {world.state("aside"), world.state("waived")} == {DocumentState.POSTED}


def test_a_lane_with_work_left_stays_however_old_it_is(world: World) -> None:
    world.connector.before = lambda step: Rejected(problem=problem("erp.rejected", "no"))
    world.write(journal("stuck"), journal("waits", rank=Rank.JOURNAL, after=["never"]))
    world.deliver()
    world.pass_time(900 * DAY)
    assert "delivery lanes" not in keeper(world).turn().removed
    assert count(world.database, "lane") == 2


def test_keys_are_forgotten_when_their_life_ends_and_not_before(world: World) -> None:
    def remembering(name: str) -> object:
        with world.database.unit(
            tenants=["alpha"], kind="test", actor="test", reason="test", recorded_at=world.clock.now()
        ) as unit:
            return remember(unit, tenant_id="alpha", key=name, input_hash=b"x")

    remembering("old")
    world.clock.moment += 6 * DAY
    remembering("new")
    world.clock.moment += 2 * DAY
    assert keeper(world).turn().removed["idempotency keys"] == 1
    with world.database.read(tenants=["alpha"]) as connection:
        assert list(connection.execute(text("SELECT key FROM idempotency WHERE tenant_id = 'alpha'")).scalars()) == [
            "new"
        ]


def test_a_turn_is_bounded_and_the_next_one_goes_on(world: World) -> None:
    with world.database.unit(
        tenants=["alpha"], kind="test", actor="test", reason="test", recorded_at=world.clock.now()
    ) as unit:
        unit.connection.execute(
            text(
                "INSERT INTO idempotency (tenant_id, key, input_hash, field_digests, actor, reason, created_at, expires_at)"
                " SELECT 'alpha', 'k' || number, '', '{}', 'a', 'b', :at, :at FROM generate_series(1, :rows) AS number"
            ),
            {"at": world.clock.now(), "rows": 10 * PAGE + 5},
        )
    world.clock.moment += DAY
    one = keeper(world)
    assert one.turn().removed["idempotency keys"] == 10 * PAGE
    assert one.turn().removed["idempotency keys"] == 5


def test_records_of_acts_go_when_their_time_has_come_and_the_act_stays(database: Database) -> None:
    office = Office(database)
    with database.control() as connection:
        register_tenant(connection, tenant_id="alpha", created_at=NOON)
    ended, running = office.start("resend"), office.start("waive")
    runner = office.runner()
    run(runner, turns=2)
    office.bulk.abort(tenant_id="alpha", act_id=ended.act_id, actor="person:kim", reason="enough")
    office.world.clock.moment += DAY
    before = recorded(database)
    assert keeper(office.world).turn().removed["records of acts"] == ended.records
    assert recorded(database) == before
    with database.read(tenants=["alpha"]) as connection:
        assert bulk_queries.items(connection, tenant_id="alpha", act_id=ended.act_id) == ()
        assert len(bulk_queries.items(connection, tenant_id="alpha", act_id=running.act_id)) == running.records
        kept = bulk_queries.act(connection, tenant_id="alpha", act_id=ended.act_id)
    assert kept is not None
    assert (kept.records, kept.author, kept.note) == (12, "person:ann", "enough")


def test_nobody_is_said_to_wait_once_the_document_is_finished(world: World) -> None:
    world.write(journal("one", after=["never"], rank=Rank.PAYMENT))
    world.deliver()
    assert world.show("one").waits_for
    acts.waive(
        world.database, tenant_id="alpha", document_id=document_id("one"), actor="person:ann", reason="by hand",
        recorded_at=world.clock.now(),
    )  # fmt: skip
    world.deliver()
    keeper(world).turn()
    assert world.show("one").waits_for == ()


def test_a_long_transaction_is_told_of_by_name_and_never_by_what_it_asks(world: World, app_dsn: str) -> None:
    dsn = app_dsn.replace("postgresql+psycopg://", "postgresql://")
    with psycopg.connect(dsn, application_name="month-end export") as other:
        other.execute("SELECT 'a secret of somebody'")
        with world.database.control() as connection:
            now = work_queries.moment(connection)
            assert holders(connection, now=now, older_than=timedelta(hours=1)) == ()
            found = holders(connection, now=now + timedelta(minutes=12), older_than=timedelta(minutes=5))
        (one,) = [one for one in found if one.name == "month-end export"]
        assert one.said(now + timedelta(minutes=12)).startswith("a transaction of 1")
        assert "secret" not in repr(found)
        held = keeper(world, Retention(long_transaction=timedelta(0))).turn().holding
        assert any("'month-end export'" in said and "holds back cleaning" in said for said in held)


def test_what_came_of_a_record_is_told_in_full_after_everything_old_has_gone(door: Door) -> None:
    def trace() -> Any:
        answer = door.get("/v1/trace", value="in_1")
        assert answer.status_code == 200, answer.text
        return answer.json()

    before = trace()
    services = door.runtime.services
    kept = Keeper(database=services.database, clock=services.clock, retention=AT_ONCE).turn()
    assert kept.removed["derive lanes"] > 0
    assert trace() == before
    with services.database.read(tenants=["birch"]) as connection:
        assert verify_chain(connection, tenant_id="birch").holds
    door.derive()


def test_hot_tables_are_cleaned_by_count_or_by_a_small_share(database: Database) -> None:
    with database.control() as connection:
        rows = connection.execute(text("SELECT relname, reloptions FROM pg_class WHERE reloptions IS NOT NULL"))
        options = {row.relname: dict(one.split("=") for one in row.reloptions) for row in rows}
    for name in ("document_state_live", "lane", "lane_item_live", "wait"):
        assert float(options[name]["autovacuum_vacuum_scale_factor"]) <= 0.02, name
        assert options[name]["autovacuum_vacuum_cost_delay"] == "0", name
    for name in ("capacity_pool", "tenant_ring", "counter"):
        assert options[name]["autovacuum_vacuum_scale_factor"] == "0", name
        assert int(options[name]["autovacuum_vacuum_threshold"]) <= 1_000, name
