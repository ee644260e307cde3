"""One connection a slot: how many at once, who waits, and that no slot is ever lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import httpx2
import pytest

from revline.connectors.sdk.slots import SlotTransport


class Body(httpx2.AsyncByteStream):
    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield b"{}"


class Connection(httpx2.AsyncBaseTransport):
    """Counts what it carries; answers when it may."""

    made = 0

    def __init__(self, may_answer: asyncio.Event) -> None:
        Connection.made += 1
        self.number = Connection.made
        self.closed = False
        self._may_answer = may_answer

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        await self._may_answer.wait()
        if request.url.path == "/broken":
            raise httpx2.ReadError("reset")
        return httpx2.Response(200, headers={"carried-by": str(self.number)}, stream=Body())

    async def aclose(self) -> None:
        self.closed = True


def request(path: str = "/", *, wait_seconds: float = 5) -> httpx2.Request:
    return httpx2.Request("POST", f"http://erp.example{path}", extensions={"timeout": {"pool": wait_seconds}})


async def carried_by(transport: SlotTransport, one: httpx2.Request) -> str:
    answer = await transport.handle_async_request(one)
    assert [part async for part in answer.stream] == [b"{}"]  # type: ignore[union-attr]
    await answer.aclose()
    return str(answer.headers["carried-by"])


@pytest.fixture(autouse=True)
def _count_from_nothing() -> None:
    Connection.made = 0


def transport_of(slots: int) -> tuple[SlotTransport, asyncio.Event]:
    may_answer = asyncio.Event()
    return SlotTransport(slots=slots, make=lambda: Connection(may_answer)), may_answer


def test_one_after_the_other_uses_one_connection() -> None:
    async def story() -> list[str]:
        transport, may_answer = transport_of(4)
        may_answer.set()
        return [await carried_by(transport, request()) for _ in range(3)]

    assert asyncio.run(story()) == ["1", "1", "1"]


def test_no_more_connections_than_slots_and_the_others_wait_their_turn() -> None:
    async def story() -> list[str]:
        transport, may_answer = transport_of(2)
        calls = [asyncio.create_task(carried_by(transport, request())) for _ in range(5)]
        await asyncio.sleep(0)
        may_answer.set()
        return await asyncio.gather(*calls)

    assert set(asyncio.run(story())) == {"1", "2"}
    assert Connection.made == 2


def test_who_waits_too_long_was_not_sent() -> None:
    async def story() -> None:
        transport, _ = transport_of(1)
        busy = asyncio.create_task(transport.handle_async_request(request()))
        await asyncio.sleep(0)
        with pytest.raises(httpx2.PoolTimeout):
            await transport.handle_async_request(request(wait_seconds=0.01))
        busy.cancel()

    asyncio.run(story())


def test_a_call_that_breaks_or_is_given_up_gives_its_slot_back() -> None:
    async def story() -> str:
        transport, may_answer = transport_of(1)
        given_up = asyncio.create_task(transport.handle_async_request(request()))
        waiting = asyncio.create_task(transport.handle_async_request(request()))
        await asyncio.sleep(0)
        waiting.cancel()
        given_up.cancel()
        await asyncio.gather(given_up, waiting, return_exceptions=True)
        may_answer.set()
        with pytest.raises(httpx2.ReadError):
            await transport.handle_async_request(request("/broken"))
        return await carried_by(transport, request())

    assert asyncio.run(story()) == "1"


def test_a_slot_handed_to_a_call_that_is_given_up_at_that_moment_is_not_lost() -> None:
    async def story() -> str:
        transport, may_answer = transport_of(1)
        may_answer.set()
        first = await transport.handle_async_request(request())
        waiting = asyncio.create_task(transport.handle_async_request(request()))
        await asyncio.sleep(0)
        await first.aclose()
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        return await carried_by(transport, request(wait_seconds=0.1))

    assert asyncio.run(story()) == "1"


def test_an_answer_closed_twice_gives_its_slot_back_once() -> None:
    async def story() -> int:
        transport, may_answer = transport_of(1)
        may_answer.set()
        answer = await transport.handle_async_request(request())
        await answer.aclose()
        await answer.aclose()
        calls = [asyncio.create_task(carried_by(transport, request())) for _ in range(3)]
        await asyncio.gather(*calls)
        return Connection.made

    assert asyncio.run(story()) == 1


def test_closing_closes_every_connection() -> None:
    async def story() -> list[bool]:
        transport, may_answer = transport_of(3)
        may_answer.set()
        await asyncio.gather(*(transport.handle_async_request(request()) for _ in range(3)))
        made = list(transport._made)
        await transport.aclose()
        return [one.closed for one in made if isinstance(one, Connection)]

    assert asyncio.run(story()) == [True, True, True]
