"""What derive asks of the rooms around it; wired in app."""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol

import msgspec

from revline.core.problem import Problem
from revline.derive.expectation import EntityScope
from revline.platform.store.unit import Unit
from revline.subledger.posting.setup import PostingSetup
from revline.subledger.receivables.credit import CreditPolicy


class DeriveConfiguration(msgspec.Struct, frozen=True, kw_only=True):
    """One tenant's active configuration as derive needs it.

    scopes: source connection -> the entity it belongs to. pools: ERP connection -> capacity pool id.
    """

    version: int
    setup: PostingSetup
    scopes: dict[str, EntityScope]
    pools: dict[str, str]


class Configurations(Protocol):
    """The active configuration of a tenant, from memory or a quick read outside any open transaction."""

    def derive_configuration(self, *, tenant_id: str) -> DeriveConfiguration | Problem: ...


class Told(Protocol):
    """Hears, inside the unit of work, which roots were derived in it. It must not fail and locks only rows of its own."""

    def __call__(self, unit: Unit, /, *, tenant_id: str, root_ids: Collection[str]) -> None: ...


def nobody(unit: Unit, /, *, tenant_id: str, root_ids: Collection[str]) -> None:
    """Nobody is told."""


class CreditPolicies(Protocol):
    """How much customers of an entity may owe, by the active configuration; None where nobody said."""

    def credit_policy(self, *, tenant_id: str, entity: str) -> CreditPolicy | None: ...
