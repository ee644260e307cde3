"""What people do about cases and documents, over the API: look at one, try again, waive, send again, mend a copy, trace an id.

The same services as the command line and the console call; every act carries a reason into the audit chain.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Annotated, Any, Final

import msgspec
from litestar import Request, Response, get, post
from litestar.params import FromPath, JSONBody, QueryParameter

from revline.core.problem import Problem, problem
from revline.delivery.naming import KIND_LENGTH_MAX, NAME_LENGTH_MAX, NamedRecord
from revline.delivery.permitted import Act
from revline.doors.api.description import ProblemOperation
from revline.doors.api.desk import ActOperation, Desk
from revline.doors.api.guards import PERMISSION, principal_of
from revline.doors.api.ports import Threads
from revline.doors.bulk import retry_cause
from revline.doors.case_view import case_view
from revline.doors.delivery_view import delivery_view
from revline.doors.document_acts import NAMING_TAKES, TAKES, Wanted, act_on_document, name_record
from revline.doors.services import Services
from revline.doors.tracing import trace_of
from revline.intake.correcting import Correction
from revline.platform.access.roles import Permission, Principal
from revline.platform.cases import queries as cases
from revline.platform.cases import service as case_service

VALUE_LENGTH_MAX: Final = 255
REASON_LENGTH_MAX: Final = 500
STORABLE: Final = r"^[^\x00]*$"
"""No text of the database holds NUL."""
OPERATION: Final[dict[str, Any]] = {"operation_class": ProblemOperation, "tags": ["acts"]}
ACT: Final[dict[str, Any]] = {"operation_class": ActOperation, "tags": ["acts"], "status_code": 200}


SAYS_SOMETHING: Final = r"^[^\x00]*[^\x00\s][^\x00]*$"
"""More than white space."""
ReasonText = Annotated[str, msgspec.Meta(min_length=1, max_length=REASON_LENGTH_MAX, pattern=SAYS_SOMETHING)]
NameText = Annotated[str, msgspec.Meta(max_length=NAME_LENGTH_MAX, pattern=STORABLE)]
KindText = Annotated[str, msgspec.Meta(max_length=KIND_LENGTH_MAX, pattern=STORABLE)]


class Reason(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Why somebody does it; kept in the audit chain."""

    reason: ReasonText


class Resend(Reason, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """known_absent: the caller has searched the far system itself and says that the record is not there. Only then is a document
    whose effect is unknown sent without a look-up; if it is there after all, it will be there twice."""

    known_absent: bool = False


class Replay(Reason, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """at_end: behind all that is on its lane, instead of at its own place."""

    at_end: bool = False


class RecordName(Reason, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The far system's record that a document is. erp_id: its internal id there. record_kind: its kind there, "" for the kind that
    such documents have. It is read there and compared; despite_difference: the caller has seen in what it differs and takes it as
    it is. unread: it can't be looked up, so the caller's word is taken; number is what people call it then."""

    erp_id: NameText
    record_kind: KindText = ""
    number: NameText = ""
    unread: bool = False
    despite_difference: bool = False


class Proposal(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A corrected copy. subject_kind: fact or input. body: what the source should have sent, whole."""

    subject_kind: Annotated[str, msgspec.Meta(pattern="^(fact|input)$")]
    subject_id: Annotated[str, msgspec.Meta(min_length=1, max_length=VALUE_LENGTH_MAX, pattern=STORABLE)]
    body: dict[str, Any]
    reason: ReasonText


class Written(msgspec.Struct, frozen=True, kw_only=True):
    """The copy in the bytes it was sent in: a number read and written again may lose digits, a key that is there twice one of the
    two."""

    body: msgspec.Raw


class Decision(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a second person says about a proposed correction."""

    apply: bool
    reason: ReasonText


class Acts(Desk):
    """The acts of one process's services."""

    def case(self, who: Principal, case_id: str) -> Any:
        """One case with everything a person needs to decide."""
        with self._services.database.read(tenants=[who.tenant_id]) as connection:
            found = case_view(connection, tenant_id=who.tenant_id, case_id=case_id)
        return found or problem("case.unknown", f"there is no case {case_id[:60]!r}")

    def delivery(self, who: Principal, document_id: str) -> Any:
        """One document with its attempts, the evidence of what became of it, and why it was sent as often as it was."""
        with self._services.database.read(tenants=[who.tenant_id]) as connection:
            found = delivery_view(connection, tenant_id=who.tenant_id, document_id=document_id)
        if found is None:
            return problem("document.unknown", f"there is no document {document_id[:60]!r}")
        return found.as_json()

    def causes(self, who: Principal) -> Any:
        """Open causes with counts and money at risk."""
        with self._services.database.read(tenants=[who.tenant_id]) as connection:
            return {"items": cases.causes(connection, tenant_id=who.tenant_id)}

    def retry_case(self, who: Principal, reason: str, case_id: str) -> Any:
        """Try a case again."""
        return case_service.retry(
            self._services.database,
            handlers=self._services.retry_handlers,
            tenant_id=who.tenant_id,
            actor=who.actor,
            reason=reason,
            case_id=case_id,
        )

    def retry_cause(self, who: Principal, reason: str, cause_id: str) -> Any:
        """Try all open cases of a cause again, by an act on many records where they are many."""
        return retry_cause(self._services, tenant_id=who.tenant_id, cause_id=cause_id, actor=who.actor, reason=reason)

    def waive(self, who: Principal, case_id: str, reason: str) -> Any:
        """Decide that nothing is to be done about a case of no document."""
        done = case_service.waive(
            self._services.database,
            told=self._services.told_of_cases,
            tenant_id=who.tenant_id,
            case_id=case_id,
            actor=who.actor,
            reason=reason,
            recorded_at=self._services.clock.now(),
        )
        return done if isinstance(done, Problem) else {"waived": done}

    def document(self, who: Principal, act: Act, document_id: str, data: Reason | Resend | Replay) -> Any:
        """An act on one document."""
        wanted = Wanted(
            act=act,
            document_id=document_id,
            actor=who.actor,
            reason=data.reason,
            known_absent=isinstance(data, Resend) and data.known_absent,
            at_end=isinstance(data, Replay) and data.at_end,
        )
        return act_on_document(self._services, tenant_id=who.tenant_id, wanted=wanted)

    def name_record(self, who: Principal, document_id: str, data: RecordName) -> Any:
        """The record a document is already."""
        record = NamedRecord(
            erp_id=data.erp_id,
            record_kind=data.record_kind,
            number=data.number,
            unread=data.unread,
            despite_difference=data.despite_difference,
        )
        return name_record(
            self._services,
            tenant_id=who.tenant_id,
            document_id=document_id,
            record=record,
            actor=who.actor,
            reason=data.reason,
        )

    def trace(self, who: Principal, value: str) -> Any:
        """The whole way of whatever an id names."""
        found = trace_of(self._services, tenant_id=who.tenant_id, value=value.replace("\0", "\ufffd"))
        return found or problem("trace.unknown", f"nothing is known by {value[:60]!r}")

    def correct(self, who: Principal, data: Proposal, body: bytes) -> Correction | Problem:
        """Take a corrected copy. body: its bytes."""
        return self._services.corrections.propose(
            tenant_id=who.tenant_id,
            subject_kind=data.subject_kind,
            subject_id=data.subject_id,
            body=body,
            actor=who.actor,
            reason=data.reason,
        )

    def decide(self, who: Principal, correction_id: str, data: Decision) -> Correction | Problem:
        """As a second person, apply or refuse a correction."""
        return self._services.corrections.decide(
            tenant_id=who.tenant_id,
            correction_id=correction_id,
            apply=data.apply,
            actor=who.actor,
            reason=data.reason,
        )


def act_handlers(services: Services, threads: Threads) -> Sequence[Any]:
    """The routes of everything above."""
    desk = Acts(services=services, threads=threads)
    return (*_reading(desk), *_acting(desk), *_on_documents(desk), *_naming(desk))


def _reading(desk: Acts) -> Sequence[Any]:
    read: dict[str, Any] = {**OPERATION, "opt": {PERMISSION: Permission.READ}}

    @get("/causes", operation_id="listCauses", summary="Open causes with their money at risk", **read)
    async def list_causes(request: Request[Any, Any, Any]) -> Response[Any]:
        return await desk.read(partial(desk.causes, principal_of(request)))

    @get("/cases/{case_id:str}", operation_id="showCase", summary="A case and what it rests on", **read)
    async def show_case(request: Request[Any, Any, Any], case_id: FromPath[str]) -> Response[Any]:
        return await desk.read(partial(desk.case, principal_of(request), case_id))

    @get("/deliveries/{document_id:str}", operation_id="showDelivery", summary="A document and its evidence", **read)
    async def show_delivery(request: Request[Any, Any, Any], document_id: FromPath[str]) -> Response[Any]:
        return await desk.read(partial(desk.delivery, principal_of(request), document_id))

    @get("/trace", operation_id="trace", summary="The whole way of whatever an id names", **read)
    async def trace(
        request: Request[Any, Any, Any],
        value: Annotated[str, QueryParameter(min_length=1, max_length=VALUE_LENGTH_MAX)],
    ) -> Response[Any]:
        return await desk.read(partial(desk.trace, principal_of(request), value))

    return (list_causes, show_case, show_delivery, trace)


def _acting(desk: Acts) -> Sequence[Any]:
    def may(permission: Permission) -> dict[str, Any]:
        return {**ACT, "opt": {PERMISSION: permission}}

    resolve, give_up = may(Permission.RESOLVE), may(Permission.WAIVE)

    @post("/cases/{case_id:str}/retry", operation_id="retryCase", summary="Try a case again", **resolve)
    async def retry_case(
        request: Request[Any, Any, Any], case_id: FromPath[str], data: JSONBody[Reason]
    ) -> Response[Any]:
        return await desk.act(request, partial(desk.retry_case, principal_of(request), data.reason, case_id))

    @post(
        "/causes/{cause_id:str}/retry", operation_id="retryCause", summary="Try all cases of a cause again", **resolve
    )
    async def retry_all(
        request: Request[Any, Any, Any], cause_id: FromPath[str], data: JSONBody[Reason]
    ) -> Response[Any]:
        return await desk.act(request, partial(desk.retry_cause, principal_of(request), data.reason, cause_id))

    @post(
        "/cases/{case_id:str}/waive", operation_id="waiveCase", summary="Nothing is to be done about a case", **give_up
    )
    async def waive_case(
        request: Request[Any, Any, Any], case_id: FromPath[str], data: JSONBody[Reason]
    ) -> Response[Any]:
        return await desk.act(request, partial(desk.waive, principal_of(request), case_id, data.reason))

    @post("/corrections", operation_id="proposeCorrection", summary="Take a corrected copy", **resolve)
    async def propose(request: Request[Any, Any, Any], data: JSONBody[Proposal]) -> Response[Any]:
        written = msgspec.json.decode(await request.body(), type=Written)
        return await desk.act(request, partial(desk.correct, principal_of(request), data, bytes(written.body)))

    @post(
        "/corrections/{correction_id:str}/decision", operation_id="decideCorrection", summary="Decide on one", **resolve
    )
    async def decide(
        request: Request[Any, Any, Any], correction_id: FromPath[str], data: JSONBody[Decision]
    ) -> Response[Any]:
        return await desk.act(request, partial(desk.decide, principal_of(request), correction_id, data))

    return (retry_case, retry_all, waive_case, propose, decide)


def _on_documents(desk: Acts) -> Sequence[Any]:
    def route(act: Act, summary: str) -> dict[str, Any]:
        return {
            **ACT,
            "path": f"/deliveries/{{document_id:str}}/{act}",
            "operation_id": f"{act}Document",
            "summary": summary,
            "opt": {PERMISSION: TAKES[act]},
        }

    @post(**route(Act.RESEND, "Send the same revision again"))
    async def resend(
        request: Request[Any, Any, Any], document_id: FromPath[str], data: JSONBody[Resend]
    ) -> Response[Any]:
        return await desk.act(request, partial(desk.document, principal_of(request), Act.RESEND, document_id, data))

    @post(**route(Act.REPROCESS, "Derive it again under the present configuration"))
    async def reprocess(
        request: Request[Any, Any, Any], document_id: FromPath[str], data: JSONBody[Reason]
    ) -> Response[Any]:
        return await desk.act(request, partial(desk.document, principal_of(request), Act.REPROCESS, document_id, data))

    @post(**route(Act.SKIP, "Set it aside, so that its lane goes on"))
    async def skip(
        request: Request[Any, Any, Any], document_id: FromPath[str], data: JSONBody[Reason]
    ) -> Response[Any]:
        return await desk.act(request, partial(desk.document, principal_of(request), Act.SKIP, document_id, data))

    @post(**route(Act.REPLAY, "Put it back on its lane"))
    async def replay(
        request: Request[Any, Any, Any], document_id: FromPath[str], data: JSONBody[Replay]
    ) -> Response[Any]:
        return await desk.act(request, partial(desk.document, principal_of(request), Act.REPLAY, document_id, data))

    @post(**route(Act.WAIVE, "It needs no effect"))
    async def waive(
        request: Request[Any, Any, Any], document_id: FromPath[str], data: JSONBody[Reason]
    ) -> Response[Any]:
        return await desk.act(request, partial(desk.document, principal_of(request), Act.WAIVE, document_id, data))

    return (resend, reprocess, skip, replay, waive)


def _naming(desk: Acts) -> Sequence[Any]:
    @post(
        "/deliveries/{document_id:str}/record",
        operation_id="nameRecord",
        summary="Say which of the far system's records it is",
        opt={PERMISSION: NAMING_TAKES},
        **ACT,
    )
    async def name(
        request: Request[Any, Any, Any], document_id: FromPath[str], data: JSONBody[RecordName]
    ) -> Response[Any]:
        return await desk.act(request, partial(desk.name_record, principal_of(request), document_id, data))

    return (name,)
