"""The usage room wired: tenants' event types, the shards this process owns or reaches, and the doors' sink over them."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Final

import msgspec

from revline.app import processes
from revline.app.directory import Directory
from revline.app.runtime import Runtime, open_runtime
from revline.app.usage_store import Storing
from revline.core.canonical import KINDS
from revline.core.problem import Mender, Problem, Retryable, define, problem
from revline.doors.api.server import serve as serve_app
from revline.doors.cli.output import say, say_problem
from revline.doors.services import Services
from revline.doors.usage.alone import Alone
from revline.doors.usage.ports import UsageLimits, UsagePorts, UsageRoom, UsageSink
from revline.doors.usage.receiving import Receiver, Shard
from revline.doors.usage.shards import InnerDoor, LocalShard, RemoteShard
from revline.platform.collecting import collect_seldom
from revline.platform.logs import configure, log
from revline.platform.settings import Settings
from revline.platform.tenancy.data_keys import DataKeys
from revline.subledger.usage.decoding.catalogue import TypeCatalogue
from revline.subledger.usage.kinds import EventType, FieldKind
from revline.subledger.usage.log.log import UsageLog

FRESH_SECONDS: Final = 2.0
"""A tenant's event types in use are at most so old, and a little more while they are read anew."""
BUSINESS: Final = frozenset(f"revline.{kind}.v1" for kind in KINDS)
LAYOUT_FILE: Final = "layout.json"

define(
    code="usage.layout_differs",
    title="The shards were laid out otherwise",
    status=500,
    retryable=Retryable.AFTER_FIX,
    mender=Mender.OPERATOR,
    remedy="Set REVLINE_USAGE_SHARDS to what it was: where an identity is kept must not change.",
)


class _Held(msgspec.Struct):
    types: TypeCatalogue
    version: int
    read_at: float


class CatalogueDirectory:
    """Implements `Catalogues` over the active configuration. What is in memory is used at once; what is old is read anew beside."""

    def __init__(self, *, directory: Directory, keys: DataKeys, seconds: Callable[[], float] = time.monotonic) -> None:
        self._directory, self._keys, self._seconds = directory, keys, seconds
        self._held: dict[str, _Held] = {}
        self._reading: set[str] = set()
        self._lock = threading.Lock()
        self._threads = ThreadPoolExecutor(max_workers=1, thread_name_prefix="usage-types-anew")

    def remembered(self, tenant_id: str) -> TypeCatalogue | None:
        """From memory; asks for a newer one beside when it is old."""
        held = self._held.get(tenant_id)
        if held is None:
            return None
        if self._seconds() - held.read_at > FRESH_SECONDS:
            with self._lock:
                asked = tenant_id in self._reading
                self._reading.add(tenant_id)
            if not asked:
                self._threads.submit(self._anew, tenant_id)
        return held.types

    def read(self, tenant_id: str) -> TypeCatalogue | Problem:
        """The types of the tenant's active configuration; compiled once a version."""
        configuration = self._directory.configuration(tenant_id=tenant_id)
        if isinstance(configuration, Problem):
            return configuration
        held = self._held.get(tenant_id)
        if held is not None and held.version == configuration.version:
            held.read_at = self._seconds()
            return held.types
        seed = self._keys.identity_seed(tenant_id)
        if isinstance(seed, Problem):
            return seed
        specs = {name: document.spec for name, document in configuration.all(EventType).items()}
        types = TypeCatalogue(tenant_id=tenant_id, seed=seed, types=specs, elsewhere=BUSINESS)
        self._held[tenant_id] = _Held(types, configuration.version, self._seconds())
        return types

    def types_of(self, tenant_id: str) -> TypeCatalogue | Problem:
        """From memory, else read."""
        return self.remembered(tenant_id) or self.read(tenant_id)

    def fields_of(self, tenant_id: str, kind: str) -> Mapping[str, FieldKind]:
        """What the fields of a type hold; empty for a type nobody knows."""
        types = self.types_of(tenant_id)
        shape = None if isinstance(types, Problem) else types.shapes.get(kind)
        return {} if shape is None else {name: field.kind for name, field in shape.fields.items()}

    def close(self) -> None:
        """Lets go of the thread."""
        self._threads.shutdown(wait=True)

    def _anew(self, tenant_id: str) -> None:
        try:
            found = self.read(tenant_id)
        except Exception:  # noqa: BLE001 - what is in memory goes on to be used
            log().warning("usage.types_old", tenant_id=tenant_id, exc_info=True)
            return
        finally:
            with self._lock:
                self._reading.discard(tenant_id)
        if isinstance(found, Problem):
            log().warning("usage.types_old", tenant_id=tenant_id, code=found.code)


def shard_folder(settings: Settings, shard: int) -> Path:
    """Where a shard's log is."""
    return settings.data_folder / "usage" / "shards" / str(shard)


def open_usage(
    runtime: Runtime, *, wanted: Collection[int] | None = None, must_own: bool = False
) -> UsageRoom | Problem:
    """The room as this process has it: of the wanted shards (None: every one) those that nobody owns become its own, the others it
    reaches through their owners. must_own: `usage.log_owned` when one of the wanted has another owner."""
    settings = runtime.settings
    differs = layout_problem(settings)
    if differs is not None:
        return differs
    keys = runtime.services.data_keys()
    if isinstance(keys, Problem):
        return keys
    catalogues = CatalogueDirectory(directory=runtime.directory, keys=keys)
    shards: dict[int, Shard] = {}
    storing = Storing(
        settings=settings,
        database=runtime.database,
        clock=runtime.clock,
        directory=runtime.directory,
        types_of=catalogues.types_of,
    )
    closing: list[Callable[[], None]] = [storing.close]

    def close() -> None:
        for each in reversed(closing):
            each()
        receiver.close()
        catalogues.close()
        keys.close()

    receiver = Receiver(catalogues=catalogues, shards=shards, events_max=settings.usage_events_per_request_max)
    owned = set()
    for number in range(settings.usage_shards):
        folder = shard_folder(settings, number)
        opened: UsageLog | Problem | None = None
        if wanted is None or number in wanted:
            opened = UsageLog.open(folder=folder, shard=number, keys=keys, clock=runtime.clock)
        if isinstance(opened, UsageLog):
            unread = storing.follow(opened)
            if unread is not None:
                opened.close()
                close()
                return unread
            local = shards[number] = LocalShard(opened)
            door = InnerDoor(shard=local, folder=folder, types_of=catalogues.types_of)
            closing.extend((opened.close, door.close))
            owned.add(number)
        elif opened is not None and (must_own or opened.code != "usage.log_owned"):
            close()
            return opened
        else:
            remote = shards[number] = RemoteShard(folder)
            closing.append(remote.close)
    if owned:
        storing.start()
    return UsageRoom(sink=receiver, owned=frozenset(owned), fields_of=catalogues.fields_of, close=close)


def usage_ports(runtime: Runtime, sink: UsageSink) -> UsagePorts:
    """What the HTTP door calls, wired."""
    settings = runtime.settings
    return UsagePorts(
        sink=sink,
        verify=lambda authorization: runtime.services.access.verify(authorization=authorization),
        tenant_active=partial(processes.tenant_active, runtime.database),
        clock=runtime.clock,
        random_bytes=os.urandom,
        problem_base=settings.problem_base,
        limits=UsageLimits(
            body_bytes_max=settings.usage_body_bytes_max,
            under_way_bytes_max=settings.usage_under_way_bytes_max,
            requests_per_second=settings.usage_requests_per_second,
            requests_burst=settings.usage_requests_burst,
        ),
    )


def usage_for_command(settings: Settings) -> tuple[Services, UsageRoom] | Problem:
    """What a command that hands over events stands on; it closes both."""
    runtime = open_runtime(settings)
    if isinstance(runtime, Problem):
        return runtime
    room = open_usage(runtime)
    if isinstance(room, Problem):
        runtime.services.close()
        return room
    return runtime.services, room


def run_shard(settings: Settings, shards: Sequence[int], port: int) -> int:
    """Own these shards (none named: all) and serve POST /v1/usage until a signal."""
    configure(stream=sys.stderr, level=settings.log_level)
    runtime = open_runtime(settings)
    if isinstance(runtime, Problem):
        say_problem(runtime)
        return 1
    room = open_usage(runtime, wanted=shards or None, must_own=True)
    if isinstance(room, Problem):
        say_problem(room)
        runtime.services.close()
        return 1
    named = ", ".join(map(str, sorted(room.owned)))
    ready = partial(processes.not_ready, settings, runtime.database, room.sink)
    collect_seldom()
    try:
        serve_app(
            lambda: Alone(ports=usage_ports(runtime, room.sink), ready=ready),
            host=settings.host,
            port=port,
            drain_seconds=settings.drain_seconds,
            public=settings.production,
            on_started=lambda taken: say(f"shard {named} takes usage on http://{settings.host}:{taken}"),
        )
    except OSError as error:
        say_problem(problem("server.address_taken", f"{settings.host}:{port}: {error.strerror}"))
        return 1
    finally:
        room.close()
        runtime.services.close()
    return 0


def layout_problem(settings: Settings) -> Problem | None:
    """Writes down how many shards there are when there are none yet; a problem when there were more or fewer."""
    path = settings.data_folder / "usage" / "shards" / LAYOUT_FILE
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        with path.open("xb") as stream:
            stream.write(msgspec.json.encode({"shards": settings.usage_shards}))
    except FileExistsError:
        laid_out = msgspec.json.decode(path.read_bytes())["shards"]
        if laid_out != settings.usage_shards:
            return problem(
                "usage.layout_differs", f"{laid_out} shards are laid out, the setting says {settings.usage_shards}"
            )
    return None
