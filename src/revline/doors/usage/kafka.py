"""Usage from Kafka: a consumer that owns a shard for each partition it is given, and the spreading of streams not by identity.

The next offset of a partition stands in the shard's own log, in the record of the events before it, so a kill at any moment neither
loses nor doubles one; the group's committed offsets are for people who watch the lag. A partition is read only while its shard is
owned, and a shard has one owner. Knows brokers and shards by ports; imports the client library when a stream is opened.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Protocol

import msgspec

from revline.core.problem import Mender, Problem, Retryable, define, problem
from revline.doors.usage.ports import Answers, Taken
from revline.doors.usage.receiving import shard_of
from revline.doors.usage.stream import TENANT_HEADER, Chunk, Message, Rejected, chunk_of, reject
from revline.platform.logs import log
from revline.subledger.usage.decoding.catalogue import TypeCatalogue
from revline.subledger.usage.decoding.decode import decode_each
from revline.subledger.usage.decoding.values import Decoded
from revline.subledger.usage.log.values import Offset, Offsets

MESSAGES_AT_ONCE: Final = 2_000
POLL_SECONDS: Final = 0.2
BUSY_SECONDS: Final = 0.2
ANSWER_SECONDS: Final = 120.0
FLUSH_SECONDS: Final = 30.0
PASSING: Final = frozenset({"usage.busy", "usage.under_way"})
TypesOf = Callable[[str], TypeCatalogue | Problem]

define(
    code="usage.stream_unreadable",
    title="The stream can't be read",
    status=503,
    retryable=Retryable.AFTER_FIX,
    mender=Mender.OPERATOR,
    remedy="Check the brokers' address, the topic and what the client may do.",
)
define(
    code="usage.stream_layout",
    title="The stream is not laid out as the shards are",
    status=500,
    retryable=Retryable.AFTER_FIX,
    mender=Mender.OPERATOR,
    remedy="Give the topic as many partitions as REVLINE_USAGE_SHARDS says, and fill it with `revline usage-spread`.",
)


class OwnedShard(Protocol):
    """A shard whose log this process has."""

    def offsets(self) -> Offsets: ...

    def take(self, decoded: Decoded, *, offsets: Sequence[Offset], told: Callable[[Answers], None]) -> None: ...

    def close(self) -> None: ...


class Stream(msgspec.Struct, frozen=True, kw_only=True):
    """A topic and how to reach it. brokers: host:port, with commas between. tenant: of messages that name none. options: of the
    client library, such as those of TLS and SASL."""

    brokers: str
    topic: str
    group: str
    tenant: str = ""
    options: Mapping[str, str] = {}

    def client_options(self) -> dict[str, Any]:
        """For the client library."""
        return {"bootstrap.servers": self.brokers, **self.options}


class Consumer:
    """Reads a topic into shards, partition n into shard n. open_shard: a shard, or why it can't be had now. rejects: a folder."""

    def __init__(
        self,
        *,
        stream: Stream,
        shards: int,
        open_shard: Callable[[int], OwnedShard | Problem],
        types_of: TypesOf,
        rejects: Path,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._stream, self._shards, self._open_shard, self._types_of = stream, shards, open_shard, types_of
        self._rejects, self._sleep = rejects, sleep
        self._owned: dict[int, OwnedShard] = {}
        self._wanted: set[int] = set()
        self._stop = threading.Event()
        self.counts: dict[str, int] = {}

    def stop(self) -> None:
        """Ends after the chunk that is being written."""
        self._stop.set()

    def run(self) -> Problem | None:
        """Reads until `stop`, or until nothing can be written any more."""
        import confluent_kafka as kafka  # noqa: PLC0415 - an extra; only streams need it

        options = {
            "group.id": self._stream.group,
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            **self._stream.client_options(),
        }
        client = kafka.Consumer(options)
        try:
            differs = self._layout(client)
            if differs is not None:
                return differs
            client.subscribe(
                [self._stream.topic], on_assign=self._assigned, on_revoke=self._revoked, on_lost=self._revoked
            )
            return self._read(client, kafka)
        except kafka.KafkaException as error:
            return problem("usage.stream_unreadable", f"{self._stream.topic}: {error.args[0].str()}")
        finally:
            client.close()
            self._let_go(tuple(self._owned))

    def _layout(self, client: Any) -> Problem | None:
        found = client.list_topics(self._stream.topic, timeout=FLUSH_SECONDS).topics[self._stream.topic]
        if found.error is not None:
            return problem("usage.stream_unreadable", f"{self._stream.topic}: {found.error.str()}")
        if len(found.partitions) != self._shards:
            detail = f"{self._stream.topic} has {len(found.partitions)} partitions, there are {self._shards} shards"
            return problem("usage.stream_layout", detail)
        return None

    def _assigned(self, client: Any, partitions: Sequence[Any]) -> None:
        """Nothing of a partition is read until its shard is owned: its offset stands in the shard's log."""
        client.assign(partitions)
        client.pause(partitions)
        self._wanted |= {one.partition for one in partitions}
        log().info("usage.partitions_given", count=len(partitions))

    def _revoked(self, client: Any, partitions: Sequence[Any]) -> None:
        del client
        gone = {one.partition for one in partitions}
        self._wanted -= gone
        self._let_go(gone)
        log().info("usage.partitions_taken", count=len(gone))

    def _let_go(self, numbers: Iterable[int]) -> None:
        for number in tuple(numbers):
            shard = self._owned.pop(number, None)
            if shard is not None:
                shard.close()

    def _read(self, client: Any, kafka: Any) -> Problem | None:
        while not self._stop.is_set():
            self._take_up(client, kafka)
            messages = client.consume(MESSAGES_AT_ONCE, timeout=POLL_SECONDS)
            by_partition: dict[int, list[Message]] = {}
            for one in messages:
                if one.error() is not None:
                    raise kafka.KafkaException(one.error())
                by_partition.setdefault(one.partition(), []).append(_message(one))
            for partition, mine in sorted(by_partition.items()):
                if partition not in self._owned:
                    continue
                failed = self._write(partition, mine)
                if failed is not None:
                    return failed
                at = kafka.TopicPartition(self._stream.topic, partition, mine[-1].offset + 1)
                client.commit(offsets=[at], asynchronous=True)
        return None

    def _take_up(self, client: Any, kafka: Any) -> None:
        """Opens the shards of partitions that were given; the owner before may need a moment to let go of one."""
        for number in sorted(self._wanted - set(self._owned)):
            shard = self._open_shard(number)
            if isinstance(shard, Problem):
                log().info("usage.shard_awaited", code=shard.code, count=number)
                continue
            self._owned[number] = shard
            read = shard.offsets().get((self._stream.topic, number), 0)
            here = kafka.TopicPartition(self._stream.topic, number)
            kept_from, _ = client.get_watermark_offsets(here, timeout=FLUSH_SECONDS)
            if kept_from > read:
                log().error("usage.stream_gap", count=kept_from - read, position=kept_from)
            # One chunk is read again: if its record was the last thing before a kill, what it refused may not be written down yet.
            at = kafka.TopicPartition(
                self._stream.topic, number, max(0, read - MESSAGES_AT_ONCE) or kafka.OFFSET_BEGINNING
            )
            client.seek(at)
            client.resume([here])

    def _write(self, partition: int, messages: Sequence[Message]) -> Problem | None:
        """One chunk into its shard: the last part carries the offset, once all parts before it are on disk."""
        chunk = chunk_of(messages, tenant=self._stream.tenant)
        offset = Offset(topic=self._stream.topic, partition=partition, next_offset=chunk.through + 1)
        parts, rejected = self._decoded(partition, chunk)
        parts = parts or [("", (), _nothing())]
        for index, (tenant_id, events, decoded) in enumerate(parts):
            last = index == len(parts) - 1
            taken = self._taken(partition, decoded, (offset,) if last else ())
            if isinstance(taken, Problem):
                return taken
            for (at, text), answer in zip(events, taken.each(), strict=True):
                self.counts[answer.verdict.value] = self.counts.get(answer.verdict.value, 0) + 1
                if answer.problem is not None:
                    rejected.append(reject(partition, at, answer.problem, tenant=tenant_id, event=text))
        self._note(partition, rejected)
        return None

    def _decoded(
        self, partition: int, chunk: Chunk
    ) -> tuple[list[tuple[str, Sequence[tuple[int, bytes]], Decoded]], list[Rejected]]:
        parts, rejected = [], list(chunk.rejected)
        for tenant_id, events in chunk.events.items():
            types = self._types_of(tenant_id)
            if isinstance(types, Problem):
                rejected += [reject(partition, at, types, tenant=tenant_id, event=text) for at, text in events]
            else:
                parts.append((tenant_id, events, decode_each([text for _, text in events], types)))
        return parts, rejected

    def _taken(self, partition: int, decoded: Decoded, offsets: Sequence[Offset]) -> Taken | Problem:
        while True:
            heard = _Heard()
            self._owned[partition].take(decoded, offsets=offsets, told=heard)
            answers = heard.result()
            if not isinstance(answers, Problem) or answers.code not in PASSING:
                return answers
            self._sleep(BUSY_SECONDS)

    def _note(self, partition: int, rejected: Sequence[Rejected]) -> None:
        """Writes down what was refused: nobody waits for an answer at the other end of a stream."""
        if not rejected:
            return
        self.counts["rejected"] = self.counts.get("rejected", 0) + len(rejected)
        self._rejects.mkdir(parents=True, exist_ok=True, mode=0o700)
        with (self._rejects / f"{self._stream.topic}-{partition}.ndjson").open("ab") as stream:
            stream.write(b"".join(msgspec.json.encode(one) + b"\n" for one in rejected))
        log().warning("usage.rejected", count=len(rejected), code=rejected[0].problem.code)


class Spreader:
    """Reads a stream whose partitions are not by identity and writes each event to the partition of its shard, at least once: the
    shard knows a repeat. into: the topic the consumer reads."""

    def __init__(self, *, stream: Stream, into: str, types_of: TypesOf) -> None:
        self._stream, self._into, self._types_of = stream, into, types_of
        self._stop = threading.Event()
        self.spread = 0

    def stop(self) -> None:
        """Ends after the messages that are being written."""
        self._stop.set()

    def run(self) -> Problem | None:
        """Spreads until `stop`."""
        import confluent_kafka as kafka  # noqa: PLC0415 - an extra; only streams need it

        shared = self._stream.client_options()
        grouped = {"group.id": self._stream.group, "enable.auto.commit": False, "auto.offset.reset": "earliest"}
        client = kafka.Consumer({**grouped, **shared})
        producer = kafka.Producer({"acks": "all", "linger.ms": 5, **shared})
        try:
            found = client.list_topics(self._into, timeout=FLUSH_SECONDS).topics[self._into]
            if found.error is not None:
                return problem("usage.stream_unreadable", f"{self._into}: {found.error.str()}")
            client.subscribe([self._stream.topic])
            while not self._stop.is_set():
                failed = self._turn(client, producer, kafka, partitions=len(found.partitions))
                if failed is not None:
                    return failed
        except kafka.KafkaException as error:
            return problem("usage.stream_unreadable", f"{self._stream.topic}: {error.args[0].str()}")
        finally:
            client.close()
        return None

    def _turn(self, client: Any, producer: Any, kafka: Any, *, partitions: int) -> Problem | None:
        messages = client.consume(MESSAGES_AT_ONCE, timeout=POLL_SECONDS)
        failures: list[str] = []

        def delivered(error: Any, _: Any) -> None:
            if error is not None:
                failures.append(error.str())

        for one in messages:
            if one.error() is not None:
                raise kafka.KafkaException(one.error())
        for tenant_id, text, shard in self._placed([_message(one) for one in messages], partitions=partitions):
            headers = {TENANT_HEADER: tenant_id}
            while True:
                try:
                    producer.produce(self._into, text, partition=shard, headers=headers, on_delivery=delivered)
                    break
                except BufferError:
                    producer.poll(POLL_SECONDS)
            self.spread += 1
        if messages:
            left = producer.flush(FLUSH_SECONDS)
            if left or failures:
                return problem("usage.stream_unreadable", f"{self._into}: {failures[0] if failures else 'no answer'}")
            client.commit(asynchronous=False)
        return None

    def _placed(self, messages: Sequence[Message], *, partitions: int) -> Iterable[tuple[str, bytes, int]]:
        """(tenant, text, shard) of every event. What can't be read goes to the first shard, whose consumer writes it down."""
        chunk = chunk_of(messages, tenant=self._stream.tenant)
        for one in chunk.rejected:
            yield one.tenant, one.event.encode(), 0
        for tenant_id, events in chunk.events.items():
            texts = [text for _, text in events]
            types = self._types_of(tenant_id)
            if isinstance(types, Problem):
                yield from ((tenant_id, text, 0) for text in texts)
                continue
            decoded = decode_each(texts, types)
            wrong = {one.index for one in decoded.invalid}
            virtual = iter(decoded.virtual_shards())
            for index, text in enumerate(texts):
                shard = 0 if index in wrong else shard_of(next(virtual), shards=partitions)
                yield tenant_id, text, shard


class _Heard:
    """Waits for one answer."""

    def __init__(self) -> None:
        self._came = threading.Event()
        self._answers: Answers = problem("usage.unanswered", "the log did not answer in time")

    def __call__(self, answers: Answers) -> None:
        self._answers = answers
        self._came.set()

    def result(self) -> Answers:
        self._came.wait(ANSWER_SECONDS)
        return self._answers


def _message(one: Any) -> Message:
    headers = {name: value.decode("utf-8", "replace") for name, value in one.headers() or () if value is not None}
    return Message(partition=one.partition(), offset=one.offset(), value=one.value() or b"", headers=headers)


def _nothing() -> Decoded:
    """No event: what a record holds that only says how far a stream is read."""
    return decode_each((), TypeCatalogue(tenant_id="", seed=0, types={}))
