"""Accept: each message once, all of an input or nothing, and what can't be read is kept or refused, never lost."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from sqlalchemy import select, text

from revline.core.ids import SourceObject, root_id
from revline.core.problem import ProblemError
from revline.intake import awaiting, queries
from revline.intake.service import Intake, RequestKey
from revline.intake.values import Awaited, Input, Outcome, Verdict, WhenUnreadable
from revline.platform.cases.tables import exception_case
from revline.platform.store.chain import verify_chain
from revline.platform.store.engine import Database
from revline.platform.work.tables import lane
from tests.integration.intake.conftest import NOON, StandingClock, line, shop


def accept(intake: Intake, *inputs: Input, tenant_id: str = "alpha", **more: Any) -> tuple[Verdict, ...]:
    return intake.accept(channel=shop(tenant_id), inputs=inputs, actor="key:test", reason="test", **more)


def outcomes(verdicts: tuple[Verdict, ...]) -> list[Outcome]:
    return [one.outcome for one in verdicts]


def root_of(kind: str, outside_id: str, tenant_id: str = "alpha") -> str:
    return root_id(tenant=tenant_id, source=SourceObject(connection="shop", kind=kind, outside_id=outside_id))


def requested(database: Database) -> dict[str, int]:
    with database.control() as connection:
        return {row.lane_id: row.requested for row in connection.execute(select(lane).where(lane.c.kind == "derive"))}


def open_cases(database: Database) -> list[str]:
    with database.read(tenants=["alpha"]) as connection:
        statement = select(exception_case.c.subject_kind).where(
            exception_case.c.tenant_id == "alpha", exception_case.c.state == "open"
        )
        return list(connection.execute(statement).scalars())


def rows(database: Database, table: str) -> int:
    with database.read(tenants=["alpha"]) as connection:
        return int(connection.execute(text(f"SELECT count(*) FROM {table} WHERE tenant_id = 'alpha'")).scalar_one())


def test_a_fact_comes_back_as_it_was_said_and_its_root_is_asked_for(intake: Intake, database: Database) -> None:
    (verdict,) = accept(intake, line("m1", "cus_1", text="Ada Lovelace"))
    assert verdict.outcome is Outcome.ACCEPTED
    with database.read(tenants=["alpha"]) as connection:
        (fact,) = queries.facts_of_root(connection, tenant_id="alpha", root_id=root_of("customer", "cus_1"))
        assert queries.raw_body(connection, tenant_id="alpha", digest=fact.body_digest) == (
            line("m1", "cus_1", text="Ada Lovelace").body,
            "application/json",
        )
        assert verify_chain(connection, tenant_id="alpha").holds
    assert fact.fact_id == verdict.fact_ids[0]
    made = shop().translate(body=line("m1", "cus_1", text="Ada Lovelace").body)
    assert isinstance(made, tuple)
    assert fact.translated == made[0]
    assert requested(database) == {root_of("customer", "cus_1"): 1}


def test_the_same_message_again_changes_nothing(intake: Intake, database: Database) -> None:
    accept(intake, line("m1", "cus_1"))
    before = requested(database)
    assert outcomes(accept(intake, line("m1", "cus_1"))) == [Outcome.DUPLICATE]
    assert rows(database, "fact") == 1
    assert rows(database, "unit") == 1
    assert requested(database) == before


def test_the_same_message_twice_in_one_batch_is_one_fact(intake: Intake, database: Database) -> None:
    verdicts = accept(intake, line("m1", "cus_1"), line("m1", "cus_1"), line("m1", "cus_1", text="other"))
    assert outcomes(verdicts) == [Outcome.ACCEPTED, Outcome.DUPLICATE, Outcome.CONFLICT]
    assert rows(database, "fact") == 1


def test_other_content_under_the_same_id_is_a_conflict_and_one_case(intake: Intake, database: Database) -> None:
    accept(intake, line("m1", "cus_1", text="Ada"))
    for _ in range(2):
        (verdict,) = accept(intake, line("m1", "cus_1", text="Eve"))
        assert verdict.outcome is Outcome.CONFLICT
        assert verdict.problem is not None
        assert verdict.problem.code == "intake.conflict"
    assert rows(database, "fact") == 1
    assert open_cases(database) == ["input"]


def test_the_same_message_of_another_tenant_is_another_message(intake: Intake) -> None:
    accept(intake, line("m1", "cus_1"))
    assert outcomes(accept(intake, line("m1", "cus_1", text="Eve"), tenant_id="beta")) == [Outcome.ACCEPTED]


def test_a_message_from_the_future_is_refused_on_every_channel(intake: Intake, database: Database) -> None:
    for when in WhenUnreadable:
        (verdict,) = accept(intake, line("m1", "cus_1", ahead=25), when_unreadable=when)
        assert verdict.outcome is Outcome.INVALID
        assert verdict.problem is not None
        assert verdict.problem.code == "time.invalid"
    assert outcomes(accept(intake, line("m2", "cus_1", ahead=23))) == [Outcome.ACCEPTED]
    assert rows(database, "fact") == 1


def test_an_unreadable_input_is_refused_where_its_sender_listens(intake: Intake, database: Database) -> None:
    assert outcomes(accept(intake, line("m1", "x", kind="spaceship"))) == [Outcome.INVALID]
    assert [rows(database, table) for table in ("unit", "body", "untranslated", "exception_case")] == [0, 0, 0, 0]


def test_a_proved_unreadable_input_is_kept_with_one_case(intake: Intake, database: Database) -> None:
    for _ in range(2):
        verdicts = accept(intake, line("m1", "x", kind="spaceship"), when_unreadable=WhenUnreadable.KEEP)
        assert outcomes(verdicts) == [Outcome.KEPT]
    assert [rows(database, table) for table in ("fact", "body", "untranslated")] == [0, 1, 1]
    assert open_cases(database) == ["input"]


class MendedChannels:
    """The connector learned to read what it could not."""

    def channel(self, *, tenant_id: str, connection: str) -> Any:
        assert connection == "shop"
        readable = shop(tenant_id).translate(body=line("m1", "cus_9").body)

        def mended(*, body: bytes) -> Any:
            return readable if b"spaceship" in body else shop().translate(body=body)

        return msgspec.structs.replace(shop(tenant_id), translate=mended)

    def names(self, *, tenant_id: str, connector: str) -> tuple[str, ...]:
        return ("shop",)


def test_a_kept_input_is_translated_again_and_its_case_closes(intake: Intake, database: Database) -> None:
    accept(intake, line("m1", "x", kind="spaceship"), when_unreadable=WhenUnreadable.KEEP)
    with database.read(tenants=["alpha"]) as connection:
        (subject,) = connection.execute(select(exception_case.c.subject_id)).scalars()
    again = intake.retry_kept(
        channels=MendedChannels(), tenant_id="alpha", subject_ids=[subject], actor="person:ops", reason="mended"
    )
    assert again == 1
    assert open_cases(database) == []
    assert rows(database, "fact") == 1


def test_an_input_of_two_units_at_once_is_taken_once(database: Database, intake: Intake) -> None:
    found: list[Outcome] = []
    barrier = threading.Barrier(4)

    def one() -> None:
        barrier.wait()
        found.extend(outcomes(accept(intake, *(line(f"m{number}", f"cus_{number}") for number in range(20)))))

    threads = [threading.Thread(target=one) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found.count(Outcome.ACCEPTED) == 20
    assert found.count(Outcome.DUPLICATE) == 60
    assert rows(database, "fact") == 20
    with database.read(tenants=["alpha"]) as connection:
        assert verify_chain(connection, tenant_id="alpha").holds


def test_a_request_key_gives_the_first_answer_again_and_refuses_another_request(
    intake: Intake, database: Database
) -> None:
    key = RequestKey(key="k1", request={"body": "one"})
    first = accept(intake, line("m1", "cus_1"), request_key=key)
    assert accept(intake, line("m1", "cus_1"), request_key=key) == first
    assert first[0].outcome is Outcome.ACCEPTED
    with pytest.raises(ProblemError) as refused:
        accept(intake, line("m2", "cus_2"), request_key=RequestKey(key="k1", request={"body": "two"}))
    assert refused.value.problem.code == "idempotency.key_reused"
    assert refused.value.problem.field == "body"
    assert rows(database, "fact") == 1


AWAITED = Awaited(connection="shop", object_kind="payment", name_kind="invoice_number", name_value="INV-7")


def wait(database: Database, *, root: str = "root-a", hours: int = 1) -> None:
    with database.unit(tenants=["alpha"], kind="derive", actor="worker:t", reason="t", recorded_at=NOON) as unit:
        awaiting.add_awaited(
            unit, tenant_id="alpha", root_id=root, names=[AWAITED], deadline=NOON + timedelta(hours=hours)
        )


def test_a_name_that_arrives_asks_for_the_root_that_waits(intake: Intake, database: Database) -> None:
    wait(database)
    accept(intake, line("m1", "pay_1", kind="payment", invoice="INV-7"))
    assert requested(database) == {"root-a": 1, root_of("payment", "pay_1"): 1}
    with database.read(tenants=["alpha"]) as connection:
        assert queries.counts(connection, tenant_id="alpha").awaited == 0
        (fact,) = queries.facts_by_name(
            connection,
            tenant_id="alpha",
            source_connection="shop",
            object_kind="payment",
            kind="invoice_number",
            value="INV-7",
        )
    assert fact.translated.source.outside_id == "pay_1"


def test_an_object_of_another_kind_with_the_name_does_not_end_the_wait(intake: Intake, database: Database) -> None:
    wait(database)
    accept(intake, line("m1", "cus_1", kind="customer", invoice="INV-7"))
    with database.read(tenants=["alpha"]) as connection:
        assert queries.counts(connection, tenant_id="alpha").awaited == 1
        assert awaiting.crossed(connection, tenant_id="alpha") == ()


def test_the_sweep_finds_a_name_that_arrived_while_the_root_began_to_wait(intake: Intake, database: Database) -> None:
    accept(intake, line("m1", "pay_1", kind="payment", invoice="INV-7"))
    wait(database)
    assert intake.sweep_awaited(tenant_id="alpha") == 1
    assert requested(database)["root-a"] == 1
    assert intake.sweep_awaited(tenant_id="alpha") == 0


def test_an_overdue_name_is_a_case_that_closes_when_it_arrives(
    intake: Intake, database: Database, clock: StandingClock
) -> None:
    wait(database)
    clock.moment = NOON + timedelta(hours=2)
    assert intake.sweep_awaited(tenant_id="alpha") == 1
    assert open_cases(database) == ["awaited"]
    assert intake.sweep_awaited(tenant_id="alpha") == 0
    accept(intake, line("m1", "pay_1", kind="payment", invoice="INV-7"))
    assert open_cases(database) == []


def test_a_root_that_waits_no_more_has_no_case(intake: Intake, database: Database, clock: StandingClock) -> None:
    wait(database)
    clock.moment = NOON + timedelta(hours=2)
    intake.sweep_awaited(tenant_id="alpha")
    with database.unit(tenants=["alpha"], kind="derive", actor="worker:t", reason="t", recorded_at=NOON) as unit:
        assert awaiting.settle_awaited(unit, tenant_id="alpha", root_id="root-a") == 1
    assert open_cases(database) == []


def test_a_page_of_facts_goes_on_where_it_ended(intake: Intake, database: Database) -> None:
    accept(intake, *(line(f"m{number}", f"cus_{number}") for number in range(5)))
    with database.read(tenants=["alpha"]) as connection:
        first = queries.facts_page(connection, tenant_id="alpha", limit=3)
        rest = queries.facts_page(connection, tenant_id="alpha", after=(first[-1].position, first[-1].ordinal))
    assert [fact.translated.source_event for fact in (*first, *rest)] == ["m0", "m1", "m2", "m3", "m4"]
