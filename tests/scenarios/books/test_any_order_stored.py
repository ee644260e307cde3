"""Repeated and reordered webhooks through the database end in the same books; so does the log replayed from empty."""

from __future__ import annotations

import json
import random
from decimal import Decimal
from pathlib import Path

import pytest
from sqlalchemy import text

from revline.platform.store.engine import Database
from tests.harness import Harness
from tests.scenarios.books.any_order import (
    NONE,
    STORIES,
    World,
    compiled_setup,
    feed,
    kind_of,
    memo_story,
    paid_story,
    refund_story,
    stored_books,
    void_story,
)


@pytest.mark.parametrize("seed", range(3))
def test_credit_and_disputes_in_any_order_through_the_database_end_in_equal_balances(
    harness: Harness, seed: int
) -> None:
    harness.apply()
    messages = [message for story in STORIES for message in story()]
    chance = random.Random(seed)
    shuffled = [*messages, *chance.sample(messages, 5)]
    chance.shuffle(shuffled)
    feed(harness, shuffled, batch=1 + seed)
    world = World(compiled_setup(harness))
    for body, is_object in messages:
        world.arrive(body, is_object)
    wanted: dict[tuple[str, str, str], Decimal] = {}
    for (account, currency, day), amount in world.balances().items():
        key = (account, currency, day[:7])
        wanted[key] = wanted.get(key, NONE) + amount
    got = {key[2:]: Decimal(one) for key, (one, _) in harness.totals("aurora").items()}
    assert {key: amount for key, amount in got.items() if amount} == {key: one for key, one in wanted.items() if one}


def test_a_refund_that_was_booked_before_its_memo_is_booked_again(harness: Harness) -> None:
    """The memo is on another root than the refund; it wakes the payment's."""
    harness.apply()
    messages = memo_story()
    late = next(one for one in messages if kind_of(one[0])[0] == "credit_note.created")
    feed(harness, [*(one for one in messages if one is not late), late], batch=1)
    with harness.database.read(tenants=["aurora"]) as connection:
        statement = (
            "SELECT count(*) FILTER (WHERE reverses = ''), count(*) FILTER (WHERE reverses <> '') FROM accounting_event"
            " WHERE tenant_id = 'aurora' AND kind = 'refund.paid'"
        )
        booked, reversed_count = connection.execute(text(statement)).one()
    assert (booked, reversed_count) == (2, 1)


def test_of_two_payments_of_one_intent_the_first_is_applied_whenever_it_is_told(harness: Harness) -> None:
    harness.apply()
    messages = paid_story()
    charge = next(body for body, _ in messages if kind_of(body)[0] == "charge.succeeded")
    event = json.loads(charge)
    event["id"] = "evt_before"
    event["data"]["object"] |= {"id": "ch_before", "created": event["data"]["object"]["created"] - 60}
    feed(harness, [*messages, (json.dumps(event).encode(), False)], batch=1)
    with harness.database.read(tenants=["aurora"]) as connection:
        statement = (
            "SELECT content::jsonb #>> '{payload,payment,outside_id}', reverses <> '' FROM accounting_event"
            " WHERE tenant_id = 'aurora' AND kind = 'payment.applied' ORDER BY position, ordinal"
        )
        rows = [tuple(row) for row in connection.execute(text(statement))]
    assert [(row[0] == "ch_before", row[1]) for row in rows] == [(False, False), (False, True), (True, False)]


@pytest.mark.parametrize("seed", range(6))
def test_repeats_and_any_order_through_the_database_end_in_the_same_bytes(harness: Harness, seed: int) -> None:
    harness.apply()
    messages = [*paid_story(), *void_story()]
    chance = random.Random(seed)
    shuffled = [*messages, *chance.sample(messages, 5)]
    chance.shuffle(shuffled)
    feed(harness, shuffled, batch=chance.choice([1, 3, 50]))
    world = World(compiled_setup(harness))
    for body, is_object in messages:
        world.arrive(body, is_object)
    journals, documents = world.books()
    assert stored_books(harness) == (
        {key: value.decode() for key, value in journals.items()},
        {key: value.decode() for key, value in documents.items()},
    )


def test_a_mirror_whose_day_was_wrong_is_reversed_and_booked_again(harness: Harness) -> None:
    harness.apply()
    feed(harness, refund_story(), batch=1)
    with harness.database.read(tenants=["aurora"]) as connection:
        kinds = connection.execute(
            text(
                "SELECT kind, count(*), count(*) FILTER (WHERE reverses <> '') FROM accounting_event"
                " WHERE tenant_id = 'aurora' AND kind LIKE 'refund.%' GROUP BY kind ORDER BY kind"
            )
        ).all()
        open_cases = connection.execute(text("SELECT count(*) FROM exception_case WHERE tenant_id = 'aurora'")).scalar()
    assert open_cases == 0
    assert next((row[0], row[2]) for row in kinds) == ("refund.failed", 1)
    totals = {key: value for key, value in harness.totals("aurora").items() if key[2] == "deferred_revenue"}
    assert {Decimal(one) for one, _ in totals.values()} == {Decimal(0)}


def test_the_log_replayed_from_empty_gives_the_same_bytes(
    harness: Harness, database: Database, test_server: object, database_name: str, tmp_path: Path
) -> None:
    harness.apply()
    feed(harness, [*paid_story(), *void_story()], batch=4)
    first = stored_books(harness)
    with database.read(tenants=["aurora"]) as connection:
        log = connection.execute(
            text(
                "SELECT body.bytes, fact.source_event FROM fact JOIN body ON body.tenant_id = fact.tenant_id"
                " AND body.digest = fact.body_digest WHERE fact.tenant_id = 'aurora' ORDER BY fact.position, fact.ordinal"
            )
        ).all()
    test_server.empty(database_name)  # type: ignore[attr-defined]
    again = Harness(database=database, folder=tmp_path / "again")
    again.apply()
    feed(again, [(bytes(row[0]), "@" in row[1]) for row in log], batch=50)
    assert stored_books(again) == first
    again.close()
