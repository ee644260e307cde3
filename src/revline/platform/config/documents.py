"""Configuration documents as values, and one tenant's active set of them. Pure; knows no kind, no folder and no table."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from decimal import Decimal
from types import MappingProxyType
from typing import Any, Generic, TypeVar

import msgspec

from revline.core.money import amount_text, decode_hook

SpecT = TypeVar("SpecT", bound=msgspec.Struct)


class ConfigDocument(msgspec.Struct, Generic[SpecT], frozen=True, kw_only=True):
    """One document of a configuration folder.

    name: unique per tenant and kind. file, line: where it stands, the file relative to the folder. digest: hexadecimal SHA-256
    over kind, tenant, name and content; a moved line does not change it. places: line of each field by its path
    (spec.entries[0].account), empty for a document that was read back from a version.
    """

    kind: str
    tenant: str
    name: str
    spec: SpecT
    file: str
    line: int
    digest: str
    places: Mapping[str, int] = MappingProxyType({})

    def line_of(self, path: str) -> int:
        """The line of a field, or of the nearest part around it that has one."""
        while path and path not in self.places:
            path = path[: max(path.rfind("."), path.rfind("["), 0)]
        return self.places.get(path, self.line)


class Configuration:
    """One tenant's documents at one version, ready to be asked by type. version 0: not applied yet."""

    __slots__ = ("_by_type", "digest", "documents", "tenant", "version")

    def __init__(self, *, tenant: str, version: int, documents: tuple[ConfigDocument[Any], ...]) -> None:
        self.tenant = tenant
        self.version = version
        self.documents = documents
        self.digest = documents_digest(documents)
        self._by_type: dict[type, dict[str, ConfigDocument[Any]]] = {}
        for document in sorted(documents, key=lambda each: (each.kind, each.name)):
            self._by_type.setdefault(type(document.spec), {})[document.name] = document

    def all(self, spec_type: type[SpecT]) -> dict[str, ConfigDocument[SpecT]]:
        """Every document of a type by name, in order of names."""
        return dict(self._by_type.get(spec_type, {}))

    def get(self, spec_type: type[SpecT], name: str) -> ConfigDocument[SpecT] | None:
        """The document of a type and name, or None."""
        return self._by_type.get(spec_type, {}).get(name)

    def specs(self) -> dict[type, dict[str, Any]]:
        """Every spec by type and name: what checks of a kind look references up in."""
        return {kind: {name: each.spec for name, each in found.items()} for kind, found in self._by_type.items()}


def encode_spec(spec: msgspec.Struct) -> bytes:
    """A spec as JSON under the keys its YAML uses, sorted, amounts as strings."""
    return msgspec.json.encode(spec, enc_hook=_encode_amount, order="sorted")


def decode_spec(content: bytes | str, spec_type: type[SpecT]) -> SpecT:
    """A spec from `encode_spec`'s JSON. msgspec.ValidationError when it does not fit the type."""
    return msgspec.json.decode(content, type=spec_type, dec_hook=decode_hook)


def document_digest(*, kind: str, tenant: str, name: str, content: bytes) -> str:
    """Hexadecimal SHA-256 over what a document says, wherever it stands."""
    return hashlib.sha256(msgspec.json.encode([kind, tenant, name]) + content).hexdigest()


def documents_digest(documents: tuple[ConfigDocument[Any], ...]) -> str:
    """Hexadecimal SHA-256 over a set of documents, whatever their order and files."""
    return hashlib.sha256("\n".join(sorted(document.digest for document in documents)).encode()).hexdigest()


def _encode_amount(value: object) -> str:
    if isinstance(value, Decimal):
        return amount_text(value)
    raise NotImplementedError(f"no way to encode {type(value)!r}")
