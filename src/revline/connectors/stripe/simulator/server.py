"""The simulated Stripe on a free port of the loopback address, in a thread of its own or a process of its own.

`python -m revline.connectors.stripe.simulator.server` prints its address and its key and runs until a signal. Knows when
webhooks go and how it is steered; what a call means is `api`.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import secrets
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Self, TypeVar
from urllib.parse import parse_qs

import httpx2

from revline.connectors.sdk.http import checked_base_url
from revline.connectors.sdk.rehearsal_calls import Answer
from revline.connectors.sdk.rehearsal_server import (
    HOST,
    Exchange,
    LoopbackServer,
    ServingThread,
    announce,
    until_signalled,
)
from revline.connectors.stripe.simulator.account import Rules
from revline.connectors.stripe.simulator.api import SimulatedStripe
from revline.connectors.stripe.simulator.webhooks import Delivery
from revline.core.clock import SystemClock

T = TypeVar("T")
BODY_BYTES_MAX: Final = 1_000_000
DELIVER_EVERY_SECONDS: Final = 0.02
CONTROL: Final = "/_simulator/"


class Server:
    """Serves one simulated account and delivers its webhooks."""

    def __init__(self, *, stripe: SimulatedStripe) -> None:
        self._stripe = stripe

    async def handle(self, exchange: Exchange) -> None:
        """One call of the API, or one that steers the simulator."""
        request = exchange.request
        if request.target.startswith(CONTROL):
            verb = request.target.removeprefix(CONTROL)
            answer = control(self._stripe, verb=verb, headers=request.headers, body=request.body)
        else:
            answer = self._stripe.call(
                method=request.method, target=request.target, headers=request.headers, body=request.body
            )
        await exchange.answer(answer)

    async def deliver(self, stopping: asyncio.Event) -> None:
        """Deliver webhooks until told to stop. Addresses outside the loopback must be https, as everywhere."""
        async with httpx2.AsyncClient(trust_env=False, timeout=10.0) as client:
            while not stopping.is_set():
                for delivery in self._stripe.outbox.due():
                    await self._deliver(client, delivery)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(stopping.wait(), DELIVER_EVERY_SECONDS)

    async def _deliver(self, client: httpx2.AsyncClient, delivery: Delivery) -> None:
        try:
            url = checked_base_url(url=delivery.url)
            headers = self._stripe.outbox.headers(delivery)
            answer = await client.post(url, content=delivery.body, headers=headers)
            taken = 200 <= answer.status_code < 300
        except (httpx2.HTTPError, OSError, ValueError):
            taken = False
        self._stripe.outbox.done(delivery, taken=taken)


def control(stripe: SimulatedStripe, *, verb: str, headers: Mapping[str, str], body: bytes) -> Answer:
    """Steering from another process, under the API key: fault (kind, times, path), advance (seconds), payout, counters."""
    probe = stripe.call(method="GET", target="/v1/events?limit=1", headers=headers, body=b"")
    if probe.status != 200:
        return probe
    given = {name: values[0] for name, values in parse_qs(body.decode()).items()}
    said: dict[str, Any] = {"done": True}
    try:
        if verb == "fault":
            stripe.add_fault(given["kind"], times=int(given.get("times", "1")), path=given.get("path", ""))
        elif verb == "advance":
            stripe.advance(int(given["seconds"]))
        elif verb == "counters":
            said = {"calls": stripe.calls, "waiting": len(stripe.outbox.waiting), "lost": stripe.outbox.lost}
        else:
            return Answer(status=404, body=b'{"error": {"message": "there is no such verb"}}')
    except (KeyError, ValueError) as error:
        return Answer(status=400, body=json.dumps({"error": {"message": str(error)}}).encode())
    return Answer(status=200, body=json.dumps(said).encode())


class RunningStripe:
    """A simulated Stripe in a thread of this process. Use as a context manager. clock: unix seconds, the system's by default."""

    def __init__(
        self, *, key: str = "sk_test_simulated", clock: Callable[[], int] | None = None, rules: Rules | None = None
    ) -> None:
        self.key = key
        self.stripe = SimulatedStripe(key=key, clock=clock or _system_seconds, rules=rules)
        self.base_url = ""
        self._thread = ServingThread(
            name="simulated Stripe",
            serving=lambda stopping, tell: serve(self.stripe, port=0, stopping=stopping, tell=tell),
        )

    def __enter__(self) -> Self:
        self._thread.start()
        self.base_url = f"http://{HOST}:{self._thread.port}"
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.stop()

    def do(self, act: Callable[[SimulatedStripe], T]) -> T:
        """Act on the account between two calls, as what happens at Stripe without a call does."""
        return self._thread.do(lambda: act(self.stripe))


async def serve(stripe: SimulatedStripe, *, port: int, stopping: asyncio.Event, tell: Callable[[int], None]) -> None:
    """Serve until told to stop; `tell` hears the port."""
    server = Server(stripe=stripe)
    delivering = asyncio.create_task(server.deliver(stopping))
    try:
        await LoopbackServer(handle=server.handle, body_bytes_max=BODY_BYTES_MAX).serve(
            port=port, stopping=stopping, tell=tell
        )
    finally:
        stopping.set()
        await delivering


def _system_seconds() -> int:
    return int(SystemClock().now().timestamp())


async def _run(*, port: int, ready_file: Path | None) -> None:
    stripe_key = f"sk_test_{secrets.token_urlsafe(24)}"

    def tell(bound: int) -> None:
        announce(port=bound, facts={}, secrets={"key": stripe_key}, ready_file=ready_file)

    stripe = SimulatedStripe(key=stripe_key, clock=_system_seconds)
    await serve(stripe, port=port, stopping=until_signalled(), tell=tell)


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="A simulated Stripe on the loopback address.")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument(
        "--ready-file", type=Path, help="written once it listens, readable by its owner: address and key"
    )
    options = parser.parse_args(arguments)
    asyncio.run(_run(port=options.port, ready_file=options.ready_file))


if __name__ == "__main__":
    main()
