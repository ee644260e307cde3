"""A running localstripe and a receiver of its webhooks, for tests. Each start has ports of its own on the loopback."""

from __future__ import annotations

import json
import queue
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

import msgspec
import stripe

PROGRAM: Final = Path(__file__).parent / "localstripe_program.py"
BODY_MAX: Final = 1_048_576
ANSWER_SECONDS: Final = 20


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """One webhook as it came over the wire."""

    headers: dict[str, str]
    body: bytes

    @property
    def event(self) -> dict[str, Any]:
        """What it says, read loosely, to choose by."""
        value: dict[str, Any] = json.loads(self.body)
        return value


class LocalStripe(msgspec.Struct, frozen=True, kw_only=True):
    """The address of a running localstripe."""

    port: int

    def client(self) -> stripe.StripeClient:
        """The official library, pointed at it."""
        return stripe.StripeClient(
            "sk_test_local", base_addresses={"api": f"http://127.0.0.1:{self.port}"}, max_network_retries=0
        )

    def send_webhooks_to(self, *, url: str, secret: str) -> None:
        """Register an endpoint for all event types."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/_config/webhooks/revline",
            data=json.dumps({"url": url, "secret": secret}).encode(),
            headers={"Content-Type": "application/json", "Authorization": "Bearer sk_test_local"},
            method="POST",
        )
        with urllib.request.urlopen(request, timeout=ANSWER_SECONDS) as answer:  # noqa: S310
            assert answer.status == 200


@contextmanager
def running_localstripe() -> Iterator[LocalStripe]:
    """Start it, wait for its port, end it."""
    process = subprocess.Popen(
        [sys.executable, str(PROGRAM)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        assert process.stdout is not None
        yield LocalStripe(port=int(process.stdout.readline()))
    finally:
        process.terminate()
        process.wait(timeout=ANSWER_SECONDS)
        if process.stdout is not None:
            process.stdout.close()


class Receiver:
    """A tiny endpoint that keeps what it is sent."""

    def __init__(self) -> None:
        self.deliveries: queue.Queue[Delivery] = queue.Queue(maxsize=1_000)
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/"

    def next_of(self, *event_types: str) -> Delivery:
        """The next delivery of one of the types; queue.Empty when none comes in time."""
        while True:
            delivery = self.deliveries.get(timeout=ANSWER_SECONDS)
            if delivery.event["type"] in event_types:
                return delivery

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        deliveries = self.deliveries

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(min(int(self.headers.get("Content-Length", 0)), BODY_MAX))
                deliveries.put_nowait(Delivery(headers=dict(self.headers.items()), body=body))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *arguments: Any) -> None:
                """Nothing on the terminal."""

        return Handler


@contextmanager
def receiver() -> Iterator[Receiver]:
    """A receiver that listens while the block runs."""
    endpoint = Receiver()
    thread = threading.Thread(target=endpoint.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield endpoint
    finally:
        endpoint.server.shutdown()
        endpoint.server.server_close()
        thread.join(timeout=ANSWER_SECONDS)
