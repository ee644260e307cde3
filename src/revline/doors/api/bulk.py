"""Acts on many records over the API: preview one, start it, see how far it is, stop it. The same services as every door."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Annotated, Any, Final

import msgspec
from litestar import Request, Response, get, post
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter

from revline.core.problem import Problem
from revline.doors import bulk
from revline.doors.api.acts import ACT, OPERATION, STORABLE, VALUE_LENGTH_MAX, ReasonText
from revline.doors.api.desk import Desk
from revline.doors.api.guards import PERMISSION, principal_of
from revline.doors.api.ports import Threads
from revline.doors.services import Services
from revline.platform.access.roles import Permission, Principal
from revline.platform.bulk import queries
from revline.platform.bulk.values import SUBJECTS_MAX, Outcome

RESOLVE: Final[dict[str, Any]] = {"opt": {PERMISSION: Permission.RESOLVE}}
READ: Final[dict[str, Any]] = {**OPERATION, "opt": {PERMISSION: Permission.READ}}
FilterText = Annotated[str, msgspec.Meta(max_length=VALUE_LENGTH_MAX, pattern=STORABLE)]


class Meant(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which act on which records. kind: retry, resend, reprocess, skip, replay or waive. filter: `retry` knows cause,
    the others behind (what waits for that document), cause, connection, document, entity, kind, problem and state."""

    kind: Annotated[str, msgspec.Meta(min_length=1, max_length=40, pattern=STORABLE)]
    filter: Annotated[dict[FilterText, FilterText], msgspec.Meta(max_length=20)] = {}


class Started(Meant, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """expected: how many records the preview showed; with another count nothing is started."""

    reason: ReasonText
    expected: Annotated[int, msgspec.Meta(ge=0, le=SUBJECTS_MAX)] | None = None


class Stopped(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Why."""

    reason: ReasonText


class SecondPerson(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a second person says about a proposed act."""

    apply: bool
    reason: ReasonText


class BulkDesk(Desk):
    """The acts on many records of one process's services."""

    def preview(self, who: Principal, data: Meant) -> Any:
        """What it would touch."""
        refused = bulk.forbidden(data.kind, who.may)
        return refused or self._services.bulk.preview(tenant_id=who.tenant_id, kind=data.kind, given=data.filter)

    def start(self, who: Principal, data: Started) -> Any:
        """Freeze and begin."""
        return bulk.forbidden(data.kind, who.may) or self._services.bulk.start(
            tenant_id=who.tenant_id,
            kind=data.kind,
            given=data.filter,
            actor=who.actor,
            reason=data.reason,
            expected=data.expected,
        )

    def show(self, who: Principal, act_id: str) -> Any:
        """One act."""
        return bulk.act_of(self._services, tenant_id=who.tenant_id, act_id=act_id)

    def items(self, who: Principal, act_id: str, outcome: str, after: int, limit: int) -> Any:
        """A page of its records."""
        found = bulk.act_of(self._services, tenant_id=who.tenant_id, act_id=act_id)
        if isinstance(found, Problem):
            return found
        with self._services.database.read(tenants=[who.tenant_id]) as connection:
            page = queries.items(
                connection, tenant_id=who.tenant_id, act_id=act_id, outcome=outcome, after=after, limit=limit
            )
        return {"items": page, "after": page[-1].number if len(page) == limit else None}

    def stop(self, who: Principal, act_id: str, how: str, reason: str) -> Any:
        """Pause, resume, abort, or decide as a second person."""
        return bulk.stop(
            self._services,
            tenant_id=who.tenant_id,
            act_id=act_id,
            how=how,
            actor=who.actor,
            reason=reason,
            may=who.may,
        )


def bulk_handlers(services: Services, threads: Threads) -> Sequence[Any]:
    """The routes of everything above."""
    desk = BulkDesk(services=services, threads=threads)
    return (*_reading(desk), *_starting(desk), *_stopping(desk))


def _reading(desk: BulkDesk) -> Sequence[Any]:
    @get("/acts/{act_id:str}", operation_id="showAct", summary="How far an act on many records is", **READ)
    async def show(request: Request[Any, Any, Any], act_id: FromPath[str]) -> Response[Any]:
        return await desk.read(partial(desk.show, principal_of(request), act_id))

    @get("/acts/{act_id:str}/items", operation_id="listActItems", summary="Its records and their outcomes", **READ)
    async def items(
        request: Request[Any, Any, Any],
        act_id: FromPath[str],
        outcome: FromQuery[Outcome | None] = None,
        after: Annotated[int, QueryParameter(ge=0, le=SUBJECTS_MAX)] = 0,
        limit: Annotated[int, QueryParameter(ge=1, le=1_000)] = 100,
    ) -> Response[Any]:
        chosen = outcome.value if outcome else ""
        return await desk.read(partial(desk.items, principal_of(request), act_id, chosen, after, limit))

    return (show, items)


def _starting(desk: BulkDesk) -> Sequence[Any]:
    @post(
        "/acts/preview",
        operation_id="previewAct",
        summary="What an act on many records would touch",
        status_code=200,
        **OPERATION,
        **RESOLVE,
    )
    async def preview(request: Request[Any, Any, Any], data: JSONBody[Meant]) -> Response[Any]:
        return await desk.read(partial(desk.preview, principal_of(request), data))

    @post("/acts", operation_id="startAct", summary="Freeze the set and begin", **ACT, **RESOLVE)
    async def start(request: Request[Any, Any, Any], data: JSONBody[Started]) -> Response[Any]:
        return await desk.act(request, partial(desk.start, principal_of(request), data))

    return (preview, start)


def _stopping(desk: BulkDesk) -> Sequence[Any]:
    @post(
        "/acts/{act_id:str}/abort",
        operation_id="abortAct",
        summary="Stop it for good between two batches",
        **ACT,
        **RESOLVE,
    )
    async def abort(request: Request[Any, Any, Any], act_id: FromPath[str], data: JSONBody[Stopped]) -> Response[Any]:
        return await desk.act(request, partial(desk.stop, principal_of(request), act_id, "abort", data.reason))

    @post("/acts/{act_id:str}/pause", operation_id="pauseAct", summary="Stop it for now", **ACT, **RESOLVE)
    async def pause(request: Request[Any, Any, Any], act_id: FromPath[str], data: JSONBody[Stopped]) -> Response[Any]:
        return await desk.act(request, partial(desk.stop, principal_of(request), act_id, "pause", data.reason))

    @post("/acts/{act_id:str}/resume", operation_id="resumeAct", summary="Go on with a paused one", **ACT, **RESOLVE)
    async def resume(request: Request[Any, Any, Any], act_id: FromPath[str], data: JSONBody[Stopped]) -> Response[Any]:
        return await desk.act(request, partial(desk.stop, principal_of(request), act_id, "resume", data.reason))

    @post(
        "/acts/{act_id:str}/decision", operation_id="decideAct", summary="Decide as a second person", **ACT, **RESOLVE
    )
    async def decide(
        request: Request[Any, Any, Any], act_id: FromPath[str], data: JSONBody[SecondPerson]
    ) -> Response[Any]:
        how = "start" if data.apply else "refuse"
        return await desk.act(request, partial(desk.stop, principal_of(request), act_id, how, data.reason))

    return (abort, pause, resume, decide)
