"""Where the next call of a pool begins: on an empty slot, on one that is opened, or behind another call."""

from __future__ import annotations

from decimal import Decimal

from revline.delivery.plan import SlotLoad, Slots
from revline.platform.work.budgets import Asked, Ledger, Use
from revline.platform.work.pool_state import PoolLimits, untouched

ASKED = Asked(tenant_id="acme", kind_group="")


def ledger(*, slots: int, uses: tuple[Use, ...] = (), burst: int = 100) -> Ledger:
    limits = PoolLimits(pool_id="erp", slots=slots, bucket_per_second=Decimal(100), bucket_burst=burst)
    return Ledger(pool=untouched(limits), uses=uses, owner="me")


def slots_of(*, load: tuple[SlotLoad, ...] = (), most: int, depth: int) -> Slots:
    names = iter(f"new/{number}" for number in range(1, 100))
    return Slots(load=load, most=most, depth=depth, new_slot=lambda: next(names))


def taken(slots: Slots, ledger: Ledger, *, times: int) -> list[str | None]:
    return [slots.take(ledger=ledger, asked=ASKED) for _ in range(times)]


def test_slots_are_opened_before_a_call_waits_behind_another() -> None:
    slots = slots_of(most=2, depth=2)
    assert taken(slots, ledger(slots=2), times=5) == ["new/1", "new/2", "new/1", "new/2", None]


def test_an_empty_slot_goes_first_and_the_shortest_queue_next() -> None:
    load = (SlotLoad(slot="mine/1", waiting=2), SlotLoad(slot="mine/2", waiting=0))
    slots = slots_of(load=load, most=2, depth=3)
    assert taken(slots, ledger(slots=2), times=4) == ["mine/2", "mine/2", "mine/1", "mine/2"]


def test_calls_wait_on_my_slots_when_other_workers_have_the_rest() -> None:
    use = Use(
        owner="other", tenant_id="acme", kind_group="", calls=frozenset({"other/1", "other/2"}), wanting=0, lanes=2
    )
    slots = slots_of(most=4, depth=2)
    assert taken(slots, ledger(slots=4, uses=(use,)), times=5) == ["new/1", "new/2", "new/1", "new/2", None]


def test_where_one_call_a_slot_is_kept_none_waits_behind_another() -> None:
    slots = slots_of(load=(SlotLoad(slot="mine/1", waiting=1),), most=2, depth=1)
    assert taken(slots, ledger(slots=2), times=2) == ["new/1", None]


def test_no_call_begins_without_a_token() -> None:
    assert taken(slots_of(most=4, depth=4), ledger(slots=4, burst=2), times=3) == ["new/1", "new/2", None]
