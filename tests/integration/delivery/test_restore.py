"""A database restored to an earlier state while the far system kept what happened since: nothing doubled, nothing lost.

The earlier state is a real copy of the database. What was derived after it is derived again from facts that come in again, under
the same ids; the epoch is raised before a worker starts.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import psycopg
import pytest

from revline.core.documents import Document, DocumentState
from revline.core.farside import Idempotency, Uncertain
from revline.core.hashing import canonical_bytes
from revline.delivery import acts, marking, record
from revline.platform.cases import queries as cases
from revline.platform.store.engine import Database
from revline.platform.store.roles import SUPERUSER
from revline.platform.work import cell
from tests.databases import TestServer
from tests.fakes.far_side import FakeConnector, FarSystem
from tests.integration.delivery.test_enumeration import Listed
from tests.integration.delivery.world import World, document_id, journal

POLICIES = [Idempotency.UNIQUE_REFERENCE, Idempotency.KEY, Idempotency.LOOKUP, Idempotency.NEITHER]
BEFORE = ("posted", "ready", "unanswered")
SINCE = ("later", "even-later")
NEVER_SENT = "never-sent"
WINDOW = timedelta(seconds=11)


class Backups:
    """Copies of the test's database, each a restored one. Everything is closed and dropped at the end."""

    def __init__(self, server: TestServer, name: str) -> None:
        self._server, self._name = server, name
        self._opened: list[Database] = []

    def take(self, database: Database) -> None:
        """What a nightly backup keeps."""
        database.dispose()
        with psycopg.connect(self._server.server.dsn(SUPERUSER, "postgres"), autocommit=True) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [self._name]
            )
        self._server.new_database(f"{self._name}_backup", template=self._name)

    def restore(self) -> Database:
        """A database as it was then."""
        self._server.new_database(f"{self._name}_restored", template=f"{self._name}_backup")
        found = Database(dsn=self._server.server.dsn("revline_app", f"{self._name}_restored"), pool_size=4)
        self._opened.append(found)
        return found

    def close(self) -> None:
        for one in self._opened:
            one.dispose()
        for copy in ("backup", "restored"):
            self._server.server.drop_database(f"{self._name}_{copy}")


@pytest.fixture
def backups(test_server: TestServer, database_name: str) -> Iterator[Backups]:
    found = Backups(test_server, database_name)
    yield found
    found.close()


def lost_answer_for(world: World, name: str) -> None:
    world.connector.after = lambda step: (
        Uncertain(evidence="time-out") if step.document_id == document_id(name) else None
    )


def end_state(world: World, names: tuple[str, ...]) -> bytes:
    """What the documents say and what became of them, with the far system's numbers and entries; no trace of the way there."""
    found = []
    for name in names:
        shown = world.show(name)
        records = [(one["erp_id"], one["number"], one["state"]) for one in shown.records]
        entries = [(one["line"], one["account"], str(one["debit"]), str(one["credit"])) for one in shown.entries]
        found.append((name, shown.delivery.state, canonical_bytes(shown.document).decode(), records, entries))
    return canonical_bytes(found)


def write_again(world: World, *documents: Document) -> None:
    """Derived again from facts that happened before the epoch began."""
    with world.database.unit(
        tenants=["alpha"], kind="derive", actor="worker:test", reason="listed again", recorded_at=world.clock.now()
    ) as unit:
        record.write_documents(
            unit,
            tenant_id="alpha",
            documents=documents,
            pool_of=lambda one: f"pool-{one.connection}",
            configuration_version=1,
            epoch=cell.read_epoch(unit.connection).number,
            earlier={one.document_id for one in documents},
        )


def finish(world: World) -> None:
    """What goes on by itself: look-ups, sends, waits; a person helps with nothing."""
    for _ in range(4):
        world.deliver()
        world.pass_time(WINDOW)


def lived_before(world: Listed, backups: Backups) -> bytes:
    """The lost time line: a backup between the two halves; everything but one document is posted in the end."""
    world.write(journal("posted"))
    world.deliver()
    lost_answer_for(world, "unanswered")
    world.write(journal("unanswered"))
    world.deliver()
    world.write(journal("ready"))
    backups.take(world.database)
    world.connector.after = lambda step: None
    world.write(*(journal(name) for name in SINCE))
    world.list_all()
    finish(world)
    return end_state(world, (*BEFORE, *SINCE))


def restored(world: Listed, backups: Backups) -> Listed:
    """The same far system, the database as it was, the epoch raised, what was lost derived again."""
    again = Listed(backups.restore(), connector=world.connector)
    again.clock.moment = world.clock.moment
    again.raise_epoch()
    write_again(again, *(journal(name) for name in (*SINCE, NEVER_SENT)))
    return again


@pytest.mark.parametrize("policy", POLICIES)
def test_a_restore_doubles_nothing_and_loses_nothing(database: Database, backups: Backups, policy: Idempotency) -> None:
    world = Listed(database, policy)
    before = lived_before(world, backups)
    again = restored(world, backups)
    effects = len(world.far.effects)
    finish(again)
    if policy is Idempotency.NEITHER:
        assert len(world.far.effects) == effects, (
            "without a look-up nothing is sent before a person or a listing has said so"
        )
        again.ask()
        again.list_all()
        finish(again)
        with again.database.read(tenants=["alpha"]) as connection:
            (left,) = cases.cases(connection, tenant_id="alpha")
        assert left.subject_id == document_id(NEVER_SENT), "only what no listing shows is left to a person"
        acts.resend(
            again.database,
            tenant_id="alpha",
            document_id=left.subject_id,
            actor="person:accountant",
            reason="searched, it is not there",
            recorded_at=again.clock.now(),
            known_absent=True,
        )
        finish(again)
    for name in (*BEFORE, *SINCE, NEVER_SENT):
        assert again.state(name) is DocumentState.POSTED, name
        assert world.far.posted(document_id(name)) == 1, name
    assert end_state(again, (*BEFORE, *SINCE)) == before
    again.ask()
    again.list_all()
    assert (again.report().doubled, again.report().unexpected, again.report().missing) == (0, 0, 0)


def test_what_happened_after_the_raise_is_sent_without_a_look(database: Database, backups: Backups) -> None:
    world = Listed(database)
    lived_before(world, backups)
    again = restored(world, backups)
    looked = len(world.far.lookups)
    again.write(journal("of-the-new-time"))
    again.deliver()
    assert again.state("of-the-new-time") is DocumentState.POSTED
    assert world.far.lookups[looked:] == []


def test_a_worker_of_the_old_epoch_marks_nothing_and_goes_by_the_new_one(database: Database) -> None:
    world = World(database, FakeConnector(FarSystem()))
    world.write(journal("sale"))
    worker = world.worker()
    world.raise_epoch()
    world.deliver(worker)
    assert world.far.effects == []
    assert worker.desk.epoch.number == 2
    world.pass_time(WINDOW)
    world.deliver()
    assert world.far.lookups == [journal("sale").external_reference]
    assert world.far.posted(document_id("sale")) == 1


def test_a_raise_between_deciding_and_marking_is_noticed(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(database, FakeConnector(FarSystem()))
    world.write(journal("sale"))
    real, raised = marking.mark, []

    def mark(*given: object, **more: object) -> object:
        if not raised:
            raised.append(True)
            world.raise_epoch()
        return real(*given, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(marking, "mark", mark)
    world.deliver()
    assert world.far.effects == []
    world.pass_time(WINDOW)
    world.deliver()
    assert world.far.posted(document_id("sale")) == 1
    assert len(world.far.lookups) == 1


def test_every_audit_chain_tells_who_raised_the_epoch_and_why(database: Database) -> None:
    world = World(database, FakeConnector(FarSystem()))
    world.raise_epoch()
    with database.read(tenants=["alpha"]) as connection:
        assert cell.read_epoch(connection).number == 2
        assert cell.reason_of(connection) == "restored"
        rows = connection.exec_driver_sql(
            "SELECT unit.actor, unit.reason FROM epoch_raised JOIN unit"
            " ON unit.tenant_id = epoch_raised.tenant_id AND unit.position = epoch_raised.position"
            " WHERE epoch_raised.tenant_id = 'alpha'"
        ).all()
    assert [tuple(row) for row in rows] == [("person:operator", "restored")]
