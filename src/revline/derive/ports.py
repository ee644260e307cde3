"""What derive asks of the rooms around it; wired in app."""

from __future__ import annotations

from typing import Protocol

import msgspec

from revline.core.problem import Problem
from revline.derive.expectation import EntityScope
from revline.subledger.posting.setup import PostingSetup


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
