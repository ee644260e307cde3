"""What differs between two versions of a tenant's configuration, in its own terms. Pure; knows no kind."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import msgspec

from revline.platform.config.documents import ConfigDocument, Configuration, encode_spec


class ChangeSign(StrEnum):
    """What happened to a document."""

    ADDED = "+"
    CHANGED = "~"
    REMOVED = "-"


class FieldChange(msgspec.Struct, frozen=True, kw_only=True):
    """One field that differs. path: as in the YAML (spec.entries[0].account). before, after: JSON, "" when absent."""

    path: str
    before: str
    after: str


class DocumentChange(msgspec.Struct, frozen=True, kw_only=True):
    """One document that was added, changed or removed. fields: what differs of a changed one."""

    sign: ChangeSign
    kind: str
    name: str
    file: str
    line: int
    fields: tuple[FieldChange, ...] = ()


def changes_between(*, before: Configuration | None, after: Configuration) -> tuple[DocumentChange, ...]:
    """The semantic difference: moved and reordered documents are none. In order of kind and name."""
    old = {(each.kind, each.name): each for each in before.documents} if before else {}
    new = {(each.kind, each.name): each for each in after.documents}
    found: list[DocumentChange] = []
    for key in sorted(old.keys() | new.keys()):
        if key not in new:
            found.append(_change(ChangeSign.REMOVED, old[key]))
        elif key not in old:
            found.append(_change(ChangeSign.ADDED, new[key]))
        elif old[key].digest != new[key].digest:
            fields = _field_changes("spec", _plain(old[key]), _plain(new[key]))
            found.append(_change(ChangeSign.CHANGED, new[key], tuple(fields)))
    return tuple(found)


def _change(sign: ChangeSign, document: ConfigDocument[Any], fields: tuple[FieldChange, ...] = ()) -> DocumentChange:
    return DocumentChange(
        sign=sign, kind=document.kind, name=document.name, file=document.file, line=document.line, fields=fields
    )


def _plain(document: ConfigDocument[Any]) -> Any:
    return msgspec.json.decode(encode_spec(document.spec))


def _field_changes(path: str, before: Any, after: Any) -> list[FieldChange]:
    if before == after:
        return []
    if isinstance(before, dict) and isinstance(after, dict):
        found: list[FieldChange] = []
        for key in sorted(before.keys() | after.keys()):
            found.extend(_field_changes(f"{path}.{key}", before.get(key, _ABSENT), after.get(key, _ABSENT)))
        return found
    if isinstance(before, list) and isinstance(after, list):
        found = []
        for index in range(max(len(before), len(after))):
            one = before[index] if index < len(before) else _ABSENT
            other = after[index] if index < len(after) else _ABSENT
            found.extend(_field_changes(f"{path}[{index}]", one, other))
        return found
    return [FieldChange(path=path, before=_text(before), after=_text(after))]


class _Absent:
    pass


_ABSENT = _Absent()


def _text(value: Any) -> str:
    return "" if isinstance(value, _Absent) else msgspec.json.encode(value, order="sorted").decode()
