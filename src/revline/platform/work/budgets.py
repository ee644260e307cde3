"""Who may have the slots of a capacity pool: budgets of tenants and kind groups, the close, and fair parts of workers. Pure.

A `Ledger` stands for one pool at one moment. Calls are put to it one after another; it says which may begin. The same ledger is
made twice: from what a worker last saw, to choose what to try, and under the pool's lock, to be exact. It knows no table.

What holds of any sequence of grants: never more slots than the pool has, nor more than a maximum allows; a slot nobody with a claim
to it wants is lent to whoever asks. What a share is owed is left free until its owner takes it.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from revline.platform.work.pool_state import PoolState

ALL: Final = ""
EACH: Final = "*"
CLOSE: Final = "close"
"""The kind group of whatever has the priority of the close, instead of its own."""
CLOSE_SHARE_PERCENT: Final = 50
CLOSE_MAX_PERCENT: Final = 75
CLOSE_TURNS: Final = 4
"""Of so many calls of a pool, the last goes to others first: a close that never ends can't keep them waiting for ever."""

Account = tuple[str, str]
"""Tenant ("" for all together) and kind group ("" for all): what a budget is kept for."""


class Budget(msgspec.Struct, frozen=True, kw_only=True):
    """What a part of the work may have of a pool.

    tenant_id: one tenant, EACH for each without a budget of its own, ALL for all together. kind_group: one, or ALL.
    share_percent: of the slots, rounded up, theirs when they want it. slots_max: never more; None for no maximum.
    """

    tenant_id: str
    kind_group: str
    share_percent: int = 0
    slots_max: int | None = None


class Use(msgspec.Struct, frozen=True, kw_only=True):
    """Lanes that one worker holds of one tenant and kind group. calls: slots of those in a call. wanting: lanes that want one.
    lanes: all of them. budgets: the tenant's own."""

    owner: str
    tenant_id: str
    kind_group: str
    calls: frozenset[str]
    wanting: int
    lanes: int
    budgets: tuple[Budget, ...] = ()


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """A call that wants to begin. lanes: how many it carries."""

    tenant_id: str
    kind_group: str
    lanes: int = 1


class Ledger:
    """One pool's slots and tokens as they are given away. uses: of every worker. budgets: those for all and for each."""

    def __init__(
        self, *, pool: PoolState, uses: Sequence[Use] = (), budgets: Sequence[Budget] = (), owner: str
    ) -> None:
        self.pool = pool
        self.granted = 0
        self.probe = ""
        self._owner = owner
        self._budgets = {
            (one.tenant_id, one.kind_group): one for one in (*budgets, *(rule for use in uses for rule in use.budgets))
        }
        self._used: set[str] = set()
        self._slots: dict[Account, set[str]] = {}
        self._of_owner: dict[str, set[str]] = {owner: set()}
        self._wanting: dict[tuple[str, str, str], int] = {}
        self._lanes: dict[Account, int] = {}
        for use in uses:
            self._used |= use.calls
            self._of_owner.setdefault(use.owner, set()).update(use.calls)
            for account in accounts(use.tenant_id, use.kind_group):
                self._slots.setdefault(account, set()).update(use.calls)
                self._lanes[account] = self._lanes.get(account, 0) + use.lanes
            key = (use.owner, use.tenant_id, use.kind_group)
            self._wanting[key] = self._wanting.get(key, 0) + use.wanting
        self._shared = any(one.share_percent for one in self._budgets.values())
        self._closing = (ALL, CLOSE) in self._lanes
        self._part = max(1, pool.slots // len({owner, *(use.owner for use in uses if use.calls or use.wanting)}))
        self._others = self._owed_to_workers() if any(use.owner != owner and use.wanting for use in uses) else 0
        self._owed: tuple[int, int] = (-1, 0)

    @property
    def tokens(self) -> int:
        """Calls the bucket still allows."""
        return int(self.pool.tokens) - self.granted

    def used(self, tenant_id: str) -> int:
        """Slots a tenant has a call on."""
        return len(self._slots.get((tenant_id, ALL), ()))

    def lanes(self, *, kind_group: str) -> int:
        """Lanes of a kind group that any worker holds."""
        return self._lanes.get((ALL, kind_group), 0)

    def may(self, asked: Asked, *, slot: str) -> bool:
        """Whether a call may begin on a slot; on one that is in use it waits behind another call."""
        if not self.pool.open or self.tokens < 1:
            return False
        if self.pool.probing:
            return self.pool.free > 0 and not self.probe and slot not in self._used
        opens = slot not in self._used
        left = self.pool.slots - len(self._used) - opens
        if left < 0:
            return False
        if self._budgets or asked.kind_group == CLOSE:
            counted = accounts(asked.tenant_id, asked.kind_group)
            if not all(self._fits(account, slot) for account in counted):
                return False
            if any(self._is_owed(account, slot) for account in counted):
                return True
        mine = self._of_owner[self._owner]
        beyond = self._others > 0 and len(mine) + (slot not in mine) > self._part
        return left >= max(self._owed_to_budgets(), self._others if beyond else 0)

    def take(self, asked: Asked, *, slot: str) -> None:
        """The call begins."""
        self.granted += 1
        if self.pool.probing:
            self.probe = slot
        self._used.add(slot)
        self._of_owner[self._owner].add(slot)
        for account in accounts(asked.tenant_id, asked.kind_group):
            self._slots.setdefault(account, set()).add(slot)
        key = (self._owner, asked.tenant_id, asked.kind_group)
        self._wanting[key] = max(0, self._wanting.get(key, 0) - asked.lanes)

    def in_turn(self, calls: Sequence[Asked]) -> Iterator[int]:
        """Indexes of calls in the order in which they should be put: the close first, but for every fourth call; then the tenant
        with the fewest slots; then as given. Goes by what was taken meanwhile."""
        waiting: dict[bool, dict[str, list[int]]] = {True: {}, False: {}}
        for index, one in reversed(list(enumerate(calls))):
            waiting[one.kind_group == CLOSE].setdefault(one.tenant_id, []).append(index)
        # A tenant's place changes only when a call of its own begins, so each is put back as it stands then.
        turns = {
            closing: [(self.used(tenant), mine[-1], tenant) for tenant, mine in of.items()]
            for closing, of in waiting.items()
        }
        for heap in turns.values():
            heapq.heapify(heap)
        while turns[True] or turns[False]:
            closing = bool(turns[True]) if not turns[False] else bool(turns[True]) and self._close_goes_first()
            _, _, tenant = heapq.heappop(turns[closing])
            mine = waiting[closing][tenant]
            yield mine.pop()
            if mine:
                heapq.heappush(turns[closing], (self.used(tenant), mine[-1], tenant))

    def full(self, *, lanes_per_slot: int) -> tuple[str, ...]:
        """Parts of the work that no lane need be claimed for, since those held fill their maximum: `pool/group`, `pool//tenant`
        or `pool/group/tenant`."""
        found = []
        for (tenant, group), lanes in self._lanes.items():
            limit = self._limit((tenant, group))
            if limit is not None and lanes >= limit * lanes_per_slot:
                found.append(f"{self.pool.pool_id}/{group}" + (f"/{tenant}" if tenant else ""))
        return tuple(sorted(found))

    def _close_goes_first(self) -> bool:
        return (self.pool.calls + self.granted) % CLOSE_TURNS != CLOSE_TURNS - 1

    def _rule(self, account: Account) -> Budget | None:
        tenant, group = account
        own = self._budgets.get(account)
        return own or (self._budgets.get((EACH, group)) if tenant else None)

    def _limit(self, account: Account) -> int | None:
        rule = self._rule(account)
        if rule is None and account == (ALL, CLOSE):
            return max(1, self.pool.slots * CLOSE_MAX_PERCENT // 100)
        return rule.slots_max if rule else None

    def _share(self, account: Account) -> int:
        if account == (ALL, CLOSE) and not self._close_goes_first():
            return 0
        rule = self._rule(account)
        percent = rule.share_percent if rule else CLOSE_SHARE_PERCENT if account == (ALL, CLOSE) else 0
        return -(-self.pool.slots * percent // 100)

    def _fits(self, account: Account, slot: str) -> bool:
        limit, slots = self._limit(account), self._slots.get(account, set())
        return limit is None or slot in slots or len(slots) < limit

    def _is_owed(self, account: Account, slot: str) -> bool:
        slots = self._slots.get(account, set())
        return len(slots) + (slot not in slots) <= self._share(account)

    def _owed_to_budgets(self) -> int:
        """Slots that must stay free for shares whose owners want them: a slot serves a tenant and a kind group at once."""
        if not (self._shared or self._closing):
            return 0
        if self._owed[0] != self.granted:
            self._owed = (self.granted, self._count_owed())
        return self._owed[1]

    def _count_owed(self) -> int:
        owed: dict[str, int] = {}
        wanting: dict[Account, int] = {}
        for (_, tenant, group), lanes in self._wanting.items():
            if lanes and (self._shared or group == CLOSE) and self._has_room(tenant, group):
                for account in accounts(tenant, group):
                    wanting[account] = wanting.get(account, 0) + lanes
        for account, lanes in wanting.items():
            unmet = self._share(account) - len(self._slots.get(account, ()))
            if unmet > 0:
                family = f"{bool(account[0])}{bool(account[1])}"
                owed[family] = owed.get(family, 0) + min(unmet, lanes)
        return max(owed.values(), default=0)

    def _owed_to_workers(self) -> int:
        owed: dict[str, int] = {}
        for (owner, tenant, group), lanes in self._wanting.items():
            if owner != self._owner and lanes and self._has_room(tenant, group):
                owed[owner] = owed.get(owner, 0) + lanes
        return sum(min(max(0, self._part - len(self._of_owner.get(owner, ()))), lanes) for owner, lanes in owed.items())

    def _has_room(self, tenant: str, group: str) -> bool:
        return all(self._fits(account, "") for account in accounts(tenant, group))


def accounts(tenant_id: str, kind_group: str) -> tuple[Account, ...]:
    """What a call of a tenant and kind group counts for."""
    if not kind_group:
        return ((tenant_id, ALL),)
    return ((ALL, kind_group), (tenant_id, ALL), (tenant_id, kind_group))
