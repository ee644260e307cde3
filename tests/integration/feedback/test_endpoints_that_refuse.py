"""An endpoint that always says no, in whatever way, becomes a case and delays nothing else."""

from __future__ import annotations

from datetime import timedelta

import pytest

from revline.platform.cases import queries as cases
from tests.integration.feedback.test_way_back import accept, issued, paid
from tests.integration.feedback.world import TENANT, World


def codes(world: World) -> set[str]:
    with world.database.read(tenants=[TENANT]) as connection:
        return {one.code for one in cases.cases(connection, tenant_id=TENANT) if one.subject_kind == "document"}


@pytest.mark.parametrize("status", [429, 500, 503, 408])
def test_an_endpoint_that_always_says_later_is_a_case_that_closes_by_itself(world: World, status: int) -> None:
    world.endpoint.always = status
    accept(world, *issued())
    world.run()
    assert world.write_backs()[-1]["revline_state"] == "posted", "the source hears all the same"
    for _ in range(world.desk.timing.throttles_until_case + 2):
        world.pass_time(timedelta(minutes=5))
        world.run()
    assert codes(world) == {"erp.not_reached"}
    accept(world, *paid())
    world.run()
    assert world.write_backs()[-1]["erp_open"] == "0.00"
    world.endpoint.always = 200
    for _ in range(8):
        world.pass_time(timedelta(minutes=5))
        world.run()
    assert codes(world) == set()
    assert {one.state for one in world.messages()} == {"posted"}


def test_an_endpoint_that_refuses_is_a_case_for_each_message_and_no_loop(world: World) -> None:
    world.endpoint.always = 400
    accept(world, *issued())
    world.run()
    calls = len(world.endpoint.got)
    assert codes(world) == {"webhook.refused"}
    for _ in range(3):
        world.pass_time(timedelta(hours=1))
        world.run()
    assert len(world.endpoint.got) == calls, "a refusal makes no message about itself, and is not tried again"
