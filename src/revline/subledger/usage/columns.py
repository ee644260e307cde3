"""The columns of stored usage: the same in the memory of a shard, in sealed Parquet files and in every query. Pure.

What every event has comes first; then a column for each field of the event types in the file, named for the field and how it is
stored, so that a field whose scale was changed is another column and no stored value is ever read at the wrong scale.
"""

from __future__ import annotations

from typing import Final

from revline.subledger.usage.kinds import FieldKind, UsageField

SHARD: Final = "shard"
"""int16"""
SEQUENCE: Final = "sequence"
"""int64: the event's receipt number in its shard, from 1, without gaps"""
RECEIVED_AT: Final = "received_at"
"""timestamp[us, UTC]"""
OCCURRED_AT: Final = "occurred_at"
"""timestamp[us, UTC]: the event's time, or received_at where the sender gave none"""
TYPE: Final = "type"
SUBJECT: Final = "subject"
SOURCE: Final = "source"
"""text, dictionary encoded"""
ID: Final = "id"
"""text"""
VOIDS_SOURCE: Final = "voids_source"
VOIDS_ID: Final = "voids_id"
"""text: on a void and an amendment the identity of the event it takes back, null elsewhere"""
REST: Final = "rest"
"""text: fields its type does not name, as JSON; the whole data of an event whose type was unknown when it came; null elsewhere"""
TYPED: Final = "typed"
"""bool: false for an event whose type was unknown when it came (it is held)"""
COMMON: Final = (
    SHARD,
    SEQUENCE,
    RECEIVED_AT,
    OCCURRED_AT,
    TYPE,
    SUBJECT,
    SOURCE,
    ID,
    VOIDS_SOURCE,
    VOIDS_ID,
    REST,
    TYPED,
)


def field_column(name: str, field: UsageField) -> str:
    """The column of a field: its name, two underscores and how it is stored: tokens__d18_0, region__text, user__personal."""
    match field.kind:
        case FieldKind.DECIMAL:
            return f"{name}__d{field.precision}_{field.scale}"
        case FieldKind.TEXT:
            return f"{name}__personal" if field.personal else f"{name}__text"
        case FieldKind.BOOLEAN:
            return f"{name}__boolean"
        case FieldKind.TIME:
            return f"{name}__time"
