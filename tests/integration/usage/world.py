"""Usage logs of a test in a folder, the receiver over them, and event types that no database holds."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from revline.core.clock import SystemClock
from revline.core.problem import Problem
from revline.doors.usage.ports import Answers
from revline.doors.usage.receiving import Receiver, Shard
from revline.doors.usage.shards import LocalShard
from revline.platform.tenancy.data_keys import MemoryDataKeys
from revline.subledger.usage.decoding.catalogue import TypeCatalogue
from revline.subledger.usage.events import EventAnswer
from revline.subledger.usage.kinds import EventType, FieldKind, UsageField
from revline.subledger.usage.log.log import UsageLog

KEYS = MemoryDataKeys(secret=b"of tests")
API_CALL = EventType(
    title="API calls",
    type="api.call",
    fields={
        "tokens": UsageField(kind=FieldKind.DECIMAL, precision=18, scale=0),
        "seconds": UsageField(kind=FieldKind.DECIMAL, precision=18, scale=6),
        "region": UsageField(kind=FieldKind.TEXT),
        "cached": UsageField(kind=FieldKind.BOOLEAN),
    },
)
BUSINESS = frozenset({"revline.invoice.v1"})


class FixedCatalogues:
    """One event type for every tenant; `unknown` has none. forgetful: nothing is remembered, so it is read each time."""

    def __init__(self, *, forgetful: bool = False) -> None:
        self.forgetful = forgetful
        self._made: dict[str, TypeCatalogue] = {}

    def remembered(self, tenant_id: str) -> TypeCatalogue | None:
        return None if self.forgetful else self._made.get(tenant_id)

    def read(self, tenant_id: str) -> TypeCatalogue | Problem:
        seed = KEYS.identity_seed(tenant_id)
        assert isinstance(seed, int)
        found = TypeCatalogue(tenant_id=tenant_id, seed=seed, types={"api-call": API_CALL}, elsewhere=BUSINESS)
        self._made[tenant_id] = found
        return found


def opened(folder: Path, *, shard: int = 0) -> UsageLog:
    found = UsageLog.open(folder=folder, shard=shard, keys=KEYS, clock=SystemClock())
    assert isinstance(found, UsageLog), found
    return found


@contextmanager
def receiver_over(shards: dict[int, Shard]) -> Iterator[Receiver]:
    receiver = Receiver(catalogues=FixedCatalogues(), shards=shards, events_max=10_000)
    yield receiver
    receiver.close()


@contextmanager
def receiver_in(folder: Path) -> Iterator[Receiver]:
    """One shard of this process."""
    log = opened(folder)
    with receiver_over({0: LocalShard(log)}) as receiver:
        yield receiver
    log.close()


class Heard:
    """Waits for an answer, as a door does."""

    def __init__(self) -> None:
        self._came = threading.Event()
        self.answers: Answers | None = None

    def __call__(self, answers: Answers) -> None:
        assert self.answers is None, "told twice"
        self.answers = answers
        self._came.set()

    def result(self) -> Answers:
        assert self._came.wait(10), "never told"
        assert self.answers is not None
        return self.answers

    def each(self) -> Sequence[EventAnswer]:
        found = self.result()
        assert not isinstance(found, Problem), found
        return found.each()

    def verdicts(self) -> list[str]:
        return [each.verdict.value for each in self.each()]
