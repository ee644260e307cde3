"""Usage from a real Kafka broker: offsets beside the events, several owners, a rebalance, kills; each event counts once."""

from __future__ import annotations

import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from revline.core.problem import Problem
from revline.doors.usage.kafka import Consumer, OwnedShard, Spreader, Stream
from revline.doors.usage.ports import Told
from revline.doors.usage.shards import LocalShard
from revline.subledger.usage.log.log import UsageLog
from revline.subledger.usage.log.values import Offsets
from tests.integration.usage.conftest import event
from tests.integration.usage.world import KEYS, FixedCatalogues, opened
from tests.real.usage.broker import broker, new_topic, produce, until

pytestmark = pytest.mark.real

SHARDS = 4
OPTIONS = {"session.timeout.ms": "6000", "heartbeat.interval.ms": "500"}


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with broker() as found:
        yield found


class Owned:
    """A shard's log as a consumer has it."""

    def __init__(self, log: UsageLog) -> None:
        self.log = log

    def offsets(self) -> Offsets:
        return self.log.offsets()

    def take(self, decoded: Any, *, offsets: Any, told: Told) -> None:
        LocalShard(self.log).take(decoded, offsets=offsets, told=told)

    def close(self) -> None:
        self.log.close()


class Folders:
    """The shards' folders of a test, and who opens them."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.open_now: dict[int, Owned] = {}

    def open(self, number: int) -> OwnedShard | Problem:
        from revline.core.clock import SystemClock  # noqa: PLC0415

        found = UsageLog.open(folder=self.root / str(number), shard=number, keys=KEYS, clock=SystemClock())
        if isinstance(found, Problem):
            return found
        self.open_now[number] = Owned(found)
        return self.open_now[number]

    def counted(self) -> int:
        """Events in all logs; only while nobody has them open."""
        total = 0
        for number in range(SHARDS):
            log = opened(self.root / str(number), shard=number)
            total += log.watermark
            log.close()
        return total


@contextmanager
def running(made: Consumer | Spreader) -> Iterator[Consumer | Spreader]:
    """In a thread, ended properly."""
    failed: list[Problem | None] = []
    thread = threading.Thread(target=lambda: failed.append(made.run()))
    thread.start()
    try:
        yield made
    finally:
        made.stop()
        thread.join(30)
    assert failed == [None]


def consumer(address: str, topic: str, folders: Folders, *, shards: int = SHARDS, **more: str) -> Consumer:
    stream = Stream(brokers=address, topic=topic, group=f"of-{topic}", options=OPTIONS, **more)
    types_of = FixedCatalogues().read
    return Consumer(
        stream=stream, shards=shards, open_shard=folders.open, types_of=types_of, rejects=folders.root / "rejects"
    )


def spreader(address: str, topic: str, into: str) -> Spreader:
    stream = Stream(brokers=address, topic=topic, group=f"of-{topic}", tenant="alpha", options=OPTIONS)
    return Spreader(stream=stream, into=into, types_of=FixedCatalogues().read)


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    return Folders(tmp_path)


@pytest.fixture
def topic(address: str, request: pytest.FixtureRequest) -> str:
    return new_topic(address, request.node.name.replace("_", "-")[:60], partitions=SHARDS)


def total(made: Consumer) -> int:
    return sum(count for name, count in made.counts.items() if name != "rejected")


def test_events_are_spread_by_identity_and_read_once(address: str, topic: str, folders: Folders) -> None:
    raw = new_topic(address, f"raw-{topic}"[:60], partitions=3)
    events = [event(number) for number in range(600)]
    produce(address, raw, [*events, *events[:200]], partition=lambda index: index % 3)
    with running(spreader(address, raw, topic)), running(consumer(address, topic, folders)) as reading:
        assert isinstance(reading, Consumer)
        until(lambda: total(reading) == 800, seconds=40)
    assert reading.counts == {"accepted": 600, "duplicate": 200}
    assert folders.counted() == 600
    # The one shard of an identity: sent again over any partition of the raw stream, it meets itself.
    produce(address, raw, events, partition=lambda index: (index + 1) % 3)
    with running(spreader(address, raw, topic)), running(consumer(address, topic, folders)) as again:
        assert isinstance(again, Consumer)
        until(lambda: again.counts.get("duplicate", 0) >= 600, seconds=40)
    assert "accepted" not in again.counts
    assert folders.counted() == 600


def test_batches_binary_mode_and_several_tenants(address: str, topic: str, folders: Folders) -> None:
    batch = msgspec.json.encode([event(1), event(2)])
    produce(address, topic, [batch], partition=0, headers={"tenant": "alpha"})
    produce(address, topic, [event(1)], partition=0, headers={"tenant": "beta"})
    attributes = {
        "ce_id": "b1",
        "ce_source": "//app",
        "ce_type": "api.call",
        "ce_subject": "c",
        "ce_specversion": "1.0",
    }
    produce(address, topic, [b'{"tokens":5}'], partition=0, headers={"tenant": "alpha", **attributes})
    with running(consumer(address, topic, folders)) as reading:
        assert isinstance(reading, Consumer)
        until(lambda: total(reading) == 4, seconds=30)
    assert reading.counts == {"accepted": 4}


def test_what_can_t_be_read_is_written_down_and_the_rest_goes_on(address: str, topic: str, folders: Folders) -> None:
    named = {"tenant": "alpha"}
    produce(address, topic, [event(1)], partition=1)
    produce(address, topic, [b"{", event(2), b"[", b"", event(2, subject="x"), event(3)], partition=1, headers=named)
    with running(consumer(address, topic, folders)) as reading:
        assert isinstance(reading, Consumer)
        until(lambda: reading.counts.get("rejected", 0) == 5, seconds=30)
    assert reading.counts["accepted"] == 2
    lines = (folders.root / "rejects" / f"{topic}-1.ndjson").read_bytes().splitlines()
    written = {(one["offset"], one["problem"]["code"]) for one in map(msgspec.json.decode, lines)}
    assert {offset for offset, _ in written} == {0, 1, 3, 4, 5}
    assert (5, "usage.conflict") in written


def test_a_partition_goes_on_where_its_log_says_not_where_the_group_says(
    address: str, topic: str, folders: Folders
) -> None:
    produce(address, topic, [event(number) for number in range(100)], partition=2, headers={"tenant": "alpha"})
    with running(consumer(address, topic, folders)) as reading:
        assert isinstance(reading, Consumer)
        until(lambda: total(reading) == 100, seconds=30)
    log = opened(folders.root / "2", shard=2)
    assert log.offsets() == {(topic, 2): 100}
    log.close()
    # Another group has read nothing of the topic; the shard has.
    produce(address, topic, [event(number) for number in range(100, 150)], partition=2, headers={"tenant": "alpha"})
    other = consumer(address, topic, folders)
    other._stream = msgspec.structs.replace(other._stream, group=f"other-{topic}")
    with running(other):
        until(lambda: other.counts.get("accepted", 0) == 50, seconds=30)
    assert folders.counted() == 150


def test_a_topic_of_another_layout_is_refused(address: str, folders: Folders) -> None:
    wrong = new_topic(address, "wrong-layout", partitions=3)
    found = consumer(address, wrong, folders).run()
    assert isinstance(found, Problem)
    assert found.code == "usage.stream_layout"


def test_a_shard_that_somebody_else_has_is_waited_for(address: str, topic: str, folders: Folders) -> None:
    held = opened(folders.root / "3", shard=3)
    for number in range(SHARDS):
        produce(address, topic, [event(number)], partition=number, headers={"tenant": "alpha"})
    with running(consumer(address, topic, folders)) as reading:
        assert isinstance(reading, Consumer)
        until(lambda: total(reading) == 3, seconds=30)
        held.close()
        until(lambda: total(reading) == 4, seconds=30)
    assert folders.counted() == 4


def test_two_consumers_share_the_partitions_and_one_takes_all_when_the_other_ends(
    address: str, topic: str, tmp_path: Path
) -> None:
    one, two = Folders(tmp_path), Folders(tmp_path)
    events = [event(number) for number in range(400)]

    def send(part: list[Any]) -> None:
        raw = [(index % SHARDS, each) for index, each in enumerate(part)]
        for partition in range(SHARDS):
            mine = [each for at, each in raw if at == partition]
            produce(address, topic, mine, partition=partition, headers={"tenant": "alpha"})

    first, second = consumer(address, topic, one), consumer(address, topic, two)
    with running(first):
        send(events[:200])
        until(lambda: total(first) >= 200, seconds=30)
        with running(second):
            until(lambda: bool(two.open_now), seconds=40)
            send(events[200:])
            until(lambda: first.counts.get("accepted", 0) + second.counts.get("accepted", 0) == 400, seconds=40)
        assert second.counts.get("accepted", 0) > 0
        more = [event(number) for number in range(400, 440)]
        send(more)
        until(lambda: first.counts.get("accepted", 0) + second.counts.get("accepted", 0) == 440, seconds=40)
    assert Folders(tmp_path).counted() == 440


PROGRAM = """
import sys
from pathlib import Path
from tests.real.usage.test_kafka import Folders, consumer
made = consumer(sys.argv[1], sys.argv[2], Folders(Path(sys.argv[3])))
import signal
signal.signal(signal.SIGTERM, lambda *_: made.stop())
print("up", flush=True)
assert made.run() is None
"""


def started(address: str, topic: str, folder: Path) -> subprocess.Popen[bytes]:
    root = Path(__file__).resolve().parents[3]
    import os  # noqa: PLC0415
    import sys  # noqa: PLC0415

    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, address, topic, str(folder)],
        cwd=root,
        env={**os.environ, "PYTHONPATH": f"{root / 'src'}:{root}"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


@pytest.mark.chaos
def test_consumers_that_are_killed_lose_and_double_nothing(address: str, topic: str, tmp_path: Path) -> None:
    """Two processes under a stream of events; one after the other is killed and started again."""
    sent = 6_000
    stop = threading.Event()

    def send() -> None:
        for start in range(0, sent, 300):
            part = [event(number) for number in range(start, start + 300)]
            for partition in range(SHARDS):
                mine = [each for index, each in enumerate(part) if index % SHARDS == partition]
                produce(address, topic, mine, partition=partition, headers={"tenant": "alpha"})
            stop.wait(0.25)

    sending = threading.Thread(target=send)
    processes = [started(address, topic, tmp_path) for _ in range(2)]
    sending.start()
    try:
        for victim in (0, 1, 0, 1):
            stop.wait(3)
            processes[victim].kill()
            processes[victim].wait()
            processes[victim] = started(address, topic, tmp_path)
        sending.join()
        until(lambda: all(read_through(tmp_path, topic, sent // SHARDS)), seconds=60)
    finally:
        for process in processes:
            process.send_signal(signal.SIGTERM)
        for process in processes:
            process.wait(timeout=30)
    assert Folders(tmp_path).counted() == sent


def read_through(folder: Path, topic: str, last: int) -> Iterator[bool]:
    """Whether each shard's log says that its partition is read to the end; read beside its owner."""
    from revline.subledger.usage.log.files import read_all  # noqa: PLC0415

    for number in range(SHARDS):
        found = read_all(folder / str(number)) if (folder / str(number)).exists() else ()
        offsets = [
            one.next_offset
            for file in (found if not isinstance(found, Problem) else ())
            for one in (*file.header.offsets, *(each for record in file.records for each in record.meta.offsets))
        ]
        yield max(offsets, default=0) >= last
