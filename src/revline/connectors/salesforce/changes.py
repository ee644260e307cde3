"""Change data capture: which records a change event names, so that they are read again. Pure.

An event carries changed fields only, so it never counts by itself. Source: "Change Event Message Structure" and "Change Event
Header Fields" of the change data capture guide; GAP_OVERFLOW's record id is from memory.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Final

import msgspec

from revline.connectors.salesforce.fields import EPOCH, Fields, RefusedError, refused
from revline.connectors.salesforce.identifiers import NOBODY, is_record_id, long_form, short_form
from revline.connectors.salesforce.objects import Shape, parents_of, shapes_of
from revline.connectors.salesforce.reading import Message
from revline.core.clock import from_unix_seconds
from revline.core.facts import Incomplete, Name
from revline.core.problem import Mender, Retryable, define

EVERYTHING: Final = "*"
RECORDS_MAX: Final = 1_000
GAP: Final = "GAP_"
OVERFLOW: Final = "GAP_OVERFLOW"
CLIENT: Final = "revline"
"""What Revline calls itself when it writes (Sforce-Call-Options), and so what changeOrigin ends with."""
OWN_ORIGIN: Final = f";client={CLIENT}"
CHANGE_TYPES: Final = frozenset({"CREATE", "UPDATE", "DELETE", "UNDELETE"})


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """The header of one change event."""

    entity: str
    change_type: str
    record_ids: tuple[str, ...]
    changed: tuple[str, ...]
    origin: str
    transaction: str
    sequence: str
    committed_at: datetime


def read_change(*, event: Mapping[str, Any], message: Message) -> tuple[Incomplete, ...]:
    """What one change event asks to be read again: every record it names, a line's parent where the event tells it.

    Empty when Revline's own write made the change and nothing Revline reads was changed by it. Raises RefusedError.
    """
    payload = Fields(values=event).parent("data").parent("payload")
    header = _header(payload)
    shapes = shapes_of(options=message.options)
    shape = shapes.get(header.entity)
    parent = parents_of(shapes=shapes).get(header.entity)
    if shape is None and parent is None:
        detail = f"tells of the object {header.entity[:60]!r}, which has no canonical form here"
        raise refused(code="salesforce.type_unsupported", pointer="/data/payload/ChangeEventHeader", detail=detail)
    if _is_own(header, shape):
        return ()
    digest = hashlib.sha256(msgspec.json.encode(payload.values, order="sorted")).hexdigest()
    return tuple(_asked(header, shape, parent, payload, digest, message))


def _asked(
    header: Header, shape: Shape | None, parent: Shape | None, payload: Fields, digest: str, message: Message
) -> Iterator[Incomplete]:
    whole = header.change_type == OVERFLOW
    known = [long_form(record_id=record_id) for record_id in header.record_ids if is_record_id(text=record_id)]
    records = [record_id for record_id in dict.fromkeys(known) if record_id != NOBODY and not whole]
    if whole or len(records) < len(set(header.record_ids)):
        # An overflow and a wildcard (006*) name no records: whatever of the kind changed since is listed again.
        records.append(EVERYTHING)
    for record_id in records:
        object_name, kind, outside_id = header.entity, "", record_id
        if shape is not None:
            kind = shape.kind
        elif parent is not None and parent.lines is not None:
            owner = payload.record_id(parent.lines.parent_field)
            object_name, kind = (parent.object_name, parent.kind) if owner else (header.entity, f"{parent.kind}_line")
            outside_id = owner or record_id
        forms = {record_id, short_form(record_id=record_id), outside_id} - {EVERYTHING}
        yield Incomplete(
            source=message.source(kind, outside_id),
            object_kind=object_name,
            why=_why(header),
            source_event=f"{header.transaction}:{header.sequence}:{header.entity}:{record_id}",
            event_type=f"{header.entity}.{header.change_type.lower()}",
            occurred_at=header.committed_at,
            content_digest=digest,
            names=tuple(Name(kind="outside_id", value=form) for form in sorted(forms)),
            correlation=header.transaction,
        )


def _why(header: Header) -> str:
    if header.change_type == OVERFLOW:
        return "Salesforce had more changes at once than it could tell, so everything changed since is listed again"
    if header.change_type.startswith(GAP):
        return "Salesforce could not tell what was changed"
    if header.change_type == "DELETE":
        return "the record was deleted; what it was is read from the recycle bin"
    return "a change event holds changed fields only"


def _is_own(header: Header, shape: Shape | None) -> bool:
    """Whether our write-back made it and touched no field that is read here; a trigger of the org may have changed others."""
    if header.change_type != "UPDATE" or not header.changed or shape is None:
        return False
    if not header.origin.lower().endswith(OWN_ORIGIN):
        return False
    read = {name for name in shape.fields if name != "SystemModstamp"}
    return not any(_read_field(name, read) for name in header.changed)


def _read_field(name: str, read: set[str]) -> bool:
    """Compound fields come as one name (BillingAddress) or with a part (BillingAddress.City)."""
    first, _, part = name.partition(".")
    compound = first.removesuffix("Address")
    return first in read or (compound != first and any(field.startswith(compound) for field in read)) or part in read


def _header(payload: Fields) -> Header:
    fields = payload.parent("ChangeEventHeader")
    change_type = fields.text("changeType")
    if change_type not in CHANGE_TYPES and not change_type.startswith(GAP):
        raise fields.refuse("changeType", "CREATE, UPDATE, DELETE, UNDELETE or GAP_...")
    transaction = fields.text("transactionKey")
    entity = fields.text("entityName")
    if not transaction or not entity:
        raise fields.refuse("transactionKey" if entity else "entityName", "a text that is there")
    return Header(
        entity=entity,
        change_type=change_type,
        record_ids=_texts(fields, "recordIds"),
        changed=_texts(fields, "changedFields"),
        origin=fields.text("changeOrigin"),
        transaction=transaction,
        sequence=str(fields.decimal("sequenceNumber") or 0),
        committed_at=_committed(fields),
    )


def _texts(fields: Fields, name: str) -> tuple[str, ...]:
    value = fields.values.get(name)
    if value is None:
        return ()
    if not isinstance(value, list) or len(value) > RECORDS_MAX or not all(isinstance(item, str) for item in value):
        raise fields.refuse(name, f"a list of at most {RECORDS_MAX} texts")
    return tuple(value)


def _committed(fields: Fields) -> datetime:
    milliseconds = fields.decimal("commitTimestamp")
    if milliseconds is None:
        return EPOCH
    try:
        return from_unix_seconds(seconds=int(milliseconds) // 1_000)
    except (ValueError, OverflowError):
        raise fields.refuse("commitTimestamp", "milliseconds since 1970") from None


define(
    code="salesforce.type_unsupported",
    title="A Salesforce object that Revline does not translate",
    status=422,
    retryable=Retryable.AFTER_FIX,
    mender=Mender.OPERATOR,
    remedy="Take the object out of the change data capture selection, or waive the case; the message is kept.",
)

__all__ = ["CLIENT", "EVERYTHING", "RefusedError", "read_change"]
