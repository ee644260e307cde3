"""What waits to be sealed is found by tenant, whatever came between, was sealed or was handed over twice."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from revline.subledger.usage.committed import SharedTable
from revline.subledger.usage.store import tail as module
from revline.subledger.usage.store.tail import Tail
from tests.usage_rows import START, table_of, usage

TENANTS = ("north", "south", "west")


def shared(shard: int, first: int, owners: list[int]) -> SharedTable:
    rows = [
        {**usage(f"{shard}-{first + place}"), "shard": shard, "sequence": first + place, "received_at": START}
        for place in range(len(owners))
    ]
    return SharedTable(shard=shard, table=table_of(rows), tenants=TENANTS, owners=np.array(owners, np.int64))


class Tails(RuleBasedStateMachine):
    """Two shards of three tenants; beside it a plain list of what was handed over and how far each tenant was sealed."""

    def __init__(self) -> None:
        super().__init__()
        self.tail, self.now = Tail(), START
        self.given: list[tuple[str, int, int]] = []
        self.through = {0: 0, 1: 0}
        self.tables: list[tuple[SharedTable, int]] = []
        self.sealed = {tenant: {0: 0, 1: 0} for tenant in TENANTS}

    @rule(shard=st.integers(0, 1), owners=st.lists(st.integers(0, 2), min_size=1, max_size=6))
    def comes(self, shard: int, owners: list[int]) -> None:
        first = self.through[shard] + 1
        self.through[shard] += len(owners)
        self.tables.append((shared(shard, first, owners), self.through[shard]))
        self.given += [(TENANTS[owner], shard, first + place) for place, owner in enumerate(owners)]
        self.now += timedelta(seconds=1)
        self.tail.add(self.tables[-1][0], through=self.through[shard], at=self.now)

    @rule(tenant=st.sampled_from(TENANTS), between=st.booleans())
    def is_sealed(self, tenant: str, *, between: bool) -> None:
        captured = self.tail.capture(tenant_id=tenant, sealed=self.sealed[tenant])
        assert captured.rows == len(self.waiting(tenant))
        if between:
            self.comes(0, [0, 1, 2])
        self.sealed[tenant] = {**self.sealed[tenant], **captured.through}
        self.tail.forget(captured, at=self.now)

    @rule(tenant=st.sampled_from(TENANTS))
    def was_sealed_without_an_answer(self, tenant: str) -> None:
        captured = self.tail.capture(tenant_id=tenant, sealed=self.sealed[tenant])
        self.sealed[tenant] = {**self.sealed[tenant], **captured.through}

    @rule()
    def is_packed(self) -> None:
        self.tail.pack()

    @rule()
    def starts_again(self) -> None:
        self.tail = Tail()
        for shard in (0, 1):
            known = {tenant: self.sealed[tenant][shard] for tenant in TENANTS}
            self.tail.begin(shard=shard, through=0, sealed=known)
        for table, through in self.tables:
            self.tail.add(table, through=through, at=self.now)

    def waiting(self, tenant: str) -> list[tuple[int, int]]:
        return sorted(
            (shard, sequence)
            for of, shard, sequence in self.given
            if of == tenant and sequence > self.sealed[of][shard]
        )

    @invariant()
    def each_tenant_finds_its_own(self) -> None:
        for tenant in TENANTS:
            found = self.tail.after(tenant_id=tenant, sealed=self.sealed[tenant])
            assert found is not None
            rows = [] if found.table is None else found.table.select(["shard", "sequence"]).to_pylist()
            assert sorted((row["shard"], row["sequence"]) for row in rows) == self.waiting(tenant)
            assert dict(found.through) == {
                shard: last for shard, last in self.through.items() if shard in found.through
            }


Tails.TestCase.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
TestTails = Tails.TestCase


def test_a_reader_who_asks_with_an_old_manifest_is_told_to_ask_again() -> None:
    tail = Tail()
    tail.add(shared(0, 1, [0, 0]), through=2, at=START)
    tail.forget(tail.capture(tenant_id="north", sealed={}), at=START)
    assert tail.after(tenant_id="north", sealed={}) is None
    assert tail.after(tenant_id="north", sealed={0: 2}) is not None


def test_many_small_commits_become_few_tables_and_sealed_rows_give_their_memory_back() -> None:
    tail = Tail()
    for number in range(100):
        tail.add(shared(0, 3 * number + 1, [0, 1, 1]), through=3 * number + 3, at=START)
    assert len(tail._tables) < 2 * module.MERGED_TABLES
    before = tail.bytes
    tail.forget(tail.capture(tenant_id="south", sealed={}), at=START)
    tail.pack()
    assert tail.bytes < before / 2
    tail.forget(tail.capture(tenant_id="north", sealed={}), at=START)
    assert tail.bytes == 0
