"""Acts of people on outbound messages: list them, send one again under its own id, try an endpoint. Each is a unit of work."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Connection

from revline.core.documents import FINISHED_STATES, Document, DocumentState
from revline.core.ids import SourceObject
from revline.core.problem import Mender, Problem, Retryable, define, problem
from revline.delivery import acts, standings
from revline.delivery import record as delivery
from revline.feedback.documents import message_document, replay_document
from revline.feedback.ports import FeedbackConfiguration
from revline.feedback.telling import body_of
from revline.feedback.values import TEST_TYPE, Message, message_target
from revline.platform.store.engine import Database
from revline.platform.work.cell import read_epoch


class WebhookDelivery(msgspec.Struct, frozen=True, kw_only=True):
    """A message to an endpoint as a line of a list. id: of the document. message_id: the webhook-id the endpoint sees."""

    id: str
    message_id: str
    endpoint: str
    type: str
    about: Mapping[str, str]
    state: str
    attempts: int
    due_at: datetime | None
    problem_code: str
    problem_detail: str
    changed_at: datetime


class Replayed(msgspec.Struct, frozen=True, kw_only=True):
    """A message on its way again. id: of the document that is sent now."""

    id: str
    message_id: str
    state: str


def message_id(external_reference: str) -> str:
    """What an endpoint knows a message by: the same however often it is sent."""
    return f"msg_{external_reference.lower()}"


def list_messages(
    connection: Connection,
    *,
    tenant_id: str,
    endpoints: Sequence[str],
    state: str = "",
    after: tuple[int, int] = (0, 0),
    limit: int = 100,
) -> tuple[tuple[WebhookDelivery, tuple[int, int]], ...]:
    """Messages to these endpoints, oldest first, each with its place."""
    found = standings.messages(
        connection, tenant_id=tenant_id, connections=endpoints, state=state, after=after, limit=limit
    )
    return tuple((_delivery(one), one.place) for one in found)


def replay(
    database: Database,
    *,
    tenant_id: str,
    delivery_id: str,
    configuration: FeedbackConfiguration,
    actor: str,
    reason: str,
    recorded_at: datetime,
) -> Replayed | Problem:
    """Send a message again. One that was delivered goes out as a further document under the same message id, byte for byte; one
    that stands still is set going. Problems webhook_delivery.unknown, document.in_flight."""
    with database.read(tenants=[tenant_id]) as connection:
        found = standings.message(connection, tenant_id=tenant_id, document_id=delivery_id)
    if found is None or found[0].connection not in configuration.endpoints:
        return problem("webhook_delivery.unknown", f"there is no webhook delivery {delivery_id[:60]!r}")
    line, original = found
    if DocumentState(line.state) not in FINISHED_STATES:
        answer = acts.resend(
            database,
            tenant_id=tenant_id,
            document_id=delivery_id,
            actor=actor,
            reason=reason,
            recorded_at=recorded_at,
        )
        if isinstance(answer, Problem):
            return answer
        return Replayed(id=delivery_id, message_id=message_id(line.external_reference), state=answer.state)
    with database.unit(tenants=[tenant_id], kind="replay", actor=actor, reason=reason, recorded_at=recorded_at) as unit:
        number = standings.sent_under(
            unit.connection,
            tenant_id=tenant_id,
            far_connection=line.connection,
            reference=line.external_reference,
        )
        again = replay_document(original=original, number=number)
        _write(unit, tenant_id, again, configuration)
    return Replayed(id=again.document_id, message_id=message_id(again.external_reference), state=DocumentState.READY)


def send_test(
    database: Database,
    *,
    tenant_id: str,
    subscription: str,
    configuration: FeedbackConfiguration,
    actor: str,
    recorded_at: datetime,
) -> Replayed | Problem:
    """Send a test message to a subscription's endpoint. Problem subscription.unknown."""
    spec = configuration.subscriptions.get(subscription)
    if spec is None:
        known = ", ".join(sorted(configuration.subscriptions)) or "none"
        return problem("subscription.unknown", f"no WebhookSubscription {subscription[:60]!r}; there are: {known}")
    data: dict[str, Any] = {"tenant": tenant_id, "subscription": subscription}
    one = Message(
        target_id=message_target(tenant_id=tenant_id, subscription=subscription, root_id=recorded_at.isoformat()),
        name=subscription,
        connection=spec.connection,
        root_id="",
        root=SourceObject(connection=spec.connection, kind="subscription", outside_id=subscription),
        message_type=TEST_TYPE,
        at=recorded_at,
        place=(0, 0),
        body=body_of(message_type=TEST_TYPE, at=recorded_at, data=data),
    )
    document = message_document(one=one, ordinal=0)
    with database.unit(
        tenants=[tenant_id], kind="feedback", actor=actor, reason="a test message", recorded_at=recorded_at
    ) as unit:
        _write(unit, tenant_id, document, configuration)
    return Replayed(
        id=document.document_id, message_id=message_id(document.external_reference), state=DocumentState.READY
    )


def _write(unit: Any, tenant_id: str, document: Document, configuration: FeedbackConfiguration) -> None:
    delivery.write_documents(
        unit,
        tenant_id=tenant_id,
        documents=[document],
        pool_of=lambda one: configuration.pools[one.connection],
        configuration_version=configuration.version,
        epoch=read_epoch(unit.connection).number,
    )


def _delivery(one: standings.Message) -> WebhookDelivery:
    return WebhookDelivery(
        id=one.document_id,
        message_id=message_id(one.external_reference),
        endpoint=one.connection,
        type=one.message_type,
        about=one.about,
        state=one.state,
        attempts=one.attempts,
        due_at=one.due_at,
        problem_code=one.problem_code,
        problem_detail=one.problem_detail,
        changed_at=one.changed_at,
    )


define(
    code="webhook_delivery.unknown",
    title="No such webhook delivery",
    status=404,
    retryable=Retryable.NO,
    mender=Mender.SENDER,
    remedy="List the webhook deliveries and give one of their ids.",
)
define(
    code="subscription.unknown",
    title="No such webhook subscription",
    status=404,
    retryable=Retryable.NO,
    mender=Mender.SENDER,
    remedy="Give the name of a WebhookSubscription of the active configuration.",
)
