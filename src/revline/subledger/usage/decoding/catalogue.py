"""What is known of a tenant's event types, made ready for decoding: one typed decoder for all of them. Pure.

A tenant's catalogue is made once for each configuration version and read by many threads. It knows no log.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Decimal
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
    of a number. moments: fields that must be RFC 3339. texts: fields whose length in bytes has a limit.
    """

    __slots__ = ("event", "fields", "moments", "numbers", "spec", "texts")

    def __init__(self, spec: EventType) -> None:
        self.spec = spec
        self.fields = dict(sorted(spec.fields.items()))
        self.numbers: dict[str, NumberRule] = {}
        self.texts = tuple(name for name, field in self.fields.items() if field.kind is FieldKind.TEXT)
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
            self.numbers[name] = NumberRule(field)
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


class NumberRule:
    """What the canonical text of a field's number looks like. whole: digits before the point; scale: digits after it, at most.

    matches: for a text alone; an empty one stands for no number.
    """

    __slots__ = ("matches", "scale", "whole")

    def __init__(self, field: UsageField) -> None:
        self.scale = field.scale
        digits = field.precision - field.scale
        self.whole = max(digits, 1)
        whole = rb"(?:0|[1-9][0-9]{0,%d})" % (digits - 1) if digits else rb"0"
        fraction = rb"\.[0-9]{0,%d}[1-9]" % (field.scale - 1) if field.scale else rb"(?!)"
        pattern = rb"0|-?" + whole.replace(rb"0|", b"") + rb"|-?" + whole + fraction + rb"|"
        if not digits:
            pattern = rb"0|-?0" + fraction + rb"|"
        self.matches: Callable[[Any], object] = re.compile(pattern).fullmatch


def plain_number(value: Decimal) -> str:
    """A number without exponent, without zeros that say nothing, and without a sign when it is zero."""
    text = f"{value:f}"
    if "." in text:
        text = text.rstrip("0").removesuffix(".")
    return "0" if text == "-0" else text


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
        self.many: msgspec.json.Decoder[list[Any]] | None = None
        self.one: msgspec.json.Decoder[Any] | None = None
        if self.shapes:
            kind: Any = None
            for shape in self.shapes.values():
                kind = shape.event if kind is None else kind | shape.event
            self.many = msgspec.json.Decoder(list[kind])
            self.one = msgspec.json.Decoder(kind)
