"""An ERP that takes 20 ms for a journal: the wire of the simulated ERP and nothing behind it, cheap, in a process of its own."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import msgspec

from benchmarks.fleet import CONTEXT
from revline.connectors.simulated.connector import SimulatedConnector, build
from revline.core.clock import SystemClock
from revline.platform.tenancy.kinds import Connection

HEAD_END: Final = b"\r\n\r\n"
LENGTH: Final = b"content-length:"


class Line(msgspec.Struct):
    """What the answer repeats of a line."""

    account: str
    debit: str = "0"
    credit: str = "0"
    currency: str = "USD"


class Journal(msgspec.Struct):
    """What the answer repeats of a journal."""

    external_reference: str
    company: str
    date: str
    lines: list[Line]


class Erp(asyncio.Protocol):
    """One connection: requests one after the other, each answered after the pause."""

    journals = msgspec.json.Decoder(Journal)
    number = 0

    def __init__(self, pause_seconds: float) -> None:
        self._pause_seconds = pause_seconds
        self._received = b""
        self._transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, found, rest = self._received.partition(HEAD_END)
        if not found:
            return
        lowered = head.lower()
        start = lowered.find(LENGTH)
        length = int(lowered[start + len(LENGTH) :].split(b"\r\n", 1)[0]) if start >= 0 else 0
        if len(rest) < length:
            return
        self._received = rest[length:]
        answer = self._answer(head, rest[:length])
        asyncio.get_running_loop().call_later(self._pause_seconds, self._send, answer)

    def _send(self, answer: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(answer)

    def _answer(self, head: bytes, body: bytes) -> bytes:
        if head.startswith(b"GET"):
            return _response(b"200 OK", b'{"periods":[]}')
        found = self.journals.decode(body)
        Erp.number += 1
        record = {
            "kind": "journals",
            "id": f"JE-{found.external_reference}",
            "number": f"JE{Erp.number}",
            "state": "posted",
            "version": str(Erp.number),
            "external_reference": found.external_reference,
            "company": found.company,
            "date": found.date,
        }
        entries = [
            {
                "line": place,
                "account": line.account,
                "debit": line.debit,
                "credit": line.credit,
                "currency": line.currency,
                "currency_amount": line.debit if line.debit != "0" else f"-{line.credit}",
                "date": found.date,
            }
            for place, line in enumerate(found.lines, start=1)
        ]
        return _response(b"201 Created", msgspec.json.encode({"status": 201, "record": record, "entries": entries}))


def _response(status: bytes, body: bytes) -> bytes:
    return b"HTTP/1.1 %b\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (status, len(body), body)


@contextmanager
def running_erp(*, pause_seconds: float, uvloop: bool) -> Iterator[tuple[str, int]]:
    """Its address and the process it runs in."""
    mine, theirs = CONTEXT.Pipe()
    process = CONTEXT.Process(target=serve, args=(theirs, pause_seconds), kwargs={"uvloop": uvloop}, daemon=True)
    process.start()
    try:
        port = mine.recv()
        assert process.pid is not None
        yield f"http://127.0.0.1:{port}", process.pid
    finally:
        process.terminate()
        process.join()


def serve(told: Any, pause_seconds: float, *, uvloop: bool) -> None:
    """Serve until ended."""
    run_in_loop(_serve(told, pause_seconds), uvloop=uvloop)


async def _serve(told: Any, pause_seconds: float) -> None:
    server = await asyncio.get_running_loop().create_server(lambda: Erp(pause_seconds), "127.0.0.1", 0)
    told.send(server.sockets[0].getsockname()[1])
    await server.serve_forever()


def wire_connector(*, url: str, slots: int) -> SimulatedConnector:
    """The product's connector to it, over the network, a document a call."""
    settings = {"baseUrl": url, "slots": str(slots), "batchMax": "1", "bucketPerSecond": "1000000"}
    return build(
        connection=Connection(connector="simulated", settings=settings),
        secrets={"token": "benchmark-token"},
        transport=None,
        clock=SystemClock(),
        random=random.Random(1),
    )


def run_in_loop(work: Any, *, uvloop: bool) -> None:
    """Run a coroutine in asyncio's own loop or in uvloop's."""
    if not uvloop:
        asyncio.run(work)
        return
    import uvloop as faster  # noqa: PLC0415 - only where it is asked for

    with asyncio.Runner(loop_factory=faster.new_event_loop) as runner:
        runner.run(work)
