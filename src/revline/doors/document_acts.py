"""The acts of a person on one document, as every door offers them: what each takes, one function, an answer as plain JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from revline.core.hashing import plain
from revline.core.problem import Problem
from revline.delivery import acts
from revline.delivery.permitted import Act
from revline.derive import reprocess
from revline.derive.service import LANE_KIND
from revline.doors.services import Services
from revline.platform.access.roles import Permission

TAKES: Final[Mapping[Act, Permission]] = {
    Act.RESEND: Permission.OPERATE,
    Act.REPROCESS: Permission.OPERATE,
    Act.SKIP: Permission.OPERATE,
    Act.REPLAY: Permission.OPERATE,
    Act.WAIVE: Permission.WAIVE,
}
"""What somebody must be allowed for each act, on one document or on many."""


LINK_TAKES: Final = Permission.RESOLVE
"""What naming the record that a document already is takes: it decides what is in the books."""


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """An act asked for. known_absent: with resend, somebody searched the far system and it is not there. at_end: with replay."""

    act: Act
    document_id: str
    actor: str
    reason: str
    known_absent: bool = False
    at_end: bool = False


def act_on_document(services: Services, *, tenant_id: str, wanted: Wanted) -> Mapping[str, Any] | Problem:
    """Do it; gives the document's id and state, or why not."""
    shared: dict[str, Any] = {
        "tenant_id": tenant_id,
        "document_id": wanted.document_id,
        "actor": wanted.actor,
        "reason": wanted.reason,
        "recorded_at": services.clock.now(),
    }
    database = services.database
    answer: Any
    match wanted.act:
        case Act.RESEND:
            answer = acts.resend(database, known_absent=wanted.known_absent, **shared)
        case Act.SKIP:
            answer = acts.skip(database, **shared)
        case Act.REPLAY:
            answer = acts.replay(database, at_end=wanted.at_end, **shared)
        case Act.WAIVE:
            refused = acts.waive(database, **shared)
            answer = refused or {"document_id": wanted.document_id, "state": "waived"}
        case Act.REPROCESS:
            answer = reprocess.ask_document(database, lane_kind=LANE_KIND, **shared)
    return answer if isinstance(answer, Problem) else plain(answer)


def link_document(
    services: Services,
    *,
    tenant_id: str,
    document_id: str,
    record_kind: str,
    erp_id: str,
    despite_difference: bool,
    actor: str,
    reason: str,
) -> Mapping[str, Any] | Problem:
    """Take the record named as the document's, after it was read and compared; a difference is a problem that names the fields."""
    answer = services.link(
        tenant_id=tenant_id,
        document_id=document_id,
        record_kind=record_kind,
        erp_id=erp_id,
        despite_difference=despite_difference,
        actor=actor,
        reason=reason,
    )
    return answer if isinstance(answer, Problem) else plain(answer)
