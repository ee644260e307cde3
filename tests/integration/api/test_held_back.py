"""Back-pressure at the door: what can't be worked through is refused with when to come again, and nothing accepted is lost."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from litestar.testing import TestClient

from revline.core.problem import CATALOGUE
from revline.doors.api.app import create_app
from revline.doors.api.ports import ApiPorts
from revline.platform.access.roles import Role
from revline.platform.store.engine import Database
from revline.platform.work import queries
from revline.platform.work.pressure import Backlog, BacklogLimits, Pressure, backlogs, sample_backlog
from tests.integration.api.conftest import World, event

LIMITS = BacklogLimits(tenant=5, cell=100, due_age=timedelta(hours=1))


class Seconds:
    """A monotonic clock that is moved."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 2.0
        return self.now


@pytest.fixture
def held_world(ports: ApiPorts, database: Database) -> Iterator[World]:
    """The API with a door that asks for the pressure each time."""
    guarded = replace(ports, held_back=Pressure(database=database, seconds=Seconds()).refused)
    keys = {role: ports.access.issue(tenant_id="alpha", role=role).text for role in Role}
    token = ports.addresses.issue(tenant_id="alpha", connection="stripe-us")
    with TestClient(app=create_app(guarded)) as client:
        yield World(client=client, database=database, keys=keys, webhook_token=token, unready=[])


def count(database: Database, limits: BacklogLimits = LIMITS, *, later: timedelta = timedelta(0)) -> bool:
    with database.control() as connection:
        now = queries.moment(connection)
    return sample_backlog(database, derive="derive", deliver="delivery", limits=limits, now=now + later)


def counted(database: Database) -> dict[str, Backlog]:
    with database.control() as connection:
        return {one.tenant_id: one for one in backlogs(connection)}


def pushed(world: World) -> Any:
    body = {"id": "evt_1", "object": "event", "type": "customer.created", "created": 1_767_225_600, "livemode": False,
            "api_version": "2026-01-28", "data": {"object": {"id": "cus_1", "object": "customer"}}}  # fmt: skip
    return world.push(json.dumps(body).encode())


def test_too_much_waiting_is_answered_with_when_to_come_again(held_world: World, database: Database) -> None:
    for number in range(6):
        assert held_world.send(event(number)).status_code == 200
    assert count(database)
    refused = held_world.send(event(7))
    assert (refused.status_code, refused.json()["code"]) == (429, "intake.held_back")
    assert refused.headers["retry-after"] == "30"
    assert "tenant_backlog_max" in refused.json()["detail"]
    assert CATALOGUE["intake.held_back"].retryable == "yes"
    webhook = pushed(held_world)
    assert (webhook.status_code, webhook.headers["retry-after"]) == (429, "30")
    assert held_world.send(event(1), role=Role.AUDITOR).status_code == 403, "who may not send hears that, and no more"
    facts = held_world.client.get("/v1/facts", headers=held_world.headers(Role.AUDITOR)).json()["items"]
    assert len(facts) == 6, "what was accepted is there"
    assert count(database, later=timedelta(minutes=1))
    held_world.send(event(8))
    assert counted(database)["alpha"].refused >= 2


def test_a_wrong_signature_hears_nothing_of_the_backlog(held_world: World, database: Database) -> None:
    for number in range(6):
        held_world.send(event(number))
    count(database)
    assert held_world.push(b"{}", secret="whsec_wrong").status_code != 429


def test_it_goes_on_by_itself_when_enough_was_worked_through(held_world: World, database: Database) -> None:
    for number in range(6):
        held_world.send(event(number))
    count(database)
    assert held_world.send(event(7)).status_code == 429
    more = BacklogLimits(tenant=7, cell=100)
    count(database, more, later=timedelta(minutes=1))
    assert held_world.send(event(7)).status_code == 429, "six is more than four fifths of seven"
    count(database, BacklogLimits(tenant=8, cell=100), later=timedelta(minutes=2))
    assert held_world.send(event(7)).status_code == 200


def test_one_worker_counts_and_not_more_often_than_it_must(database: Database) -> None:
    assert count(database)
    assert not count(database)
    assert count(database, later=timedelta(seconds=11))


def test_a_count_nobody_renews_holds_nobody_back(held_world: World, database: Database) -> None:
    for number in range(6):
        held_world.send(event(number))
    count(database, later=-timedelta(minutes=20))
    assert held_world.send(event(7)).status_code == 200
