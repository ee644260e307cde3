"""Sealed files in an S3 bucket, with a bounded cache of them on this machine. Knows no tenant and no manifest.

What is read is fetched whole and stays until the room is needed; a file somebody reads is never taken away. Each process has a
folder of its own, since it can't know what another one reads.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Final

from revline.subledger.usage.store.objects import StoredObject, checked_key

LOCK: Final = ".owner"
MISSING: Final = frozenset({"404", "NoSuchKey", "NotFound"})


class S3Objects:
    """Objects in a bucket. client: boto3's for S3, which is safe for threads. prefix: before every key, such as revline/."""

    def __init__(self, *, client: Any, bucket: str, cache: FileCache, prefix: str = "") -> None:
        self._client, self._bucket, self._cache, self._prefix = client, bucket, cache, prefix

    def put(self, *, key: str, body: memoryview | bytes) -> None:
        """Durable when S3 has answered."""
        self._client.put_object(Bucket=self._bucket, Key=self._name(key), Body=bytes(body))

    def at_hand(self, *, key: str, size_bytes: int) -> AbstractContextManager[Path]:
        """From the cache, else fetched into it."""
        name = self._name(key)

        def fetch(target: Path) -> None:
            try:
                self._client.download_file(self._bucket, name, str(target))
            except Exception as failure:
                code = getattr(failure, "response", {}).get("Error", {}).get("Code", "")
                if code in MISSING:
                    raise FileNotFoundError(key) from failure
                raise OSError(f"{key} can't be fetched: {failure}") from failure

        return self._cache.holding(key=key, size_bytes=size_bytes, fetch=fetch)

    def delete(self, *, key: str) -> None:
        self._client.delete_object(Bucket=self._bucket, Key=self._name(key))
        self._cache.forget(key=key)

    def listed(self, *, prefix: str) -> Iterator[StoredObject]:
        """By pages of a thousand."""
        pages = self._client.get_paginator("list_objects_v2")
        for page in pages.paginate(Bucket=self._bucket, Prefix=self._prefix + prefix):
            for one in page.get("Contents", ()):
                yield StoredObject(
                    key=one["Key"].removeprefix(self._prefix),
                    size_bytes=one["Size"],
                    changed_at=one["LastModified"],
                )

    def _name(self, key: str) -> str:
        checked_key(key)
        return self._prefix + key


class FileCache:
    """Files of this process on this machine, at most about so many bytes; the longest unread go first."""

    def __init__(self, *, folder: Path, bytes_max: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        _sweep(folder)
        self._folder = Path(tempfile.mkdtemp(dir=folder))
        self._owner = os.open(self._folder / LOCK, os.O_CREAT | os.O_RDWR)
        fcntl.flock(self._owner, fcntl.LOCK_EX)
        self._bytes_max, self._bytes = bytes_max, 0
        self._held: OrderedDict[str, int] = OrderedDict()
        self._readers: dict[str, int] = {}
        self._fetching: dict[str, threading.Lock] = {}
        self._lock = threading.Lock()

    @contextmanager
    def holding(self, *, key: str, size_bytes: int, fetch: Callable[[Path], None]) -> Iterator[Path]:
        """The file, which stays for the block. fetch: writes it to a path; one thread fetches, others wait for it."""
        with self._lock:
            self._readers[key] = self._readers.get(key, 0) + 1
            turn = self._fetching.setdefault(key, threading.Lock())
        try:
            with turn:
                yield_path = self._path(key)
                if key not in self._held:
                    self._make_room(size_bytes)
                    draft = yield_path.with_suffix(".draft")
                    fetch(draft)
                    draft.rename(yield_path)
                with self._lock:
                    if key not in self._held:
                        self._held[key] = yield_path.stat().st_size
                        self._bytes += self._held[key]
                    self._held.move_to_end(key)
            yield yield_path
        finally:
            with self._lock:
                self._readers[key] -= 1
                if not self._readers[key]:
                    del self._readers[key]
                    self._fetching.pop(key, None)
            self._make_room(0)

    def forget(self, *, key: str) -> None:
        """Drop a file nobody reads."""
        with self._lock:
            if key in self._held and key not in self._readers:
                self._drop(key)

    @property
    def bytes(self) -> int:
        """What is kept."""
        return self._bytes

    def close(self) -> None:
        """Drop everything."""
        shutil.rmtree(self._folder, ignore_errors=True)
        os.close(self._owner)

    def _make_room(self, size_bytes: int) -> None:
        with self._lock:
            for key in list(self._held):
                if self._bytes + size_bytes <= self._bytes_max:
                    return
                if key not in self._readers:
                    self._drop(key)

    def _drop(self, key: str) -> None:
        self._bytes -= self._held.pop(key)
        self._path(key).unlink(missing_ok=True)

    def _path(self, key: str) -> Path:
        return self._folder / key.replace("/", "_")


def _sweep(folder: Path) -> None:
    """Folders of processes that are gone."""
    for each in folder.iterdir():
        try:
            owner = os.open(each / LOCK, os.O_RDWR)
        except OSError:
            continue
        try:
            fcntl.flock(owner, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            continue
        else:
            shutil.rmtree(each, ignore_errors=True)
        finally:
            os.close(owner)
