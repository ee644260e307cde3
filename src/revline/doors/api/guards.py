"""Who a request is from and whether it may: every route names the permission it takes, and one that names none answers nobody."""

from __future__ import annotations

import time
from functools import partial
from typing import Any, Final

from litestar import Request
from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler
from litestar.types import Guard

from revline.core.problem import Problem, ProblemError, problem
from revline.doors.api.ports import ApiPorts, Threads
from revline.doors.api.rates import Rates
from revline.platform.access.roles import Permission, Principal

PERMISSION: Final = "permission"
PUBLIC: Final = "public"
PRINCIPAL: Final = "revline_principal"
STANDING: Final = "revline_standing"
"""Where the key's rate stands after this call, for the answer's headers."""


def make_guard(*, ports: ApiPorts, threads: Threads) -> Guard:
    """The guard of all routes under /v1. It raises `access.key_unknown`, `access.tenant_closed`, `access.forbidden` or
    `http.too_many_requests`."""
    limits = ports.limits
    rates = Rates(per_second=limits.requests_per_second, burst=limits.requests_burst)

    def principal(authorization: str | None) -> Principal:
        found = ports.access.verify(authorization=authorization)
        if isinstance(found, Problem):
            raise ProblemError(found)
        if not ports.tenant_active(found.tenant_id):
            raise ProblemError(problem("access.tenant_closed", "the key's tenant is not active"))
        return found

    async def guard(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
        wanted = handler.opt.get(PERMISSION)
        if wanted == PUBLIC:
            return
        if any("\0" in str(value) for value in connection.path_params.values()):
            raise ProblemError(problem("http.request_invalid", "a path holds NUL, which no id does"))
        if b"%00" in connection.scope["query_string"] or b"\0" in connection.scope["query_string"]:
            raise ProblemError(problem("http.request_invalid", "a query holds NUL, which no text of the database can"))
        who = await threads.run(partial(principal, connection.headers.get("authorization")))
        standing = rates.take(key=who.key_id, now=time.monotonic())
        connection.state[STANDING] = standing
        if not standing.allowed:
            raise ProblemError(problem("http.too_many_requests", "this key has called more often than it may"))
        if not isinstance(wanted, Permission) or not who.may(wanted):
            raise ProblemError(problem("access.forbidden", f"a key of the role {who.role.value} may not do this"))
        connection.state[PRINCIPAL] = who

    return guard


def principal_of(request: Request[Any, Any, Any]) -> Principal:
    """Whom the guard let in."""
    found = request.state[PRINCIPAL]
    assert isinstance(found, Principal)
    return found
