"""A message that says nothing of its own is kept: no fact, no case, and its bytes are there."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from revline.platform.cases import queries as cases
from revline.platform.store.engine import Database
from tests.harness import Harness, Outcome


@pytest.fixture
def harness(database: Database, tmp_path: Path) -> Iterator[Harness]:
    one = Harness(database=database, folder=tmp_path / "configuration")
    one.apply()
    yield one
    one.close()


def test_a_test_clocks_message_is_kept_in_silence(harness: Harness) -> None:
    clock = {"id": "clock_1", "object": "test_helpers.test_clock", "frozen_time": 1_767_300_000, "livemode": False}
    event = {
        "id": "evt_clock", "object": "event", "type": "test_helpers.test_clock.ready", "created": 1_767_300_000,
        "livemode": False, "data": {"object": clock},
    }  # fmt: skip
    body = json.dumps(event).encode()
    (verdict,) = harness.accept("aurora", "stripe-us", [body])
    assert (verdict.outcome, verdict.fact_ids) == (Outcome.ACCEPTED, ())
    with harness.database.read(tenants=["aurora"]) as connection:
        kept = connection.execute(text("SELECT bytes FROM body WHERE tenant_id = 'aurora'")).scalars().all()
        facts = connection.execute(text("SELECT count(*) FROM fact WHERE tenant_id = 'aurora'")).scalar()
        open_cases = cases.cases(connection, tenant_id="aurora")
    assert [bytes(one) for one in kept] == [body]
    assert (facts, list(open_cases)) == (0, [])


def test_a_sandboxs_clock_may_be_set_ahead(harness: Harness) -> None:
    """A renewal that a test clock brought forward by months is taken as it is."""
    ahead = 1_767_300_000 + 300 * 86_400
    subscription = {
        "id": "sub_1", "object": "subscription", "customer": "cus_1", "status": "active", "currency": "usd",
        "created": 1_767_300_000, "livemode": False, "items": {"object": "list", "data": [], "has_more": False},
    }  # fmt: skip
    event = {
        "id": "evt_ahead", "object": "event", "type": "customer.subscription.updated", "created": ahead,
        "livemode": False, "data": {"object": subscription},
    }  # fmt: skip
    (verdict,) = harness.accept("aurora", "stripe-us", [json.dumps(event).encode()])
    assert verdict.outcome is Outcome.ACCEPTED
