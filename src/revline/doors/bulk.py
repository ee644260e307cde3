"""Acts on many records as every door offers them: who may do which, and when a cause is tried again at once or by an act."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from revline.core.problem import Problem, problem
from revline.delivery.bulk import NAME_RECORD
from revline.delivery.permitted import Act
from revline.doors.document_acts import NAMING_TAKES, TAKES
from revline.doors.services import Services
from revline.platform.access.roles import Permission
from revline.platform.bulk import queries
from revline.platform.bulk.causes import RETRY
from revline.platform.bulk.values import BulkAct
from revline.platform.cases import queries as cases
from revline.platform.cases import service as case_service
from revline.platform.cases.service import Retried

KINDS: Final = (RETRY, *(act.value for act in Act))
WORDS: Final = {
    RETRY: "Try again",
    Act.RESEND.value: "Send again",
    Act.REPROCESS.value: "Derive again",
    Act.SKIP.value: "Set aside",
    Act.REPLAY.value: "Put back",
    Act.WAIVE.value: "Waive",
    NAME_RECORD: "Name its record",
}
May = Callable[[Permission], bool]


class Tried(msgspec.Struct, frozen=True, kw_only=True):
    """A cause of more cases than one page is tried again by an act that workers go through. asked: cases; act_id: the act's."""

    asked: int
    act_id: str


def permission_of(kind: str) -> Permission:
    """What an act takes, on many records as on one."""
    if kind == NAME_RECORD:
        return NAMING_TAKES
    return Permission.RESOLVE if kind == RETRY or kind not in KINDS else TAKES[Act(kind)]


def forbidden(kind: str, may: May) -> Problem | None:
    """Why somebody may not do an act of this kind."""
    wanted = permission_of(kind)
    return None if may(wanted) else problem("access.forbidden", f"{kind[:40]} takes the permission to {wanted}")


def act_of(services: Services, *, tenant_id: str, act_id: str) -> BulkAct | Problem:
    """An act by its id."""
    with services.database.read(tenants=[tenant_id]) as connection:
        found = queries.act(connection, tenant_id=tenant_id, act_id=act_id)
    return found or problem("bulk.unknown", f"there is no act {act_id[:60]!r}")


def stop(
    services: Services, *, tenant_id: str, act_id: str, how: str, actor: str, reason: str, may: May
) -> BulkAct | Problem:
    """how: pause, resume, abort, start or refuse (the last two by a second person)."""
    found = act_of(services, tenant_id=tenant_id, act_id=act_id)
    if isinstance(found, Problem):
        return found
    refused = forbidden(found.kind, may)
    if refused is not None:
        return refused
    if how in {"start", "refuse"}:
        return services.bulk.decide(
            tenant_id=tenant_id, act_id=act_id, apply=how == "start", actor=actor, reason=reason
        )
    ways = {"pause": services.bulk.pause, "resume": services.bulk.resume, "abort": services.bulk.abort}
    return ways[how](tenant_id=tenant_id, act_id=act_id, actor=actor, reason=reason)


def retry_cause(
    services: Services, *, tenant_id: str, cause_id: str, actor: str, reason: str
) -> Retried | Tried | Problem:
    """Try every open case of a cause again: at once where they are one page, by an act where they are more."""
    with services.database.read(tenants=[tenant_id]) as connection:
        found = cases.causes(connection, tenant_id=tenant_id, cause_id=cause_id) if cause_id else ()
    if found and found[0].cases > case_service.RETRY_PAGE:
        act = services.bulk.start(
            tenant_id=tenant_id, kind=RETRY, given={"cause": cause_id}, actor=actor, reason=reason
        )
        return act if isinstance(act, Problem) else Tried(asked=act.records, act_id=act.act_id)
    return case_service.retry(
        services.database,
        handlers=services.retry_handlers,
        tenant_id=tenant_id,
        actor=actor,
        reason=reason,
        cause_id=cause_id,
    )
