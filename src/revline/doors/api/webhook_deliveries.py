"""Outbound messages: POST /v1/webhook-deliveries/{id}/replay. Their list is one of the listings."""

from __future__ import annotations

from functools import partial
from typing import Any, Protocol

import msgspec
from litestar import Request, Response, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

from revline.core.problem import Problem, ProblemError
from revline.doors.api.description import ProblemOperation
from revline.doors.api.guards import PERMISSION, principal_of
from revline.doors.api.ports import Threads
from revline.feedback.replaying import Replayed
from revline.platform.access.roles import Permission


class Replay(Protocol):
    """Sends a message again, as an audited act."""

    def __call__(self, *, tenant_id: str, delivery_id: str, actor: str, reason: str) -> Replayed | Problem: ...


class ReplayAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A message on its way again. id: of the delivery that is sent now. message_id: the webhook-id, which stays the same."""

    id: str
    message_id: str
    state: str


def replay_handler(*, replay: Replay, threads: Threads) -> HTTPRouteHandler:
    """POST /v1/webhook-deliveries/{id}/replay."""

    @post(
        "/webhook-deliveries/{delivery_id:str}/replay",
        opt={PERMISSION: Permission.OPERATE},
        operation_id="replayWebhookDelivery",
        operation_class=ProblemOperation,
        summary="Replay a webhook delivery",
        description="Send a message again under its own webhook-id, byte for byte; one that stands still is set going.",
        tags=["webhooks"],
        status_code=202,
    )
    async def replay_delivery(request: Request[Any, Any, Any], delivery_id: FromPath[str]) -> Response[ReplayAnswer]:
        who = principal_of(request)
        work = partial(
            replay,
            tenant_id=who.tenant_id,
            delivery_id=delivery_id[:60].replace("\0", ""),
            actor=who.actor,
            reason="replayed through the API",
        )
        found = await threads.run(work)
        if isinstance(found, Problem):
            raise ProblemError(found)
        answer = ReplayAnswer(id=found.id, message_id=found.message_id, state=str(found.state))
        return Response(answer, status_code=202)

    return replay_delivery
