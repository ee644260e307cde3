"""Canonical bytes and digests: the same value gives the same bytes on every machine and in every run."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum
from typing import Any

import msgspec

from revline.core.money import amount_text


def plain(value: Any) -> Any:
    """A value as JSON knows it: Decimals as plain strings, moments in UTC, Structs as objects, keys sorted by the encoder."""
    match value:
        case None | bool() | int() | str() if not isinstance(value, Enum):
            return value
        case Enum():
            return value.value
        case Decimal():
            return amount_text(value)
        case datetime():
            return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        case date():
            return value.isoformat()
        case bytes() | bytearray() | memoryview():
            return bytes(value).hex()
        case msgspec.Struct():
            return plain(msgspec.structs.asdict(value)) | _tag(value)
        case Mapping():
            return {str(key): plain(item) for key, item in value.items()}
        case Sequence():
            return [plain(item) for item in value]
        case set() | frozenset():
            return sorted(plain(item) for item in value)
    raise TypeError(f"{type(value).__name__} has no canonical form")


def _tag(value: msgspec.Struct) -> dict[str, Any]:
    config = value.__struct_config__
    return {config.tag_field: config.tag} if config.tag_field else {}


def canonical_bytes(value: Any) -> bytes:
    """The canonical JSON bytes of a value: UTF-8, sorted keys, no white space."""
    return msgspec.json.encode(plain(value), order="sorted")


def digest(value: Any) -> bytes:
    """SHA-256 over the canonical bytes."""
    return hashlib.sha256(canonical_bytes(value)).digest()


def digest_text(value: Any) -> str:
    """`digest` as lower-case hexadecimal."""
    return digest(value).hex()
