"""The files of a log on disk: written at the end only, read whole, told from torn ones. It knows records and no events."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from revline.core.problem import Problem, problem
from revline.subledger.usage.log.records import FileHeader, Record, header_bytes, read_header, read_record

SUFFIX: Final = ".log"


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
    """All whole records of a file from its beginning; None when not even its header is whole."""
    data = memoryview(path.read_bytes())
    found = read_header(data)
    if found is None:
        return None
    header, before, place = found
    records = []
    while (record := read_record(data[place:], before=before)) is not None:
        records.append(record)
        before, place = record.checksum, place + record.length
    return ReadFile(path=path, header=header, records=tuple(records), good_bytes=place, total_bytes=len(data))


def holds_record_after(path: Path, start: int) -> bool:
    """Whether a whole record begins anywhere behind a place where none could be read: then what is there is damage, not the torn
    end of a write that nobody was told of."""
    data = memoryview(path.read_bytes())[start:]
    magic = b"\x52\x45\x43\x31"
    text = bytes(data)
    place = text.find(magic, 1)
    while place >= 0:
        if read_record(data[place:], before=None) is not None:
            return True
        place = text.find(magic, place + 1)
    return False


def read_all(folder: Path) -> list[ReadFile] | Problem:
    """Every file of a log in order, each following on the one before; only the end of the last one may be torn."""
    found: list[ReadFile] = []
    paths = log_files(folder)
    for number, path in enumerate(paths):
        is_last = number == len(paths) - 1
        one = read_file(path)
        if one is None:
            if not is_last or holds_record_after(path, 0):
                return _damaged(path, "its header can't be read")
            continue
        if one.good_bytes < one.total_bytes and (not is_last or holds_record_after(path, one.good_bytes)):
            return _damaged(path, f"the record at byte {one.good_bytes} can't be read")
        if found and found[-1].next_sequence != one.header.first_sequence:
            return _damaged(path, f"events before {one.header.first_sequence} are missing")
        found.append(one)
    return found


def _damaged(path: Path, detail: str) -> Problem:
    return problem("usage.log_damaged", f"{path.name}: {detail}", field=str(path))


def chunks_of(record: Record) -> Iterator[tuple[int, memoryview]]:
    """The index and the sealed bytes of each chunk."""
    place = 0
    for index, chunk in enumerate(record.meta.chunks):
        yield index, record.body[place : place + chunk.length]
        place += chunk.length
