"""Capacity pools at the doors: a tenant sees and changes its own, and nothing of another's."""

from __future__ import annotations

from functools import partial
from typing import Any

import msgspec
import pytest
from sqlalchemy import text

from revline.core.problem import Problem
from revline.doors import pools as shared
from revline.platform.access.roles import Role
from revline.platform.store import units
from revline.platform.store.chain import verify_chain
from revline.platform.store.units import StoredUnit
from revline.platform.work import pool_acts
from revline.platform.work.budgets import Budget
from revline.platform.work.pool_audit import OPERATOR, SHARED_REASON, PoolChanged, changes_at, digest_of, pool_units
from tests.integration.crossing.conftest import OURS, THEIRS, Crossing

REASON = {"reason": "the ERP is being upgraded"}


@pytest.fixture
def connection(crossing: Crossing) -> str:
    """A connection of Birch that has called out."""
    items = crossing.call("GET", "/v1/pools", Role.AUDITOR).json()["items"]
    assert items, "a worker has posted a month of documents"
    return str(next(one["connection"] for one in items if one["own"]))


def shown(crossing: Crossing, connection: str) -> dict[str, Any]:
    answer = crossing.call("GET", f"/v1/pools/{connection}", Role.AUDITOR)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def test_an_own_pool_is_blocked_and_freed_with_who_and_why(crossing: Crossing, connection: str) -> None:
    blocked = crossing.call("POST", f"/v1/pools/{connection}/block", Role.OPERATOR, REASON).json()
    assert (blocked["state"], blocked["blocked_by"]["reason"]) == ("blocked", REASON["reason"])
    assert blocked["blocked_by"]["actor"].startswith("key:")
    freed = crossing.call("POST", f"/v1/pools/{connection}/unblock", Role.OPERATOR, REASON).json()
    assert freed["state"] in {"idle", "working"}
    assert [one["action"] for one in freed["changes"][:2]] == ["unblocked", "blocked"]


def test_limits_set_by_an_operator_stand_beside_the_manifests(crossing: Crossing, connection: str) -> None:
    before = shown(crossing, connection)["limits"]["manifest"]
    wanted = {**REASON, "slots": 3, "per_second": "2.5"}
    limits = crossing.call("POST", f"/v1/pools/{connection}/limits", Role.OPERATOR, wanted).json()["limits"]
    assert limits["manifest"] == before
    assert (limits["set"]["slots"], limits["now"]["slots"]) == (3, 3)
    assert limits["now"]["per_second"].rstrip("0") == "2.5"
    cleared = crossing.call("POST", f"/v1/pools/{connection}/limits", Role.OPERATOR, REASON).json()["limits"]
    assert cleared["now"] == before


def test_a_budget_is_set_checked_and_ended(crossing: Crossing, connection: str) -> None:
    path = f"/v1/pools/{connection}/budget"
    wanted = {**REASON, "kind_group": "masters", "share_percent": 20, "slots_max": 2}
    budgets = crossing.call("POST", path, Role.OPERATOR, wanted).json()["budgets"]
    assert {"tenant": "", "kind_group": "masters", "share_percent": 20, "slots_max": 2} in budgets
    assert any(one["kind_group"] == "close" for one in budgets), "the close has one where nobody set it"
    too_much = {**wanted, "kind_group": "journals", "share_percent": 90}
    assert crossing.call("POST", path, Role.OPERATOR, too_much).status_code == 422
    assert crossing.call("POST", path, Role.OPERATOR, {**wanted, "kind_group": "nothing"}).status_code == 422
    ended = crossing.call("POST", path, Role.OPERATOR, {**REASON, "kind_group": "masters"}).json()["budgets"]
    assert [one["kind_group"] for one in ended] == ["close"]


def chained(crossing: Crossing) -> list[tuple[StoredUnit, PoolChanged]]:
    """Changes of pools in Birch's audit chain, newest first; the chain holds."""
    with crossing.world.runtime.database.read(tenants=[OURS]) as connection:
        assert verify_chain(connection, tenant_id=OURS).holds
        found = units.page_of_units(connection, tenant_id=OURS, kind="pool")
        changes = changes_at(connection, tenant_id=OURS, positions=pool_units(found))
    return [(one, changes[one.position]) for one in found]


def test_a_change_of_an_own_pool_is_in_the_tenants_audit_chain_once_for_each_key(
    crossing: Crossing, connection: str
) -> None:
    before, path = len(chained(crossing)), f"/v1/pools/{connection}/limits"
    first = crossing.call("POST", path, Role.OPERATOR, {**REASON, "slots": 3}, once="slots-3").json()
    again = crossing.call("POST", path, Role.OPERATOR, {**REASON, "slots": 3}, once="slots-3").json()
    assert again == first
    assert len(chained(crossing)) == before + 1
    unit, change = chained(crossing)[0]
    assert (unit.actor[:4], unit.reason, change.action, change.detail) == (
        "key:", REASON["reason"], "limits set", "slots 3",
    )  # fmt: skip
    assert change.digest.hex() == first["changes"][0]["digest"]
    assert "limits set (slots 3)" in crossing.visit("GET", f"/t/{OURS}/audit?kind=pool").text
    crossing.call("POST", path, Role.OPERATOR, REASON)


SHARED_POOL = (
    "INSERT INTO capacity_pool (pool_id, slots, bucket_per_second, bucket_burst, bucket_tokens, refilled_at,"
    " breaker_failures, blocked) VALUES ('shared', 8, 10, 20, 20, to_timestamp(0), 0, false)"
)
WORK_FOR_IT = (
    "INSERT INTO tenant_ring (kind, pool_id, tenant_id, kind_group, priority, turn_at, served_at)"
    " VALUES ('delivery', 'shared', :tenant, 'masters', 5, to_timestamp(0), to_timestamp(0))"
)


def test_a_tenant_is_told_of_a_shared_pools_change_and_not_by_whom_or_why(crossing: Crossing) -> None:
    services, pool_id = crossing.world.runtime.services, "shared"
    with services.database.control() as control:
        control.execute(text(SHARED_POOL))
        control.execute(text(WORK_FOR_IT), [{"tenant": OURS}, {"tenant": THEIRS}])
    act = partial(shared.act_on, services, pool_id, actor="person:root", reason="their secret reason")
    blocked = act(pool_acts.block, blocked=True)
    assert not isinstance(blocked, Problem)
    unit, change = chained(crossing)[0]
    assert (unit.actor, unit.reason, change.action, change.detail) == (OPERATOR, SHARED_REASON, "blocked", "")
    assert change.digest == digest_of(pool_id=pool_id, change=blocked.changes[0])
    mine, theirs = (Budget(tenant_id=tenant, kind_group="masters", share_percent=10) for tenant in (OURS, THEIRS))
    assert not isinstance(act(pool_acts.set_budget, budget=mine, kind_groups=shared.GROUPS), Problem)
    told = chained(crossing)
    assert told[0][1].detail.startswith(f"{OURS}, masters: 10 %")
    assert not isinstance(act(pool_acts.set_budget, budget=theirs, kind_groups=shared.GROUPS), Problem)
    assert chained(crossing) == told, "another tenant's budget is none of its business"
    for one in (mine, theirs):
        ended = msgspec.structs.replace(one, share_percent=0)
        act(pool_acts.set_budget, budget=ended, kind_groups=shared.GROUPS)
    act(pool_acts.block, blocked=False)
    page = crossing.visit("GET", f"/t/{OURS}/audit?kind=pool").text
    assert "their secret reason" not in page
    assert "person:root" not in page


def test_a_shared_pool_is_changed_by_nobody_of_one_tenant(
    crossing: Crossing, connection: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = shared.pools_of

    def named(services: Any, *, tenant_id: str) -> Any:
        return {
            name: shared.NamedPool(connection=name, pool_id=one.pool_id, own=False)
            for name, one in real(services, tenant_id=tenant_id).items()
        }

    monkeypatch.setattr(shared, "pools_of", named)
    answer = crossing.call("POST", f"/v1/pools/{connection}/block", Role.OPERATOR, REASON)
    assert (answer.status_code, answer.json()["code"]) == (403, "pool.shared")
    values = {"pool": shown(crossing, connection)["pool_id"], "at": crossing.world.runtime.clock.now()}
    with crossing.world.runtime.database.control() as control:
        control.execute(text("UPDATE capacity_pool SET blocked = true"))
        note = (
            "INSERT INTO capacity_change (pool_id, action, detail, actor, reason, at)"
            " VALUES (:pool, 'blocked', '', 'person:of-another-tenant', 'their secret reason', :at)"
        )
        control.execute(text(note), values)
    page = crossing.visit("GET", f"/t/{OURS}/capacity").text
    assert "Blocked" in page
    assert "their secret reason" not in page
    assert "person:of-another-tenant" not in page
    with crossing.world.runtime.database.control() as control:
        control.execute(text("UPDATE capacity_pool SET blocked = false"))
    part = shown(crossing, connection)
    assert "changes" not in part, "who did what to a shared pool is not a tenant's to see"
    assert "tokens" not in part


def test_nothing_of_another_tenants_queue_is_told(crossing: Crossing, connection: str) -> None:
    """Even where both share a pool: only the own queue is in the answer."""
    pool_id = shown(crossing, connection)["pool_id"]
    database = crossing.world.runtime.database
    move = "UPDATE lane SET pool_id = :pool WHERE tenant_id = :tenant AND kind = 'delivery'"
    with database.control() as control:
        control.execute(text(move), {"pool": pool_id, "tenant": THEIRS})
        whole = shared.pool_acts.show_pools(control, pools=[pool_id], now=crossing.world.runtime.clock.now())
        part = shared.pool_acts.show_pools(
            control, pools=[pool_id], now=crossing.world.runtime.clock.now(), tenant_id=OURS
        )
        control.rollback()
    assert THEIRS in {queue.tenant_id for queue in whole[pool_id].queues}
    assert {queue.tenant_id for queue in part[pool_id].queues} <= {OURS}


def test_the_page_shows_pools_and_its_forms_change_them(crossing: Crossing, connection: str) -> None:
    page = crossing.visit("GET", f"/t/{OURS}/capacity").text
    assert connection in page
    assert THEIRS not in page.replace(f"/t/{THEIRS}", "")
    form = {"form_token": crossing.form_token, "connection": connection, "reason": "maintenance tonight"}
    assert crossing.visit("POST", f"/t/{OURS}/capacity/block", form).status_code == 303
    page = crossing.visit("GET", f"/t/{OURS}/capacity").text
    assert "maintenance tonight" in page
    assert "Blocked" in page
    assert crossing.visit("POST", f"/t/{OURS}/capacity/unblock", form).status_code == 303
    odd = {**form, "slots": "many"}
    assert crossing.visit("POST", f"/t/{OURS}/capacity/limits", odd).status_code == 422
    foreign = {**form, "connection": "no such thing"}
    assert crossing.visit("POST", f"/t/{OURS}/capacity/block", foreign).status_code == 404


def test_a_close_goes_first_by_every_door_and_ends(crossing: Crossing) -> None:
    known = crossing.call("POST", "/v1/close-priority", Role.OPERATOR, {**REASON, "entity": "x", "period": "2026-01"})
    assert (known.status_code, known.json()["code"]) == (422, "closing.invalid")
    entity = known.json()["errors"][0]["instead"].split(", ")[0]
    wanted = {**REASON, "entity": entity, "period": "2026-01"}
    begun = crossing.call("POST", "/v1/close-priority", Role.OPERATOR, {**wanted, "days": 2}).json()
    assert (begun["entity"], begun["period"], begun["goes_first"]) == (entity, "2026-01", True)
    assert crossing.call("GET", "/v1/close-priority", Role.AUDITOR).json()["items"][0]["goes_first"]
    assert "Goes first" in crossing.visit("GET", f"/t/{OURS}/capacity").text
    form = {"form_token": crossing.form_token, "entity": entity, "period": "2026-01", "reason": "January is closed"}
    assert crossing.visit("POST", f"/t/{OURS}/capacity/close-priority/end", form).status_code == 303
    assert crossing.visit("POST", f"/t/{OURS}/capacity/close-priority/end", form).status_code == 404
    assert crossing.call("POST", "/v1/close-priority", Role.AUDITOR, wanted).status_code == 403
    odd = crossing.call("POST", "/v1/close-priority", Role.OPERATOR, {**wanted, "period": "2026-13"})
    assert odd.status_code == 422
    for days in ("0", "93", "999999999"):
        answer = crossing.visit("POST", f"/t/{OURS}/capacity/close-priority", {**form, "days": days})
        assert answer.status_code == 422, "no other number of days is put in the place of a wrong one"
    assert crossing.call("POST", "/v1/close-priority", Role.OPERATOR, {**wanted, "reason": "  "}).status_code == 400
