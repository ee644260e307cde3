"""Capacity pools over the API: a key sees its tenant's connections and its own part, and changes pools nobody else shares."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from decimal import Decimal
from functools import partial
from typing import Annotated, Any

import msgspec
from litestar import Request, Response, get, post
from litestar.params import FromPath, JSONBody

from revline.core.problem import Problem, problem
from revline.delivery.closing import closings
from revline.doors import closing
from revline.doors import pools as shared
from revline.doors.api.acts import ACT, OPERATION, STORABLE, Reason, ReasonText
from revline.doors.api.desk import Desk
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


class ClosingWanted(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A period that is being closed. period: a calendar month. days: for how many from now its documents go first."""

    entity: Annotated[str, msgspec.Meta(min_length=1, max_length=100, pattern=STORABLE)]
    period: Annotated[str, msgspec.Meta(pattern="^[0-9]{4}-[0-9]{2}$")]
    reason: ReasonText
    days: Annotated[int, msgspec.Meta(ge=1, le=92)] = 5


class ClosingEnded(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A period whose documents take their turn again."""

    entity: Annotated[str, msgspec.Meta(min_length=1, max_length=100, pattern=STORABLE)]
    period: Annotated[str, msgspec.Meta(pattern="^[0-9]{4}-[0-9]{2}$")]
    reason: ReasonText


class PoolRoutes(Desk):
    """The routes with what they need."""

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

    def change(
        self,
        who: Principal,
        connection: str,
        work: Callable[..., pool_acts.PoolChange | Problem],
        reason: str,
        values: dict[str, Any],
    ) -> dict[str, Any] | Problem:
        """One act on the pool of a connection."""
        named = shared.changeable(self._services, tenant_id=who.tenant_id, connection=connection, runs_everything=False)
        if isinstance(named, Problem):
            return named
        answer = shared.act_on(
            self._services, named.pool_id, work, actor=who.actor, reason=reason, tenant_id=who.tenant_id, **values
        )
        return answer if isinstance(answer, Problem) else shared.plain_pool(answer, named)

    def closings(self, who: Principal) -> dict[str, Any]:
        """What goes first, and did."""
        services = self._services
        with services.database.read(tenants=[who.tenant_id]) as connection:
            found = closings(connection, tenant_id=who.tenant_id)
        return {"items": [closing.plain_closing(one, services.clock.now()) for one in found]}

    def begin(self, who: Principal, data: ClosingWanted) -> dict[str, Any] | Problem:
        """Let the documents of a period go first."""
        now = self._services.clock.now()
        answer = closing.begin(
            self._services,
            tenant_id=who.tenant_id,
            entity=data.entity,
            period=data.period,
            until=now + timedelta(days=data.days),
            actor=who.actor,
            reason=data.reason,
        )
        return answer if isinstance(answer, Problem) else closing.plain_closing(answer, now)

    def end(self, who: Principal, data: ClosingEnded) -> dict[str, Any] | Problem:
        """Let them take their turn again."""
        answer = closing.end(
            self._services,
            tenant_id=who.tenant_id,
            entity=data.entity,
            period=data.period,
            actor=who.actor,
            reason=data.reason,
        )
        return answer if isinstance(answer, Problem) else closing.plain_closing(answer, self._services.clock.now())


def pool_handlers(services: Services, threads: Threads) -> Sequence[Any]:
    """Every route of pools."""
    routes = PoolRoutes(services=services, threads=threads)
    return (*_reading(routes), *_acting(routes), *_closing(routes))


def _reading(routes: PoolRoutes) -> Sequence[Any]:
    read: dict[str, Any] = {**OPERATION, "opt": {PERMISSION: Permission.READ}}

    @get("/pools", operation_id="listPools", summary="Capacity of the tenant's connections", **read)
    async def list_pools(request: Request[Any, Any, Any]) -> Response[Any]:
        return await routes.read(partial(routes.every, principal_of(request)))

    @get("/pools/{connection:str}", operation_id="showPool", summary="Capacity of one connection", **read)
    async def show_pool(request: Request[Any, Any, Any], connection: FromPath[str]) -> Response[Any]:
        return await routes.read(partial(routes.one, principal_of(request), connection))

    return (list_pools, show_pool)


def _acting(routes: PoolRoutes) -> Sequence[Any]:
    operate: dict[str, Any] = {**ACT, "opt": {PERMISSION: Permission.OPERATE}}

    async def acted(
        request: Request[Any, Any, Any],
        connection: str,
        work: Callable[..., pool_acts.PoolChange | Problem],
        reason: str,
        **values: Any,
    ) -> Response[Any]:
        return await routes.act(
            request, partial(routes.change, principal_of(request), connection, work, reason, values)
        )

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


def _closing(routes: PoolRoutes) -> Sequence[Any]:
    read: dict[str, Any] = {**OPERATION, "opt": {PERMISSION: Permission.READ}}
    operate: dict[str, Any] = {**ACT, "opt": {PERMISSION: Permission.OPERATE}}

    @get("/close-priority", operation_id="listClosePriority", summary="Periods whose documents go first", **read)
    async def list_closings(request: Request[Any, Any, Any]) -> Response[Any]:
        return await routes.read(partial(routes.closings, principal_of(request)))

    @post("/close-priority", operation_id="beginClosePriority", summary="Let a period's documents go first", **operate)
    async def begin(request: Request[Any, Any, Any], data: JSONBody[ClosingWanted]) -> Response[Any]:
        return await routes.act(request, partial(routes.begin, principal_of(request), data))

    @post("/close-priority/end", operation_id="endClosePriority", summary="Let them take their turn again", **operate)
    async def end(request: Request[Any, Any, Any], data: JSONBody[ClosingEnded]) -> Response[Any]:
        return await routes.act(request, partial(routes.end, principal_of(request), data))

    return (list_closings, begin, end)
