"""POST /v1/webhooks/{connector}/{token}: what a source pushes. Raw bytes are what is proved and kept; 2xx only after commit."""

from __future__ import annotations

from functools import partial
from typing import Any

import msgspec
from litestar import Request, Response, post
from litestar.params import FromPath

from revline.core.problem import ProblemError, problem
from revline.doors.api.description import WebhookOperation
from revline.doors.api.guards import PERMISSION, PUBLIC
from revline.doors.api.ports import ApiPorts, Threads
from revline.intake.values import Channel, Input, Outcome, Verdict, WhenUnreadable


class WebhookAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What became of the push."""

    outcome: Outcome


class WebhookRoute:
    """The route with what it needs."""

    def __init__(self, *, ports: ApiPorts, threads: Threads) -> None:
        self._ports = ports
        self._threads = threads

    async def answer(self, request: Request[Any, Any, Any], connector: str, token: str) -> WebhookAnswer:
        """Reads the raw body, proves it, takes it in."""
        body = await request.body()
        headers = dict(request.headers.items())
        verdict = await self._threads.run(partial(self._take, connector, token, headers, body))
        if verdict.outcome is Outcome.INVALID and verdict.problem is not None:
            raise ProblemError(verdict.problem)
        return WebhookAnswer(outcome=verdict.outcome)

    def _take(self, connector: str, token: str, headers: dict[str, str], body: bytes) -> Verdict:
        """A path that is not there is proved against a decoy, so it costs and answers what a wrong signature does."""
        now = self._ports.clock.now()
        where = self._ports.addresses.resolve(token=token)
        channel = self._ports.channels.channel(tenant_id=where[0], connection=where[1]) if where else None
        known = isinstance(channel, Channel) and channel.connector == connector
        verify = channel.verify if isinstance(channel, Channel) and known else self._ports.decoy
        refused = verify(headers=headers, body=body, now=now)
        if refused is not None or not known or not isinstance(channel, Channel):
            raise ProblemError(
                problem("webhook.signature_invalid", "no such address, or the message could not be proved")
            )
        held_back = self._ports.held_back(channel.tenant_id)
        if held_back is not None:
            raise ProblemError(held_back)
        content_type = headers.get("content-type", "application/json")[:200]
        (verdict,) = self._ports.intake.accept(
            channel=channel,
            inputs=[Input(body=body, content_type=content_type, received_at=now)],
            actor=f"webhook:{channel.connection}",
            reason="pushed by its source",
            when_unreadable=WhenUnreadable.KEEP,
        )
        return verdict


def webhook_handler(route: WebhookRoute) -> Any:
    """The handler of POST /v1/webhooks/{connector}/{token}."""

    @post(
        "/webhooks/{connector:str}/{token:str}",
        status_code=200,
        opt={PERMISSION: PUBLIC},
        operation_id="takeWebhook",
        operation_class=WebhookOperation,
        summary="Take a source's webhook",
        description=(
            "The path is unguessable and belongs to one connection. A wrong path and a wrong signature answer alike. A proved "
            "message answers 200 once it is committed, also when it can't be translated: it is kept and becomes a case."
        ),
        tags=["intake"],
    )
    async def take_webhook(
        request: Request[Any, Any, Any], connector: FromPath[str], token: FromPath[str]
    ) -> Response[WebhookAnswer]:
        return Response(await route.answer(request, connector, token))

    return take_webhook
