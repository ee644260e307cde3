"""Listings of far systems over the API: what the last one found, and asking for another."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any

from litestar import Request, Response, get, post
from litestar.params import FromPath, JSONBody

from revline.doors import enumerating
from revline.doors.api.acts import ACT, OPERATION, Reason
from revline.doors.api.desk import Desk
from revline.doors.api.guards import PERMISSION, principal_of
from revline.doors.api.ports import Threads
from revline.doors.services import Services
from revline.platform.access.roles import Permission


class ListingWanted(Reason, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """since: list what changed at or after this moment; everything when it is left out."""

    since: datetime | None = None


def enumeration_handlers(services: Services, threads: Threads) -> Sequence[Any]:
    """Every route of listings."""

    desk = Desk(services=services, threads=threads)

    def every(tenant_id: str) -> Any:
        found = enumerating.reports(services.database, tenant_id=tenant_id)
        return {"items": [enumerating.plain_report(one) for one in found]}

    read: dict[str, Any] = {**OPERATION, "opt": {PERMISSION: Permission.READ}}
    operate: dict[str, Any] = {**ACT, "opt": {PERMISSION: Permission.OPERATE}}

    @get("/enumerations", operation_id="listEnumerations", summary="What listings of far systems last found", **read)
    async def list_enumerations(request: Request[Any, Any, Any]) -> Response[Any]:
        return await desk.read(partial(every, principal_of(request).tenant_id))

    @post(
        "/enumerations/{connection:str}",
        operation_id="enumerate",
        summary="List again what a far system holds",
        **operate,
    )
    async def enumerate_one(
        request: Request[Any, Any, Any], connection: FromPath[str], data: JSONBody[ListingWanted]
    ) -> Response[Any]:
        who = principal_of(request)
        return await desk.act(
            request,
            partial(
                enumerating.ask,
                services,
                tenant_id=who.tenant_id,
                connection=connection,
                since=_aware(data.since),
                actor=who.actor,
                reason=data.reason,
            ),
        )

    return (list_enumerations, enumerate_one)


def _aware(moment: datetime | None) -> datetime | None:
    """A moment without a zone is one of UTC."""
    return moment if moment is None or moment.tzinfo is not None else moment.replace(tzinfo=UTC)
