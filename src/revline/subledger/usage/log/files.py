"""The files of a log on disk: written at the end only, read whole, told from torn ones. It knows records and no events."""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from revline.core.problem import Problem, problem
from revline.subledger.usage.log.records import (
    RECORD_MARK,
    FileHeader,
    Record,
    header_bytes,
    read_header,
    read_record,
    record_step,
)

SUFFIX: Final = ".log"
TORN_SUFFIX: Final = ".torn"


def log_files(folder: Path) -> list[Path]:
    """The files of a log, oldest first. A name is the first sequence and the fence of its owner."""
    return sorted(folder.glob(f"*{SUFFIX}"))


def sync_folder(folder: Path) -> None:
    """Makes names that were added to or taken from a folder last."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class LogWriter:
    """The one file a log writes to. Raises OSError when the disk refuses; what was written then is not to be trusted."""

    def __init__(self, *, folder: Path, header: FileHeader) -> None:
        self.path = folder / f"{header.first_sequence:020d}-{header.fence:010d}{SUFFIX}"
        self.header = header
        text = header_bytes(header)
        self._descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self.before = text[-16:]
        self.size = 0
        self.append(text)
        sync_folder(folder)

    def append(self, data: bytes) -> None:
        """Writes at the end and waits until the disk has it."""
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(self._descriptor, rest) :]
        os.fdatasync(self._descriptor)
        self.before = data[-16:]
        self.size += len(data)

    def close(self) -> None:
        os.close(self._descriptor)


class ReadFile(msgspec.Struct, frozen=True, kw_only=True):
    """A log file as it was read. good_bytes: how far it is whole. total_bytes: how long it is."""

    path: Path
    header: FileHeader
    records: tuple[Record, ...]
    good_bytes: int
    total_bytes: int

    @property
    def next_sequence(self) -> int:
        """The sequence after the last event in it."""
        if not self.records:
            return self.header.first_sequence
        return self.records[-1].first_sequence + self.records[-1].events


def read_file(path: Path) -> ReadFile | None:
    """All whole records of a file from its beginning; None when not even its header is whole.

    What the disk has is read, not what memory has of a write that failed: all is written out first, then forgotten.
    """
    with path.open("rb") as stream:
        os.fsync(stream.fileno())
        os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        data = memoryview(stream.read())
    found = read_header(data)
    if found is None:
        return None
    header, before, place = found
    records = []
    while (record := read_record(data[place:], before=before)) is not None:
        records.append(record)
        before, place = record.checksum, place + record.length
    return ReadFile(path=path, header=header, records=tuple(records), good_bytes=place, total_bytes=len(data))


def records_after(path: Path, *, after: int) -> tuple[FileHeader, list[Record]] | None:
    """The whole records of a file that hold events beyond a sequence, for a reader while its owner writes. Others are stepped over
    by their heads. None when there is no header yet."""
    with path.open("rb") as stream:
        if not os.fstat(stream.fileno()).st_size:
            return None
        data = memoryview(mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ))
    found = read_header(data)
    if found is None:
        return None
    header, _, place = found
    records = []
    while (step := record_step(data[place:])) is not None:
        length, last = step
        if last > after:
            record = read_record(data[place:], before=None)
            if record is None:
                break
            records.append(record)
        place += length
    return header, records


def first_sequence_of(path: Path) -> int:
    """The first sequence of a file, by its name."""
    return int(path.name.partition("-")[0])


def holds_record_after(path: Path, start: int) -> bool:
    """Whether a whole record begins anywhere behind a place where none could be read: then what is there is damage, not the torn
    end of a write that nobody was told of."""
    text = path.read_bytes()[start:]
    data = memoryview(text)
    place = text.find(RECORD_MARK, 1)
    while place >= 0:
        if read_record(data[place:], before=None) is not None:
            return True
        place = text.find(RECORD_MARK, place + 1)
    return False


def read_all(folder: Path) -> Iterator[ReadFile | Problem]:
    """Every file of a log in order, each following on the one before; a problem, and no more, where an acknowledged record can't be
    read. Only the end of the last file may be torn."""
    expected: int | None = None
    paths = log_files(folder)
    for path in paths:
        is_last = path is paths[-1]
        one = read_file(path)
        if one is None:
            if is_last and not holds_record_after(path, 0):
                return
            yield _damaged(path, "its header can't be read")
            return
        if one.good_bytes < one.total_bytes and (not is_last or holds_record_after(path, one.good_bytes)):
            yield _damaged(path, f"the record at byte {one.good_bytes} can't be read")
            return
        if expected not in {None, one.header.first_sequence}:
            yield _damaged(path, f"events from {expected} on are missing before it")
            return
        expected = one.next_sequence
        yield one


def cut_torn(folder: Path) -> list[Path]:
    """Puts the torn end of the last file aside, or the whole of one that has no header; call it once `read_all` found no damage.
    What was put aside was never acknowledged; it is kept to be looked at. The files made."""
    paths = log_files(folder)
    if not paths:
        return []
    path = paths[-1]
    one = read_file(path)
    aside = path.with_suffix(TORN_SUFFIX)
    if one is None:
        path.replace(aside)
    elif one.good_bytes < one.total_bytes:
        aside.write_bytes(path.read_bytes()[one.good_bytes :])
        with path.open("r+b") as stream:
            stream.truncate(one.good_bytes)
            os.fsync(stream.fileno())
    else:
        return []
    sync_folder(folder)
    return [aside]


def _damaged(path: Path, detail: str) -> Problem:
    return problem("usage.log_damaged", f"{path.name}: {detail}", field=str(path))


def chunks_of(record: Record) -> Iterator[tuple[int, memoryview]]:
    """The index and the sealed bytes of each chunk."""
    place = 0
    for index, chunk in enumerate(record.meta.chunks):
        yield index, record.body[place : place + chunk.length]
        place += chunk.length
