"""The server as a real process: it listens on loopback, answers, and drains in bounded time when told to end."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest

from revline.doors.api.server import serve

PROGRAM = """
import asyncio, sys
from revline.doors.api.server import serve
from revline.platform import logs

logs.configure(stream=sys.stderr)

async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    await asyncio.sleep(float(scope["path"][1:] or 0))
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"4")]})
    await send({"type": "http.response.body", "body": b"done"})

serve(lambda: app, drain_seconds=2, on_started=lambda port: print(port, flush=True))
print("ended", flush=True)
"""


@pytest.fixture
def process() -> Iterator[subprocess.Popen[str]]:
    running = subprocess.Popen([sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, text=True)
    yield running
    running.kill()
    running.wait()
    assert running.stdout is not None
    running.stdout.close()


def port_of(process: subprocess.Popen[str]) -> int:
    assert process.stdout is not None
    return int(process.stdout.readline())


def ask(port: int, seconds: str) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(f"GET /{seconds} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        answer = b""
        while part := connection.recv(4096):
            answer += part
    return answer


def test_a_request_under_way_is_answered_before_the_process_ends(process: subprocess.Popen[str]) -> None:
    port = port_of(process)
    assert ask(port, "0").endswith(b"done")
    answers: list[bytes] = []
    asking = threading.Thread(target=lambda: answers.append(ask(port, "0.8")))
    asking.start()
    time.sleep(0.3)
    process.send_signal(signal.SIGTERM)
    asking.join(timeout=10)
    assert answers
    assert answers[0].endswith(b"done")
    assert process.wait(timeout=10) == 0


def test_a_request_that_never_ends_does_not_keep_the_process(process: subprocess.Popen[str]) -> None:
    port = port_of(process)
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(b"GET /600 HTTP/1.1\r\nHost: x\r\n\r\n")
        time.sleep(0.3)
        started = time.monotonic()
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=10)
    assert time.monotonic() - started < 6


def test_an_address_beyond_loopback_is_refused() -> None:
    with pytest.raises(ValueError, match="not a loopback address"):
        serve(lambda: None, host="0.0.0.0")  # noqa: S104 - what is refused
