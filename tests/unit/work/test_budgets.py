"""Budgets of a capacity pool as pure functions: whatever is asked, no limit is passed, nothing lies idle, nobody starves."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from revline.platform.work.budgets import ALL, CLOSE, CLOSE_TURNS, EACH, Asked, Budget, Ledger, Use
from revline.platform.work.pool_state import PoolLimits, PoolState, untouched

GROUPS = ("masters", "invoices", "journals", CLOSE)
TENANTS = ("acme", "birch", "cedar", "dune")
asked_calls = st.lists(
    st.builds(Asked, tenant_id=st.sampled_from(TENANTS), kind_group=st.sampled_from(GROUPS)), max_size=40
)
budget_rows = st.lists(
    st.builds(
        Budget,
        tenant_id=st.sampled_from((ALL, EACH, "acme", "birch")),
        kind_group=st.sampled_from(GROUPS[:3]),
        share_percent=st.integers(0, 100),
        slots_max=st.one_of(st.none(), st.integers(1, 8)),
    ),
    max_size=5,
    unique_by=lambda one: (one.tenant_id, one.kind_group),
)


def pool(slots: int, *, calls: int = 0, tokens: int = 1_000) -> PoolState:
    state = untouched(
        PoolLimits(pool_id="erp", slots=slots, bucket_per_second=Decimal(1_000), bucket_burst=max(1, tokens))
    )
    return msgspec.structs.replace(state, calls=calls, tokens=Decimal(tokens))


def wanting(calls: Sequence[Asked], *, owner: str = "one") -> tuple[Use, ...]:
    """The lanes a worker holds for these calls."""
    return tuple(
        Use(
            owner=owner,
            tenant_id=tenant,
            kind_group=group,
            calls=frozenset(),
            wanting=sum((one.tenant_id, one.kind_group) == (tenant, group) for one in calls),
            lanes=sum((one.tenant_id, one.kind_group) == (tenant, group) for one in calls),
        )
        for tenant, group in sorted({(one.tenant_id, one.kind_group) for one in calls})
    )


def begun(ledger: Ledger, calls: Sequence[Asked]) -> list[tuple[str, Asked]]:
    """(slot, call) of every call that may begin, each on a slot of its own."""
    found = []
    for index in ledger.in_turn(calls):
        slot = f"slot {index}"
        if ledger.may(calls[index], slot=slot):
            ledger.take(calls[index], slot=slot)
            found.append((slot, calls[index]))
    return found


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(calls=asked_calls, budgets=budget_rows, slots=st.integers(1, 10), tokens=st.integers(0, 12))
def test_no_limit_is_ever_passed(calls: list[Asked], budgets: list[Budget], slots: int, tokens: int) -> None:
    ledger = Ledger(pool=pool(slots, tokens=tokens), uses=wanting(calls), budgets=budgets, owner="one")
    granted = [one for _, one in begun(ledger, calls)]
    assert len(granted) <= min(slots, tokens)
    for budget in budgets:
        for tenant in TENANTS if budget.tenant_id == EACH else (budget.tenant_id,):
            own = any((one.tenant_id, one.kind_group) == (tenant, budget.kind_group) for one in budgets)
            if budget.slots_max is None or (budget.tenant_id == EACH and own):
                continue
            used = sum(
                one.tenant_id in {tenant or one.tenant_id} and one.kind_group == budget.kind_group for one in granted
            )
            assert used <= budget.slots_max


@given(calls=asked_calls, slots=st.integers(1, 10), shares=st.lists(st.integers(0, 100), min_size=3, max_size=3))
def test_a_share_nobody_wants_is_lent(calls: list[Asked], slots: int, shares: list[int]) -> None:
    """Without a maximum every slot is used as long as somebody wants one: the close's own maximum aside."""
    calls = [one for one in calls if one.kind_group != CLOSE]
    budgets = [
        Budget(tenant_id=ALL, kind_group=group, share_percent=share)
        for group, share in zip(GROUPS, shares, strict=False)
    ]
    ledger = Ledger(pool=pool(slots), uses=wanting(calls), budgets=budgets, owner="one")
    assert len(begun(ledger, calls)) == min(slots, len(calls))


@given(calls=asked_calls, slots=st.integers(4, 10), made=st.integers(0, 100))
def test_every_tenant_gets_a_slot_before_one_has_two(calls: list[Asked], slots: int, made: int) -> None:
    calls = [msgspec.structs.replace(one, kind_group="journals") for one in calls]
    ledger = Ledger(pool=pool(slots, calls=made), uses=wanting(calls), owner="one")
    granted = [one.tenant_id for _, one in begun(ledger, calls)]
    assert set(granted) == {one.tenant_id for one in calls}


@given(turns=st.integers(8, 30), slots=st.integers(1, 4))
def test_a_close_that_never_ends_starves_nobody(turns: int, slots: int) -> None:
    """One call a turn may end: within four turns of the pool's others have had one, and the close most of them."""
    state, closing, others = pool(slots), 0, 0
    for _ in range(turns * CLOSE_TURNS):
        calls = [Asked(tenant_id="acme", kind_group=CLOSE)] * 9 + [Asked(tenant_id="birch", kind_group="journals")] * 9
        ledger = Ledger(pool=msgspec.structs.replace(state, tokens=Decimal(1)), uses=wanting(calls), owner="one")
        ((_, one),) = begun(ledger, calls)
        state = msgspec.structs.replace(state, calls=state.calls + 1)
        closing, others = closing + (one.kind_group == CLOSE), others + (one.kind_group != CLOSE)
    assert others == turns
    assert closing == turns * (CLOSE_TURNS - 1)


def test_the_close_is_owed_half_the_slots_though_bulk_holds_them_all() -> None:
    bulk = Asked(tenant_id="birch", kind_group="journals")
    close = Asked(tenant_id="acme", kind_group=CLOSE)
    busy = Use(owner="one", tenant_id="birch", kind_group="journals", calls=frozenset("abcdef"), wanting=6, lanes=12)
    asks = Use(owner="two", tenant_id="acme", kind_group=CLOSE, calls=frozenset(), wanting=5, lanes=5)
    ledger = Ledger(pool=pool(8), uses=(busy, asks), owner="one")
    assert not ledger.may(bulk, slot="new"), "two slots are free, and the close is owed four"
    assert not ledger.may(bulk, slot="a"), "nor may another call wait on a slot that could become free"
    assert Ledger(pool=pool(8), uses=(busy, asks), owner="two").may(close, slot="new")
    assert Ledger(pool=pool(8), uses=(busy,), owner="one").may(bulk, slot="a"), "lent while the close wants nothing"


def test_the_close_never_takes_more_than_three_quarters() -> None:
    calls = [Asked(tenant_id="acme", kind_group=CLOSE)] * 20
    assert len(begun(Ledger(pool=pool(8), uses=wanting(calls), owner="one"), calls)) == 6


def test_a_worker_leaves_others_their_part_of_the_slots() -> None:
    journal = Asked(tenant_id="acme", kind_group="journals")
    mine = Use(owner="one", tenant_id="acme", kind_group="journals", calls=frozenset("abcd"), wanting=4, lanes=8)
    theirs = Use(owner="two", tenant_id="birch", kind_group="journals", calls=frozenset(), wanting=4, lanes=4)
    assert not Ledger(pool=pool(4), uses=(mine, theirs), owner="one").may(journal, slot="a")
    half = msgspec.structs.replace(mine, calls=frozenset("ab"))
    assert Ledger(pool=pool(4), uses=(half, theirs), owner="one").may(journal, slot="a")
    assert Ledger(pool=pool(4), uses=(half, theirs), owner="two").may(journal, slot="x")


def test_what_may_have_no_more_is_named_so_that_nothing_of_it_is_claimed() -> None:
    budgets = [
        Budget(tenant_id=EACH, kind_group=ALL, slots_max=2),
        Budget(tenant_id=ALL, kind_group="journals", slots_max=3),
    ]
    held = [
        Use(owner="one", tenant_id="acme", kind_group="masters", calls=frozenset("ab"), wanting=2, lanes=4),
        Use(owner="two", tenant_id="birch", kind_group="journals", calls=frozenset("c"), wanting=2, lanes=3),
    ]
    ledger = Ledger(pool=pool(8), uses=held, budgets=budgets, owner="one")
    assert ledger.full(lanes_per_slot=2) == ("erp//acme",)
    assert ledger.full(lanes_per_slot=1) == ("erp//acme", "erp//birch", "erp/journals")


def test_while_a_breaker_tries_again_one_call_may_begin_in_all() -> None:
    journal = Asked(tenant_id="acme", kind_group="journals")
    trying = msgspec.structs.replace(pool(8), probing=True, free=1)
    ledger = Ledger(pool=trying, owner="one")
    assert len(begun(ledger, [journal] * 5)) == 1
    assert ledger.probe == "slot 0"
    assert not Ledger(pool=msgspec.structs.replace(trying, free=0), owner="two").may(journal, slot="x")
