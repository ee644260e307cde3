"""The loopback server every simulator stands on: what is no request is dropped, it goes on."""

from __future__ import annotations

import socket
from collections.abc import Callable
from urllib.parse import urlsplit

import pytest

from revline.connectors.salesforce.simulator.server import SimulatedSalesforce
from revline.connectors.sdk.rehearsal_server import ServingThread
from revline.connectors.stripe.simulator.server import RunningStripe

SIMULATORS = {"stripe": RunningStripe, "salesforce": SimulatedSalesforce}
NO_REQUEST = (
    b"nonsense\r\n\r\n",
    b"GET / HTTP/1.0\r\n\r\n",
    b"POST / HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n",
    b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
    b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"GET / HTTP/1.1\r\nX: " + b"a" * 80_000 + b"\r\n\r\n",
)


def answered(base_url: str, sent: bytes) -> bytes:
    """What comes back over one connection; nothing when it is dropped."""
    parts = urlsplit(base_url)
    assert parts.hostname == "127.0.0.1"
    with socket.create_connection((parts.hostname, parts.port or 0), timeout=10) as connection:
        try:
            connection.sendall(sent)
            return connection.recv(4096)
        except ConnectionError:
            return b""


@pytest.mark.parametrize("name", sorted(SIMULATORS))
def test_what_is_not_a_request_is_dropped_and_the_simulator_goes_on(name: str) -> None:
    build: Callable[[], RunningStripe | SimulatedSalesforce] = SIMULATORS[name]
    with build() as running:
        assert [answered(running.base_url, sent) for sent in NO_REQUEST] == [b""] * len(NO_REQUEST)
        assert answered(running.base_url, b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n").startswith(b"HTTP/1.1 4")


def test_a_thread_that_was_not_started_can_not_be_acted_on() -> None:
    async def never(*_: object) -> None:
        raise AssertionError

    with pytest.raises(RuntimeError, match="the rehearsal does not run"):
        ServingThread(name="rehearsal", serving=never).do(lambda: None)
