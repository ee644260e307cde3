"""Groups heads that are due into far-side calls and puts calls on slots. Pure but for the slot names it is handed.

A slot carries one call at a time. Where calls are small, a second one waits behind it (marked, not sent), so that the far side
need not wait for our commits; where a call is a whole batch, none does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import msgspec

from revline.delivery.marking import Call, Ready
from revline.delivery.values import FarSide
from revline.platform.work.capacity import PoolLimits

LOOK_UP_BATCH: Final = 20
UNKNOWN_POOL_LANES: Final = 4
LANES_PER_POOL_MAX: Final = 400
CALLS_PER_SLOT: Final = 2


class SlotLoad(msgspec.Struct, frozen=True, kw_only=True):
    """A slot this process holds. waiting: calls on it that are not answered."""

    slot: str
    waiting: int


class Planned(msgspec.Struct, frozen=True, kw_only=True):
    """calls: each on a slot. new_slots: per pool, those that must be opened. left: heads no slot has room for."""

    calls: tuple[Call, ...]
    new_slots: Mapping[str, tuple[str, ...]]
    left: tuple[Ready, ...]


class Plan:
    """What this process knows of pools: limits from manifests. When connections that share a pool differ, the tightest holds."""

    def __init__(self) -> None:
        self._limits: dict[str, PoolLimits] = {}
        self._batches: dict[str, int] = {}
        self._known: dict[str, PoolLimits] = {}

    def learn(self, far: FarSide) -> None:
        """Take over a far side's limits."""
        manifest = far.connector.manifest
        known = self._limits.get(far.pool_id)
        slots = min(manifest.slots, known.slots) if known else manifest.slots
        self._limits[far.pool_id] = PoolLimits(
            pool_id=far.pool_id,
            slots=slots,
            bucket_per_second=manifest.bucket_per_second,
            bucket_burst=manifest.bucket_burst,
        )
        batch = max((kind.batch_max for kind in manifest.kinds), default=1)
        self._batches[far.pool_id] = max(batch, self._batches.get(far.pool_id, 1))

    def new_limits(self) -> tuple[PoolLimits, ...]:
        """Limits that the database doesn't know from this process yet."""
        found = tuple(limits for pool, limits in self._limits.items() if self._known.get(pool) != limits)
        self._known.update({limits.pool_id: limits for limits in found})
        return found

    def slots(self, pool_id: str) -> int:
        """Calls at once in a pool; 1 while nothing is known of it."""
        limits = self._limits.get(pool_id)
        return limits.slots if limits else 1

    def depth(self, pool_id: str) -> int:
        """Unanswered calls on one slot."""
        return CALLS_PER_SLOT if self._batches.get(pool_id, 1) == 1 else 1

    def lanes_wanted(self, pool_id: str) -> int:
        """Lanes worth holding at once: what its slots can carry."""
        if pool_id not in self._limits:
            return UNKNOWN_POOL_LANES
        wanted = self.slots(pool_id) * self.depth(pool_id) * self._batches[pool_id]
        return min(LANES_PER_POOL_MAX, wanted)


def plan_calls(
    *, ready: Sequence[Ready], load: Mapping[str, Sequence[SlotLoad]], plan: Plan, new_slot: Callable[[], str]
) -> Planned:
    """Calls for as many heads as the slots of their pools can carry, oldest first."""
    calls: list[Call] = []
    left: list[Ready] = []
    new_slots: dict[str, list[str]] = {}
    carried = {pool: {entry.slot: entry.waiting for entry in entries} for pool, entries in load.items()}
    for pool, members in groups(ready):
        slots = carried.setdefault(pool, {})
        slot = _slot_for(pool, slots, plan)
        if slot is None and len(slots) < plan.slots(pool):
            slot = new_slot()
            new_slots.setdefault(pool, []).append(slot)
        if slot is None:
            left += members
            continue
        slots[slot] = slots.get(slot, 0) + 1
        calls.append(Call(pool_id=pool, slot=slot, members=members))
    return Planned(
        calls=tuple(calls), new_slots={pool: tuple(names) for pool, names in new_slots.items()}, left=tuple(left)
    )


def groups(ready: Sequence[Ready]) -> list[tuple[str, tuple[Ready, ...]]]:
    """Heads that can share a call: one connection and operation, or one look-up, in batches of what the far side takes."""
    found: dict[tuple[str, ...], list[Ready]] = {}
    for entry in ready:
        found.setdefault(_group_of(entry), []).append(entry)
    batches: list[tuple[str, tuple[Ready, ...]]] = []
    for key, entries in found.items():
        size = _batch_of(entries[0])
        batches += [(key[0], tuple(entries[start : start + size])) for start in range(0, len(entries), size)]
    return batches


def _group_of(entry: Ready) -> tuple[str, ...]:
    far, standing = entry.head.far, entry.head.loaded.standing
    if entry.prepared is not None:
        return (far.pool_id, standing.tenant_id, standing.connection, "send", entry.prepared.operation)
    return (far.pool_id, standing.tenant_id, standing.connection, "look up", standing.kind, far.mapping.company)


def _batch_of(entry: Ready) -> int:
    capability = entry.head.far.connector.manifest.capability(entry.head.loaded.standing.kind)
    size = capability.batch_max if capability else 1
    return max(size, LOOK_UP_BATCH) if entry.prepared is None else max(1, size)


def _slot_for(pool: str, slots: Mapping[str, int], plan: Plan) -> str | None:
    """An open slot for one more call: an empty one first; one behind another only when no further slot may be opened."""
    depth = plan.depth(pool)
    free = sorted((waiting, slot) for slot, waiting in slots.items() if waiting < depth)
    if not free:
        return None
    waiting, slot = free[0]
    return slot if waiting == 0 or len(slots) >= plan.slots(pool) else None
