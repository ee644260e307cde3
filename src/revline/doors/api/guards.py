"""Who a request is from and whether it may: every route names the permission it takes, and one that names none answers nobody."""

from __future__ import annotations

from functools import partial
from typing import Any, Final

from litestar import Request
from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler
from litestar.types import Guard

from revline.core.problem import Problem, ProblemError, problem
from revline.doors.api.ports import ApiPorts, Threads
from revline.platform.access.roles import Permission, Principal

PERMISSION: Final = "permission"
PUBLIC: Final = "public"
PRINCIPAL: Final = "revline_principal"


def make_guard(*, ports: ApiPorts, threads: Threads) -> Guard:
    """The guard of all routes under /v1. It raises `access.key_unknown`, `access.tenant_closed` or `access.forbidden`."""

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
        who = await threads.run(partial(principal, connection.headers.get("authorization")))
        if not isinstance(wanted, Permission) or not who.may(wanted):
            raise ProblemError(problem("access.forbidden", f"a key of the role {who.role.value} may not do this"))
        connection.state[PRINCIPAL] = who

    return guard


def principal_of(request: Request[Any, Any, Any]) -> Principal:
    """Whom the guard let in."""
    found = request.state[PRINCIPAL]
    assert isinstance(found, Principal)
    return found
