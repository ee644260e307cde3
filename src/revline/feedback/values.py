"""The way back as values: what a root's standing is made of, what can be told of it, what was told before. Pure."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Final

import msgspec

from revline.core.events import AccountingEvent
from revline.core.ids import SourceObject, derived_id
from revline.core.problem import Mender, Retryable, define
from revline.delivery.standings import DocumentStanding, Transition
from revline.platform.cases.subjects import CaseChange, OpenCase
from revline.subledger.receivables.balances import ItemBalance

LANE_KIND: Final = "feedback"
LANE_PREFIX: Final = "feedback."
SUBJECT_KIND: Final = "feedback"
"""What a case of a root that could not be told names as its subject kind; its id is the root's."""
WEBHOOK: Final = "webhook"
"""The connector whose connections are endpoints of others."""
ENDPOINT_GONE: Final = "webhook.endpoint_gone"
TEST_TYPE: Final = "webhook.test"
MESSAGE_TYPES: Final = (
    "document.posted",
    "document.rejected",
    "document.held",
    "payment.applied",
    "case.opened",
    "case.resolved",
)
"""Every type an outbound message can have, beside the test message."""

Place = tuple[int, int]


class PostingState(StrEnum):
    """Where a source object stands with the ERPs, over all its books.

    pending: on its way. posted: in every ERP. voided: and undone there. held: waits for a period or a person. rejected: an ERP
    refused it, or it can't be booked.
    """

    PENDING = "pending"
    POSTED = "posted"
    VOIDED = "voided"
    HELD = "held"
    REJECTED = "rejected"


FIELDS: Final = (
    "posting_state",
    "erp_connection",
    "erp_number",
    "erp_id",
    "external_reference",
    "accounting_date",
    "entity",
    "currency",
    "amount_total",
    "amount_applied",
    "amount_open",
    "problem_code",
    "problem_detail",
    "outside_id",
    "number",
)
"""What can be told. outside_id, number: of the object it is told about, for an order that is told about its invoice."""


class RootStanding(msgspec.Struct, frozen=True, kw_only=True):
    """Everything known of what became of one root up to a position.

    events: ((position, ordinal), event), oldest first. cases: open now. linked: objects of other systems that stand for the same
    thing, sorted. balance: of its open item, None where it has none.
    """

    tenant_id: str
    root_id: str
    root: SourceObject
    entity: str
    events: tuple[tuple[Place, AccountingEvent], ...] = ()
    documents: tuple[DocumentStanding, ...] = ()
    transitions: tuple[Transition, ...] = ()
    cases: tuple[OpenCase, ...] = ()
    case_changes: tuple[CaseChange, ...] = ()
    balance: ItemBalance | None = None
    linked: tuple[SourceObject, ...] = ()


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """What a root's standing comes to. day: of its first live event, what the newest of several is chosen by."""

    state: PostingState
    documents: tuple[DocumentStanding, ...]
    day: date | None
    number: str
    currency: str
    total: Decimal | None
    problem_code: str
    problem_detail: str


class WriteBack(msgspec.Struct, frozen=True, kw_only=True):
    """What a source object should say now. order_key: which of several roots speaks when they share a target; greatest wins."""

    target_id: str
    name: str
    connection: str
    target: SourceObject
    about: str
    order_key: str
    fields: tuple[tuple[str, str], ...]


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """One message to one endpoint. place: of what it tells in the log. body: canonical JSON text."""

    target_id: str
    name: str
    connection: str
    root_id: str
    root: SourceObject
    message_type: str
    at: datetime
    place: Place
    body: str


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """What a target was told last. ordinal: of the last document, from 0; through: position up to which messages were made.

    owed: changes wait until the endpoint takes messages again.
    """

    target_id: str
    about: str
    order_key: str
    content_digest: str
    ordinal: int
    through: int
    owed: bool
    document_id: str


def object_target(*, tenant_id: str, target: SourceObject) -> str:
    """The id of a source object that is told."""
    return derived_id("feedback-object", tenant_id, target.connection, target.kind, target.outside_id)


def message_target(*, tenant_id: str, subscription: str, root_id: str) -> str:
    """The id of what one subscription is told of one root; its messages stay in order."""
    return derived_id("feedback-messages", tenant_id, subscription, root_id)


def lane_of_root(root_id: str) -> str:
    """The lane on which a root's feedback is worked out; a root's id is a hash already."""
    return LANE_PREFIX + root_id


def root_of_lane(lane_id: str) -> str:
    """The root of a lane."""
    return lane_id.removeprefix(LANE_PREFIX)


define(
    code=ENDPOINT_GONE,
    title="The endpoint wants no more messages",
    status=410,
    retryable=Retryable.AFTER_FIX,
    mender=Mender.OPERATOR,
    remedy="Correct the address or remove the WebhookSubscription; then retry the cause, and what is owed is sent.",
)
