"""What should be told to each target now: fields of source objects, and one message for each change since the last. Pure.

A write-back says how things stand and replaces whatever was said before; a message says that something happened and is never
taken back. So write-backs are compared by content, and messages by how far the log was read.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from revline.core.events import AccountingEvent, AppliedPayment, EventKind
from revline.core.hashing import canonical_bytes, digest_text, plain
from revline.core.ids import SourceObject
from revline.core.problem import CATALOGUE
from revline.delivery.standings import DocumentStanding, Transition
from revline.feedback.kinds import Feedback, WebhookSubscription
from revline.feedback.standing import neutral_fields, summary
from revline.feedback.values import (
    Message,
    Place,
    RootStanding,
    Told,
    WriteBack,
    message_target,
    object_target,
)
from revline.platform.cases.subjects import CaseChange

DOCUMENT_TYPES = {"posted": "document.posted", "rejected": "document.rejected", "held": "document.held"}
CASE_TYPES = {"open": "case.opened", "resolved": "case.resolved", "waived": "case.resolved"}
Change = tuple[Place, str, datetime, str, Mapping[str, Any]]
"""(place, message type, when, entity, data)."""


def write_backs(*, standing: RootStanding, feedbacks: Mapping[str, Feedback]) -> tuple[WriteBack, ...]:
    """What each source object that stands for the root should say, in order of configuration names."""
    found = summary(standing)
    if found is None:
        return ()
    neutral = neutral_fields(standing=standing, found=found)
    order_key = f"{found.day or ''}/{standing.root.outside_id}"
    told: list[WriteBack] = []
    for name, spec in sorted(feedbacks.items()):
        if spec.told_about != standing.root.kind or (spec.when and found.state not in spec.when):
            continue
        fields = tuple(sorted((outside, neutral[field]) for field, outside in spec.fields.items()))
        told.extend(
            WriteBack(
                target_id=object_target(tenant_id=standing.tenant_id, target=target),
                name=name,
                connection=spec.connection,
                target=target,
                about=standing.root_id,
                order_key=order_key,
                fields=fields,
            )
            for target in _targets(standing, spec)
        )
    return tuple(told)


def due_write_backs(*, wanted: Iterable[WriteBack], told: Mapping[str, Told]) -> tuple[WriteBack, ...]:
    """Those that differ from what was told, one a target: where several roots share one, the newest speaks."""
    newest: dict[str, WriteBack] = {}
    for one in wanted:
        there = newest.get(one.target_id)
        if there is None or one.order_key > there.order_key:
            newest[one.target_id] = one
    return tuple(one for _, one in sorted(newest.items()) if _differs(one, told.get(one.target_id)))


def content_digest(one: WriteBack) -> str:
    """What a write-back is compared by."""
    return digest_text([one.target, one.fields])


def messages(
    *, standing: RootStanding, name: str, subscription: WebhookSubscription, after: int, through: int
) -> tuple[Message, ...]:
    """One message for each change of the root after a position and up to another, oldest first."""
    target = message_target(tenant_id=standing.tenant_id, subscription=name, root_id=standing.root_id)
    return tuple(
        Message(
            target_id=target,
            name=name,
            connection=subscription.connection,
            root_id=standing.root_id,
            root=standing.root,
            message_type=message_type,
            at=at,
            place=place,
            body=body_of(message_type=message_type, at=at, data=data),
        )
        for place, message_type, at, entity, data in changes(standing)
        if after < place[0] <= through and subscription.wants(message_type=message_type, entity=entity)
    )


def body_of(*, message_type: str, at: datetime, data: Mapping[str, Any]) -> str:
    """The message's body as Standard Webhooks has it: type, timestamp (RFC 3339) and data."""
    return canonical_bytes({"type": message_type, "timestamp": plain(at), "data": data}).decode()


def changes(standing: RootStanding) -> tuple[Change, ...]:
    """Everything that happened to the root and can be told, in the order it was recorded."""
    documents = {one.document_id: one for one in standing.documents}
    kinds = {event.event_id: event.kind.value for _, event in standing.events}
    found: list[Change] = []
    for change in standing.transitions:
        one = documents.get(change.document_id)
        if one is not None and change.to_state in DOCUMENT_TYPES:
            data = _document_data(standing, one, change, kinds.get(one.event_id, ""))
            found.append((change.place, DOCUMENT_TYPES[change.to_state], change.at, one.entity, data))
    for place, event in standing.events:
        if event.kind is EventKind.PAYMENT_APPLIED and isinstance(event.payload, AppliedPayment):
            data = _application_data(standing, event, event.payload)
            found.append((place, "payment.applied", event.occurred_at, event.entity, data))
    for case in standing.case_changes:
        data = _case_data(standing, case)
        found.append((case.place, CASE_TYPES[case.state], case.at, standing.entity, data))
    return tuple(sorted(found, key=lambda one: (one[0], one[1])))


def _targets(standing: RootStanding, spec: Feedback) -> tuple[SourceObject, ...]:
    every = dict.fromkeys((standing.root, *standing.linked))
    return tuple(one for one in every if (one.connection, one.kind) == (spec.connection, spec.source_kind))


def _differs(one: WriteBack, before: Told | None) -> bool:
    if before is None:
        return True
    speaks = one.about == before.about or one.order_key >= before.order_key
    return speaks and content_digest(one) != before.content_digest


def _source(one: SourceObject) -> dict[str, str]:
    return {"connection": one.connection, "kind": one.kind, "outside_id": one.outside_id}


def _document_data(
    standing: RootStanding, one: DocumentStanding, change: Transition, event_kind: str
) -> dict[str, Any]:
    problem = None
    if change.problem_code:
        problem = {"code": change.problem_code, "detail": change.problem_detail, "field": one.problem_field}
    return {
        "tenant": standing.tenant_id,
        "source": _source(standing.root),
        "document_id": one.document_id,
        "kind": one.kind,
        "state": change.to_state,
        "event_kind": event_kind,
        "connection": one.connection,
        "entity": one.entity,
        "book": one.book,
        "external_reference": one.external_reference,
        "accounting_date": one.accounting_date,
        "currency": one.currency,
        "amount": one.amount,
        "erp": {"kind": one.erp_kind, "id": one.erp_id, "number": one.erp_number} if one.erp_id else None,
        "problem": problem,
    }


def _application_data(standing: RootStanding, event: AccountingEvent, payload: AppliedPayment) -> dict[str, Any]:
    return {
        "tenant": standing.tenant_id,
        "event_id": event.event_id,
        "entity": event.entity,
        "invoice": _source(payload.invoice),
        "payment": _source(payload.payment),
        "currency": event.currency,
        "amount": -payload.amount if event.reverses else payload.amount,
        "accounting_date": event.accounting_date,
        "reverses": event.reverses,
    }


def _case_data(standing: RootStanding, case: CaseChange) -> dict[str, Any]:
    entry = CATALOGUE.get(case.code)
    return {
        "tenant": standing.tenant_id,
        "source": _source(standing.root),
        "case_id": case.case_id,
        "cause_id": case.cause_id,
        "code": case.code,
        "title": entry.title if entry else case.code,
        "remedy": entry.remedy if entry else "",
        "state": case.state,
        "detail": case.detail,
        "reason": case.reason,
        "connection": case.connection,
        "field": case.cause_field,
        "subject": {"kind": case.subject[0], "id": case.subject[1]},
        "currency": case.currency,
        "amount": case.amount,
    }
