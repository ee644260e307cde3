"""Facts: what a source said, translated, with the roots it touches and the names it is known by.

`translate` of a connector makes a `TranslatedFact`; intake stores it with its position as a `Fact`. Nothing here knows a
vendor or a table.
"""

from __future__ import annotations

from datetime import datetime

import msgspec

from revline.core.canonical import CanonicalObject
from revline.core.ids import SourceObject


class Name(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """A value something can be found by. kind: outside_id, invoice_number, payment_intent, erp_number and so on."""

    kind: str
    value: str


class TranslatedFact(msgspec.Struct, frozen=True, kw_only=True):
    """One snapshot a connector made of one input.

    source: the object. source_event: the id of the message that brought it (a webhook's event id), unique per connection;
    re-delivery has the same. event_type: the source's own word (invoice.paid), or its word for the object alone (refund) when the
    object was listed or read instead of pushed. content_digest: hexadecimal SHA-256 over the parts the connector names as
    content; same source_event with another digest is a conflict. order_key: which snapshot of an object is newest, compared as a
    list of integers, greatest wins (the connector's declared rule, never arrival). roots: every root the fact touches. names:
    what it can be found by, the outside id among them.
    """

    source: SourceObject
    source_event: str
    event_type: str
    occurred_at: datetime
    content_digest: str
    order_key: tuple[int, ...]
    snapshot: CanonicalObject
    roots: tuple[SourceObject, ...]
    names: tuple[Name, ...] = ()
    correlation: str = ""


class Incomplete(msgspec.Struct, frozen=True, kw_only=True):
    """A message that names an object without its whole content: the object is read again from the source before it counts.

    source: the object to read. object_kind: what the source's API calls it. why: in words, for the trace. source_event, event_type,
    occurred_at, content_digest, names: as in `TranslatedFact`. An outside_id of "*" asks for everything of the kind changed since.
    """

    source: SourceObject
    object_kind: str
    why: str
    source_event: str
    event_type: str
    occurred_at: datetime
    content_digest: str
    names: tuple[Name, ...] = ()
    correlation: str = ""


class Fact(msgspec.Struct, frozen=True, kw_only=True):
    """A translated fact in the log. (position, ordinal) is its place; translator: connector and version that read it.

    received_at is when Revline took it in; body_digest (hexadecimal) names the raw bytes that are kept apart.
    """

    fact_id: str
    position: int
    ordinal: int
    received_at: datetime
    translator: str
    body_digest: str
    translated: TranslatedFact
