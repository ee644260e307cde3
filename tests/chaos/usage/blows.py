"""The blows: kills at any moment, ends torn at any byte, a disk that refuses."""

from __future__ import annotations

import errno
import os
import random
import select
import signal
import time
from pathlib import Path
from typing import Any
from unittest.mock import patch

from revline.core.problem import Problem
from revline.subledger.usage.log import files
from revline.subledger.usage.log.files import log_files
from tests.chaos.usage.judging import Judgement, judge
from tests.chaos.usage.shop import NO_RUNS, TENANTS, Sealer, opened, submission, trade


def kills(folder: Path, *, count: int, seed: int) -> Judgement:
    """A shop that is killed so often, at any moment, judged after each death."""
    chance = random.Random(seed)
    acknowledged = dict.fromkeys(TENANTS, 0)
    total = Judgement()
    for number in range(count):
        reading, told = os.pipe()
        child = os.fork()
        if not child:
            os.close(reading)
            try:
                trade(folder, told=told, seed=seed + number)
            finally:
                os._exit(7)  # only an error ends a shop by itself
        os.close(told)
        if chance.random() < 0.75:  # the others may die while they still open the log
            select.select([reading], [], [], 10)
        time.sleep(chance.uniform(0.001, 0.1))
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        with os.fdopen(reading) as stream:
            for line in stream.read().splitlines():
                tenant, upto = line.split(" ")
                acknowledged[tenant] = int(upto)
        if not os.WIFSIGNALED(status):
            total.altered += 1
            total.notes.append(f"kill {number}: the shop ended by itself")
        _add(total, judge(folder, acknowledged), f"kill {number}")
    return total


def torn_tails(folder: Path, *, count: int, seed: int) -> Judgement:
    """The last record torn at any byte, also with other bytes where its end was: what came before it stays, it is gone, and its
    events are taken when they are sent again."""
    chance = random.Random(seed)
    total = Judgement()
    number = 0
    for story in range(count):
        log = opened(folder, limits=NO_RUNS)
        before = number
        for _ in range(chance.randrange(1, 4)):
            number = _commit(log, number, chance.randrange(1, 30))
        whole = number
        path = log_files(folder)[-1]
        start = path.stat().st_size
        torn = _commit(log, number, chance.randrange(1, 30))
        log.close()
        data = path.read_bytes()
        if log_files(folder)[-1] == path:  # else the record finished its file, and it is no end that could be torn
            kept = data[: chance.randrange(start, len(data))]
            path.write_bytes(kept + chance.randbytes(len(data) - len(kept)) if chance.random() < 0.5 else kept)
        else:
            whole = torn
        acknowledged = dict.fromkeys(TENANTS, whole)
        _add(total, judge(folder, acknowledged, limits=NO_RUNS), f"torn {story}")
        log = opened(folder, limits=NO_RUNS)
        number = _commit(log, before, torn - before)
        sealer = Sealer(folder / "sealed")
        log.delete_through(sealer.sealed)
        log.close()
        assert number == torn
        _add(total, judge(folder, dict.fromkeys(TENANTS, torn), limits=NO_RUNS), f"torn {story}, sent again")
    return total


def _commit(log: Any, first: int, count: int) -> int:
    """Events of every tenant in one record; the number after the last."""
    numbers = range(first, first + count)
    for answers in log.commit([submission(tenant, numbers, next_offset=first + count) for tenant in TENANTS]):
        assert not isinstance(answers, Problem), answers
        assert answers.conflicts == 0
    return first + count


def failed_syncs(folder: Path, *, count: int, seed: int) -> Judgement:
    """A disk that refuses a sync or a write, now and then after half of it: the log stops and acknowledges nothing until it is
    opened anew; then nothing that was acknowledged is missing."""
    chance = random.Random(seed)
    total = Judgement()
    number = 0
    for story in range(count):
        log = opened(folder)
        for _ in range(chance.randrange(1, 4)):
            number = _commit(log, number, chance.randrange(1, 30))
        with _refusing(chance):
            answers = log.commit([submission(tenant, range(number, number + 5)) for tenant in TENANTS])
        stopped = all(isinstance(one, Problem) and one.code == "usage.log_stopped" for one in answers)
        later = log.commit([submission("north", [number])])[0]
        if not stopped or not isinstance(later, Problem) or log.stopped is None:
            total.altered += 1
            total.notes.append(f"refusal {story}: acknowledged after a failed sync")
        log.close()
        acknowledged = dict.fromkeys(TENANTS, number)
        log = opened(folder)
        number = _commit(log, number, 5)
        log.close()
        _add(total, judge(folder, dict.fromkeys(TENANTS, number)), f"refusal {story} after {acknowledged['north']}")
    return total


def _refusing(chance: random.Random) -> Any:
    real_write = os.write

    def refuse(*_: object) -> None:
        raise OSError(errno.EIO, "the disk says no")

    def half(descriptor: int, data: Any) -> int:
        if len(data) < 2:
            refuse()
        done = real_write(descriptor, bytes(data)[: chance.randrange(1, len(data))])
        if chance.random() < 0.5:
            refuse()
        return done

    if chance.random() < 0.5:
        return patch.object(files.os, "fdatasync", refuse)
    return patch.multiple(files.os, write=half, fdatasync=refuse)


def _add(total: Judgement, one: Judgement, name: str) -> None:
    total.events = max(total.events, one.events)
    total.lost += one.lost
    total.doubled += one.doubled
    total.altered += one.altered
    total.notes.extend(f"{name}: {note}" for note in one.notes)
    if not one.is_clean:
        total.notes.append(f"{name}: {one.lost} lost, {one.doubled} doubled, {one.altered} altered")


__all__ = ["failed_syncs", "kills", "torn_tails"]
