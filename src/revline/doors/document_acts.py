"""The acts of a person on one document, as every door offers them: what each takes, one function, an answer as plain JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from revline.core.hashing import plain
from revline.core.problem import Problem
from revline.delivery import acts
from revline.delivery.bulk import NAME_RECORD, naming_filter
from revline.delivery.naming import Intent, NamedRecord, Read
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


NAMING_TAKES: Final = Permission.WAIVE
"""What naming the record that a document already is takes: it decides what is in the books."""
DECIDED_ALONE: Final = frozenset({Act.RESEND, Act.REPROCESS, Act.REPLAY})
"""Acts on one document that take no second person, whatever it is worth: they give up no effect and no order."""


class Proposed(msgspec.Struct, frozen=True, kw_only=True):
    """One document is worth more than its tenant lets a person decide alone: somebody else starts or refuses the act of this id."""

    document_id: str
    act_id: str
    state: str = "proposed"


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """An act asked for. known_absent: with resend, somebody searched the far system and it is not there. at_end: with replay."""

    act: Act
    document_id: str
    actor: str
    reason: str
    known_absent: bool = False
    at_end: bool = False


def act_on_document(services: Services, *, tenant_id: str, wanted: Wanted) -> Mapping[str, Any] | Proposed | Problem:
    """Do it; gives the document's id and state, that it is proposed to a second person, or why not."""
    shared: dict[str, Any] = {
        "tenant_id": tenant_id,
        "document_id": wanted.document_id,
        "actor": wanted.actor,
        "reason": wanted.reason,
        "recorded_at": services.clock.now(),
    }
    database = services.database
    if wanted.act not in DECIDED_ALONE:
        given = {"document": wanted.document_id}
        proposed = _proposed(services, tenant_id, wanted.act.value, given, wanted.actor, wanted.reason)
        if proposed is not None:
            return proposed
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


def name_record(
    services: Services, *, tenant_id: str, document_id: str, record: NamedRecord, actor: str, reason: str
) -> Mapping[str, Any] | Proposed | Problem:
    """Say which record of the far system a document is: it is read and compared there, unless a person's word must do.

    A difference is a problem that names the fields. Gives the document's id and state with the record, or that it is proposed.
    """
    found = services.naming.look(tenant_id=tenant_id, document_id=document_id, record=record)
    if isinstance(found, Read | Intent):
        given = naming_filter(document_id=document_id, record=record)
        proposed = _proposed(services, tenant_id, NAME_RECORD, given, actor, reason)
        if proposed is not None:
            return proposed
        found = services.naming.take(
            tenant_id=tenant_id, document_id=document_id, looked=found, actor=actor, reason=reason
        )
    return found if isinstance(found, Problem) else plain(found)


def _proposed(
    services: Services, tenant_id: str, kind: str, given: Mapping[str, str], actor: str, reason: str
) -> Proposed | Problem | None:
    """Above the tenant's threshold an act on one document is one on many with a set of one; None: it is decided alone."""
    shown = services.bulk.preview(tenant_id=tenant_id, kind=kind, given=given)
    if isinstance(shown, Problem) or not shown.second_person:
        return None
    act = services.bulk.start(
        tenant_id=tenant_id, kind=kind, given=given, actor=actor, reason=reason, expected=shown.records
    )
    return act if isinstance(act, Problem) else Proposed(document_id=given["document"], act_id=act.act_id)
