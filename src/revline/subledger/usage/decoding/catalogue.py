"""What is known of a tenant's event types, made ready for decoding: one typed decoder for all of them. Pure.

A tenant's catalogue is made once for each configuration version and read by many threads. It knows no log.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta, Raw

from revline.subledger.usage.events import ID_BYTES_MAX, SOURCE_BYTES_MAX, SUBJECT_BYTES_MAX
from revline.subledger.usage.kinds import TEXT_BYTES_MAX, EventType, FieldKind, UsageField

INT_PRECISION_MAX: Final = 18
"""A whole number of so many digits fits 64 bits."""


def content_seed(seed: int) -> int:
    """The seed of a tenant's content digests, made from that of its identities."""
    return seed ^ 0x9E3779B97F4A7C15


class TypeShape:
    """One event type ready for decoding.

    event: the Struct its events are decoded into, with data, id, source, subject and time. numbers: fields that arrive as the text
    of a number, and the pattern a canonical one within precision and scale has. moments: fields that must be RFC 3339.
    """

    __slots__ = ("event", "fields", "moments", "numbers", "spec")

    def __init__(self, spec: EventType) -> None:
        self.spec = spec
        self.fields = dict(sorted(spec.fields.items()))
        self.numbers: dict[str, Callable[[bytes], object]] = {}
        self.moments: tuple[str, ...] = tuple(
            name for name, field in self.fields.items() if field.kind is FieldKind.TIME
        )
        members: list[tuple[str, Any] | tuple[str, Any, Any]] = [
            self._member(name, field) for name, field in self.fields.items()
        ]
        data = msgspec.defstruct(
            "Data", members, kw_only=True, gc=False, omit_defaults=True, forbid_unknown_fields=True
        )
        self.event = msgspec.defstruct(
            "Event",
            [
                ("data", data),
                ("id", Annotated[str, Meta(min_length=1, max_length=ID_BYTES_MAX)]),
                ("source", Annotated[str, Meta(min_length=1, max_length=SOURCE_BYTES_MAX)]),
                ("subject", Annotated[str, Meta(min_length=1, max_length=SUBJECT_BYTES_MAX)]),
                ("time", Annotated[datetime, Meta(tz=True)]),
            ],
            tag_field="type",
            tag=spec.type,
            kw_only=True,
            gc=False,
            namespace={"shape": self},
        )

    def _member(self, name: str, field: UsageField) -> tuple[str, Any] | tuple[str, Any, Any]:
        if field.kind is FieldKind.DECIMAL and (field.scale or field.precision > INT_PRECISION_MAX):
            self.numbers[name] = number_pattern(field).fullmatch
            return (name, Raw) if field.required else (name, Raw, NO_NUMBER)
        kind = _member_type(field)
        return (name, kind) if field.required else (name, kind | None, None)


NO_NUMBER: Final = Raw()
"""Stands where an optional number was not sent; it is not written."""


def _member_type(field: UsageField) -> Any:
    match field.kind:
        case FieldKind.DECIMAL:
            most = 10**field.precision - 1
            return Annotated[int, Meta(ge=-most, le=most)]
        case FieldKind.BOOLEAN:
            return bool
        case FieldKind.TEXT:
            return Annotated[str, Meta(max_length=TEXT_BYTES_MAX)]
        case FieldKind.TIME:
            return Annotated[str, Meta(max_length=40)]


def number_pattern(field: UsageField) -> re.Pattern[bytes]:
    """What the text of a number in canonical form looks like within the field's precision and scale."""
    whole = field.precision - field.scale
    digits = rb"(?:0|-?[1-9][0-9]{0,%d})" % (whole - 1) if whole else rb"0"
    if not field.scale:
        return re.compile(digits)
    fraction = rb"-?(?:0|[1-9][0-9]{0,%d})\.[0-9]{0,%d}[1-9]" % (max(whole - 1, 0), field.scale - 1)
    if not whole:
        fraction = rb"-?0\.[0-9]{0,%d}[1-9]" % (field.scale - 1)
    return re.compile(digits + rb"|" + fraction)


class TypeCatalogue:
    """A tenant's event types by their CloudEvents type, and the secret seed its identities are hashed with.

    elsewhere: types that are business facts and belong to POST /v1/events; an event of one is refused with that address.
    """

    def __init__(
        self, *, tenant_id: str, seed: int, types: Mapping[str, EventType], elsewhere: frozenset[str] = frozenset()
    ) -> None:
        self.tenant_id = tenant_id
        self.seed = seed
        self.content_seed = content_seed(seed)
        self.elsewhere = elsewhere
        self.shapes = {spec.type: TypeShape(spec) for spec in types.values()}
        self.shape_of = {shape.event: shape for shape in self.shapes.values()}
        self.has_checks = any(shape.numbers or shape.moments for shape in self.shapes.values())
        self.many: msgspec.json.Decoder[list[Any]] | None = None
        self.one: msgspec.json.Decoder[Any] | None = None
        if self.shapes:
            kind: Any = None
            for shape in self.shapes.values():
                kind = shape.event if kind is None else kind | shape.event
            self.many = msgspec.json.Decoder(list[kind])
            self.one = msgspec.json.Decoder(kind)
