"""What reading one Salesforce record gives, before it becomes a fact. Pure values, shared by the readers of the objects."""

from __future__ import annotations

from datetime import datetime

import msgspec

from revline.connectors.salesforce.fields import Fields
from revline.connectors.salesforce.identifiers import is_record_id, long_form, short_form
from revline.connectors.salesforce.options import Options
from revline.connectors.sdk.source import SourceContext
from revline.core.canonical import CanonicalObject
from revline.core.facts import Name
from revline.core.ids import SourceObject


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """How a record came: by which connection, and what that connection's settings say."""

    context: SourceContext
    options: Options

    def source(self, kind: str, outside_id: str) -> SourceObject:
        """An object of this message's connection."""
        return SourceObject(connection=self.context.connection, kind=kind, outside_id=outside_id)

    def links(self, fields: Fields) -> tuple[SourceObject, ...]:
        """The objects elsewhere that the record names in its link fields. An id that is a record id counts in its long form."""
        found = []
        for rule in self.options.links:
            owner, _, name = rule.field.rpartition(".")
            value = fields.text(name).strip() if owner in {"", fields.object_name} else ""
            if value:
                outside_id = long_form(record_id=value) if is_record_id(text=value) else value
                found.append(SourceObject(connection=rule.connection, kind=rule.kind, outside_id=outside_id))
        return tuple(dict.fromkeys(found))


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """A snapshot and what its reader knows of it. latest: newest SystemModstamp of the record and its lines, deleted ones too."""

    source: SourceObject
    snapshot: CanonicalObject
    latest: datetime
    own: datetime
    deleted: bool
    names: tuple[Name, ...] = ()


def names(outside_id: str, **values: str) -> tuple[Name, ...]:
    """The names that are there; a record is found by both forms of its id."""
    forms = {outside_id, short_form(record_id=outside_id)}
    own = tuple(Name(kind="outside_id", value=form) for form in sorted(forms))
    return own + tuple(Name(kind=kind, value=value) for kind, value in values.items() if value)
