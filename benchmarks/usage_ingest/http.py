"""The acknowledged path over HTTP: POST /v1/usage in a process of its own, beside the same path without HTTP and the same server
without a store.

The server's processor time is what counts: the client takes its own on another core. Run alone, this module is that server.
"""

from __future__ import annotations

import os
import secrets
import selectors
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from benchmarks.common import REPOSITORY, Measured, Timed, timed
from benchmarks.usage_ingest.acknowledged import acknowledge, catalogues, opened
from benchmarks.usage_ingest.events import one_tenant
from revline.core.clock import SystemClock
from revline.core.problem import FieldError, Problem
from revline.doors.api.server import serve
from revline.doors.usage.door import UsageDoor
from revline.doors.usage.ports import Given, Told, UsagePorts
from revline.doors.usage.receiving import Receiver, Shard
from revline.doors.usage.shards import LocalShard
from revline.platform.access.roles import Principal, Role
from revline.platform.logs import configure
from revline.subledger.usage.decoding.catalogue import TypeCatalogue
from revline.subledger.usage.decoding.values import Decoded
from revline.subledger.usage.events import EventAnswer, Verdict
from revline.subledger.usage.log.log import UsageLog
from revline.subledger.usage.log.values import Answers, Offset

TENANT: Final = "tenant-0000"
KEY: Final = "rk_aaaaaaaa_" + "a" * 32
EVENTS: Final = {"small": 100_000, "full": 500_000}
REQUESTS: Final = {"small": 5_000, "full": 30_000}
ROUNDS: Final = {"small": 3, "full": 7}
CONNECTIONS_OF_BATCHES: Final = 8
CONNECTIONS_OF_SINGLES: Final = 64
TICKS: Final = os.sysconf("SC_CLK_TCK")


# ---- the server


class _Catalogues:
    """The catalogue of the one tenant."""

    def __init__(self) -> None:
        self._types = catalogues()(TENANT)

    def remembered(self, tenant_id: str) -> TypeCatalogue | None:
        return self._types

    def read(self, tenant_id: str) -> TypeCatalogue | Problem:
        return self._types


class NoStore:
    """A shard that decodes and keeps nothing: the same answers, no identity, no disk."""

    def take(self, decoded: Decoded, *, offsets: Sequence[Offset], told: Told) -> None:
        if decoded.invalid:
            told(Given([EventAnswer(id="", verdict=Verdict.INVALID)] * decoded.count))
            return
        told(
            Answers(
                decoded=decoded, verdicts=bytes(decoded.storable), first_sequence=1, received_at=SystemClock().now()
            )
        )

    take_here = take

    def not_ready(self) -> Sequence[FieldError]:
        return ()


def serve_usage(folder: str) -> None:
    """POST /v1/usage over a log in a folder, over nothing when it is "-"; the first line says the port. Ended by SIGTERM."""
    log: UsageLog | None = None if folder == "-" else opened(Path(folder))
    shard: Shard = NoStore() if log is None else LocalShard(log)
    receiver = Receiver(catalogues=_Catalogues(), shards={0: shard}, events_max=10_000)
    principal = Principal(key_id="aaaaaaaa", tenant_id=TENANT, role=Role.INGEST)
    ports = UsagePorts(
        sink=receiver,
        verify=lambda _: principal,
        tenant_active=lambda _: True,
        clock=SystemClock(),
        random_bytes=secrets.token_bytes,
    )
    configure(stream=sys.stderr, level="error")
    serve(lambda: UsageDoor(ports), on_started=lambda port: print(port, flush=True))
    receiver.close()
    if log is not None:
        log.close()


@contextmanager
def served(folder: str) -> Iterator[tuple[int, int]]:
    """The port and the process id of such a server."""
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.usage_ingest.http", folder],
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONPATH": f"{REPOSITORY / 'src'}:{REPOSITORY}"},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        yield int(process.stdout.readline()), process.pid
    finally:
        process.terminate()
        process.wait(timeout=30)
        assert process.stdout is not None
        process.stdout.close()


def processor_seconds(process_id: int) -> float:
    """What a process and its threads have used."""
    fields = Path(f"/proc/{process_id}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


# ---- the client


def request_of(body: bytes) -> bytes:
    """A request as bytes."""
    head = (
        f"POST /v1/usage HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {KEY}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


class _Connection:
    """One connection: sends a request, takes its answer, sends the next."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.began = 0.0
        self._answer = b""

    def send(self, request: bytes) -> None:
        self.began = time.perf_counter()
        self.socket.sendall(request)

    def taken(self) -> bool:
        """Takes what came; whether the answer is whole."""
        self._answer += self.socket.recv(1 << 20)
        head, found, rest = self._answer.partition(b"\r\n\r\n")
        if not found:
            return False
        lower = head.lower()
        at = lower.index(b"content-length:") + 15
        if len(rest) < int(lower[at : lower.find(b"\r", at) if b"\r" in lower[at:] else None]):
            return False
        assert head.startswith(b"HTTP/1.1 200"), self._answer[:500]
        assert b'"accepted"' in rest
        self._answer = b""
        return True


def send_all(port: int, requests: Sequence[bytes], *, connections: int) -> list[float]:
    """Sends every request over so many connections; the seconds each took."""
    waiting = iter(requests)
    took: list[float] = []
    with selectors.DefaultSelector() as selector:
        opened_now = [_Connection(port) for _ in range(connections)]
        busy = 0
        for one, request in zip(opened_now, waiting, strict=False):
            selector.register(one.socket, selectors.EVENT_READ, one)
            one.send(request)
            busy += 1
        while busy:
            for key, _ in selector.select():
                one = key.data
                if not one.taken():
                    continue
                took.append(time.perf_counter() - one.began)
                request = next(waiting, None)
                if request is None:
                    busy -= 1
                else:
                    one.send(request)
        for one in opened_now:
            one.socket.close()
    return took


# ---- what is measured


def _over_http(folder: str, requests: Sequence[bytes], *, connections: int) -> tuple[Timed, list[float]]:
    """Wall and server's processor seconds of all requests, after some that warm it up; and what each took."""
    with served(folder) as (port, process_id):
        few = max(connections, len(requests) // 20)
        send_all(port, requests[:few], connections=connections)
        before, began = processor_seconds(process_id), time.perf_counter()
        took = send_all(port, requests[few:], connections=connections)
        wall = time.perf_counter() - began
        used = processor_seconds(process_id) - before
    part = len(requests) / (len(requests) - few)
    return Timed(wall_seconds=wall * part, processor_seconds=used * part), took


def _ratio(ones: Sequence[Timed], others: Sequence[Timed], *, wall: bool = False) -> float:
    """The median over the rounds of the second's time over the first's: how much of the second's rate the first has."""
    which = "wall_seconds" if wall else "processor_seconds"
    pairs = zip(ones, others, strict=True)
    return statistics.median(getattr(other, which) / getattr(one, which) for one, other in pairs)


def measure(scale: str) -> Measured:
    """http1000_over_inprocess, http1_over_nostore: rates by processor time of the server; with _wall by the clock."""
    commits = one_tenant(EVENTS[scale], batch=1000, seed=11)
    singles = one_tenant(REQUESTS[scale], batch=1, seed=12)
    batches = [request_of(body) for ((_, body),) in commits]
    alone = [request_of(body) for ((_, body),) in singles]
    taken: dict[str, list[Timed]] = {"inprocess": [], "http1000": [], "http1": [], "nostore1": [], "nostore1000": []}
    took: dict[str, list[float]] = {"http1000": [], "http1": []}
    for number in range(ROUNDS[scale] + 1):
        with tempfile.TemporaryDirectory(prefix="revline-benchmark-") as place:
            log, types_of = opened(Path(place) / "log"), catalogues()
            types_of(TENANT)
            one: dict[str, Timed] = {"inprocess": timed(lambda: acknowledge(log, commits, types_of))}  # noqa: B023
            log.close()
            many = CONNECTIONS_OF_BATCHES
            one["http1000"], each1000 = _over_http(f"{place}/many", batches, connections=many)
            one["nostore1000"], _ = _over_http("-", batches, connections=many)
            one["http1"], each1 = _over_http(f"{place}/one", alone, connections=CONNECTIONS_OF_SINGLES)
            one["nostore1"], _ = _over_http("-", alone, connections=CONNECTIONS_OF_SINGLES)
        if number:
            for name, time_taken in one.items():
                taken[name].append(time_taken)
            took["http1000"] += each1000
            took["http1"] += each1
    return Measured(ratios=_ratios(taken), figures=_figures(taken, took, events=EVENTS[scale], requests=len(alone)))


def _ratios(taken: dict[str, list[Timed]]) -> dict[str, float]:
    return {
        "http1000_over_inprocess": _ratio(taken["http1000"], taken["inprocess"]),
        "http1000_over_inprocess_wall": _ratio(taken["http1000"], taken["inprocess"], wall=True),
        "http1_over_nostore": _ratio(taken["http1"], taken["nostore1"]),
        "http1_over_nostore_wall": _ratio(taken["http1"], taken["nostore1"], wall=True),
    }


def _figures(
    taken: dict[str, list[Timed]], took: dict[str, list[float]], *, events: int, requests: int
) -> dict[str, float]:
    figures: dict[str, float] = {}
    for name, times in taken.items():
        count = requests if name.endswith("1") else events
        wall = statistics.median(one.wall_seconds for one in times)
        used = statistics.median(one.processor_seconds for one in times)
        figures[f"{name}_events_a_second"] = count / wall
        figures[f"{name}_processor_microseconds_an_event"] = used / count * 1e6
    for name, seconds in took.items():
        ordered = sorted(seconds)
        figures[f"{name}_p50_milliseconds"] = ordered[len(ordered) // 2] * 1e3
        figures[f"{name}_p99_milliseconds"] = ordered[len(ordered) * 99 // 100] * 1e3
    return figures


if __name__ == "__main__":
    serve_usage(sys.argv[1])
