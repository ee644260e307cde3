"""The console put together: routes of every page, log-in, static files, and the switch between console and API in one server."""

from __future__ import annotations

import time
from collections.abc import Mapping
from functools import partial
from typing import Any, Final

from litestar import Litestar, Request, Response, get, post
from litestar.enums import ScopeType
from litestar.exceptions import HTTPException
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath
from litestar.types import ASGIApp, HTTPScope, Message, Receive, Scope, Send

from revline.core.ids import uuid7
from revline.core.problem import Mender, ProblemError, Retryable, define, problem
from revline.doors.api.ports import Threads
from revline.doors.api.problems import CORRELATION
from revline.doors.console.assets import PREFIX
from revline.doors.console.frame import Asked, ConsolePorts, Frame
from revline.doors.console.security import STATIC_HEADERS, TENANT, from_elsewhere
from revline.doors.console.signing_in import SigningIn, is_forged
from revline.doors.console.values import Page, query_text
from revline.platform.access.sessions import Session
from revline.platform.logs import correlated, log
from revline.platform.store.engine import is_transient
from revline.platform.store.failures import DatabaseFailure, problem_of

FORM_BYTES_MAX: Final = 4 * 1024 * 1024
FORM_PARTS_MAX: Final = 2_000
LOG_INS_AT_ONCE: Final = 2
"""A password is slow to check on purpose; guessing must not keep pages from those who are in."""
API_PATHS: Final = ("/v1", "/livez", "/readyz")


class Console:
    """The ASGI application: gives each request its correlation id, logs route, status and time, never a path, query or form."""

    def __init__(self, *, litestar: Litestar, ports: ConsolePorts) -> None:
        self.litestar = litestar
        self._ports = ports
        self._inner: ASGIApp = litestar

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != ScopeType.HTTP:
            await self._inner(scope, receive, send)
            return
        identity = str(uuid7(now=self._ports.services.clock.now(), random_bytes=self._ports.random_bytes))
        http: HTTPScope = scope
        http["state"] = {**(http.get("state") or {}), CORRELATION: identity}
        started, status = time.monotonic(), 0

        async def answering(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", []), (b"x-correlation-id", identity.encode())]
            await send(message)

        with correlated(correlation_id=identity):
            await self._inner(scope, receive, answering)
            log().info(
                "console.answered",
                route=str(http.get("path_template") or ""),
                method=http["method"],
                status=status,
                duration_milliseconds=int((time.monotonic() - started) * 1000),
            )


class Site:
    """One server for both doors: what the API owns goes to it, all else to the console."""

    def __init__(self, *, api: ASGIApp, console: ASGIApp) -> None:
        self._api = api
        self._console = console

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        path = scope.get("path", "")
        owned = any(path == one or path.startswith(f"{one}/") for one in API_PATHS)
        await (self._api if owned else self._console)(scope, receive, send)


class Routes:
    """Handlers over one frame: the part that reads requests."""

    def __init__(self, frame: Frame) -> None:
        self.frame = frame
        self.signing_in = SigningIn(frame)
        self.threads = Threads(frame.ports.threads)
        self.log_in_threads = Threads(LOG_INS_AT_ONCE)

    async def asked(self, request: Request[Any, Any, Any]) -> Asked:
        """The request's parts, its form within bounds."""
        form: Mapping[str, tuple[str, ...]] = {}
        if request.method == "POST":
            data = await request.form()
            found: dict[str, tuple[str, ...]] = {}
            for name, value in list(data.multi_items())[:FORM_PARTS_MAX]:
                if isinstance(value, str):
                    found[name] = (*found.get(name, ()), value)
            form = found
        return Asked.of(request, form)

    async def page(self, request: Request[Any, Any, Any], page: Page) -> Response[Any]:
        """Answers one page."""
        asked = await self.asked(request)
        return await self.threads.run(partial(self._page, request, page, asked))

    def _page(self, request: Request[Any, Any, Any], page: Page, asked: Asked) -> Response[Any]:
        session = self.signing_in.session(asked.cookies)
        if session is None:
            return self.log_in_first(asked, page.method)
        if page.method == "POST" and is_forged(request, asked, session):
            return self.frame.problem(problem("console.form_forged", "the form did not bring its token"), asked)
        visit = None
        try:
            visit = self.frame.visit(page=page, asked=asked, session=session)
            return self.frame.respond(visit, page.answer(visit), asked)
        except ProblemError as error:
            seen = visit or self.frame.lost(page=page, session=session)
            return self.frame.problem(error.problem, asked, visit=seen)
        except DatabaseFailure as error:
            if not is_transient(error):
                log().error("console.failed", exc_info=error)
            return self.frame.problem(problem_of(error), asked, visit=visit)

    def log_in_first(self, asked: Asked, method: str) -> Response[Any]:
        """To the log-in page, and from there back to what was asked for."""
        back = asked.path + query_text(asked.query) if method == "GET" and asked.path != "/" else ""
        to = f"/login{query_text({'return_to': back})}"
        # A part of a page can't show the log-in page; the browser is told to go there as a whole.
        headers = {**self.frame.headers, **({"hx-redirect": to} if asked.partial else {"location": to})}
        return Response(b"", status_code=200 if asked.partial else 303, headers=headers)

    async def start(self, request: Request[Any, Any, Any]) -> Response[Any]:
        """The start: the first tenant's overview, or the page that says that there is none yet."""
        asked = await self.asked(request)

        def go() -> Response[Any]:
            session = self.signing_in.session(asked.cookies)
            if session is None:
                return self.log_in_first(asked, "GET")
            tenants = self.frame.tenants(session.person)
            if not tenants:
                return self.frame.page("nothing.html", "Nothing to see yet", {"session": session, "visit": None}, asked)
            last = asked.cookies.get(self.frame.cookies.name(TENANT), "")
            chosen = last if last in tenants else tenants[0]
            headers = {**self.frame.headers, "location": self.frame.url("overview", tenant=chosen)}
            return Response(b"", status_code=303, headers=headers)

        return await self.threads.run(go)

    async def log_out(self, request: Request[Any, Any, Any]) -> Response[Any]:
        """Ends a session."""
        asked = await self.asked(request)

        def go() -> Response[Any]:
            session: Session | None = self.signing_in.session(asked.cookies)
            if session is None:
                return self.log_in_first(asked, "POST")
            if is_forged(request, asked, session):
                return self.frame.problem(problem("console.form_forged", "the form did not bring its token"), asked)
            return self.signing_in.log_out(asked, session)

        return await self.threads.run(go)

    def of_problem(self, request: Request[Any, Any, Any], error: ProblemError) -> Response[Any]:
        """A problem outside a page."""
        return self.frame.problem(error.problem, Asked.of(request, {}))

    def of_http(self, request: Request[Any, Any, Any], error: HTTPException) -> Response[Any]:
        """What the framework refused."""
        code = {404: "console.not_found", 405: "console.not_found", 413: "http.body_too_large"}.get(error.status_code)
        if code is None:
            return self.of_unexpected(request, error)
        return self.of_problem(request, ProblemError(problem(code, "there is no such page, or it is not yours to see")))

    def of_unexpected(self, request: Request[Any, Any, Any], error: Exception) -> Response[Any]:
        """A failure nobody foresaw: logged by type and place, shown without a word of it."""
        log().error("console.failed", exc_info=error)
        found = problem("internal.unexpected", "the page could not be made; give the operator the correlation id")
        return self.frame.problem(found, Asked.of(request, {}))


def create_console(ports: ConsolePorts) -> Console:
    """The console over its ports."""
    routes = Routes(Frame(ports))
    litestar = Litestar(
        route_handlers=[*_entrance(routes), *(_page_handler(routes, page) for page in ports.pages)],
        exception_handlers={
            ProblemError: routes.of_problem,
            HTTPException: routes.of_http,
            Exception: routes.of_unexpected,
        },
        request_max_body_size=FORM_BYTES_MAX,
        openapi_config=None,
        logging_config=None,
        debug=False,
    )
    return Console(litestar=litestar, ports=ports)


def _page_handler(routes: Routes, page: Page) -> HTTPRouteHandler:
    async def handle(request: Request[Any, Any, Any]) -> Response[Any]:
        return await routes.page(request, page)

    make = get if page.method == "GET" else partial(post, status_code=200)
    return make(page.full_path, name=f"{page.method} {page.name}", include_in_schema=False)(handle)


def _entrance(routes: Routes) -> list[Any]:
    signing_in, threads, assets = routes.signing_in, routes.threads, routes.frame.assets

    @get("/", include_in_schema=False)
    async def start(request: Request[Any, Any, Any]) -> Response[Any]:
        return await routes.start(request)

    @get("/login", include_in_schema=False)
    async def form(request: Request[Any, Any, Any]) -> Response[Any]:
        return await threads.run(partial(signing_in.form, Asked.of(request, {})))

    @post("/login", status_code=200, include_in_schema=False)
    async def log_in(request: Request[Any, Any, Any]) -> Response[Any]:
        asked = await routes.asked(request)
        elsewhere = from_elsewhere(dict(request.headers.items()))
        address = request.client.host if request.client else ""
        return await routes.log_in_threads.run(partial(signing_in.log_in, asked, elsewhere=elsewhere, address=address))

    @get("/login/provider", include_in_schema=False)
    async def depart(request: Request[Any, Any, Any]) -> Response[Any]:
        return await threads.run(partial(signing_in.depart, Asked.of(request, {})))

    @get("/login/return", include_in_schema=False)
    async def arrive(request: Request[Any, Any, Any]) -> Response[Any]:
        return await threads.run(partial(signing_in.arrive, Asked.of(request, {})))

    @post("/logout", status_code=200, include_in_schema=False)
    async def log_out(request: Request[Any, Any, Any]) -> Response[Any]:
        return await routes.log_out(request)

    @get(PREFIX + "{name:str}", include_in_schema=False)
    async def static(name: FromPath[str]) -> Response[Any]:
        asset = assets.by_path.get(PREFIX + name)
        if asset is None:
            raise ProblemError(problem("console.not_found", "there is no such file"))
        return Response(asset.body, media_type=asset.media_type, headers=STATIC_HEADERS)

    @get("/favicon.ico", include_in_schema=False)
    async def favicon() -> Response[Any]:
        return Response(b"", status_code=303, headers={"location": assets.url("favicon.svg")})

    return [start, form, log_in, depart, arrive, log_out, static, favicon]


define(
    code="console.not_found",
    title="There is no such page",
    status=404,
    retryable=Retryable.NO,
    mender=Mender.SENDER,
    remedy="Check the address, or choose a page in the navigation.",
)

__all__ = ["Console", "ConsolePorts", "Site", "create_console"]
