"""An org that hangs keeps its own threads waiting and nobody else's."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

import httpx2

from revline.connectors.salesforce.reader import client_of
from revline.core.clock import SystemClock
from revline.platform.tenancy.kinds import Connection


def test_a_call_that_hangs_takes_no_thread_that_others_need() -> None:
    asked = asyncio.Event()

    async def never(request: httpx2.Request) -> httpx2.Response:
        asked.set()
        await asyncio.Event().wait()
        return httpx2.Response(200)

    async def run() -> None:
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(max_workers=1))
        client = client_of(
            connection=Connection(
                connector="salesforce", entity="us", settings={"domain": "acme.my", "consumerKey": "key"}
            ),
            secrets={"consumerSecret": "secret"},
            transport=httpx2.MockTransport(never),
            clock=SystemClock(),
        )
        hanging = asyncio.create_task(client.query(text="SELECT Id FROM Account"))
        async with asyncio.timeout(10):
            await asked.wait()
            assert await asyncio.to_thread(lambda: "free") == "free"
        hanging.cancel()
        await client.close()

    asyncio.run(run())
