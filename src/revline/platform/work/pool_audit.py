"""Changes of capacity pools in the audit chains of the tenants they touch. A pool is the cell's, so it has no chain of its own.

Who owns a pool alone is told all of it. Of a pool that others may share a tenant is told that it was changed and, of a budget
that is its own or everybody's, how; who did it and why stay with whoever runs the cell, held to it by a digest in the chain.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Final

import msgspec
from sqlalchemy import Connection, select

from revline.core.hashing import canonical_bytes
from revline.core.problem import Problem
from revline.platform.store.engine import Database
from revline.platform.store.unit import Unit
from revline.platform.store.units import StoredUnit
from revline.platform.store.walls import MAXIMUM_TENANTS_PER_UNIT
from revline.platform.work.pool_acts import Act, PoolChange
from revline.platform.work.tables import pool_changed, tenant_ring

KIND: Final = "pool"
OPERATOR: Final = "operator"
SHARED_REASON: Final = "a pool that others may share was changed by whoever runs the installation"
SHOWN_MAX: Final = 1_001

Work = Callable[[Connection], PoolChange | Problem]
"""One act of `pool_acts` in an open transaction."""


class PoolChanged(msgspec.Struct, frozen=True, kw_only=True):
    """A change of a pool as a tenant's chain has it. detail: "" where it is not the tenant's to know."""

    position: int
    pool_id: str
    change_id: int
    action: str
    detail: str
    digest: bytes

    @property
    def said(self) -> str:
        """In words."""
        return f"pool {self.pool_id}: {self.action}" + (f" ({self.detail})" if self.detail else "")


def tenants_of(connection: Connection, *, pool_id: str) -> frozenset[str]:
    """Tenants that have had work for a pool."""
    ring = tenant_ring.c
    return frozenset(connection.execute(select(ring.tenant_id).where(ring.pool_id == pool_id).distinct()).scalars())


def change_pool(
    database: Database, *, pool_id: str, touched: Collection[str], own: bool, act: Act, work: Work
) -> PoolChange | Problem:
    """Do an act on a pool, and write it into the audit chain of each tenant it touches.

    own: the pool is the one touched tenant's alone. The act commits with the chains of the first tenants; the others follow in
    units of their own. Problems as the act's; then nothing is written.
    """
    if not touched:
        with database.control() as connection:
            return work(connection)
    done: PoolChange | Problem | None = None
    ordered = sorted(touched)
    for start in range(0, len(ordered), MAXIMUM_TENANTS_PER_UNIT):
        part = ordered[start : start + MAXIMUM_TENANTS_PER_UNIT]
        with database.unit(
            tenants=part,
            kind=KIND,
            actor=act.actor if own else OPERATOR,
            reason=act.reason if own else SHARED_REASON,
            recorded_at=act.at,
        ) as unit:
            done = done or work(unit.connection)
            if isinstance(done, Problem):
                return done
            _record(unit, part, pool_id, done, own=own)
    assert done is not None
    return done


def pool_units(found: Sequence[StoredUnit]) -> tuple[int, ...]:
    """Positions of those units that changed a pool."""
    return tuple(one.position for one in found if one.kind == KIND)


def changes_at(connection: Connection, *, tenant_id: str, positions: Sequence[int]) -> Mapping[int, PoolChanged]:
    """Of these units of a tenant, those that changed a pool; at most a page."""
    row = pool_changed.c
    names = (getattr(row, name) for name in PoolChanged.__struct_fields__)
    statement = select(*names).where(row.tenant_id == tenant_id, row.position.in_(list(positions)[:SHOWN_MAX]))
    found = (PoolChanged(**one._mapping) for one in connection.execute(statement.order_by(row.position)))
    return {one.position: one for one in found}


def digest_of(*, pool_id: str, change: PoolChange) -> bytes:
    """SHA-256 over all of a change."""
    return hashlib.sha256(canonical_bytes([pool_id, change])).digest()


def _record(unit: Unit, tenants: Sequence[str], pool_id: str, change: PoolChange, *, own: bool) -> None:
    told = own or change.action.startswith("budget")
    for tenant_id in tenants:
        unit.record(
            pool_changed,
            tenant_id=tenant_id,
            pool_id=pool_id,
            change_id=change.change_id,
            action=change.action,
            detail=change.detail if told else "",
            digest=digest_of(pool_id=pool_id, change=change),
        )
