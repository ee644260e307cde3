"""What waits behind a case, over the API."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Annotated, Any, Final

from litestar import Request, Response, get
from litestar.params import FromPath, QueryParameter

from revline.core.problem import problem
from revline.delivery.values import SUBJECT_KIND as DOCUMENT
from revline.doors.api.acts import OPERATION, STORABLE, Acts
from revline.doors.api.guards import PERMISSION, principal_of
from revline.doors.api.ports import Threads
from revline.doors.services import Services
from revline.doors.waiting_view import what_waits
from revline.platform.access.roles import Permission, Principal
from revline.platform.cases import queries as cases

PAGE_MAX: Final = 1_000


def waiting_routes(services: Services, threads: Threads) -> Sequence[Any]:
    """The routes of what waits."""
    desk = Acts(services=services, threads=threads)
    read: dict[str, Any] = {**OPERATION, "opt": {PERMISSION: Permission.READ}}

    @get("/cases/{case_id:str}/behind", operation_id="listBehindCase", summary="What waits behind a case", **read)
    async def behind_case(
        request: Request[Any, Any, Any],
        case_id: FromPath[str],
        after: Annotated[str, QueryParameter(max_length=100, pattern=STORABLE)] = "",
        limit: Annotated[int, QueryParameter(ge=1, le=PAGE_MAX)] = 100,
    ) -> Response[Any]:
        return await desk.read(partial(_behind, services, principal_of(request), case_id, after, limit))

    return (behind_case,)


def _behind(services: Services, who: Principal, case_id: str, after: str, limit: int) -> Any:
    with services.database.read(tenants=[who.tenant_id]) as connection:
        case = cases.case(connection, tenant_id=who.tenant_id, case_id=case_id.replace("\0", "\ufffd"))
        if case is None or case.subject_kind != DOCUMENT:
            return problem("case.unknown", "there is no such case of a document")
        page = what_waits(connection, tenant_id=who.tenant_id, document_id=case.subject_id, after=after, limit=limit)
    return {"items": page.items, "total": page.total, "after": page.after or None}
