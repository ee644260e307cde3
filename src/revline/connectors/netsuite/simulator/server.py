"""The simulated account in a process of its own: `python -m revline.connectors.netsuite.simulator.server --data FOLDER`.

HTTP/1.1 on the loopback address, with nothing but the standard library, because a server that may drop a connection after it
has committed is what is being simulated. Knows sockets and time; what a call means is `account`.
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
from typing import Final
from urllib.parse import parse_qs, unquote, urlsplit

import msgspec
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from revline.connectors.netsuite.simulator.account import BODY_BYTES_MAX, SimulatedAccount
from revline.connectors.netsuite.simulator.calls import Answer, Arrival, Call, refusal_answer
from revline.connectors.netsuite.simulator.tokens import Certificate
from revline.connectors.netsuite.simulator.values import Refusal
from revline.core.clock import SystemClock

HOST: Final = "127.0.0.1"
HEADER_BYTES_MAX: Final = 32_768
CONNECTIONS_MAX: Final = 512
IDLE_SECONDS: Final = 60.0
READ_SECONDS: Final = 30.0
CLIENT_ID: Final = "rehearsal-client"
CERTIFICATE_ID: Final = "rehearsal-certificate"


class _BadRequestError(Exception):
    """What came in is not a request this server reads."""


class Server:
    """Serves one account. Each call's effects are on the disk before it is answered; concurrent calls share a flush."""

    def __init__(self, *, account: SimulatedAccount) -> None:
        self._account = account
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
                refused = refusal_answer(Refusal("This is not a request.", code="INVALID_REQUEST"))
                writer.write(_response(refused, keep=False))
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
        arrival = self._account.arrive(call=call)
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
            self._account.leave(arrival=arrival, client_gone=gone)
            if gone:
                await self._durable()
        return keep

    async def _answer(self, arrival: Arrival) -> Answer:
        if arrival.wait_before:
            await asyncio.sleep(arrival.wait_before.total_seconds())
        answer = self._account.process(arrival=arrival)
        await self._durable()
        if arrival.wait_after:
            await asyncio.sleep(arrival.wait_after.total_seconds())
        return answer

    async def _durable(self) -> None:
        file = self._account.file
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
    if "transfer-encoding" in headers or not length.isdecimal() or len(length) > 9 or int(length) > 2 * BODY_BYTES_MAX:
        raise _BadRequestError
    body = await reader.readexactly(int(length)) if length != "0" else b""
    url = urlsplit(target)
    query = parse_qs(url.query, max_num_fields=200)
    call = Call(
        method=method,
        base_url=f"http://{headers.get('host', HOST)}",
        path=unquote(url.path),
        query={name: tuple(values) for name, values in query.items()},
        headers=headers,
        body=body,
    )
    return call, headers.get("connection", "").lower() != "close"


def _response(answer: Answer, *, keep: bool) -> bytes:
    headers = {"content-type": "application/vnd.oracle.resource+json", **dict(answer.headers)}
    headers |= {"content-length": str(len(answer.body)), "connection": "keep-alive" if keep else "close"}
    if answer.status == 204:
        headers.pop("content-length")
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {answer.status} {HTTPStatus(answer.status).phrase}\r\n{head}\r\n".encode("latin-1") + answer.body


class Credentials(msgspec.Struct, frozen=True, kw_only=True):
    """What one account's integration is called by and signs with, kept in its folder so that a restart honours them."""

    control_token: str
    client_id: str
    certificate_id: str
    private_key: str
    public_key: str


def credentials_of(*, folder: Path) -> Credentials:
    """The credentials in the folder, made at the first start. Readable by their owner only."""
    path = folder / "credentials.json"
    if path.exists():
        return msgspec.json.decode(path.read_bytes(), type=Credentials)
    folder.mkdir(parents=True, exist_ok=True)
    key = ec.generate_private_key(ec.SECP256R1())
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    made = Credentials(
        control_token=secrets.token_urlsafe(24),
        client_id=CLIENT_ID,
        certificate_id=CERTIFICATE_ID,
        private_key=private.decode(),
        public_key=public.decode(),
    )
    _write_private(path, msgspec.json.encode(made))
    return made


def _write_private(path: Path, data: bytes) -> None:
    """Write a file only its owner can read, whole or not at all."""
    temporary = path.with_name(path.name + ".part")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
    temporary.replace(path)


async def run(*, folder: Path, port: int, ready_file: Path | None) -> None:
    """Serve until SIGTERM or SIGINT."""
    credentials = credentials_of(folder=folder)
    account = SimulatedAccount(clock=SystemClock(), control_token=credentials.control_token, folder=folder)
    certificate = Certificate(
        id=credentials.certificate_id, client_id=credentials.client_id, public_key=credentials.public_key
    )
    account.tokens.certificates[certificate.id] = certificate
    server = Server(account=account)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for signal_number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signal_number, stop.set)
    listener = await asyncio.start_server(server.serve, HOST, port, limit=HEADER_BYTES_MAX, backlog=CONNECTIONS_MAX)
    bound = listener.sockets[0].getsockname()[1]
    ready = {"base_url": f"http://{HOST}:{bound}", "port": bound, "pid": os.getpid()}
    if ready_file is not None:
        _write_private(ready_file, json.dumps(ready | msgspec.structs.asdict(credentials)).encode())
    sys.stdout.write(json.dumps(ready) + "\n")
    sys.stdout.flush()
    try:
        await stop.wait()
    finally:
        listener.close()
        await server.close()
        if account.file is not None:
            account.file.close()


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="A simulated NetSuite account on the loopback address.")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--data", type=Path, required=True, help="folder of the append-only file and the credentials")
    parser.add_argument("--ready-file", type=Path, help="written once it listens: address, process id, credentials")
    options = parser.parse_args(arguments)
    asyncio.run(run(folder=options.data, port=options.port, ready_file=options.ready_file))


if __name__ == "__main__":
    main()
