"""Meters over the API: how much a customer used so far, what is held, and whose usage a subject is."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from functools import partial
from typing import Annotated, Any

import msgspec
from litestar import Request, Response, get, post
from litestar.params import FromQuery, JSONBody, QueryParameter

from revline.doors import charging
from revline.doors import metering as shared
from revline.doors.api.acts import ACT, OPERATION, STORABLE, VALUE_LENGTH_MAX, Reason
from revline.doors.api.desk import Desk
from revline.doors.api.guards import PERMISSION, principal_of
from revline.doors.api.ports import Threads
from revline.doors.services import Services
from revline.platform.access.roles import Permission

CustomerText = Annotated[str, msgspec.Meta(max_length=2 * VALUE_LENGTH_MAX, pattern=STORABLE)]


class SubjectMapped(Reason, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whose usage a subject's events are. customer: connection/outside id, "" for nobody's. connection: the one their EventType
    names for subjects, "" when it names none. starts_at, ends_at: from and until when; null for always."""

    subject: Annotated[str, msgspec.Meta(min_length=1, max_length=256, pattern=STORABLE)]
    customer: CustomerText = ""
    connection: Annotated[str, msgspec.Meta(max_length=VALUE_LENGTH_MAX, pattern=STORABLE)] = ""
    starts_at: Annotated[datetime, msgspec.Meta(tz=True)] | None = None
    ends_at: Annotated[datetime, msgspec.Meta(tz=True)] | None = None


def meter_handlers(services: Services, threads: Threads) -> Sequence[Any]:
    """Every route of meters."""
    desk = Desk(services=services, threads=threads)
    read: dict[str, Any] = {**OPERATION, "opt": {PERMISSION: Permission.READ}}
    operate: dict[str, Any] = {**ACT, "opt": {PERMISSION: Permission.OPERATE}}

    @get("/usage/balance-of", operation_id="getUsageOfCustomer", summary="How much a customer used so far", **read)
    async def balance_of(
        request: Request[Any, Any, Any],
        customer: Annotated[str, QueryParameter(min_length=1, max_length=2 * VALUE_LENGTH_MAX)],
        since: Annotated[date, QueryParameter(name="from")],
        until: FromQuery[date],
        meter: Annotated[str, QueryParameter(max_length=VALUE_LENGTH_MAX)] = "",
    ) -> Response[Any]:
        window, tenant = charging.window_of(since, until), principal_of(request).tenant_id
        return await desk.read(
            partial(shared.balance_of, services, tenant_id=tenant, customer=customer, window=window, meter=meter)
        )

    @get("/usage/held", operation_id="listHeldUsage", summary="Usage charged to nobody yet", **read)
    async def held(request: Request[Any, Any, Any]) -> Response[Any]:
        return await desk.read(partial(shared.held, services, tenant_id=principal_of(request).tenant_id))

    @post("/usage/subjects", operation_id="mapUsageSubject", summary="Say whose usage a subject is", **operate)
    async def map_subject(request: Request[Any, Any, Any], data: JSONBody[SubjectMapped]) -> Response[Any]:
        who = principal_of(request)
        given = {"tenant_id": who.tenant_id, "actor": who.actor, **msgspec.structs.asdict(data)}
        return await desk.act(request, partial(shared.map_subject, services, **given))

    return (balance_of, held, map_subject)
