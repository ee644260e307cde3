"""The simulated ERP in a process of its own: `python -m revline.connectors.simulated.server --data FOLDER --mode unique`.

HTTP/1.1 on the loopback address, with nothing but the standard library, because a server that may drop a connection after it
has committed is what is being simulated. Knows sockets and time; what a call means is `simulator`.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import secrets
import signal
import sys
from collections.abc import Sequence
from http import HTTPStatus
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

import msgspec

from revline.connectors.simulated import wire
from revline.connectors.simulated.calls import Answer, Arrival, Call, refusal
from revline.connectors.simulated.records import Mode
from revline.connectors.simulated.simulator import Simulator
from revline.core.clock import SystemClock

HOST = "127.0.0.1"
HEADER_BYTES_MAX = 32_768
CONNECTIONS_MAX = 512
IDLE_SECONDS = 60.0
READ_SECONDS = 30.0


class _BadRequestError(Exception):
    """What came in is not a request this server reads."""


class Server:
    """Serves one Simulator. Each call's effects are on the disk before it is answered; concurrent calls share a flush."""

    def __init__(self, *, simulator: Simulator) -> None:
        self._simulator = simulator
        self._flush = asyncio.Lock()
        self._connections: set[asyncio.Task[None]] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, until it closes."""
        task = asyncio.current_task()
        if task is None or len(self._connections) >= CONNECTIONS_MAX:
            writer.transport.abort()
            return
        self._connections.add(task)
        try:
            while await self._one(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError, TimeoutError, asyncio.CancelledError):
            pass
        except (_BadRequestError, asyncio.LimitOverrunError, ValueError):
            with contextlib.suppress(ConnectionError):
                writer.write(_response(refusal(400, "malformed", "this is not a request"), keep=False))
                await writer.drain()
        finally:
            self._connections.discard(task)
            writer.transport.abort() if writer.transport.is_closing() else writer.close()

    async def close(self) -> None:
        """Drop every connection."""
        for task in tuple(self._connections):
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        async with asyncio.timeout(IDLE_SECONDS):
            head = await reader.readuntil(b"\r\n\r\n")
        async with asyncio.timeout(READ_SECONDS):
            call, keep = await _read_call(head, reader)
        arrival = self._simulator.arrive(call=call)
        gone = False
        try:
            answer = await self._answer(arrival)
            gone = reader.at_eof() or writer.transport.is_closing()
            if answer.lost:
                writer.transport.abort()
                return False
            writer.write(_response(answer, keep=keep))
            await writer.drain()
        except ConnectionError:
            gone = True
            raise
        finally:
            self._simulator.leave(arrival=arrival, client_gone=gone)
            if gone:
                await self._durable()
        return keep

    async def _answer(self, arrival: Arrival) -> Answer:
        if arrival.wait_before:
            await asyncio.sleep(arrival.wait_before.total_seconds())
        answer = self._simulator.process(arrival=arrival)
        await self._durable()
        if arrival.wait_after:
            await asyncio.sleep(arrival.wait_after.total_seconds())
        return answer

    async def _durable(self) -> None:
        file = self._simulator.file
        if file is None:
            return
        target = file.appended
        while file.synced < target:
            async with self._flush:
                if file.synced < target:
                    await asyncio.to_thread(file.sync)


async def _read_call(head: bytes, reader: asyncio.StreamReader) -> tuple[Call, bool]:
    lines = head[:-4].decode("latin-1").split("\r\n")
    method, _, rest = lines[0].partition(" ")
    target, _, version = rest.partition(" ")
    if version != "HTTP/1.1":
        raise _BadRequestError
    headers: dict[str, str] = {}
    for line in lines[1:]:
        name, colon, value = line.partition(":")
        if not colon or name != name.strip():
            raise _BadRequestError
        headers[name.lower()] = value.strip()
    length = headers.get("content-length", "0")
    if (
        "transfer-encoding" in headers
        or not length.isdecimal()
        or len(length) > 9
        or int(length) > 2 * wire.BODY_BYTES_MAX
    ):
        raise _BadRequestError
    body = await reader.readexactly(int(length)) if length != "0" else b""
    url = urlsplit(target)
    query = parse_qs(url.query, max_num_fields=200)
    call = Call(
        method=method,
        path=unquote(url.path),
        query={name: tuple(values) for name, values in query.items()},
        token=headers.get("authorization", "").removeprefix("Bearer "),
        request_id=headers.get("x-request-id", ""),
        body=body,
    )
    return call, headers.get("connection", "").lower() != "close"


def _response(answer: Answer, *, keep: bool) -> bytes:
    headers = {"content-type": "application/json", **dict(answer.headers)}
    headers |= {"content-length": str(len(answer.body)), "connection": "keep-alive" if keep else "close"}
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {answer.status} {HTTPStatus(answer.status).phrase}\r\n{head}\r\n".encode("latin-1") + answer.body


class Tokens(msgspec.Struct, frozen=True, kw_only=True):
    """The two tokens of one ERP, kept in its folder so that a restart honours them."""

    token: str
    control_token: str


def tokens_of(*, folder: Path) -> Tokens:
    """The tokens in the folder, made at the first start. Readable by their owner only."""
    path = folder / "tokens.json"
    if path.exists():
        return msgspec.json.decode(path.read_bytes(), type=Tokens)
    folder.mkdir(parents=True, exist_ok=True)
    tokens = Tokens(token=secrets.token_urlsafe(24), control_token=secrets.token_urlsafe(24))
    _write_private(path, msgspec.json.encode(tokens))
    return tokens


def _write_private(path: Path, data: bytes) -> None:
    """Write a file only its owner can read, whole or not at all."""
    temporary = path.with_name(path.name + ".part")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
    temporary.replace(path)


async def run(*, folder: Path, mode: Mode, port: int, ready_file: Path | None, setup_file: Path | None) -> None:
    """Serve until SIGTERM or SIGINT."""
    tokens = tokens_of(folder=folder)
    simulator = Simulator(
        mode=mode, clock=SystemClock(), token=tokens.token, control_token=tokens.control_token, folder=folder
    )
    if setup_file is not None and not simulator.ledger.companies:
        _set_up(simulator, setup_file.read_bytes())
    server = Server(simulator=simulator)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for signal_number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signal_number, stop.set)
    listener = await asyncio.start_server(server.serve, HOST, port, limit=HEADER_BYTES_MAX, backlog=CONNECTIONS_MAX)
    bound = listener.sockets[0].getsockname()[1]
    ready = {"base_url": f"http://{HOST}:{bound}", "port": bound, "pid": os.getpid(), "mode": mode.value}
    if ready_file is not None:
        _write_private(ready_file, json.dumps(ready | msgspec.structs.asdict(tokens)).encode())
    sys.stdout.write(json.dumps(ready) + "\n")
    sys.stdout.flush()
    try:
        await stop.wait()
    finally:
        listener.close()
        await server.close()
        if simulator.file is not None:
            simulator.file.close()


def _set_up(simulator: Simulator, data: bytes) -> None:
    call = Call(method="POST", path="/control/setup", token=simulator.control_token, body=data)
    arrival = simulator.arrive(call=call)
    answer = simulator.process(arrival=arrival)
    simulator.leave(arrival=arrival, client_gone=False)
    if answer.status != 200:
        raise SystemExit(f"the set-up file was refused: {answer.body.decode()}")


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="A simulated cloud ERP on the loopback address.")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--data", type=Path, required=True, help="folder of the append-only file and the tokens")
    parser.add_argument("--mode", choices=[mode.value for mode in Mode], default=Mode.UNIQUE.value)
    parser.add_argument("--ready-file", type=Path, help="written once it listens: address, process id, tokens")
    parser.add_argument("--setup", type=Path, help="JSON of companies, taken when the folder holds none yet")
    options = parser.parse_args(arguments)
    asyncio.run(
        run(
            folder=options.data,
            mode=Mode(options.mode),
            port=options.port,
            ready_file=options.ready_file,
            setup_file=options.setup,
        )
    )


if __name__ == "__main__":
    main()
