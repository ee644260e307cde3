"""The kinds of document there are. Packages own the types of theirs; the application registers them. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from revline.core.problem import FieldError

Specs = Mapping[type, Mapping[str, Any]]
"""Every spec of one tenant by type and name."""

Check = Callable[[str, Any, Specs], tuple[FieldError, ...]]
"""What is wrong with a document: (its name, its spec, every spec of its tenant). A pointer is a path, spec.entries[0].account."""


def no_check(name: str, spec: object, others: Specs) -> tuple[FieldError, ...]:
    """Nothing beyond the types."""
    del name, spec, others
    return ()


class KindType(msgspec.Struct, frozen=True, kw_only=True):
    """A kind of document. tenant_scoped: it belongs to the tenant its metadata names; one that does not declares a tenant."""

    name: str
    spec_type: type[msgspec.Struct]
    tenant_scoped: bool = True
    check: Check = no_check


class Registry:
    """Kinds by name."""

    def __init__(self) -> None:
        self._kinds: dict[str, KindType] = {}

    def register(self, kind: KindType) -> None:
        """Add a kind. ValueError when its name or type is taken."""
        if kind.name in self._kinds or any(each.spec_type is kind.spec_type for each in self._kinds.values()):
            raise ValueError(f"configuration kind {kind.name} is registered twice")
        self._kinds[kind.name] = kind

    def get(self, name: str) -> KindType | None:
        """The kind of a name, or None."""
        return self._kinds.get(name)

    def names(self) -> tuple[str, ...]:
        """Every kind's name, in order."""
        return tuple(sorted(self._kinds))
