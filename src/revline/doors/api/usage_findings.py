"""Shadow rating over the API: totals by cause beside the list of findings."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Annotated, Any

from litestar import Request, Response, get
from litestar.params import QueryParameter

from revline.core.problem import Problem
from revline.doors import usage_shadow as shared
from revline.doors.api.acts import OPERATION, VALUE_LENGTH_MAX
from revline.doors.api.desk import Desk
from revline.doors.api.guards import PERMISSION, principal_of
from revline.doors.api.ports import Threads
from revline.doors.services import Services
from revline.platform.access.roles import Permission, Principal

TextParameter = Annotated[str, QueryParameter(max_length=VALUE_LENGTH_MAX)]
DayParameter = Annotated[str, QueryParameter(max_length=40)]


class FindingRoutes(Desk):
    """The routes with what they need."""

    def totals(self, who: Principal, **asked: Any) -> list[dict[str, Any]] | Problem:
        """Findings by connection, currency, cause and direction."""
        wanted = shared.filter_of(**asked)
        if isinstance(wanted, Problem):
            return wanted
        found = shared.totals(self._services, tenant_id=who.tenant_id, wanted=wanted)
        return [shared.plain_total(one) for one in found]


def usage_finding_routes(services: Services, threads: Threads) -> Sequence[Any]:
    """Every route of findings but the list."""
    routes = FindingRoutes(services=services, threads=threads)
    read: dict[str, Any] = {**OPERATION, "opt": {PERMISSION: Permission.READ}}

    @get(
        "/usage-findings/totals",
        operation_id="usageFindingTotals",
        summary="What billing's invoices of metered use differ by, by cause",
        **read,
    )
    async def usage_finding_totals(
        request: Request[Any, Any, Any],
        connection: TextParameter = "",
        customer: TextParameter = "",
        cause: TextParameter = "",
        direction: TextParameter = "",
        since: DayParameter = "",
        until: DayParameter = "",
    ) -> Response[Any]:
        asked = partial(
            routes.totals,
            principal_of(request),
            connection=connection,
            customer=customer,
            cause=cause,
            direction=direction,
            since=since,
            until=until,
        )
        return await routes.read(asked)

    return (usage_finding_totals,)
