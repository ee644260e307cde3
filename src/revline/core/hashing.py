"""Canonical bytes and digests: the same value gives the same bytes on every machine and in every run."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum
from typing import Any, Final

import msgspec

from revline.core.money import amount_text


def plain(value: Any) -> Any:
    """A value as JSON knows it: Decimals as plain strings, moments in UTC, Structs as objects, keys sorted by the encoder."""
    kind = type(value)
    maker = _MAKERS.get(kind)
    if maker is None:
        maker = _MAKERS[kind] = _maker_of(value)
    return maker(value)


def _same(value: Any) -> Any:
    return value


def _object(value: msgspec.Struct) -> dict[str, Any]:
    config = value.__struct_config__
    found = {name: plain(getattr(value, name)) for name in value.__struct_fields__}
    if config.tag_field:
        found[config.tag_field] = config.tag
    return found


_KINDS: Final[tuple[tuple[type, Callable[[Any], Any]], ...]] = (
    (Enum, lambda value: value.value),
    (type(None), _same),
    (str, _same),
    (int, _same),
    (Decimal, amount_text),
    (datetime, lambda value: value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")),
    (date, lambda value: value.isoformat()),
    (bytes, lambda value: value.hex()),
    (bytearray, lambda value: bytes(value).hex()),
    (memoryview, lambda value: bytes(value).hex()),
    (msgspec.Struct, _object),
    (Mapping, lambda value: {str(key): plain(item) for key, item in value.items()}),
    (Sequence, lambda value: [plain(item) for item in value]),
    (set, lambda value: sorted(plain(item) for item in value)),
    (frozenset, lambda value: sorted(plain(item) for item in value)),
)
"""Subclasses before what they are subclasses of."""
_MAKERS: Final[dict[type, Callable[[Any], Any]]] = {}


def _maker_of(value: object) -> Callable[[Any], Any]:
    for kind, maker in _KINDS:
        if isinstance(value, kind):
            return maker
    raise TypeError(f"{type(value).__name__} has no canonical form")


def canonical_bytes(value: Any) -> bytes:
    """The canonical JSON bytes of a value: UTF-8, sorted keys, no white space."""
    return msgspec.json.encode(plain(value), order="sorted")


def digest(value: Any) -> bytes:
    """SHA-256 over the canonical bytes."""
    return hashlib.sha256(canonical_bytes(value)).digest()


def digest_text(value: Any) -> str:
    """`digest` as lower-case hexadecimal."""
    return digest(value).hex()
