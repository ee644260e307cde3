"""Who a request is from and whether it may: every route names the permission it takes, and one that names none answers nobody."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final, TypeVar

from anyio import CapacityLimiter, to_thread
from litestar import Request
from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler

from revline.core.problem import Problem, ProblemError, problem
from revline.doors.api.ports import ApiPorts
from revline.platform.access.roles import Permission, Principal

Answer = TypeVar("Answer")
PERMISSION: Final = "permission"
PUBLIC: Final = "public"
PRINCIPAL: Final = "revline_principal"


class Threads:
    """A bounded pool for database work, so that no request blocks the loop and no burst opens more connections."""

    def __init__(self, size: int) -> None:
        self._limiter = CapacityLimiter(size)

    async def run(self, work: Callable[[], Answer]) -> Answer:
        """Runs `work` in a thread."""
        return await to_thread.run_sync(work, limiter=self._limiter)


class Guard:
    """The guard of all routes."""

    def __init__(self, *, ports: ApiPorts, threads: Threads) -> None:
        self._ports = ports
        self._threads = threads

    async def __call__(self, connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
        """Raises `access.key_unknown`, `access.tenant_closed` or `access.forbidden`."""
        wanted = handler.opt.get(PERMISSION)
        if wanted == PUBLIC:
            return
        principal = await self._threads.run(partial(self._principal, connection.headers.get("authorization")))
        if not isinstance(wanted, Permission) or not principal.may(wanted):
            detail = f"a key of the role {principal.role.value} may not do this"
            raise ProblemError(problem("access.forbidden", detail))
        connection.state[PRINCIPAL] = principal

    def _principal(self, authorization: str | None) -> Principal:
        found = self._ports.access.verify(authorization=authorization)
        if isinstance(found, Problem):
            raise ProblemError(found)
        if not self._ports.tenant_active(found.tenant_id):
            raise ProblemError(problem("access.tenant_closed", "the key's tenant is not active"))
        return found


def principal_of(request: Request[Any, Any, Any]) -> Principal:
    """Whom the guard let in."""
    found = request.state[PRINCIPAL]
    assert isinstance(found, Principal)
    return found
