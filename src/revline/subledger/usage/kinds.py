"""The configuration kind EventType: what an event of usage carries, and how exact. Pure; knows no meter and no price.

Columns and decimal scales follow from the event type, never from a meter, so a meter added later reads what is already stored.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Final

import msgspec

from revline.core.problem import FieldError
from revline.platform.config.registry import Specs

FIELDS_MAX: Final = 64
TEXT_BYTES_MAX: Final = 1024
"""The longest value of a text field."""
PRECISION_MAX: Final = 38
EVENT_TYPE_PATTERN: Final = re.compile(r"[A-Za-z][A-Za-z0-9._:/\-]{0,127}\Z")
FIELD_PATTERN: Final = re.compile(r"[a-z][a-z0-9_]{0,62}\Z")
RESERVED_PREFIX: Final = "revline."
"""Types Revline gives a meaning of its own: see `events.VOID_TYPE`."""


class FieldKind(StrEnum):
    """What a field holds. A decimal is a JSON number or a decimal string; a time is RFC 3339 with an offset."""

    DECIMAL = "decimal"
    TEXT = "text"
    BOOLEAN = "boolean"
    TIME = "time"


class UsageField(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A field of an event's data.

    precision, scale: of a decimal: digits in all and after the point; a value with more is invalid, never rounded. required: an
    event without it is invalid. personal: it names a person; an erasure replaces it by a keyed pseudonym, so unique counts hold.
    """

    kind: FieldKind
    precision: int = 18
    scale: int = 0
    required: bool = False
    personal: bool = False


class OtherFields(StrEnum):
    """What becomes of fields an event type does not name: kept as JSON, dropped, or the event is invalid."""

    KEEP = "keep"
    DROP = "drop"
    REFUSE = "refuse"


class EventType(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A type of usage event. The document's name is Revline's; `type` is the CloudEvents type senders use.

    subject: the connection whose customers' outside ids an event's subject is; "" when it may be any name a customer has. billable:
    false for events that are kept and counted but priced by nothing.
    """

    title: str
    type: str
    fields: dict[str, UsageField] = {}
    subject: str = ""
    others: OtherFields = OtherFields.KEEP
    billable: bool = True


def check_event_type(name: str, spec: EventType, others: Specs) -> tuple[FieldError, ...]:
    """What is wrong with an event type: its name, its fields, another document of the same type."""
    found: list[FieldError] = []
    if not EVENT_TYPE_PATTERN.match(spec.type) or spec.type.startswith(RESERVED_PREFIX):
        found.append(
            FieldError(
                pointer="spec.type",
                detail=f"{spec.type[:40]!r} can't be a type of usage event",
                instead="a letter, then letters, digits, dots, dashes, colons or slashes; not beginning with revline.",
            )
        )
    found.extend(
        FieldError(
            pointer="spec.type",
            detail=f"the event type {other!r} describes {spec.type} already",
            instead="one EventType document for one type",
        )
        for other, each in sorted(others.get(EventType, {}).items())
        if other < name and each.type == spec.type
    )
    if len(spec.fields) > FIELDS_MAX:
        found.append(
            FieldError(
                pointer="spec.fields",
                detail=f"{len(spec.fields)} fields",
                instead=f"at most {FIELDS_MAX} fields",
            )
        )
    for field, each in spec.fields.items():
        found.extend(_field_errors(field, each))
    return tuple(found)


def _field_errors(name: str, field: UsageField) -> list[FieldError]:
    found = []
    if not FIELD_PATTERN.match(name):
        found.append(
            FieldError(
                pointer=f"spec.fields.{name}",
                detail="this name can't be a column",
                instead="a small letter, then small letters, digits or _, 63 at most",
            )
        )
    if field.kind is FieldKind.DECIMAL and not (
        1 <= field.precision <= PRECISION_MAX and 0 <= field.scale <= field.precision
    ):
        found.append(
            FieldError(
                pointer=f"spec.fields.{name}.scale",
                detail=f"no decimal has {field.precision} digits with {field.scale} after the point",
                instead=f"precision from 1 to {PRECISION_MAX}, scale from 0 to the precision",
            )
        )
    if field.personal and field.kind is not FieldKind.TEXT:
        found.append(
            FieldError(
                pointer=f"spec.fields.{name}.personal",
                detail="only a text can be replaced by a pseudonym",
                instead="kind: text, or personal: false",
            )
        )
    return found
