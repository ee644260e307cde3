"""What of a shape's wishes an org has: its objects' descriptions, read once and kept for a while. No meaning of a record here."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec

from revline.connectors.salesforce.client import Failure, SalesforceClient, missing, problem_of
from revline.connectors.salesforce.objects import Shape
from revline.core.clock import Clock
from revline.core.problem import Problem, problem

KEPT_FOR: Final = timedelta(hours=1)
NEEDED: Final = ("Id", "SystemModstamp")


class Columns(msgspec.Struct, frozen=True, kw_only=True):
    """The fields a query may ask for. lines: of the child set; empty when the org has none."""

    fields: tuple[str, ...]
    lines: tuple[str, ...] = ()


class Descriptions:
    """The org's objects, by what was asked of them."""

    def __init__(self, *, client: SalesforceClient, clock: Clock) -> None:
        self._client = client
        self._clock = clock
        self._kept: dict[str, tuple[datetime, Mapping[str, Any] | None]] = {}

    async def columns(self, *, shape: Shape) -> Columns | Problem | None:
        """What a query of this shape may name; None when the org has no such object. source.refused when a needed field is
        hidden from the user."""
        own = await self._fields(shape.object_name)
        if own is None or isinstance(own, Problem):
            return own
        hidden = [name for name in NEEDED if name not in own]
        if hidden:
            return problem("source.refused", f"{shape.object_name}.{hidden[0]} is hidden", field=shape.object_name)
        fields = tuple(name for name in shape.fields if name in own)
        if shape.lines is None:
            return Columns(fields=fields)
        child = await self._fields(shape.lines.object_name)
        if isinstance(child, Problem):
            return child
        if child is None:
            return Columns(fields=fields)
        lines = [name for name in shape.lines.fields if name in child]
        related = await self._related(child, shape.lines.parents)
        return related if isinstance(related, Problem) else Columns(fields=fields, lines=(*lines, *related))

    async def _related(self, child: Mapping[str, Any], wanted: Collection[str]) -> list[str] | Problem:
        found = []
        for path in wanted:
            relationship, _, name = path.partition(".")
            target = next((one["to"] for one in child.values() if one["relationship"] == relationship), "")
            fields = await self._fields(target) if target else None
            if isinstance(fields, Problem):
                return fields
            if fields is not None and name in fields:
                found.append(path)
        return found

    async def _fields(self, object_name: str) -> Mapping[str, Any] | Problem | None:
        now = self._clock.now()
        at, kept = self._kept.get(object_name, (now - 2 * KEPT_FOR, None))
        if now - at < KEPT_FOR:
            return kept
        answer = await self._client.run(lambda salesforce: getattr(salesforce, object_name).describe())
        found: Mapping[str, Any] | None = None
        if isinstance(answer, Failure):
            if not missing(answer):
                return problem_of(answer)
        else:
            found = _read(answer.value)
        self._kept[object_name] = (now, found)
        return found


def _read(description: Any) -> Mapping[str, Any]:
    fields = description.get("fields", ()) if isinstance(description, dict) else ()
    return {
        str(field["name"]): {
            "relationship": field.get("relationshipName") or "",
            "to": next(iter(field.get("referenceTo") or ()), ""),
        }
        for field in fields
        if isinstance(field, dict) and "name" in field
    }
