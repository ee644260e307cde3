"""Writes names into an open unit of work, so that whatever learns a name can say so in its own transaction."""

from __future__ import annotations

from collections.abc import Sequence

from revline.core.facts import Name
from revline.platform.lineage.tables import NAME_LENGTH_MAX, name
from revline.platform.store.unit import Unit


def add_names(unit: Unit, *, tenant_id: str, names: Sequence[Name], record_kind: str, record_id: str) -> None:
    """Let the record be found by these names; saying one again changes nothing. Longer values are cut, as searches are."""
    for entry in sorted({(item.kind, item.value[:NAME_LENGTH_MAX]) for item in names if item.value}):
        kind, value = entry
        unit.project(
            name,
            key=("tenant_id", "value", "kind", "record_kind", "record_id"),
            tenant_id=tenant_id,
            value=value,
            kind=kind,
            record_kind=record_kind,
            record_id=record_id,
        )
