"""Key runs: identities that left memory, sorted on disk, found again through a filter that says no for nearly every new one.

A run is a file of four parts: the first halves of the keys in order, the second halves, the content digests, and the filter (one
64-bit word a key is sent to, with four bits of it). Only the filter is held in memory: two bytes a key. It knows no log, no event.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
import xxhash

from revline.core.problem import Problem, problem
from revline.subledger.usage.log.files import sync_folder

Words = np.ndarray[Any, np.dtype[np.uint64]]
SLICE: Final = 1 << 17
"""Keys that are worked on at once, so that no thread holds the others up for long."""
SUFFIX: Final = ".keys"
_MANIFEST: Final = "keys.manifest"
_KEYS_A_WORD: Final = 4
_SIX: Final = np.uint64(63)
_ONE: Final = np.uint64(1)
_HALF: Final = np.uint64(32)
_NO_WORDS: Final = np.zeros(0, np.uint64)


class RunFile(msgspec.Struct, frozen=True, kw_only=True):
    """A run as the manifest names it."""

    name: str
    count: int
    checksum: bytes


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """The runs there are. covered_through: every event up to this sequence has its identity in one of them. made: runs so far."""

    covered_through: int = 0
    made: int = 0
    runs: tuple[RunFile, ...] = ()


class Sorted(msgspec.Struct, frozen=True, kw_only=True):
    """Identities in the order of their keys."""

    high: Words
    low: Words
    digests: Words


def sorted_slice(high: Words, low: Words, digests: Words) -> Sorted:
    """Puts identities in order."""
    order = np.argsort(high, kind="stable")
    return Sorted(high=high[order], low=low[order], digests=digests[order])


def bits_of(low: Words) -> Words:
    """The four bits of the filter's word that a key sets."""
    bits = _ONE << (low & _SIX)
    for shift in (6, 12, 18):
        bits |= _ONE << ((low >> np.uint64(shift)) & _SIX)
    return bits


def upper_of(high: Words) -> Words:
    """What a key's word of the filter is found by, as `Run.find` takes it."""
    return high >> _HALF


class Run:
    """A run on disk, ready to be asked."""

    def __init__(self, *, path: Path, file: RunFile) -> None:
        self.path, self.file = path, file
        count = file.count
        with path.open("rb") as stream:
            self._map = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
        parts = np.frombuffer(self._map, np.uint64)
        self.high, self.low, self.digests = (parts[part * count : (part + 1) * count] for part in range(3))
        self._filter = parts[3 * count :].copy()
        self._words = np.uint64(len(self._filter))

    def find(self, high: Words, low: Words, upper: Words, bits: Words) -> tuple[np.ndarray[Any, Any], Words]:
        """The places, among the keys asked for, of those in this run, and their digests. upper and bits: as `upper_of` and
        `bits_of` give them; they are the same for every run."""
        words = self._filter[(upper * self._words) >> _HALF]
        places = np.flatnonzero((words & bits) == bits)
        if not len(places):
            return places, _NO_WORDS
        wanted = high[places]
        at = np.searchsorted(self.high, wanted)
        same = self.high.take(at, mode="clip") == wanted
        if not same.any():
            return places[:0], _NO_WORDS
        return self._exactly(places, low[places], wanted, at)

    @property
    def memory_bytes(self) -> int:
        """What of it is held in memory."""
        return self._filter.nbytes

    def _exactly(
        self, places: np.ndarray[Any, Any], second: Words, wanted: Words, at: np.ndarray[Any, Any]
    ) -> tuple[np.ndarray[Any, Any], Words]:
        found = np.full(len(places), -1, np.int64)
        for _ in range(self.file.count):  # more than once only where two keys share their first half
            inside = at < self.file.count
            at = np.minimum(at, self.file.count - 1)
            same = inside & (self.high[at] == wanted)
            hit = same & (self.low[at] == second)
            found[hit] = at[hit]
            if not (same & ~hit).any():
                break
            at += same & ~hit
        known = found >= 0
        return places[known], self.digests[found[known]]

    def slices(self, bounds: Sequence[int]) -> Iterator[Sorted]:
        """The run cut where its keys reach each bound, and its rest."""
        ends = [*np.searchsorted(self.high, np.array(bounds, np.uint64)).tolist(), self.file.count]
        start = 0
        for end in ends:
            yield Sorted(high=self.high[start:end], low=self.low[start:end], digests=self.digests[start:end])
            start = end


def write_run(folder: Path, *, name: str, count: int, slices: Iterable[Sorted]) -> RunFile:
    """Writes a run of so many identities, given slice by slice in order, and waits until the disk has it."""
    words = max(1, -(-count // _KEYS_A_WORD))
    found = np.zeros(words, np.uint64)
    hashes = [xxhash.xxh3_128() for _ in range(4)]
    path = folder / name
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        place = 0
        for one in slices:
            for part, values in enumerate((one.high, one.low, one.digests)):
                data = np.ascontiguousarray(values)
                hashes[part].update(data.data)
                _write_at(descriptor, data, 8 * (part * count + place))
            _add(found, one)
            place += len(one.high)
        assert place == count
        hashes[3].update(found.data)
        _write_at(descriptor, found, 24 * count)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    return RunFile(name=name, count=count, checksum=b"".join([one.digest() for one in hashes]))


def _write_at(descriptor: int, values: Words, place: int) -> None:
    rest = memoryview(values.view(np.uint8))  # type: ignore[arg-type]
    while rest:
        done = os.pwrite(descriptor, rest, place)
        rest, place = rest[done:], place + done


def _add(words: Words, one: Sorted) -> None:
    """Sets the bits of keys in order: those of one word stand together."""
    if not len(one.high):
        return
    at = ((one.high >> _HALF) * np.uint64(len(words))) >> _HALF
    starts = np.flatnonzero(np.concatenate(([True], at[1:] != at[:-1])))
    words[at[starts]] |= np.bitwise_or.reduceat(bits_of(one.low), starts)


def merged(runs: Sequence[Run]) -> Iterator[Sorted]:
    """The identities of several runs in one order, slice by slice."""
    total = sum(run.file.count for run in runs)
    pieces = max(1, total // SLICE)
    bounds = [(number << 64) // pieces for number in range(1, pieces)]
    for parts in zip(*[run.slices(bounds) for run in runs], strict=True):
        yield sorted_slice(
            np.concatenate([part.high for part in parts]),
            np.concatenate([part.low for part in parts]),
            np.concatenate([part.digests for part in parts]),
        )


def read_manifest(folder: Path) -> Manifest | Problem:
    """What runs there are; none in a new folder."""
    path = folder / _MANIFEST
    if not path.exists():
        return Manifest()
    data = path.read_bytes()
    if len(data) < 16 or xxhash.xxh3_128_digest(data[:-16]) != data[-16:]:
        return problem("usage.log_damaged", f"{_MANIFEST} can't be read", field=str(path))
    return msgspec.msgpack.decode(data[:-16], type=Manifest)


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Puts a manifest in place of the one there is, at once, and waits until the disk has it."""
    body = msgspec.msgpack.encode(manifest)
    new = folder / f"{_MANIFEST}.new"
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        rest = memoryview(body + xxhash.xxh3_128_digest(body))
        while rest:  # a disk may take less than it is given
            rest = rest[os.write(descriptor, rest) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    new.replace(folder / _MANIFEST)
    sync_folder(folder)


def open_runs(folder: Path, manifest: Manifest) -> list[Run] | Problem:
    """The manifest's runs, each checked byte by byte. Files it does not name were never finished, and go."""
    named = {file.name for file in manifest.runs}
    for path in folder.glob(f"*{SUFFIX}"):
        if path.name not in named:
            path.unlink()
    runs = []
    for file in manifest.runs:
        path = folder / file.name
        if not path.exists() or _checksum(path, file.count) != file.checksum:
            return problem("usage.log_damaged", f"the key run {file.name} can't be read", field=str(path))
        runs.append(Run(path=path, file=file))
    return runs


def _checksum(path: Path, count: int) -> bytes:
    lengths = [8 * count] * 3 + [path.stat().st_size - 24 * count]
    digests = []
    with path.open("rb") as stream:
        for length in lengths:
            state, rest = xxhash.xxh3_128(), length
            while rest > 0 and (data := stream.read(min(rest, 1 << 22))):
                state.update(data)
                rest -= len(data)
            digests.append(state.digest())
    return b"".join(digests)
