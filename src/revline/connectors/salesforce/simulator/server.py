"""The simulated org on the loopback address, in a thread or in a process of its own.

`python -m revline.connectors.salesforce.simulator.server --ready-file FILE` serves the story of `story` until it is ended.
Knows how long a connect is held and how answers are written; what a call means is `api`.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Callable, Sequence
from email.utils import format_datetime
from pathlib import Path
from typing import Any, Final, Self, TypeVar
from urllib.parse import parse_qsl, urlsplit

import msgspec

from revline.connectors.salesforce.simulator.api import BODY_BYTES_MAX, Answer, Api, Call
from revline.connectors.salesforce.simulator.login import Logins
from revline.connectors.salesforce.simulator.org import Org
from revline.connectors.salesforce.simulator.story import quote_to_order
from revline.connectors.sdk import rehearsal_calls
from revline.connectors.sdk.rehearsal_calls import Request
from revline.connectors.sdk.rehearsal_server import (
    HOST,
    Exchange,
    LoopbackServer,
    ServingThread,
    announce,
    until_signalled,
)
from revline.core.clock import Clock, SystemClock

T = TypeVar("T")
HEADER_BYTES_MAX: Final = 65_536
HELD_STEP_SECONDS: Final = 0.05
QUERY_FIELDS_MAX: Final = 100
CONSUMER_KEY: Final = "3MVG9simulated"
CONSUMER_SECRET: Final = "simulated-consumer-secret"  # noqa: S105 -- of a simulator that serves loopback only
USERNAME: Final = "integration@simulated.example"
_ENCODER: Final = msgspec.json.Encoder(decimal_format="number")


class SimulatedSalesforce:
    """One org behind one address. As a context manager it serves from a thread; `api` may be steered meanwhile.

    public_key: of the connected app, for assertions. port: 0 takes a free one.
    """

    def __init__(
        self, *, org: Org | None = None, clock: Clock | None = None, public_key: str = "", port: int = 0
    ) -> None:
        self.clock = clock or (org.clock if org is not None else SystemClock())
        self.org = org or Org(clock=self.clock)
        logins = Logins(
            clock=self.clock,
            consumer_key=CONSUMER_KEY,
            consumer_secret=CONSUMER_SECRET,
            username=USERNAME,
            public_key=public_key,
            lifetime=self.org.behaviour.token_lifetime,
        )
        self.api = Api(org=self.org, logins=logins)
        self.port = port
        self._thread: ServingThread | None = None

    @property
    def base_url(self) -> str:
        """Where it listens."""
        return f"http://{HOST}:{self.port}"

    def __enter__(self) -> Self:
        self._thread = ServingThread(name="simulated org", serving=self._serving)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._thread is not None:
            self._thread.stop()

    def do(self, act: Callable[[Org], T]) -> T:
        """Act on the org between two calls, as people who work in it do, while it serves from its thread."""
        if self._thread is None:
            raise RuntimeError("the simulated org does not run")
        return self._thread.do(lambda: act(self.org))

    async def serve(self, *, ready: Callable[[], Any], stopping: asyncio.Event) -> None:
        """Serve until `stopping` is set; `ready` is called once it listens."""

        def tell(port: int) -> None:
            self.port = port
            ready()

        server = LoopbackServer(handle=self._handle, body_bytes_max=BODY_BYTES_MAX, header_bytes_max=HEADER_BYTES_MAX)
        await server.serve(port=self.port, stopping=stopping, tell=tell)

    async def _serving(self, stopping: asyncio.Event, tell: Callable[[int], None]) -> None:
        await self.serve(ready=lambda: tell(self.port), stopping=stopping)

    async def _handle(self, exchange: Exchange) -> None:
        call = _call(exchange.request)
        answer = self.api.handle(call=call)
        waited = 0.0
        while answer.idle and waited < self.org.behaviour.connect_wait.total_seconds():
            await asyncio.sleep(HELD_STEP_SECONDS)
            waited += HELD_STEP_SECONDS
            answer = self.api.handle(call=call)
        await exchange.answer(self._written(answer))

    def _written(self, answer: Answer) -> rehearsal_calls.Answer:
        body = answer.body
        headers = {
            "date": format_datetime(self.clock.now(), usegmt=True),
            "content-type": "application/json;charset=UTF-8",
            **{name.lower(): value for name, value in answer.headers.items()},
        }
        return rehearsal_calls.Answer(
            status=answer.status,
            body=b"" if body is None else body if isinstance(body, bytes) else _ENCODER.encode(body),
            headers=tuple(headers.items()),
            lost=answer.lost,
        )


def _call(request: Request) -> Call:
    url = urlsplit(request.target)
    query = dict(parse_qsl(url.query, keep_blank_values=True, max_num_fields=QUERY_FIELDS_MAX))
    return Call(method=request.method, path=url.path, query=query, headers=request.headers, body=request.body)


async def run(*, port: int, ready_file: Path | None, told: bool) -> None:
    """Serve one org until SIGTERM or SIGINT. told: with the records of the story in it."""
    server = SimulatedSalesforce(port=port)
    if told:
        quote_to_order(org=server.org)

    def ready() -> None:
        facts = {"consumer_key": CONSUMER_KEY, "consumer_secret": CONSUMER_SECRET}
        announce(port=server.port, facts=facts, secrets={}, ready_file=ready_file)

    await server.serve(ready=ready, stopping=until_signalled())


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="A simulated Salesforce org on the loopback address.")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--ready-file", type=Path, help="written once it listens: address and log-in")
    parser.add_argument("--empty", action="store_true", help="without the records of the story")
    options = parser.parse_args(arguments)
    asyncio.run(run(port=options.port, ready_file=options.ready_file, told=not options.empty))


if __name__ == "__main__":
    main()
