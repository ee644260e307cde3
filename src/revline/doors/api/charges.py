"""Charges over the API: one line with its steps, the events behind it, its curve and proof, periods, the check, and the acts."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from functools import partial
from typing import Annotated, Any

import msgspec
from litestar import Request, Response, get, post
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter

from revline.doors import charging as shared
from revline.doors.api.acts import ACT, OPERATION, STORABLE, VALUE_LENGTH_MAX, Reason
from revline.doors.api.desk import Desk
from revline.doors.api.guards import PERMISSION, principal_of
from revline.doors.api.ports import Threads
from revline.doors.services import Services
from revline.platform.access.roles import Permission

IdText = Annotated[str, msgspec.Meta(min_length=1, max_length=VALUE_LENGTH_MAX, pattern=STORABLE)]


class BooksClosed(Reason, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The entity whose books take no accruals of usage up to and with a day."""

    entity: IdText
    through: date


class HeldDecided(Reason, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What becomes of late usage that is held. revision: the one that was looked at. approve: it counts; false: it never will."""

    revision: int
    approve: bool


def charge_handlers(services: Services, threads: Threads) -> Sequence[Any]:
    """Every route of charges but the list."""
    desk = Desk(services=services, threads=threads)
    return (*_one_line(desk, services), *_of_all(desk, services), *_acts(desk, services))


def _one_line(desk: Desk, services: Services) -> Sequence[Any]:
    read: dict[str, Any] = {**OPERATION, "opt": {PERMISSION: Permission.READ}}

    @get("/usage/charges/{charge:str}", operation_id="getCharge", summary="A charge line with its steps", **read)
    async def one(request: Request[Any, Any, Any], charge: FromPath[str]) -> Response[Any]:
        tenant = principal_of(request).tenant_id
        return await desk.read(partial(shared.charge, services, tenant_id=tenant, charge_id=charge))

    @get("/usage/charges/{charge:str}/events", operation_id="getChargeEvents", summary="The events behind it", **read)
    async def events(
        request: Request[Any, Any, Any],
        charge: FromPath[str],
        revision: Annotated[int, QueryParameter(ge=0)] = 0,
        after: FromQuery[str] = "",
        limit: Annotated[int, QueryParameter(ge=1, le=1000)] = 100,
    ) -> Response[Any]:
        tenant = principal_of(request).tenant_id
        return await desk.read(
            partial(
                shared.events,
                services,
                tenant_id=tenant,
                charge_id=charge,
                revision=revision,
                after=after,
                limit=limit,
            )
        )

    @get(
        "/usage/charges/{charge:str}/changes/{revision:int}",
        operation_id="getChargeChanges",
        summary="The events between a revision and the one before it",
        **read,
    )
    async def changes(request: Request[Any, Any, Any], charge: FromPath[str], revision: FromPath[int]) -> Response[Any]:
        tenant = principal_of(request).tenant_id
        ask = partial(shared.changed_events, services, tenant_id=tenant, charge_id=charge, revision=revision)
        return await desk.read(ask)

    @get("/usage/charges/{charge:str}/curve", operation_id="getChargeCurve", summary="Its quantity by day", **read)
    async def curve(request: Request[Any, Any, Any], charge: FromPath[str]) -> Response[Any]:
        tenant = principal_of(request).tenant_id
        return await desk.read(partial(shared.curve, services, tenant_id=tenant, charge_id=charge))

    @get("/usage/charges/{charge:str}/proof", operation_id="proveCharge", summary="Its query run again", **read)
    async def proof(
        request: Request[Any, Any, Any], charge: FromPath[str], revision: Annotated[int, QueryParameter(ge=0)] = 0
    ) -> Response[Any]:
        tenant = principal_of(request).tenant_id
        return await desk.read(partial(shared.prove, services, tenant_id=tenant, charge_id=charge, revision=revision))

    return (one, events, changes, curve, proof)


def _of_all(desk: Desk, services: Services) -> Sequence[Any]:
    read: dict[str, Any] = {**OPERATION, "opt": {PERMISSION: Permission.READ}}

    @get("/usage/periods", operation_id="listUsagePeriods", summary="Billing periods of usage", **read)
    async def periods(
        request: Request[Any, Any, Any],
        customer: Annotated[str, QueryParameter(max_length=VALUE_LENGTH_MAX)] = "",
        period_state: Annotated[str, QueryParameter(name="state", max_length=10)] = "",
        limit: Annotated[int, QueryParameter(ge=1, le=1000)] = 100,
    ) -> Response[Any]:
        tenant = principal_of(request).tenant_id
        return await desk.read(
            partial(shared.periods, services, tenant_id=tenant, customer=customer, state=period_state, limit=limit)
        )

    @get("/usage/balance", operation_id="getUsageBalance", summary="Whether all usage is accounted for", **read)
    async def balance(
        request: Request[Any, Any, Any],
        start: Annotated[date, QueryParameter(name="from")],
        until: FromQuery[date],
    ) -> Response[Any]:
        tenant = principal_of(request).tenant_id
        window = shared.window_of(start, until)
        return await desk.read(partial(shared.balance, services, tenant_id=tenant, window=window))

    @get("/usage/so-far", operation_id="getUsageSoFar", summary="What a customer used and what it costs so far", **read)
    async def so_far(
        request: Request[Any, Any, Any], customer: Annotated[str, QueryParameter(max_length=VALUE_LENGTH_MAX)]
    ) -> Response[Any]:
        tenant = principal_of(request).tenant_id
        return await desk.read(partial(shared.so_far, services, tenant_id=tenant, customer=customer))

    return (periods, balance, so_far)


def _acts(desk: Desk, services: Services) -> Sequence[Any]:
    operate: dict[str, Any] = {**ACT, "opt": {PERMISSION: Permission.OPERATE}}
    finance: dict[str, Any] = {**ACT, "opt": {PERMISSION: Permission.WAIVE}}

    @post("/usage/rate", operation_id="rateUsage", summary="Compute charges of what changed now", **operate)
    async def rate(request: Request[Any, Any, Any], data: JSONBody[Reason]) -> Response[Any]:
        who = principal_of(request)
        return await desk.act(
            request,
            partial(shared.rate, services, tenant_id=who.tenant_id, actor=who.actor, reason=data.reason),
        )

    @post("/usage/periods/{period:str}/close", operation_id="closeUsagePeriod", summary="Close a period", **finance)
    async def close_period(
        request: Request[Any, Any, Any], period: FromPath[str], data: JSONBody[Reason]
    ) -> Response[Any]:
        who = principal_of(request)
        given = {"tenant_id": who.tenant_id, "actor": who.actor, "reason": data.reason}
        return await desk.act(request, partial(shared.close_period, services, period=period, **given))

    @post("/usage/books/close", operation_id="closeUsageBooks", summary="Take no more accruals of a month", **finance)
    async def close_books(request: Request[Any, Any, Any], data: JSONBody[BooksClosed]) -> Response[Any]:
        who = principal_of(request)
        given = {"tenant_id": who.tenant_id, "actor": who.actor, **msgspec.structs.asdict(data)}
        return await desk.act(request, partial(shared.close_books, services, **given))

    @post("/usage/charges/{charge:str}/decide", operation_id="decideHeldCharge", summary="Decide late usage", **finance)
    async def decide(
        request: Request[Any, Any, Any], charge: FromPath[str], data: JSONBody[HeldDecided]
    ) -> Response[Any]:
        who = principal_of(request)
        given = {"tenant_id": who.tenant_id, "actor": who.actor, **msgspec.structs.asdict(data)}
        return await desk.act(request, partial(shared.decide, services, charge_id=charge, **given))

    return (rate, close_period, close_books, decide)
