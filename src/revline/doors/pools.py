"""Capacity pools at every door: which a tenant may see and change, and what the answers look like.

A pool of one connection is its tenant's own; a pool with a name may be shared, and only who runs the installation changes it.
A tenant sees of it whether it is open, and its own part.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from functools import partial
from typing import Any, Final

import msgspec
from sqlalchemy import Connection as Opened

from revline.core.hashing import plain
from revline.core.problem import FieldError, Problem, problem
from revline.delivery.record import KIND_GROUPS
from revline.doors.services import Services
from revline.platform.config.queries import active
from revline.platform.tenancy.kinds import Connection
from revline.platform.tenancy.queries import active_tenants
from revline.platform.work import pool_acts
from revline.platform.work.budgets import ALL, CLOSE, CLOSE_MAX_PERCENT, CLOSE_SHARE_PERCENT, EACH, Budget
from revline.platform.work.pool_acts import Act, PoolChange, PoolShown
from revline.platform.work.pool_audit import change_pool, digest_of, tenants_of

GROUPS: Final = tuple(KIND_GROUPS.values())


class NamedPool(msgspec.Struct, frozen=True, kw_only=True):
    """The pool of a connection. own: nobody else's connections may belong to it."""

    connection: str
    pool_id: str
    own: bool


def pools_of(services: Services, *, tenant_id: str) -> Mapping[str, NamedPool]:
    """The pools of a tenant's connections, by connection."""
    with services.database.read(tenants=[tenant_id]) as connection:
        found = active(connection, tenant_id=tenant_id, registry=services.registry)
    specs = {} if found is None else {name: one.spec for name, one in sorted(found.all(Connection).items())}
    return {
        name: NamedPool(
            connection=name,
            pool_id=services.pool_of(tenant_id=tenant_id, name=name, pool=spec.pool),
            own=not spec.pool,
        )
        for name, spec in specs.items()
    }


def of_tenant(services: Services, *, tenant_id: str) -> tuple[tuple[NamedPool, PoolShown], ...]:
    """The pools of a tenant's connections that ever called out, with what the tenant has of them; its own ones whole."""
    named = pools_of(services, tenant_id=tenant_id)
    own = {one.pool_id for one in named.values() if one.own}
    shared = {one.pool_id for one in named.values()} - own
    now = services.clock.now()
    with services.database.control() as connection:
        found = {
            **pool_acts.show_pools(connection, pools=own, now=now),
            **pool_acts.show_pools(connection, pools=shared, now=now, tenant_id=tenant_id),
        }
    return tuple((one, found[one.pool_id]) for one in named.values() if one.pool_id in found)


def everywhere(services: Services, *, after: str = "", limit: int = 100) -> Mapping[str, PoolShown]:
    """Every pool of the installation, for who runs it."""
    with services.database.control() as connection:
        pools = pool_acts.pool_ids(connection, after=after, limit=limit)
        return pool_acts.show_pools(connection, pools=pools, now=services.clock.now())


def changeable(services: Services, *, tenant_id: str, connection: str, runs_everything: bool) -> NamedPool | Problem:
    """The pool of a connection that somebody may change: `pool.unknown`, or `pool.shared` when it takes who runs everything."""
    named = pools_of(services, tenant_id=tenant_id).get(connection)
    if named is None:
        return problem("pool.unknown", f"there is no connection {connection[:60]!r}")
    if not named.own and not runs_everything:
        return problem("pool.shared", f"the pool of {connection} may be shared with other tenants")
    return named


def act_on(
    services: Services,
    pool_id: str,
    work: Callable[..., PoolChange | Problem],
    *,
    actor: str,
    reason: str,
    tenant_id: str = "",
    **values: Any,
) -> PoolShown | Problem:
    """Do one act of `pool_acts`, in the audit chain of each tenant it touches; gives the pool as it is then.

    tenant_id: whose connection it was named by, "" where it was named by its id.
    """
    act = Act(actor=actor, reason=reason, at=services.clock.now())
    budget: Budget | None = values.get("budget")
    with services.database.control() as connection:
        refused = _of_nobody(connection, budget)
        if refused is not None:
            return refused
        known = frozenset(active_tenants(connection))
        touched = known & (tenants_of(connection, pool_id=pool_id) | {tenant_id})
        if budget is not None and budget.tenant_id not in {ALL, EACH}:
            touched = known & {budget.tenant_id}
    done = change_pool(
        services.database,
        pool_id=pool_id,
        touched=touched,
        own=len(touched) == 1 and _owns(services, tenant_id=min(touched), pool_id=pool_id),
        act=act,
        work=partial(work, pool_id=pool_id, act=act, **values),
    )
    if isinstance(done, Problem):
        return done
    with services.database.control() as connection:
        return _shown(connection, services, pool_id)


def _owns(services: Services, *, tenant_id: str, pool_id: str) -> bool:
    return any(one.own and one.pool_id == pool_id for one in pools_of(services, tenant_id=tenant_id).values())


def _of_nobody(connection: Opened, budget: Budget | None) -> Problem | None:
    """A budget is given to a tenant there is; one that is left of a tenant that is gone can be ended."""
    if budget is None or budget.tenant_id in {ALL, EACH} or not (budget.share_percent or budget.slots_max is not None):
        return None
    if budget.tenant_id in active_tenants(connection):
        return None
    wrong = FieldError(pointer="tenant", detail="is no tenant", instead="a tenant's id, or * for each")
    return problem("pool.setting_invalid", f"there is no tenant {budget.tenant_id[:40]!r}", errors=(wrong,))


def _shown(connection: Opened, services: Services, pool_id: str) -> PoolShown:
    return pool_acts.show_pools(connection, pools=[pool_id], now=services.clock.now())[pool_id]


def plain_pool(shown: PoolShown, named: NamedPool | None = None) -> dict[str, Any]:
    """A pool as JSON. What is another tenant's is not in it unless the pool is shown whole."""
    state = shown.state
    common = {
        "pool_id": state.pool_id,
        "connection": named.connection if named else "",
        "own": named.own if named else False,
        "state": standing(shown),
        "blocked": state.blocked,
        "breaker_until": state.breaker_until,
        "throttled_until": state.throttled_until,
        "slots": state.slots,
        "in_calls": shown.in_calls,
        "budgets": [_budget(one) for one in shown_budgets(shown)],
        "queues": [{name: getattr(one, name) for name in one.__struct_fields__} for one in shown.queues],
        "counted_all": shown.counted_all,
    }
    if not shown.whole:
        return common
    return {
        **common,
        "slots_in_use": state.in_use,
        "tokens": int(state.tokens),
        "limits": _limits(shown),
        "breaker_failures": state.breaker_failures,
        "throttled": state.throttled,
        "calls": state.calls,
        "blocked_by": shown.blocked_by,
        "changes": [
            {**plain(one), "digest": digest_of(pool_id=state.pool_id, change=one).hex()} for one in shown.changes
        ],
    }


def standing(shown: PoolShown) -> str:
    """How a pool stands, as a word of states."""
    state = shown.state
    if state.blocked:
        return "blocked"
    if state.breaker_until is not None:
        return "broken"
    if not state.open:
        return "throttled"
    return "working" if shown.in_calls else "idle"


def shown_budgets(shown: PoolShown) -> tuple[Budget, ...]:
    """The budgets, with what holds for the close where nobody set one for it."""
    if any((one.tenant_id, one.kind_group) == ("", CLOSE) for one in shown.budgets):
        return shown.budgets
    most = max(1, shown.state.slots * CLOSE_MAX_PERCENT // 100)
    default = Budget(tenant_id="", kind_group=CLOSE, share_percent=CLOSE_SHARE_PERCENT, slots_max=most)
    return (default, *shown.budgets)


def _budget(one: Budget) -> dict[str, Any]:
    return {
        "tenant": one.tenant_id,
        "kind_group": one.kind_group,
        "share_percent": one.share_percent,
        "slots_max": one.slots_max,
    }


def _limits(shown: PoolShown) -> dict[str, dict[str, int | Decimal | None]]:
    """The manifest's, an operator's, and what holds now."""
    state, manifest = shown.state, shown.state.manifest
    return {
        "manifest": {
            "slots": manifest.slots,
            "per_second": manifest.bucket_per_second,
            "burst": manifest.bucket_burst,
        },
        "set": {"slots": state.set_slots, "per_second": state.set_per_second, "burst": state.set_burst},
        "now": {
            "slots": state.slots,
            "per_second": state.set_per_second or manifest.bucket_per_second,
            "burst": state.set_burst or manifest.bucket_burst,
        },
    }
