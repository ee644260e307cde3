"""What waits behind a case, and naming the record a document is, over the API."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Annotated, Any, Final

import msgspec
from litestar import Request, Response, get, post
from litestar.params import FromPath, JSONBody, QueryParameter

from revline.core.problem import Problem, problem
from revline.delivery import naming
from revline.delivery.values import SUBJECT_KIND as DOCUMENT
from revline.doors.api.acts import OPERATION, STORABLE, Acts, Reason
from revline.doors.api.guards import PERMISSION, principal_of
from revline.doors.api.ports import Threads
from revline.doors.services import Services
from revline.doors.waiting_view import what_waits
from revline.platform.access.roles import Permission, Principal
from revline.platform.cases import queries as cases

PAGE_MAX: Final = 1_000
NameText = Annotated[str, msgspec.Meta(max_length=naming.NAME_LENGTH_MAX, pattern=STORABLE)]


class RecordName(Reason, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The ERP's record that a document is. erp_id: its internal id there. number: what people call it. record_kind: its kind
    there, "" for the kind that such documents have."""

    erp_id: NameText
    number: NameText = ""
    record_kind: NameText = ""


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
        return await desk.run(partial(_behind, services, principal_of(request), case_id, after, limit))

    @post(
        "/deliveries/{document_id:str}/record",
        operation_id="nameRecord",
        summary="Say which of the ERP's records it is",
        status_code=200,
        **{**OPERATION, "opt": {PERMISSION: Permission.WAIVE}},
    )
    async def name_record(
        request: Request[Any, Any, Any], document_id: FromPath[str], data: JSONBody[RecordName]
    ) -> Response[Any]:
        return await desk.run(partial(_name, services, principal_of(request), document_id, data))

    return (behind_case, name_record)


def _behind(services: Services, who: Principal, case_id: str, after: str, limit: int) -> Any:
    with services.database.read(tenants=[who.tenant_id]) as connection:
        case = cases.case(connection, tenant_id=who.tenant_id, case_id=case_id.replace("\0", "\ufffd"))
        if case is None or case.subject_kind != DOCUMENT:
            return problem("case.unknown", "there is no such case of a document")
        page = what_waits(connection, tenant_id=who.tenant_id, document_id=case.subject_id, after=after, limit=limit)
    return {"items": page.items, "total": page.total, "after": page.after or None}


def _name(services: Services, who: Principal, document_id: str, data: RecordName) -> Any:
    refused: Problem | None = naming.name_record(
        services.database,
        tenant_id=who.tenant_id,
        document_id=document_id.replace("\0", "\ufffd"),
        record=naming.NamedRecord(erp_id=data.erp_id, number=data.number, record_kind=data.record_kind),
        actor=who.actor,
        reason=data.reason,
        recorded_at=services.clock.now(),
    )
    return refused or {"document_id": document_id, "state": "waived", "erp_id": data.erp_id}
