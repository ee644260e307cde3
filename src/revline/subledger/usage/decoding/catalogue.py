"""What is known of a tenant's event types, made ready for decoding: one typed decoder for all of them. Pure.

A tenant's catalogue is made once for each configuration version and read by many threads. Tenants with the same event types share
what is made of them. It knows no log.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from operator import attrgetter
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta, Raw

from revline.subledger.usage.columns import field_column
from revline.subledger.usage.decoding.moments import moment
from revline.subledger.usage.decoding.numbers import NumberRule, mend, mended
from revline.subledger.usage.events import ID_BYTES_MAX, SOURCE_BYTES_MAX, SUBJECT_BYTES_MAX
from revline.subledger.usage.kinds import TEXT_BYTES_MAX, EventType, FieldKind, UsageField

INT_PRECISION_MAX: Final = 18
"""A whole number of so many digits fits 64 bits."""
SHARED_MAX: Final = 4096
"""Different sets of event types that are kept ready."""
NO_NUMBER: Final = Raw()
"""Stands where an optional number was not sent; it is not written."""


class TypeShape:
    """Event types with the same fields, ready for decoding; mostly one. event: the Struct their events are decoded into, with type,
    data, id, source, subject and time.

    columns: the stored columns of its fields. checked: those of its fields that decoding alone does not check.
    """

    __slots__ = ("checked", "columns", "event", "fields", "specs")

    def __init__(self, specs: Sequence[EventType]) -> None:
        self.specs = {spec.type: spec for spec in specs}
        self.fields = dict(sorted(specs[0].fields.items()))
        several = len(specs) > 1
        self.event = msgspec.defstruct(
            "Event",
            [
                *([("type", Literal[tuple(self.specs)])] if several else []),
                ("data", _data_struct(tuple(self.fields.items()))),
                ("id", Annotated[str, Meta(min_length=1, max_length=ID_BYTES_MAX)]),
                ("source", Annotated[str, Meta(min_length=1, max_length=SOURCE_BYTES_MAX)]),
                ("subject", Annotated[str, Meta(min_length=1, max_length=SUBJECT_BYTES_MAX)]),
                ("time", Annotated[datetime, Meta(tz=True)]),
            ],
            tag_field=None if several else "type",
            tag=None if several else specs[0].type,
            kw_only=True,
            gc=False,
            namespace={"shape": self} if several else {"shape": self, "type": specs[0].type},
        )
        members = [Member(name=name, field=field, kinds=None) for name, field in self.fields.items()]
        self.columns = tuple(member.column for member in members)
        self.checked = tuple((member.value_of, member.matches, member) for member in members if member.is_checked)


def is_number_text(field: UsageField) -> bool:
    """Whether a field arrives as the text of a number, because no native one holds it exactly."""
    return field.kind is FieldKind.DECIMAL and (field.scale > 0 or field.precision > INT_PRECISION_MAX)


@lru_cache(maxsize=SHARED_MAX)
def _data_struct(fields: tuple[tuple[str, UsageField], ...]) -> type[msgspec.Struct]:
    members: list[Any] = []
    for name, field in fields:
        if is_number_text(field):
            members.append((name, Raw) if field.required else (name, Raw, NO_NUMBER))
        else:
            kind = _member_type(field)
            members.append((name, kind) if field.required else (name, kind | None, None))
    return msgspec.defstruct("Data", members, kw_only=True, gc=False, omit_defaults=True, forbid_unknown_fields=True)


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


class Member:
    """A stored column of some event types. kinds: the Structs of the types that have it, None when all of them do."""

    __slots__ = ("_name", "_rule", "column", "field", "is_checked", "kinds", "matches", "value_of")

    def __init__(self, *, name: str, field: UsageField, kinds: frozenset[Any] | None) -> None:
        self.field, self.kinds = field, kinds
        self.column = field_column(name, field)
        self._name, self.value_of = name, attrgetter(name)
        self._rule = NumberRule(field) if is_number_text(field) else None
        self.matches: Callable[[Any], object] = _is_moment if self._rule is None else self._rule.matches
        self.is_checked = self._rule is not None or field.kind is FieldKind.TIME

    def mends(self, data: Any) -> bool:
        """Puts one event's number, which does not match, in canonical form; False when it has none."""
        text = None if self._rule is None else mended(bytes(self.value_of(data)), self._rule)
        if text is None:
            return False
        setattr(data, self._name, text)
        return True

    def of(self, datas: Sequence[Any]) -> Sequence[Any] | None:
        """The column of these data, as `Column.values`; numbers are put in canonical form. None when one can't be."""
        values = list(map(self.value_of, datas))
        if self._rule is None:
            return values if not self.is_checked or all(map(_is_moment, values)) else None
        places = mend(values, self._rule)
        if places is None:
            return None
        for place in places:
            setattr(datas[place], self._name, values[place])
        return b"\n".join(values)


def _is_moment(text: str | None) -> bool:
    return text is None or moment(text) is not None


class Shapes:
    """Event types ready for decoding, whoever's they are.

    When all have the same fields, they are decoded into one Struct: telling several apart costs a second look at each event.
    """

    def __init__(self, specs: Sequence[EventType]) -> None:
        alike = len({tuple(sorted(spec.fields.items())) for spec in specs}) == 1
        groups = [specs] if alike else [[spec] for spec in specs]
        shapes = [TypeShape(group) for group in groups]
        self.by_type = {name: shape for shape in shapes for name in shape.specs}
        self.many: msgspec.json.Decoder[list[Any]] | None = None
        kind: Any = None
        for shape in shapes:
            kind = shape.event if kind is None else kind | shape.event
        if kind is not None:
            self.many = msgspec.json.Decoder(list[kind])


@lru_cache(maxsize=SHARED_MAX)
def members_of(kinds: frozenset[Any]) -> tuple[Member, ...]:
    """The columns of events of these Structs."""
    having: dict[tuple[str, UsageField], set[Any]] = {}
    for kind in kinds:
        for item in kind.shape.fields.items():
            having.setdefault(item, set()).add(kind)
    return tuple(
        Member(name=name, field=field, kinds=None if len(mine) == len(kinds) else frozenset(mine))
        for (name, field), mine in sorted(having.items(), key=lambda item: (item[0][0], item[0][1].scale))
    )


@lru_cache(maxsize=SHARED_MAX)
def _shapes(specs: tuple[tuple[str, bytes], ...]) -> Shapes:
    return Shapes([msgspec.json.decode(text, type=EventType) for _, text in specs])


class TypeCatalogue:
    """A tenant's event types by their CloudEvents type, and the secret seed its identities are hashed with.

    elsewhere: types that are business facts and belong to POST /v1/events; an event of one is refused with that address.
    """

    __slots__ = ("elsewhere", "many", "seed", "shapes", "tenant_id")

    def __init__(
        self, *, tenant_id: str, seed: int, types: Mapping[str, EventType], elsewhere: frozenset[str] = frozenset()
    ) -> None:
        self.tenant_id = tenant_id
        self.seed = seed
        self.elsewhere = elsewhere
        specs = sorted(types.values(), key=lambda spec: spec.type)
        shapes = _shapes(tuple((spec.type, msgspec.json.encode(spec, order="deterministic")) for spec in specs))
        self.shapes: Mapping[str, TypeShape] = shapes.by_type
        self.many = shapes.many
