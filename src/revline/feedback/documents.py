"""What is told as documents that delivery sends. Pure; their ids follow from the target and the number of the telling."""

from __future__ import annotations

from decimal import Decimal

from revline.core.documents import Document, DocumentKind, FeedbackContent, Rank
from revline.core.ids import derived_id, external_reference
from revline.feedback.values import Message, WriteBack


def write_back_document(*, one: WriteBack, ordinal: int) -> Document:
    """The document of a write-back; ordinal counts what the target was told, from 0."""
    content = FeedbackContent(target=one.target, fields=one.fields)
    return _document(identity_of(one.target_id, ordinal), one.connection, one.target_id, content)


def message_document(*, one: Message, ordinal: int) -> Document:
    """The document of a message; ordinal counts the messages to one subscription about one root, from 0."""
    content = FeedbackContent(target=one.root, message_type=one.message_type, data=one.body)
    return _document(identity_of(one.target_id, ordinal), one.connection, one.target_id, content)


def replay_document(*, original: Document, number: int) -> Document:
    """The same message once more: another document under the same external reference, which is the message's id outside.

    It has a lane of its own, so that nothing that stands still holds it up.
    """
    identity = derived_id("feedback-replay", original.document_id, number)
    return Document(
        document_id=identity,
        kind=DocumentKind.FEEDBACK,
        connection=original.connection,
        entity="",
        book="",
        external_reference=original.external_reference,
        event_id="",
        journal_id="",
        lane_key=identity,
        rank=Rank.FEEDBACK,
        predecessors=(),
        currency="",
        amount=Decimal(0),
        accounting_date=None,
        content=original.content,
    )


def identity_of(target_id: str, ordinal: int) -> str:
    """The id of what a target was told at its turn."""
    return derived_id("feedback", target_id, ordinal)


def _document(identity: str, connection: str, lane_key: str, content: FeedbackContent) -> Document:
    return Document(
        document_id=identity,
        kind=DocumentKind.FEEDBACK,
        connection=connection,
        entity="",
        book="",
        external_reference=external_reference(document=identity),
        event_id="",
        journal_id="",
        lane_key=lane_key,
        rank=Rank.FEEDBACK,
        predecessors=(),
        currency="",
        amount=Decimal(0),
        accounting_date=None,
        content=content,
    )
