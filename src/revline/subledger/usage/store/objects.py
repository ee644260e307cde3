"""Where sealed files lie: the port, and a folder of this machine. Knows no tenant and no manifest."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Protocol

import msgspec


class StoredObject(msgspec.Struct, frozen=True, kw_only=True):
    """An object that is there."""

    key: str
    size_bytes: int
    changed_at: datetime


class ObjectStore(Protocol):
    """Whole objects under keys such as tenants/north/1.parquet. An object is never changed; a key is never used twice."""

    def put(self, *, key: str, body: memoryview | bytes) -> None:
        """Keep an object; it is durable when this returns. Raises OSError."""
        ...

    def at_hand(self, *, key: str, size_bytes: int) -> AbstractContextManager[Path]:
        """Its file on this machine, fetched where needed, which stays for the block. Raises FileNotFoundError, OSError."""
        ...

    def delete(self, *, key: str) -> None:
        """Remove it; nothing happens when it isn't there."""
        ...

    def listed(self, *, prefix: str) -> Iterator[StoredObject]:
        """Everything whose key begins so."""
        ...


class FolderObjects:
    """Objects as files below a folder. Any number of processes may use the folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def put(self, *, key: str, body: memoryview | bytes) -> None:
        """Written beside, synced, moved into place: a kill leaves a file that no manifest names, never half of one."""
        target = self._path(key)
        draft = target.with_name(f".{target.name}.draft")
        try:
            stream = draft.open("wb")
        except FileNotFoundError:
            target.parent.mkdir(parents=True, exist_ok=True)
            stream = draft.open("wb")
        with stream:
            stream.write(body)
            stream.flush()
            os.fsync(stream.fileno())
        draft.rename(target)
        folder = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def at_hand(self, *, key: str, size_bytes: int) -> AbstractContextManager[Path]:
        """The file itself."""
        del size_bytes
        found = self._path(key)
        if not found.is_file():
            raise FileNotFoundError(key)
        return nullcontext(found)

    def delete(self, *, key: str) -> None:
        self._path(key).unlink(missing_ok=True)

    def listed(self, *, prefix: str) -> Iterator[StoredObject]:
        """Drafts that a kill left are listed too."""
        root = self._path(prefix)
        for path in sorted(root.rglob("*")) if root.is_dir() else ():
            try:
                found = path.stat()
            except FileNotFoundError:
                continue
            if path.is_file():
                yield StoredObject(
                    key=path.relative_to(self._folder).as_posix(),
                    size_bytes=found.st_size,
                    changed_at=datetime.fromtimestamp(found.st_mtime, tz=UTC),
                )

    def _path(self, key: str) -> Path:
        return self._folder.joinpath(*checked_key(key))


def checked_key(key: str) -> tuple[str, ...]:
    """The parts of a key. Raises ValueError for what could lead out of the store."""
    parts = PurePosixPath(key).parts
    if not parts or key.startswith("/") or ".." in parts:
        raise ValueError(f"not a key: {key!r}")
    return parts
