"""How many calls at once: who goes next, who waits, and that no slot is ever lost."""

from __future__ import annotations

import asyncio
from itertools import count

from revline.connectors.sdk.slots import Slots


def slots_of(most: int) -> Slots[int]:
    """What its slots call with are numbers, in the order in which they were made."""
    numbers = count(1)
    return Slots(slots=most, make=lambda: next(numbers))


async def taken(slots: Slots[int], *, wait_seconds: float = 5) -> int | None:
    return await slots.take(wait_seconds=wait_seconds)


def test_one_after_the_other_uses_one() -> None:
    async def story() -> list[int | None]:
        slots, found = slots_of(4), []
        for _ in range(3):
            one = await taken(slots)
            assert one is not None
            slots.give(one)
            found.append(one)
        return found

    assert asyncio.run(story()) == [1, 1, 1]


def test_the_one_used_last_is_used_next() -> None:
    async def story() -> list[int | None]:
        slots = slots_of(3)
        for one in [await taken(slots) for _ in range(3)]:
            assert one is not None
            slots.give(one)
        return [await taken(slots) for _ in range(3)]

    assert asyncio.run(story()) == [3, 2, 1]


def test_no_more_than_slots_are_made_and_the_others_wait_their_turn() -> None:
    async def story() -> tuple[list[int | None], list[int | None]]:
        slots = slots_of(2)
        first = [await taken(slots), await taken(slots)]
        waiting = [asyncio.create_task(taken(slots)) for _ in range(2)]
        await asyncio.sleep(0)
        slots.give(2)
        slots.give(1)
        return first, await asyncio.gather(*waiting)

    assert asyncio.run(story()) == ([1, 2], [2, 1])


def test_who_waits_too_long_gets_none() -> None:
    async def story() -> int | None:
        slots = slots_of(1)
        await taken(slots)
        return await taken(slots, wait_seconds=0.01)

    assert asyncio.run(story()) is None


def test_who_gives_up_waiting_is_passed_over() -> None:
    async def story() -> int | None:
        slots = slots_of(1)
        await taken(slots)
        gone, next_one = asyncio.create_task(taken(slots)), asyncio.create_task(taken(slots))
        await asyncio.sleep(0)
        gone.cancel()
        await asyncio.gather(gone, return_exceptions=True)
        slots.give(1)
        return await next_one

    assert asyncio.run(story()) == 1


def test_a_slot_handed_to_a_call_that_is_given_up_at_that_moment_is_not_lost() -> None:
    async def story() -> int | None:
        slots = slots_of(1)
        await taken(slots)
        waiting = asyncio.create_task(taken(slots))
        await asyncio.sleep(0)
        slots.give(1)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        return await taken(slots, wait_seconds=0.1)

    assert asyncio.run(story()) == 1


def test_closing_gives_back_all_that_were_made_and_hands_out_none_any_more() -> None:
    async def story() -> tuple[list[int], list[int | None]]:
        slots = slots_of(2)
        await taken(slots)
        await taken(slots)
        slots.give(2)
        slots.give(1)
        await taken(slots)
        await taken(slots)
        waiting = asyncio.create_task(taken(slots))
        await asyncio.sleep(0)
        made = list(slots.close())
        slots.give(1)
        return made, [await waiting, await taken(slots), *slots.close()]

    assert asyncio.run(story()) == ([1, 2], [None, None])
