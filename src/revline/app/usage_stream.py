"""Usage from Kafka wired: the processes of `revline usage-consume` and `revline usage-spread`."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Final, Protocol

from revline.app.runtime import Runtime, open_runtime
from revline.app.usage import CatalogueDirectory, layout_problem, shard_folder
from revline.app.usage_store import Storing
from revline.core.problem import Problem, problem
from revline.doors.cli.output import say, say_problem
from revline.doors.usage.kafka import Consumer, OwnedShard, Spreader, Stream
from revline.doors.usage.ports import Told
from revline.doors.usage.shards import InnerDoor, LocalShard
from revline.platform.collecting import collect_seldom
from revline.platform.logs import configure
from revline.platform.settings import Settings
from revline.platform.tenancy.stored_data_keys import StoredDataKeys
from revline.subledger.usage.decoding.values import Decoded
from revline.subledger.usage.log.log import UsageLog
from revline.subledger.usage.log.values import Offset, Offsets

CONSUMERS: Final = "revline-usage"
SPREADERS: Final = "revline-usage-spread"
REJECTS: Final = "rejects"


class _Runs(Protocol):
    def run(self) -> Problem | None: ...

    def stop(self) -> None: ...


@dataclass(frozen=True, kw_only=True)
class StreamShard:
    """Implements `OwnedShard`: a log, the tail its rows wait in, and the door for other processes of this machine."""

    log: UsageLog
    storing: Storing
    door: InnerDoor

    def offsets(self) -> Offsets:
        """How far streams are read, as the log says."""
        return self.log.offsets()

    def take(self, decoded: Decoded, *, offsets: Sequence[Offset], told: Told) -> None:
        """Queues the events and what they cover."""
        LocalShard(self.log).take(decoded, offsets=offsets, told=told)

    def close(self) -> None:
        """Commits what waits and gives the folder free."""
        self.door.close()
        self.log.close()
        self.storing.close()


class StreamShards:
    """Opens shards one by one, as partitions come."""

    def __init__(self, *, runtime: Runtime, keys: StoredDataKeys, catalogues: CatalogueDirectory) -> None:
        self._runtime, self._keys, self._catalogues = runtime, keys, catalogues

    def open(self, number: int) -> OwnedShard | Problem:
        """The shard, or why it can't be had now."""
        runtime, types_of = self._runtime, self._catalogues.types_of
        folder = shard_folder(runtime.settings, number)
        log = UsageLog.open(folder=folder, shard=number, keys=self._keys, clock=runtime.clock)
        if isinstance(log, Problem):
            return log
        storing = Storing(
            settings=runtime.settings,
            database=runtime.database,
            clock=runtime.clock,
            directory=runtime.directory,
            types_of=types_of,
        )
        unread = storing.follow(log)
        if unread is not None:
            log.close()
            return unread
        storing.start()
        door = InnerDoor(shard=LocalShard(log), folder=folder, types_of=types_of)
        return StreamShard(log=log, storing=storing, door=door)


def run_consumer(settings: Settings, topic: str, tenant: str) -> int:
    """Read a topic into shards until a signal."""

    def made(runtime: Runtime, keys: StoredDataKeys, catalogues: CatalogueDirectory) -> Consumer:
        shards = StreamShards(runtime=runtime, keys=keys, catalogues=catalogues)
        return Consumer(
            stream=_stream(settings, topic=topic, group=CONSUMERS, tenant=tenant),
            shards=settings.usage_shards,
            open_shard=shards.open,
            types_of=catalogues.types_of,
            rejects=settings.data_folder / "usage" / REJECTS,
        )

    return _run(settings, made, f"reading usage from {topic}")


def run_spreader(settings: Settings, topic: str, into: str, tenant: str) -> int:
    """Spread a topic over another one by identity until a signal."""

    def made(runtime: Runtime, keys: StoredDataKeys, catalogues: CatalogueDirectory) -> Spreader:
        del runtime, keys
        stream = _stream(settings, topic=topic, group=SPREADERS, tenant=tenant)
        return Spreader(stream=stream, into=into, types_of=catalogues.types_of)

    return _run(settings, made, f"spreading {topic} over {into}")


def _run(settings: Settings, make: Callable[[Runtime, StoredDataKeys, CatalogueDirectory], _Runs], doing: str) -> int:
    configure(stream=sys.stderr, level=settings.log_level)
    with ExitStack() as stack:
        found = _opened(settings, stack)
        if isinstance(found, Problem):
            say_problem(found)
            return 1
        running = make(*found)
        for signum in (signal.SIGTERM, signal.SIGINT):
            signal.signal(signum, lambda *_: running.stop())
        collect_seldom()
        say(doing)
        failed = running.run()
    if failed is not None:
        say_problem(failed)
    return 0 if failed is None else 1


def _opened(settings: Settings, stack: ExitStack) -> tuple[Runtime, StoredDataKeys, CatalogueDirectory] | Problem:
    differs = layout_problem(settings)
    if not settings.kafka_brokers:
        return problem("usage.stream_unreadable", "REVLINE_KAFKA_BROKERS is not set", field="REVLINE_KAFKA_BROKERS")
    if differs is not None:
        return differs
    runtime = open_runtime(settings)
    if isinstance(runtime, Problem):
        return runtime
    stack.callback(runtime.services.close)
    keys = runtime.services.data_keys()
    if isinstance(keys, Problem):
        return keys
    stack.callback(keys.close)
    catalogues = CatalogueDirectory(directory=runtime.directory, keys=keys)
    stack.callback(catalogues.close)
    return runtime, keys, catalogues


def _stream(settings: Settings, *, topic: str, group: str, tenant: str) -> Stream:
    return Stream(brokers=settings.kafka_brokers, topic=topic, group=group, tenant=tenant, options=_options(settings))


def _options(settings: Settings) -> Mapping[str, str]:
    """The client library's options, from `name=value` with commas between."""
    parts = (part.partition("=") for part in settings.kafka_options.reveal().split(",") if part)
    return {name.strip(): value.strip() for name, _, value in parts}
