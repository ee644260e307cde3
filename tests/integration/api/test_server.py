"""The server as a real process: it listens on loopback, answers, and drains in bounded time when told to end."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from revline.doors.api.server import serve

ROOT = Path(__file__).resolve().parents[3]
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


API = """
import sys
from revline.doors.api.app import create_app
from revline.doors.api.server import serve
from revline.platform import logs
from revline.platform.store.engine import Database
from tests.integration.api.conftest import make_ports

logs.configure(stream=sys.stderr)
database = Database(dsn=sys.stdin.readline().strip(), pool_size=2)
serve(lambda: create_app(make_ports(database)), drain_seconds=2, on_started=lambda port: print(port, flush=True))
"""


@pytest.fixture
def process() -> Iterator[subprocess.Popen[str]]:
    running = subprocess.Popen([sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, text=True)
    yield running
    running.kill()
    running.wait()
    assert running.stdout is not None
    running.stdout.close()


@pytest.fixture
def api_port(app_dsn: str) -> Iterator[int]:
    running = subprocess.Popen(
        [sys.executable, "-c", API], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    assert running.stdin is not None
    running.stdin.write(app_dsn + "\n")
    running.stdin.flush()
    yield port_of(running)
    running.send_signal(signal.SIGTERM)
    assert running.wait(timeout=10) == 0
    assert running.stdout is not None
    running.stdin.close()
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


def send(port: int, data: bytes) -> tuple[int, bytes]:
    """Status and the rest of what a server says to raw bytes."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(data)
        answer = b""
        while part := connection.recv(65_536):
            answer += part
    return int(answer.split(b" ", 2)[1]), answer


def test_the_api_answers_over_a_real_socket(api_port: int) -> None:
    status, answer = send(api_port, b"GET /readyz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert status == 200, answer
    assert answer.endswith(b'{"status":"ready"}')
    status, answer = send(api_port, b"GET /v1/facts HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert status == 401
    assert b"application/problem+json" in answer


def test_a_body_without_a_length_is_cut_at_the_limit(api_port: int) -> None:
    head = (
        b"POST /v1/webhooks/stripe/" + b"a" * 32 + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
        b"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    chunk = b"8000\r\n" + b"x" * 0x8000 + b"\r\n"
    status, answer = send(api_port, head + chunk * 3 + b"0\r\n\r\n")
    assert status == 413, answer
    assert b"http.body_too_large" in answer


def test_an_address_beyond_loopback_is_refused() -> None:
    with pytest.raises(ValueError, match="not a loopback address"):
        serve(lambda: None, host="0.0.0.0")  # noqa: S104 - what is refused
