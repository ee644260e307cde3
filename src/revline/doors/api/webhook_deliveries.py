"""Outbound messages: POST /v1/webhook-deliveries/{id}/replay. Their list is one of the listings."""

from __future__ import annotations

from functools import partial
from typing import Any

import msgspec
from litestar import Request, Response, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

from revline.core.problem import Problem
from revline.doors.api.desk import ActOperation, Desk
from revline.doors.api.guards import PERMISSION, principal_of
from revline.doors.api.ports import Threads
from revline.doors.services import Services
from revline.platform.access.roles import Permission, Principal


class ReplayAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A message on its way again. id: of the delivery that is sent now. message_id: the webhook-id, which stays the same."""

    id: str
    message_id: str
    state: str


def replay_handler(*, services: Services, threads: Threads) -> HTTPRouteHandler:
    """POST /v1/webhook-deliveries/{id}/replay."""

    desk = Desk(services=services, threads=threads)

    def replay(who: Principal, delivery_id: str) -> ReplayAnswer | Problem:
        found = services.outbound.replay(
            tenant_id=who.tenant_id,
            delivery_id=delivery_id[:60].replace("\0", ""),
            actor=who.actor,
            reason="replayed through the API",
        )
        if isinstance(found, Problem):
            return found
        return ReplayAnswer(id=found.id, message_id=found.message_id, state=str(found.state))

    @post(
        "/webhook-deliveries/{delivery_id:str}/replay",
        opt={PERMISSION: Permission.OPERATE},
        operation_id="replayWebhookDelivery",
        operation_class=ActOperation,
        summary="Replay a webhook delivery",
        description="Send a message again under its own webhook-id, byte for byte; one that stands still is set going.",
        tags=["webhooks"],
        status_code=202,
    )
    async def replay_delivery(request: Request[Any, Any, Any], delivery_id: FromPath[str]) -> Response[ReplayAnswer]:
        work = partial(replay, principal_of(request), delivery_id)
        return await desk.act(request, work, status=202)

    return replay_delivery
