"""What reading one Stripe object gives, before it becomes a fact. Pure values, shared by the readers of the object kinds."""

from __future__ import annotations

from datetime import datetime

import msgspec

from revline.connectors.sdk.source import SourceContext
from revline.connectors.stripe.fields import IDENTIFIER_LENGTH_MAX, Fields
from revline.core.canonical import CanonicalObject
from revline.core.facts import Name
from revline.core.ids import SourceObject


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """How an object came. event_type: the webhook's, "" for an API object. created: the event's moment, None for an API object."""

    context: SourceContext
    event_type: str = ""
    created: datetime | None = None

    def source(self, kind: str, outside_id: str) -> SourceObject:
        """An object of this message's connection."""
        return SourceObject(connection=self.context.connection, kind=kind, outside_id=outside_id)


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """A snapshot and what its reader knows of it.

    rank: how far its status is, lowest first. latest: its latest known transition, which stands in for an event's time on an
    API object. growing: amounts in minor units that only grow; they decide between snapshots of one second. names: without
    the outside id, which every fact has. nested: further objects that came expanded inside.
    """

    source: SourceObject
    snapshot: CanonicalObject
    roots: tuple[SourceObject, ...]
    rank: int
    latest: datetime
    growing: tuple[int, ...] = ()
    names: tuple[Name, ...] = ()
    nested: tuple[Fields, ...] = ()


def expanded(fields: Fields, name: str) -> tuple[Fields, ...]:
    """The object behind an id when Stripe sent it whole."""
    child = fields.child(name)
    return (child,) if child.has("object") else ()


def links(*, message: Message, holders: tuple[Fields, ...]) -> tuple[SourceObject, ...]:
    """Objects of other systems that metadata names by the connection's links: the first holder with the key speaks.

    A link's field is the metadata key, with or without `metadata.` in front. What is no id names nothing.
    """
    found = []
    for rule in message.context.links:
        key = rule.field.removeprefix("metadata.")
        values = (holder.child("metadata").values.get(key) for holder in holders)
        value = next((each.strip() for each in values if isinstance(each, str) and each.strip()), "")
        if value and value.isprintable() and len(value) <= IDENTIFIER_LENGTH_MAX:
            found.append(SourceObject(connection=rule.connection, kind=rule.kind, outside_id=value))
    return tuple(found)


def link_names(linked: tuple[SourceObject, ...]) -> tuple[Name, ...]:
    """The ids of linked objects as names, so that a search for one finds this object too."""
    return tuple(Name(kind=one.kind, value=one.outside_id) for one in linked)


def names(**values: str) -> tuple[Name, ...]:
    """The names that are there."""
    return tuple(Name(kind=kind, value=value) for kind, value in values.items() if value)
