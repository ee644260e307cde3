"""JSON Schema 2020-12 of each contract, generated from its type, and the compatibility of two versions of one. Pure."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Final, get_args, get_type_hints

import msgspec

from revline.core.money import schema_hook
from revline.platform.schemas.contracts import CONTRACTS, Contract

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
REFERENCE: Final = "#/$defs/"
Schema = dict[str, Any]


def schema_of(contract: Contract) -> Schema:
    """The schema document of a contract, every definition it needs inside.

    Moments get `format: date-time`; the tag of the root object is optional, since the contract's name already says it.
    """
    (reference,), found = msgspec.json.schema_components(
        [contract.root], schema_hook=schema_hook, ref_template=REFERENCE + "{name}"
    )
    definitions = {name: _clean(schema) for name, schema in found.items()}
    for kind in _structs(contract.root):
        _mark_moments(definitions[kind.__name__], kind)
    root = definitions.pop(reference["$ref"].removeprefix(REFERENCE))
    if contract.payload is not None:
        root["properties"]["kind"] = {"const": contract.name}
        root["properties"]["payload"] = {"$ref": REFERENCE + contract.payload.__name__}
    else:
        root["required"] = [name for name in root.get("required", []) if name != "type"]
    used = set(_reachable(root, definitions))
    return {
        "$schema": DIALECT,
        "$id": contract.identity,
        **root,
        "$defs": {name: schema for name, schema in sorted(definitions.items()) if name in used},
    }


def registry(contracts: tuple[Contract, ...] = CONTRACTS) -> Schema:
    """The registry document."""
    return {
        "contracts": [
            {
                "name": one.name,
                "version": one.version,
                "id": one.identity,
                "path": one.path,
                "status": one.status.value,
                "owner": one.owner,
                "consumers": list(one.consumers),
                "personal_data": list(one.personal_data),
            }
            for one in contracts
        ]
    }


def breaks(*, old: Schema, new: Schema) -> list[str]:
    """Why what the old schema took could be refused by the new one, or vanish: one sentence each, empty when compatible.

    Found are removed fields, fields that became required, and narrower types: fewer kinds, fewer values, another pattern.
    """
    return list(_breaks(old, new, old.get("$defs", {}), new.get("$defs", {}), pointer="", seen=set()))


def _clean(schema: Any) -> Any:
    if isinstance(schema, dict):
        cleaned = {name: _clean(value) for name, value in schema.items() if name != "discriminator"}
        if isinstance(cleaned.get("description"), str):
            cleaned["description"] = " ".join(inspect.cleandoc(cleaned["description"]).split())
        return cleaned
    return [_clean(item) for item in schema] if isinstance(schema, list) else schema


def _structs(kind: Any, known: set[type[Any]] | None = None) -> set[type[Any]]:
    """Every Struct type a type is made of."""
    known = set() if known is None else known
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct) and kind not in known:
        known.add(kind)
        for part in get_type_hints(kind).values():
            _structs(part, known)
    for part in get_args(kind):
        _structs(part, known)
    return known


def _mark_moments(schema: Schema, kind: type[Any]) -> None:
    for name, hint in get_type_hints(kind).items():
        if hint is datetime or datetime in get_args(hint):
            place = schema["properties"][name]
            for part in place.get("anyOf", [place]):
                if part.get("type") == "string":
                    part["format"] = "date-time"


def _reachable(schema: Any, definitions: Mapping[str, Schema], seen: set[str] | None = None) -> Iterator[str]:
    seen = set() if seen is None else seen
    if isinstance(schema, dict):
        name = str(schema.get("$ref", "")).removeprefix(REFERENCE)
        if name in definitions and name not in seen:
            seen.add(name)
            yield name
            yield from _reachable(definitions[name], definitions, seen)
        for value in schema.values():
            yield from _reachable(value, definitions, seen)
    elif isinstance(schema, list):
        for item in schema:
            yield from _reachable(item, definitions, seen)


def _breaks(
    old: Schema, new: Schema, old_defs: Schema, new_defs: Schema, *, pointer: str, seen: set[tuple[str, str]]
) -> Iterator[str]:
    pair = (old.get("$ref", ""), new.get("$ref", ""))
    if all(pair):
        if pair in seen:
            return
        seen = seen | {pair}
    old, new = _resolved(old, old_defs), _resolved(new, new_defs)
    where = pointer or "/"
    yield from _narrowed(old, new, old_defs, new_defs, where=where)
    for name in sorted(set(new.get("required", [])) - set(old.get("required", []))):
        yield f"{pointer}/{name} became required"
    fields, remaining = old.get("properties", {}), new.get("properties", {})
    for name in sorted(fields):
        if name not in remaining:
            yield f"{pointer}/{name} was removed"
        else:
            below = f"{pointer}/{name}"
            yield from _breaks(fields[name], remaining[name], old_defs, new_defs, pointer=below, seen=seen)
    if isinstance(old.get("items"), dict) and isinstance(new.get("items"), dict):
        yield from _breaks(old["items"], new["items"], old_defs, new_defs, pointer=f"{pointer}/*", seen=seen)


def _narrowed(old: Schema, new: Schema, old_defs: Schema, new_defs: Schema, *, where: str) -> Iterator[str]:
    before, after = _kinds(old, old_defs), _kinds(new, new_defs)
    if after and not before <= after:
        yield f"{where} no longer takes {', '.join(sorted(before - after)) or 'everything'}"
    lost = [value for value in _values(old) if value not in _values(new)] if _values(new) else []
    if _values(new) and (lost or not _values(old)):
        yield f"{where} takes fewer values{': ' if lost else ''}{', '.join(map(str, lost))}"
    for limit in ("pattern", "format", "minLength", "maxLength", "minItems", "maxItems", "minimum", "maximum"):
        if limit in new and new[limit] != old.get(limit):
            yield f"{where} has another {limit}"


def _resolved(schema: Schema, definitions: Schema) -> Schema:
    name = str(schema.get("$ref", "")).removeprefix(REFERENCE)
    found: Schema = definitions.get(name, schema)
    return found


def _kinds(schema: Schema, definitions: Schema) -> frozenset[str]:
    """The JSON types and named definitions a schema takes; empty when it takes anything."""
    if "anyOf" in schema:
        parts = [part["$ref"] if "$ref" in part else part.get("type", "") for part in schema["anyOf"]]
        return frozenset(str(part) for part in parts)
    kind = schema.get("type")
    return frozenset([kind] if isinstance(kind, str) else kind or [])


def _values(schema: Schema) -> list[Any]:
    return [schema["const"]] if "const" in schema else list(schema.get("enum", []))
