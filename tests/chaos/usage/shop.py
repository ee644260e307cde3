"""A process that takes usage into a log and seals it into a file, until it is killed.

What was acknowledged goes out as lines on a pipe; the sealed file holds what a subscriber was given and kept. A judge compares both
with what was sent: see `judging`.
"""

from __future__ import annotations

import os
import random
import threading
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from revline.core.problem import Problem
from revline.platform.tenancy.data_keys import MemoryDataKeys
from revline.subledger.usage.decoding.catalogue import TypeCatalogue
from revline.subledger.usage.decoding.decode import decode
from revline.subledger.usage.events import Verdict
from revline.subledger.usage.kinds import EventType, FieldKind, UsageField
from revline.subledger.usage.log.log import UsageLog
from revline.subledger.usage.log.rows import to_table
from revline.subledger.usage.log.values import CommittedBatch, LogLimits, Offset, Submission

KEYS: Final = MemoryDataKeys(secret=b"of the chaos")
TENANTS: Final = ("north", "south", "west")
SMALL: Final = LogLimits(file_bytes_max=40_000, hot_events_max=150)
"""So small that files are finished and runs are written and merged all the time."""
NO_RUNS: Final = LogLimits(file_bytes_max=40_000)
"""Only what is on disk for sure gets into a run: where the end of the log is torn afterwards, none may have been made of it."""
CALL: Final = EventType(
    title="Calls", type="call", fields={"amount": UsageField(kind=FieldKind.DECIMAL, scale=2, required=True)}
)
TYPES: Final = {
    tenant: TypeCatalogue(tenant_id=tenant, seed=int(str(KEYS.identity_seed(tenant))), types={"call": CALL})
    for tenant in TENANTS
}


class At:
    """A clock that goes a step at a time."""

    def __init__(self) -> None:
        self._steps = 0

    def now(self) -> datetime:
        self._steps += 1
        return datetime(2026, 11, 1, tzinfo=UTC) + timedelta(milliseconds=self._steps)


def body_of(numbers: Sequence[int]) -> bytes:
    """Events with these numbers: an event's amount follows from its number."""
    each = (
        f'{{"id":"e{number}","source":"s{number % 3}","type":"call","subject":"c{number % 7}",'
        f'"time":"2026-11-01T00:00:{number % 60:02d}Z","data":{{"amount":{number}.25}}}}'
        for number in numbers
    )
    return ("[" + ",".join(each) + "]").encode()


def submission(tenant: str, numbers: Sequence[int], *, next_offset: int = 0) -> Submission:
    """A submission of these events."""
    decoded = decode(body_of(numbers), TYPES[tenant])
    assert not isinstance(decoded, Problem)
    offsets = (Offset(topic=tenant, partition=0, next_offset=next_offset),) if next_offset else ()
    return Submission(decoded=decoded, offsets=offsets)


def opened(folder: Path, *, limits: LogLimits = SMALL) -> UsageLog:
    """The log; it must open, whatever was done to the process that had it before."""
    log = UsageLog.open(folder=folder, shard=0, keys=KEYS, clock=At(), limits=limits)
    assert isinstance(log, UsageLog), log
    return log


class Sealer:
    """Keeps what it is given in one file, a line an event, and says up to where each tenant's events are in it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.last: dict[str, int] = {}
        found = path.read_bytes() if path.exists() else b""
        whole = found[: found.rfind(b"\n") + 1]
        if whole != found:
            os.truncate(path, len(whole))  # never written anew: a kill in between would take what the log has let go of
        for line in whole.splitlines():
            tenant, sequence, *_ = line.decode().split(" ")
            self.last[tenant] = max(self.last.get(tenant, 0), int(sequence))
        self._stream = path.open("ab")

    def sealed(self, tenant: str) -> int:
        return self.last.get(tenant, 0)

    def on_committed(self, batches: Sequence[CommittedBatch]) -> None:
        for batch in batches:
            table = to_table([batch])
            columns = [table[name].to_pylist() for name in ("sequence", "id", "amount__d18_2")]
            for sequence, event_id, amount in zip(*columns, strict=True):
                if sequence > self.sealed(batch.tenant_id):
                    self._stream.write(f"{batch.tenant_id} {sequence} {event_id} {amount}\n".encode())
                    self.last[batch.tenant_id] = sequence
        self._stream.flush()
        os.fsync(self._stream.fileno())


def trade(folder: Path, *, told: int, seed: int) -> None:
    """Sends until the process is killed: new events from where the log's offsets stand, and now and then old ones again. Each
    acknowledgement is one line to `told`."""
    log = opened(folder)
    sealer = Sealer(folder / "sealed")
    for batch in log.recovered(types_of=TYPES.__getitem__, sealed=sealer.sealed):
        assert isinstance(batch, CommittedBatch), batch
        sealer.on_committed([batch])
    log.subscribe(sealer)
    threads = [
        threading.Thread(target=_send, args=(log, tenant, told, random.Random(f"{seed}{tenant}")), daemon=True)
        for tenant in TENANTS
    ]
    for thread in threads:
        thread.start()
    while True:
        threading.Event().wait(0.01)
        log.delete_through(sealer.sealed)


def _send(log: UsageLog, tenant: str, told: int, chance: random.Random) -> None:
    number = log.offsets().get((tenant, 0), 0)
    while True:
        count = chance.choice((1, 3, 40))
        answers = log.submit(submission(tenant, range(number, number + count), next_offset=number + count)).result()
        assert not isinstance(answers, Problem), answers
        assert {each.verdict for each in answers.each()} == {Verdict.ACCEPTED}
        number += count
        os.write(told, f"{tenant} {number}\n".encode())
        if number > 10 and chance.random() < 0.3:
            again = log.submit(submission(tenant, [chance.randrange(number)])).result()
            assert not isinstance(again, Problem)
            assert again.duplicates == 1
