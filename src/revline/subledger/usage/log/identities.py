"""Which identities are on disk already, and with which content: the newest in memory, all others in key runs.

The committer asks and adds; a thread of its own writes runs and merges them, and never holds the committer up: both work on a view
that is put in place whole. It knows no event.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np

from revline.core.problem import Problem, problem
from revline.subledger.usage.log.runs import (
    SLICE,
    SUFFIX,
    Manifest,
    Run,
    RunFile,
    Words,
    bits_of,
    merged,
    open_runs,
    read_manifest,
    sorted_slice,
    upper_of,
    write_manifest,
    write_run,
)
from revline.subledger.usage.log.values import CONFLICT, DUPLICATE

FAN: Final = 4
"""Runs of about one size that are merged into one."""
_NONE: Final[Mapping[bytes, bytes]] = {}


class _View(msgspec.Struct, frozen=True):
    """What left the hot identities. frozen: those on their way to a run."""

    frozen: Mapping[bytes, bytes]
    runs: tuple[Run, ...]


class Identities:
    """Every identity of a shard. A key is 16 bytes, a digest 8."""

    def __init__(self, *, folder: Path, manifest: Manifest, runs: Sequence[Run], hot_max: int) -> None:
        self._folder, self._hot_max = folder, hot_max
        self._hot: dict[bytes, bytes] = {}
        self._view = _View(frozen=_NONE, runs=tuple(runs))
        self._manifest = manifest
        self._freezing: tuple[Mapping[bytes, bytes], int] | None = None
        self._wake = threading.Condition()
        self._closed = False
        self.failed: Problem | None = None
        self._thread = threading.Thread(target=self._work, name="usage-keys", daemon=True)
        self._thread.start()

    @classmethod
    def open(cls, folder: Path, *, hot_max: int) -> Identities | Problem:
        """The identities that are in runs; those of later events are to be met again."""
        manifest = read_manifest(folder)
        if isinstance(manifest, Problem):
            return manifest
        runs = open_runs(folder, manifest)
        if isinstance(runs, Problem):
            return runs
        return cls(folder=folder, manifest=manifest, runs=runs, hot_max=hot_max)

    @property
    def covered_through(self) -> int:
        """Up to this sequence every identity is in a run, so the log is not needed for it."""
        return self._manifest.covered_through

    @property
    def in_runs(self) -> int:
        """How many identities are in runs."""
        return sum(file.count for file in self._manifest.runs)

    def meet(self, keys: Sequence[bytes], digests: Sequence[bytes]) -> bytes:
        """The verdict on each identity, a byte each; new ones are known from then on."""
        view = self._view
        known = _known(view, keys) if view.runs or view.frozen else None
        if not known:
            return bytes(self._meet_hot(keys, digests))
        rest_keys, rest_digests = list(keys), list(digests)
        for place in sorted(known, reverse=True):
            del rest_keys[place], rest_digests[place]
        verdicts = self._meet_hot(rest_keys, rest_digests)
        for place in sorted(known):
            verdicts.insert(place, DUPLICATE if digests[place] == known[place] else CONFLICT)
        return bytes(verdicts)

    def _meet_hot(self, keys: Sequence[bytes], digests: Sequence[bytes]) -> bytearray:
        before = len(self._hot)
        found = list(map(self._hot.setdefault, keys, digests))
        added = len(self._hot) - before
        verdicts = bytearray(len(keys))
        if added == len(keys):
            return verdicts
        old = [place for place, (mine, other) in enumerate(zip(digests, found, strict=True)) if mine is not other]
        if len(old) + added != len(keys):  # the very same values were met before
            old = _not_first(keys, set(islice(reversed(self._hot), added)))
        for place in old:
            verdicts[place] = DUPLICATE if digests[place] == found[place] else CONFLICT
        return verdicts

    def turn(self, *, last_sequence: int) -> None:
        """Called between commits: sends the hot identities on their way when there are enough. last_sequence: the last event's."""
        if len(self._hot) < self._hot_max or self._freezing is not None or self.failed:
            return  # while the thread is at work the view is its own
        with self._wake:
            frozen, self._hot = self._hot, {}
            self._view = _View(frozen=frozen, runs=self._view.runs)
            self._freezing = (frozen, last_sequence)
            self._wake.notify_all()

    def settle(self) -> None:
        """Waits until nothing is on its way to a run."""
        with self._wake:
            self._wake.wait_for(lambda: self._freezing is None or self.failed is not None)

    def close(self) -> None:
        """Ends the thread; a run it was writing is finished, one on its way stays in the log."""
        with self._wake:
            self._closed = True
            self._wake.notify_all()
        self._thread.join()

    def _work(self) -> None:
        while True:
            with self._wake:
                self._wake.wait_for(lambda: self._closed or self._freezing is not None)
                if self._closed or self._freezing is None:
                    return
                frozen, last_sequence = self._freezing
            try:
                self._write(frozen, last_sequence)
            except OSError as error:
                self.failed = problem("usage.log_stopped", f"writing a key run failed: {error.strerror}")
            with self._wake:
                self._freezing = None
                self._wake.notify_all()
                if self.failed:
                    return

    def _write(self, frozen: Mapping[bytes, bytes], last_sequence: int) -> None:
        high, low, digests = _words_of(frozen)
        whole = sorted_slice(high, low, digests)
        name = self._next_name()
        file = write_run(self._folder, name=name, count=len(high), slices=[whole])
        new = Run(path=self._folder / name, file=file)
        self._publish((*self._view.runs, new), covered_through=last_sequence)
        while (group := self._alike()) is not None:
            name = self._next_name()
            total = sum(run.file.count for run in group)
            file = write_run(self._folder, name=name, count=total, slices=merged(group))
            rest = tuple(run for run in self._view.runs if run not in group)
            self._publish((*rest, Run(path=self._folder / name, file=file)), covered_through=last_sequence)
            for run in group:
                run.path.unlink()

    def _next_name(self) -> str:
        return f"{self._manifest.made + 1:012d}{SUFFIX}"

    def _publish(self, runs: tuple[Run, ...], *, covered_through: int) -> None:
        files: tuple[RunFile, ...] = tuple(run.file for run in runs)
        manifest = Manifest(covered_through=covered_through, made=self._manifest.made + 1, runs=files)
        write_manifest(self._folder, manifest)
        self._manifest = manifest
        self._view = _View(frozen=_NONE, runs=runs)

    def _alike(self) -> Sequence[Run] | None:
        """Runs of about one size, when there are enough to merge."""
        levels: dict[int, list[Run]] = {}
        for run in self._view.runs:
            level, size = 0, self._hot_max * FAN
            while run.file.count >= size * 0.9:
                level, size = level + 1, size * FAN
            levels.setdefault(level, []).append(run)
        return next((runs for _, runs in sorted(levels.items()) if len(runs) >= FAN), None)


def _not_first(keys: Sequence[bytes], new: set[bytes]) -> list[int]:
    """The places of keys that are not new, or stood before in the same batch."""
    old = []
    for place, key in enumerate(keys):
        if key in new:
            new.remove(key)
        else:
            old.append(place)
    return old


def _known(view: _View, keys: Sequence[bytes]) -> dict[int, bytes]:
    """The digests of the keys that left memory, by their place."""
    known: dict[int, bytes] = {}
    if view.frozen:
        found = map(view.frozen.get, keys)
        known = {place: digest for place, digest in enumerate(found) if digest is not None}
    if view.runs:
        words = np.frombuffer(b"".join(keys), ">u8").astype(np.uint64)
        high, low = words[0::2], words[1::2]
        upper, bits = upper_of(high), bits_of(low)
        for run in view.runs:
            places, digests = run.find(high, low, upper, bits)
            if len(places):
                texts = digests.astype(">u8").tobytes()
                known.update((place, texts[8 * at : 8 * at + 8]) for at, place in enumerate(places.tolist()))
    return known


def _words_of(frozen: Mapping[bytes, bytes]) -> tuple[Words, Words, Words]:
    keys, digests = iter(frozen), iter(frozen.values())
    high: list[Any] = []
    low: list[Any] = []
    content: list[Any] = []
    for _ in range(0, len(frozen), SLICE):
        words = np.frombuffer(b"".join(islice(keys, SLICE)), ">u8").astype(np.uint64)
        high.append(words[0::2])
        low.append(words[1::2])
        content.append(np.frombuffer(b"".join(islice(digests, SLICE)), ">u8").astype(np.uint64))
    return np.concatenate(high), np.concatenate(low), np.concatenate(content)
