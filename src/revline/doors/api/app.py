"""The API put together: routes, guard, limits, problem answers, correlation, OpenAPI 3.1."""

from __future__ import annotations

import time
from typing import Final

from litestar import Litestar, Router
from litestar.enums import ScopeType
from litestar.exceptions import HTTPException
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.types import ASGIApp, HTTPScope, Message, Receive, Scope, Send

from revline.core.ids import uuid7
from revline.core.problem import ProblemError
from revline.doors.api.description import COMPONENTS, KEY_SCHEME
from revline.doors.api.events import EventsRoute, events_handler
from revline.doors.api.guards import PERMISSION, PUBLIC, STANDING, make_guard
from revline.doors.api.health import health_handlers
from revline.doors.api.listings import ListRoute, list_handler
from revline.doors.api.ports import ApiPorts, Threads
from revline.doors.api.problems import CORRELATION, ExceptionAnswers
from revline.doors.api.rates import Standing
from revline.doors.api.webhooks import WebhookRoute, webhook_handler
from revline.platform.logs import correlated, log

OPENAPI_PATH: Final = "/v1/openapi"
FIXED_HEADERS: Final = (
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
)


class Api:
    """The ASGI application: gives each request its correlation id, logs route, status and time, never the path or a body.

    litestar: the framework's application behind it, for its OpenAPI schema.
    """

    def __init__(self, *, litestar: Litestar, ports: ApiPorts) -> None:
        self.litestar = litestar
        self._ports = ports
        self._inner: ASGIApp = litestar

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != ScopeType.HTTP:
            await self._inner(scope, receive, send)
            return
        in_front = self._ports.in_front.get(scope["path"].rstrip("/"))
        if in_front is not None:
            await in_front(scope, receive, send)
            return
        identity = str(uuid7(now=self._ports.clock.now(), random_bytes=self._ports.random_bytes))
        http: HTTPScope = scope
        http["state"] = {**(http.get("state") or {}), CORRELATION: identity}
        started, status = time.monotonic(), 0

        async def answering(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                extra = [(b"x-correlation-id", identity.encode()), *FIXED_HEADERS]
                standing = http["state"].get(STANDING)
                rate = standing.headers if isinstance(standing, Standing) else ()
                message["headers"] = [*message.get("headers", []), *extra, *rate]
            await send(message)

        with correlated(correlation_id=identity):
            await self._inner(scope, receive, answering)
            log().info(
                "api.answered",
                route=str(http.get("path_template") or ""),
                method=http["method"],
                status=status,
                duration_milliseconds=int((time.monotonic() - started) * 1000),
            )


def create_app(ports: ApiPorts) -> Api:
    """The application over its ports."""
    threads = Threads(ports.limits.threads)
    answers = ExceptionAnswers(ports.problem_base)
    routes = Router(
        path="/v1",
        guards=[make_guard(ports=ports, threads=threads)],
        route_handlers=[
            events_handler(EventsRoute(ports=ports, threads=threads)),
            webhook_handler(WebhookRoute(ports=ports, threads=threads)),
            *(
                list_handler(
                    ListRoute(name=name, listing=listing, ports=ports, threads=threads), filters=listing.filters
                )
                for name, listing in sorted(ports.listings.items())
            ),
            *(handler for make in ports.routes for handler in make(threads)),
        ],
    )
    litestar = Litestar(
        route_handlers=[*health_handlers(ports=ports, threads=threads), routes],
        exception_handlers={
            ProblemError: answers.of_problem,
            HTTPException: answers.of_http,
            Exception: answers.of_unexpected,
        },
        request_max_body_size=ports.limits.body_bytes_max,
        openapi_config=OpenAPIConfig(
            title="Revline",
            version="1",
            description="Facts in, documents out. Errors are RFC 9457 problem documents.",
            path=OPENAPI_PATH,
            components=COMPONENTS,
            security=[{KEY_SCHEME: []}],
            render_plugins=[JsonRenderPlugin(path="/openapi.json")],
            use_handler_docstrings=False,
        ),
        opt={PERMISSION: None},
        logging_config=None,
        debug=False,
    )
    return Api(litestar=litestar, ports=ports)


__all__ = ["PUBLIC", "Api", "create_app"]
