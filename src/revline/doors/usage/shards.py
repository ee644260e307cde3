"""The two ways a shard takes events: the log this process owns, and the process of this machine that owns it, over loopback.

The owner writes beside its log where it listens and a secret that only who may read the data folder can know. Frames are a length
and MessagePack. A connection that breaks leaves it open what became of the events under way: whoever waits is told to send again.
"""

from __future__ import annotations

import contextlib
import hmac
import os
import queue
import secrets
import select
import socket
import struct
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import msgspec

from revline.core.problem import FieldError, Mender, Problem, Retryable, define, problem
from revline.doors.usage.ports import Answers, Given, Told
from revline.platform.logs import log
from revline.subledger.usage.decoding.catalogue import TypeCatalogue
from revline.subledger.usage.decoding.decode import decode_each
from revline.subledger.usage.decoding.values import Decoded
from revline.subledger.usage.events import EventAnswer
from revline.subledger.usage.log.log import UsageLog
from revline.subledger.usage.log.values import Offset, Submission

ADDRESS_FILE: Final = "door"
SECRET_BYTES: Final = 32
FRAME_BYTES_MAX: Final = 64 * 1024 * 1024
CONNECTIONS_MAX: Final = 64
CONNECT_SECONDS: Final = 2.0
ANSWER_SECONDS: Final = 30.0
WAITING_MAX: Final = 2_000
"""Requests that may wait for an owner; each is at most as large as a request may be, and their bytes are bounded at the door."""
_LENGTH: Final = struct.Struct(">I")

define(
    code="usage.shard_away",
    title="Nobody owns the shard",
    status=503,
    retryable=Retryable.YES,
    mender=Mender.OPERATOR,
    remedy="Start the process that owns it, `revline usage-shard` or `revline serve`, and send again.",
)


class LocalShard:
    """A log of this process."""

    def __init__(self, log_: UsageLog) -> None:
        self._log = log_

    def take(self, decoded: Decoded, *, offsets: Sequence[Offset], told: Told) -> None:
        """Queues the events; told when they are on disk."""
        self._log.submit_then(Submission(decoded=decoded, offsets=tuple(offsets)), told)

    def take_here(self, decoded: Decoded, *, offsets: Sequence[Offset], told: Told) -> None:
        """Commits on the caller's thread, which has nothing else to do: what it decoded is still near its processor."""
        (answers,) = self._log.commit([Submission(decoded=decoded, offsets=tuple(offsets))])
        told(answers)

    def not_ready(self) -> Sequence[FieldError]:
        """That the log stopped after a write that failed."""
        stopped = self._log.stopped
        return () if stopped is None else (FieldError(pointer="usage", detail=stopped.title),)


class _Address(msgspec.Struct, frozen=True):
    port: int
    secret: str


class _Waiting(msgspec.Struct, frozen=True):
    """Who waits for an answer; since: by a monotonic clock."""

    told: Told
    since: float


class _Asked(msgspec.Struct, frozen=True, array_like=True):
    number: int
    tenant_id: str
    lines: list[bytes]
    offsets: list[Offset]


class _Replied(msgspec.Struct, frozen=True, array_like=True):
    number: int
    answers: list[EventAnswer] | None
    problem: Problem | None


class InnerDoor:
    """Where other processes of this machine hand events to the shard this one owns. types_of: may ask a database."""

    def __init__(self, *, shard: LocalShard, folder: Path, types_of: Callable[[str], TypeCatalogue | Problem]) -> None:
        self._shard, self._types_of = shard, types_of
        self._secret = secrets.token_hex(SECRET_BYTES)
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._address = folder / ADDRESS_FILE
        self._write_address()
        self._open: set[socket.socket] = set()
        self._threads = ThreadPoolExecutor(max_workers=CONNECTIONS_MAX, thread_name_prefix="usage-inner")
        self._accepting = threading.Thread(target=self._accept, name="usage-accept", daemon=True)
        self._accepting.start()

    def _write_address(self) -> None:
        body = msgspec.json.encode(_Address(self._listening.getsockname()[1], self._secret))
        fresh = self._address.with_suffix(".new")
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(body)
        fresh.replace(self._address)

    def _accept(self) -> None:
        while True:
            try:
                peer, _ = self._listening.accept()
            except OSError:
                return
            if len(self._open) >= CONNECTIONS_MAX:
                peer.close()
                continue
            self._open.add(peer)
            self._threads.submit(self._serve, peer)

    def _serve(self, peer: socket.socket) -> None:
        sending = threading.Lock()
        try:
            with peer:
                peer.settimeout(CONNECT_SECONDS)
                if not hmac.compare_digest(_received(peer, SECRET_BYTES * 2), self._secret.encode()):
                    return
                peer.settimeout(None)
                while frame := _frame(peer):
                    self._answer(_DECODE_ASKED.decode(frame), peer, sending)
        except (OSError, EOFError, msgspec.DecodeError) as failure:
            log().info("usage.inner_closed", outcome=type(failure).__name__)
        finally:
            self._open.discard(peer)

    def _answer(self, asked: _Asked, peer: socket.socket, sending: threading.Lock) -> None:
        def told(answers: Answers) -> None:
            refused = answers if isinstance(answers, Problem) else None
            given = None if isinstance(answers, Problem) else list(answers.each())
            with contextlib.suppress(OSError), sending:
                _send(peer, _ENCODE(_Replied(asked.number, given, refused)))

        types = self._types_of(asked.tenant_id)
        if isinstance(types, Problem):
            told(types)
            return
        self._shard.take(decode_each(asked.lines, types), offsets=asked.offsets, told=told)

    def close(self) -> None:
        """Takes nothing more."""
        self._address.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        for peer in list(self._open):
            with contextlib.suppress(OSError):
                peer.shutdown(socket.SHUT_RDWR)
        self._threads.shutdown(wait=True)
        self._accepting.join()


class RemoteShard:
    """A shard that another process of this machine owns. folder: of the shard. Whoever hands over never waits for the owner: one
    thread sends, another reads. answer_seconds: for an owner that neither answers nor goes away."""

    def __init__(self, folder: Path, *, answer_seconds: float = ANSWER_SECONDS) -> None:
        self._folder, self._answer_seconds = folder, answer_seconds
        self._lock = threading.Lock()
        self._peer: socket.socket | None = None
        self._number = 0
        self._waiting: dict[int, _Waiting] = {}
        self._to_send: queue.SimpleQueue[tuple[int, bytes] | None] = queue.SimpleQueue()
        self._sending = threading.Thread(target=self._send_all, name="usage-remote-send", daemon=True)
        self._sending.start()

    def take(self, decoded: Decoded, *, offsets: Sequence[Offset], told: Told) -> None:
        """Hands the events to the thread that sends; told when they are on the owner's disk, or that they must be sent again."""
        with self._lock:
            full = len(self._waiting) >= WAITING_MAX
            if not full:
                self._number += 1
                number = self._number
                self._waiting[number] = _Waiting(told, time.monotonic())
        if full:
            told(problem("usage.under_way", f"{WAITING_MAX} requests wait for the owner of the shard"))
            return
        frame = _ENCODE(_Asked(number, decoded.tenant_id, list(decoded.lines), list(offsets)))
        self._to_send.put((number, frame))

    def take_here(self, decoded: Decoded, *, offsets: Sequence[Offset], told: Told) -> None:
        """As `take`: the owner has threads of its own."""
        self.take(decoded, offsets=offsets, told=told)

    def not_ready(self) -> Sequence[FieldError]:
        """Nothing: a process is ready when what it owns is, whatever became of its neighbours."""
        return ()

    def close(self) -> None:
        """Lets go of the connection and of the thread."""
        self._to_send.put(None)
        with self._lock:
            peer = self._peer
        if peer is not None:
            self._lost(peer)
        self._sending.join()

    def _send_all(self) -> None:
        while (one := self._to_send.get()) is not None:
            number, frame = one
            peer = self._peer or self._connected()
            if peer is None:
                self._tell(number, problem("usage.shard_away", f"no process owns the shard {self._folder.name}"))
                continue
            try:
                _send(peer, frame)
            except OSError:
                self._lost(peer)
                self._tell(number, problem("usage.unanswered", "the process that owns the shard went away"))

    def _tell(self, number: int, answers: Answers) -> None:
        with self._lock:
            one = self._waiting.pop(number, None)
        if one is not None:
            one.told(answers)

    def _connected(self) -> socket.socket | None:
        try:
            address = msgspec.json.decode((self._folder / ADDRESS_FILE).read_bytes(), type=_Address)
            peer = socket.create_connection(("127.0.0.1", address.port), timeout=CONNECT_SECONDS)
            peer.settimeout(self._answer_seconds)
            peer.sendall(address.secret.encode())
        except (OSError, msgspec.DecodeError):
            return None
        with self._lock:
            self._peer = peer
        threading.Thread(target=self._read, args=(peer,), name="usage-remote-read", daemon=True).start()
        return peer

    def _read(self, peer: socket.socket) -> None:
        try:
            while self._comes(peer):
                replied = _DECODE_REPLIED.decode(_frame(peer))
                self._tell(replied.number, replied.problem or Given(replied.answers or ()))
        except (OSError, EOFError, ValueError, msgspec.DecodeError):
            pass
        self._lost(peer)

    def _comes(self, peer: socket.socket) -> bool:
        """Waits for the next reply; False when one is overdue."""
        while True:
            ready, _, _ = select.select([peer], (), (), self._answer_seconds / 4)
            if ready:
                return True
            with self._lock:
                oldest = min((one.since for one in self._waiting.values()), default=None)
            if oldest is not None and time.monotonic() - oldest > self._answer_seconds:
                return False

    def _lost(self, peer: socket.socket) -> None:
        with self._lock:
            if self._peer is not peer:
                return
            self._peer = None
            waiting, self._waiting = list(self._waiting.values()), {}
        with contextlib.suppress(OSError):
            peer.shutdown(socket.SHUT_RDWR)
        peer.close()
        for one in waiting:
            one.told(problem("usage.unanswered", "the process that owns the shard went away"))


def _received(peer: socket.socket, size: int) -> bytes:
    parts = []
    while size:
        part = peer.recv(min(size, 1 << 20))
        if not part:
            raise EOFError
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def _frame(peer: socket.socket) -> bytes:
    (size,) = _LENGTH.unpack(_received(peer, _LENGTH.size))
    if size > FRAME_BYTES_MAX:
        raise OSError("a frame is too large")
    return _received(peer, size)


def _send(peer: socket.socket, frame: bytes) -> None:
    peer.sendall(_LENGTH.pack(len(frame)) + frame)


_ENCODE: Final[Callable[[Any], bytes]] = msgspec.msgpack.Encoder().encode
_DECODE_ASKED: Final = msgspec.msgpack.Decoder(_Asked)
_DECODE_REPLIED: Final = msgspec.msgpack.Decoder(_Replied)
