"""Capacity pools over the API: a key sees its tenant's connections and its own part, and changes pools nobody else shares."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from functools import partial
from typing import Annotated, Any

import msgspec
from litestar import Request, Response, get, post
from litestar.params import FromPath, JSONBody

from revline.core.hashing import plain
from revline.core.problem import Problem, ProblemError, problem
from revline.doors import pools as shared
from revline.doors.api.acts import OPERATION, STORABLE, Reason, ReasonText
from revline.doors.api.guards import PERMISSION, principal_of
from revline.doors.api.ports import Threads
from revline.doors.services import Services
from revline.platform.access.roles import Permission, Principal
from revline.platform.work import pool_acts
from revline.platform.work.budgets import Budget

Slots = Annotated[int, msgspec.Meta(ge=1, le=pool_acts.SLOTS_MAX)]
Burst = Annotated[int, msgspec.Meta(ge=1, le=pool_acts.RATE_MAX)]


class PoolLimitsWanted(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Limits in place of the manifest's; what is left out is the manifest's again. per_second: a decimal string."""

    reason: ReasonText
    slots: Slots | None = None
    per_second: Annotated[str, msgspec.Meta(pattern=r"^[0-9]{1,7}(\.[0-9]{1,6})?$")] | None = None
    burst: Burst | None = None


class BudgetWanted(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The budget of a kind group, or "close". share_percent 0 and slots_max null end it."""

    reason: ReasonText
    kind_group: Annotated[str, msgspec.Meta(min_length=1, max_length=40, pattern=STORABLE)]
    share_percent: Annotated[int, msgspec.Meta(ge=0, le=100)] = 0
    slots_max: Slots | None = None


class PoolRoutes:
    """The routes with what they need."""

    def __init__(self, *, services: Services, threads: Threads) -> None:
        self._services, self._threads = services, threads

    async def run(self, work: Callable[[], Any]) -> Response[Any]:
        """The answer of a piece of work as JSON, or its problem."""
        answer = await self._threads.run(work)
        if isinstance(answer, Problem):
            raise ProblemError(answer)
        return Response(plain(answer))

    def every(self, who: Principal) -> dict[str, Any]:
        """The pools of the tenant's connections."""
        found = shared.of_tenant(self._services, tenant_id=who.tenant_id)
        return {"items": [shared.plain_pool(shown, named) for named, shown in found]}

    def one(self, who: Principal, connection: str) -> dict[str, Any] | Problem:
        """The pool of one connection."""
        for named, shown in shared.of_tenant(self._services, tenant_id=who.tenant_id):
            if named.connection == connection:
                return shared.plain_pool(shown, named)
        return problem("pool.unknown", f"no connection {connection[:60]!r} has called out yet")

    def act(
        self, who: Principal, connection: str, work: Callable[..., Problem | None], reason: str, values: dict[str, Any]
    ) -> dict[str, Any] | Problem:
        """One act on the pool of a connection."""
        named = shared.changeable(self._services, tenant_id=who.tenant_id, connection=connection, runs_everything=False)
        if isinstance(named, Problem):
            return named
        answer = shared.act_on(self._services, named.pool_id, work, actor=who.actor, reason=reason, **values)
        return answer if isinstance(answer, Problem) else shared.plain_pool(answer, named)


def pool_handlers(services: Services, threads: Threads) -> Sequence[Any]:
    """Every route of pools."""
    routes = PoolRoutes(services=services, threads=threads)
    return (*_reading(routes), *_acting(routes))


def _reading(routes: PoolRoutes) -> Sequence[Any]:
    read: dict[str, Any] = {**OPERATION, "opt": {PERMISSION: Permission.READ}}

    @get("/pools", operation_id="listPools", summary="Capacity of the tenant's connections", **read)
    async def list_pools(request: Request[Any, Any, Any]) -> Response[Any]:
        return await routes.run(partial(routes.every, principal_of(request)))

    @get("/pools/{connection:str}", operation_id="showPool", summary="Capacity of one connection", **read)
    async def show_pool(request: Request[Any, Any, Any], connection: FromPath[str]) -> Response[Any]:
        return await routes.run(partial(routes.one, principal_of(request), connection))

    return (list_pools, show_pool)


def _acting(routes: PoolRoutes) -> Sequence[Any]:
    operate: dict[str, Any] = {**OPERATION, "opt": {PERMISSION: Permission.OPERATE}, "status_code": 200}

    async def acted(
        request: Request[Any, Any, Any],
        connection: str,
        work: Callable[..., Problem | None],
        reason: str,
        **values: Any,
    ) -> Response[Any]:
        return await routes.run(partial(routes.act, principal_of(request), connection, work, reason, values))

    @post("/pools/{connection:str}/block", operation_id="blockPool", summary="Begin no call any more", **operate)
    async def block_pool(
        request: Request[Any, Any, Any], connection: FromPath[str], data: JSONBody[Reason]
    ) -> Response[Any]:
        return await acted(request, connection, pool_acts.block, data.reason, blocked=True)

    @post("/pools/{connection:str}/unblock", operation_id="unblockPool", summary="Let it call again", **operate)
    async def unblock_pool(
        request: Request[Any, Any, Any], connection: FromPath[str], data: JSONBody[Reason]
    ) -> Response[Any]:
        return await acted(request, connection, pool_acts.block, data.reason, blocked=False)

    @post("/pools/{connection:str}/limits", operation_id="setPoolLimits", summary="Put other limits", **operate)
    async def set_limits(
        request: Request[Any, Any, Any], connection: FromPath[str], data: JSONBody[PoolLimitsWanted]
    ) -> Response[Any]:
        values = {
            "slots": data.slots,
            "per_second": Decimal(data.per_second) if data.per_second else None,
            "burst": data.burst,
        }
        return await acted(request, connection, pool_acts.set_limits, data.reason, **values)

    @post("/pools/{connection:str}/budget", operation_id="setPoolBudget", summary="Share its slots", **operate)
    async def set_budget(
        request: Request[Any, Any, Any], connection: FromPath[str], data: JSONBody[BudgetWanted]
    ) -> Response[Any]:
        made = Budget(
            tenant_id="", kind_group=data.kind_group, share_percent=data.share_percent, slots_max=data.slots_max
        )
        return await acted(
            request, connection, pool_acts.set_budget, data.reason, budget=made, kind_groups=shared.GROUPS
        )

    return (block_pool, unblock_pool, set_limits, set_budget)
