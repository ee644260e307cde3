"""Configuration kinds of the way back: Feedback (fields written into a source) and WebhookSubscription. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from revline.core.problem import FieldError
from revline.feedback.values import FIELDS, MESSAGE_TYPES, WEBHOOK, PostingState
from revline.platform.tenancy.kinds import Connection, LegalEntity, unknown_reference

Specs = Mapping[type, Mapping[str, Any]]
FIELDS_MAX: Final = 50
PATTERNS_MAX: Final = 50


class Feedback(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Which fields of a source's objects say what became of them.

    connection: the source that is told. source_kind: canonical kind of the object told (invoice, payment, order). about: canonical
    kind of the object it is told about, "" for the object itself; an order is told about the newest of the invoices linked to it.
    fields: what is told -> the field's name out there. when: posting states in which it is told, none for every one.
    """

    connection: str
    source_kind: str
    about: str = ""
    fields: dict[str, str]
    when: tuple[PostingState, ...] = ()

    @property
    def told_about(self) -> str:
        """The kind of root whose standing is told."""
        return self.about or self.source_kind


class WebhookSubscription(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Messages an endpoint wants.

    connection: a Connection whose connector is webhook. events: message types; a final * stands for the rest (document.*).
    entities: legal entities, none for every one.
    """

    connection: str
    events: tuple[str, ...]
    entities: tuple[str, ...] = ()

    def wants(self, *, message_type: str, entity: str) -> bool:
        """Whether a message of a type and entity goes to it."""
        named = any(_matches(pattern, message_type) for pattern in self.events)
        return named and (not self.entities or entity in self.entities)


def _matches(pattern: str, message_type: str) -> bool:
    return message_type.startswith(pattern[:-1]) if pattern.endswith("*") else message_type == pattern


def check_feedback(name: str, spec: Feedback, others: Specs) -> tuple[FieldError, ...]:
    """What is wrong: its connection, its fields, and a second Feedback for the same objects."""
    connections = others.get(Connection, {})
    found: list[FieldError] = []
    if spec.connection not in connections:
        found.append(
            unknown_reference(pointer="spec.connection", kind="Connection", value=spec.connection, known=connections)
        )
    if not 0 < len(spec.fields) <= FIELDS_MAX:
        detail = f"{len(spec.fields)} fields"
        found.append(FieldError(pointer="spec.fields", detail=detail, instead=f"between 1 and {FIELDS_MAX} fields"))
    found.extend(
        FieldError(pointer=f"spec.fields.{field}", detail=f"nothing is called {field}", instead=", ".join(FIELDS))
        for field in spec.fields
        if field not in FIELDS
    )
    outside = list(spec.fields.values())
    found.extend(
        FieldError(
            pointer=f"spec.fields.{field}",
            detail="the outside field is empty or named twice",
            instead="the name of one field of the source for each",
        )
        for field, value in spec.fields.items()
        if not value.strip() or outside.count(value) > 1
    )
    for other_name, other in sorted(others.get(Feedback, {}).items()):
        if other_name < name and (other.connection, other.source_kind) == (spec.connection, spec.source_kind):
            detail = f"{other_name} already tells {spec.source_kind} objects of {spec.connection}"
            found.append(FieldError(pointer="spec.sourceKind", detail=detail, instead="one Feedback for both"))
            break
    return tuple(found)


def check_subscription(name: str, spec: WebhookSubscription, others: Specs) -> tuple[FieldError, ...]:
    """What is wrong: its connection, its event types, its entities."""
    del name
    connections, entities = others.get(Connection, {}), others.get(LegalEntity, {})
    found: list[FieldError] = []
    endpoint = connections.get(spec.connection)
    if endpoint is None:
        found.append(
            unknown_reference(pointer="spec.connection", kind="Connection", value=spec.connection, known=connections)
        )
    elif endpoint.connector != WEBHOOK:
        detail = f"{spec.connection} is a {endpoint.connector} connection"
        instead = f"a Connection with connector: {WEBHOOK}"
        found.append(FieldError(pointer="spec.connection", detail=detail, instead=instead))
    if not 0 < len(spec.events) <= PATTERNS_MAX:
        detail = f"{len(spec.events)} event types"
        found.append(FieldError(pointer="spec.events", detail=detail, instead='events: ["document.*"]'))
    found.extend(
        FieldError(
            pointer=f"spec.events[{place}]",
            detail=f"{pattern!r} is no message type",
            instead=f"document.*, or one of: {', '.join(MESSAGE_TYPES)}",
        )
        for place, pattern in enumerate(spec.events)
        if not any(_matches(pattern, known) for known in MESSAGE_TYPES)
    )
    found.extend(
        unknown_reference(pointer=f"spec.entities[{place}]", kind="LegalEntity", value=entity, known=entities)
        for place, entity in enumerate(spec.entities)
        if entity not in entities
    )
    return tuple(found)
