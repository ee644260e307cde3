"""Groups heads that are due into far-side calls and puts calls on slots. Pure but for the slot names it is handed.

A slot carries one call at a time. Where calls are small, others wait behind it (marked, not sent), so that the far side need not
wait for our commits: how many is the process's `Pace`. Where a call is a whole batch, or nothing can tell whether it was made,
none does.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import msgspec

from revline.core.farside import Idempotency
from revline.delivery.marking import Call, Ready, asked_of
from revline.delivery.pace import Pace
from revline.delivery.values import FarSide
from revline.platform.work.budgets import CLOSE, CLOSE_SHARE_PERCENT, Asked, Ledger
from revline.platform.work.capacity import PoolView
from revline.platform.work.lanes import PoolRoom
from revline.platform.work.pool_state import PoolLimits, untouched

LOOK_UP_BATCH: Final = 20
UNKNOWN_POOL_LANES: Final = 4
LANES_PER_POOL_MAX: Final = 512
POOLS_WATCHED_MAX: Final = 64


class SlotLoad(msgspec.Struct, frozen=True, kw_only=True):
    """A slot this process holds. waiting: calls on it that are not answered."""

    slot: str
    waiting: int


class Planned(msgspec.Struct, frozen=True, kw_only=True):
    """calls: each on a slot. left: heads that may not begin yet."""

    calls: tuple[Call, ...]
    left: tuple[Ready, ...]


class Plan:
    """What this process knows of pools: limits from manifests, and how they stood when it last looked. When connections that
    share a pool differ, the tightest holds."""

    def __init__(self, *, pace: Pace) -> None:
        self._pace = pace
        self._limits: dict[str, PoolLimits] = {}
        self._batches: dict[str, int] = {}
        self._one_by_one: set[str] = set()
        self._known: dict[str, PoolLimits] = {}
        self._views: Mapping[str, PoolView] = {}
        self._recent: dict[str, None] = {}

    @property
    def watched(self) -> frozenset[str]:
        """The pools this process worked for last: how they stand is looked at each turn."""
        return frozenset(self._recent)

    def learn(self, far: FarSide) -> None:
        """Take over a far side's limits."""
        manifest, limits, known = far.connector.manifest, limits_of(far), self._limits.get(far.pool_id)
        if known is not None and known.slots < limits.slots:
            limits = msgspec.structs.replace(limits, slots=known.slots)
        self._recent.pop(far.pool_id, None)
        self._recent[far.pool_id] = None
        if len(self._recent) > POOLS_WATCHED_MAX:
            del self._recent[next(iter(self._recent))]
        self._limits[far.pool_id] = limits
        batch = max((kind.batch_max for kind in manifest.kinds), default=1)
        self._batches[far.pool_id] = max(batch, self._batches.get(far.pool_id, 1))
        if any(kind.idempotency is Idempotency.NEITHER for kind in manifest.kinds):
            self._one_by_one.add(far.pool_id)

    def see(self, views: Mapping[str, PoolView]) -> None:
        """Take over how pools stand now."""
        self._views = views

    def new_limits(self) -> tuple[PoolLimits, ...]:
        """Limits that the database doesn't know from this process yet."""
        found = tuple(limits for pool, limits in self._limits.items() if self._known.get(pool) != limits)
        self._known.update({limits.pool_id: limits for limits in found})
        return found

    def slots(self, pool_id: str) -> int:
        """Calls at once in a pool; 1 while nothing is known of it."""
        if pool_id in self._views:
            return self._views[pool_id].state.slots
        limits = self._limits.get(pool_id)
        return limits.slots if limits else 1

    def depth(self, pool_id: str) -> int:
        """Unanswered calls on one slot. Only the one under way where nobody could tell what became of those marked behind it."""
        alone = pool_id in self._one_by_one or self._batches.get(pool_id, 1) > 1
        return 1 if alone else self._pace.depth(pool_id)

    def lanes_per_slot(self, pool_id: str) -> int:
        """Lanes one slot can carry."""
        return self.depth(pool_id) * self._batches.get(pool_id, 1)

    def lanes_wanted(self, pool_id: str) -> int:
        """Lanes worth holding at once: what its slots can carry."""
        if pool_id not in self._limits:
            return UNKNOWN_POOL_LANES
        return min(LANES_PER_POOL_MAX, self.slots(pool_id) * self.lanes_per_slot(pool_id))

    def ledger(self, pool_id: str, *, owner: str) -> Ledger:
        """A ledger of the pool as it was last seen; of one not seen yet, as its manifest has it."""
        if pool_id in self._views:
            return self._views[pool_id].ledger(owner=owner)
        return Ledger(pool=untouched(self._limits[pool_id]), owner=owner)

    def rooms(self, *, owner: str, held: Mapping[str, int]) -> Rooms:
        """What to claim. held: lanes this process holds, by pool.

        Of pools it has not worked for lately, a few lanes each; none of those that are closed. Where others work too, its part:
        further lanes would only wait in its hands. However many it holds, the close has room for the share it is owed, so that it
        never waits behind what was claimed before it.
        """
        rooms: list[PoolRoom] = []
        full: list[str] = []
        for pool, view in self._views.items():
            workers = len({owner, *(use.owner for use in view.uses)})
            wanted = 1 if view.state.probing else max(self.lanes_per_slot(pool), self.lanes_wanted(pool) // workers)
            shut = not view.state.open or (view.state.probing and not view.state.free)
            room = 0 if shut else max(0, wanted - held.get(pool, 0))
            ledger = view.ledger(owner=owner)
            full += ledger.full(lanes_per_slot=self.lanes_per_slot(pool))
            owed = -(-wanted * CLOSE_SHARE_PERCENT // 100) - ledger.lanes(kind_group=CLOSE)
            closing = room if shut or view.state.probing else max(room, owed)
            rooms.append(PoolRoom(pool_id=pool, lanes=room, closing=closing))
        return Rooms(pools=tuple(rooms), full=tuple(full))


class Rooms(msgspec.Struct, frozen=True, kw_only=True):
    """Room for lanes by pool, and parts of the work that may have no more (`Ledger.full`)."""

    pools: tuple[PoolRoom, ...]
    full: tuple[str, ...]


def limits_of(far: FarSide) -> PoolLimits:
    """What a far side's manifest allows its pool."""
    manifest = far.connector.manifest
    return PoolLimits(
        pool_id=far.pool_id,
        slots=manifest.slots,
        bucket_per_second=manifest.bucket_per_second,
        bucket_burst=manifest.bucket_burst,
    )


def plan_calls(
    *,
    ready: Sequence[Ready],
    load: Mapping[str, Sequence[SlotLoad]],
    plan: Plan,
    owner: str,
    new_slot: Callable[[], str],
) -> Planned:
    """Calls for as many heads as slots and budgets of their pools can carry, in the order of `Ledger.in_turn`."""
    calls: list[Call] = []
    left: list[Ready] = []
    by_pool: dict[str, list[tuple[Ready, ...]]] = {}
    for pool, members in groups(ready):
        by_pool.setdefault(pool, []).append(members)
    for pool, batches in by_pool.items():
        slots = Slots(load=load.get(pool, ()), most=plan.slots(pool), depth=plan.depth(pool), new_slot=new_slot)
        ledger = plan.ledger(pool, owner=owner)
        asked = [asked_of(members) for members in batches]
        for index in ledger.in_turn(asked):
            slot = slots.take(ledger=ledger, asked=asked[index])
            if slot is None:
                left += batches[index]
            else:
                calls.append(Call(pool_id=pool, slot=slot, members=batches[index]))
    return Planned(calls=tuple(calls), left=tuple(left))


def groups(ready: Sequence[Ready]) -> list[tuple[str, tuple[Ready, ...]]]:
    """Heads that can share a call: one connection and operation, or one look-up, in batches of what the far side takes."""
    found: dict[tuple[str, ...], list[Ready]] = {}
    for entry in sorted(ready, key=lambda one: one.head.loaded.lane.priority):
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


class Slots:
    """The slots of one pool as calls are put on them: an empty one first, then one that must be opened, and behind another call
    only where no further slot may be opened."""

    def __init__(self, *, load: Sequence[SlotLoad], most: int, depth: int, new_slot: Callable[[], str]) -> None:
        self._depth, self._most, self._open = depth, most, len(load)
        self._loads = [(entry.waiting, entry.slot) for entry in load if entry.waiting < depth]
        self._new_slot, self._fresh = new_slot, ""
        heapq.heapify(self._loads)

    def take(self, *, ledger: Ledger, asked: Asked) -> str | None:
        """The slot a call begins on, told to the ledger; None when it may not begin."""
        if ledger.tokens < 1:
            return None
        waiting, slot = self._loads[0] if self._loads else (self._depth, "")
        if waiting > 0 and self._open < self._most:
            self._fresh = self._fresh or self._new_slot()
            if ledger.may(asked, slot=self._fresh):
                ledger.take(asked, slot=self._fresh)
                slot, self._fresh = self._fresh, ""
                self._open += 1
                if self._depth > 1:
                    heapq.heappush(self._loads, (1, slot))
                return slot
        if not slot or not ledger.may(asked, slot=slot):
            return None
        ledger.take(asked, slot=slot)
        if waiting + 1 < self._depth:
            heapq.heapreplace(self._loads, (waiting + 1, slot))
        else:
            heapq.heappop(self._loads)
        return slot
