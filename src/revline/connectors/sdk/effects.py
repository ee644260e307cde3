"""A simulated system's append-only file: one JSON object a line, each effect once, on the disk before its answer leaves.

It is the judge of what the system really did, and what it restarts from. Line types: `effect` (something was committed) and
`client_gone` (the caller was no longer there when its call was to be answered). Knows neither books nor requests.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import IO

import msgspec

FILE_NAME = "effects.ndjson"


class Effect(msgspec.Struct, frozen=True, kw_only=True):
    """One line.

    sequence: order of commit, from 1. received_order: order in which the calls came in. request_id: the caller's X-Request-Id or
    one of the ERP's. action: create, post, setup, period or edit; "" on client_gone. in_flight: calls received and not answered,
    this one with them, at commit. data: the body that was committed, so that a restart can commit it again.
    """

    type: str = "effect"
    sequence: int
    received_order: int
    request_id: str
    action: str = ""
    kind: str = ""
    record_id: str = ""
    external_reference: str = ""
    in_flight: int
    at: datetime
    data: msgspec.Raw = msgspec.Raw(b"null")


def read_effects(*, folder: Path) -> Iterator[Effect]:
    """Every whole line of the file, oldest first. A line that was being written when the process died is left out."""
    path = folder / FILE_NAME
    if not path.exists():
        return
    decoder = msgspec.json.Decoder(Effect)
    with path.open("rb") as lines:
        for line in lines:
            if line.endswith(b"\n"):
                yield decoder.decode(line)


class EffectsFile:
    """The file, open for one writer. Lines are buffered by `append`, and durable once `sync` has returned."""

    def __init__(self, *, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._file: IO[bytes] = (folder / FILE_NAME).open("ab+")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._file.close()
            raise
        self._cut_torn_line()
        self._encoder = msgspec.json.Encoder()
        self._waiting: list[bytes] = []
        self.appended = 0
        self.synced = 0

    def append(self, effect: Effect) -> None:
        """Add a line to what the next `sync` writes."""
        self._waiting.append(self._encoder.encode(effect) + b"\n")
        self.appended += 1

    def sync(self) -> None:
        """Write and flush to the disk whatever was appended before the call."""
        target, lines = self.appended, self._waiting
        self._waiting = []
        if lines:
            self._file.write(b"".join(lines))
            self._file.flush()
            os.fdatasync(self._file.fileno())
        self.synced = max(self.synced, target)

    def close(self) -> None:
        """Sync and let go of the file."""
        self.sync()
        self._file.close()

    def _cut_torn_line(self) -> None:
        self._file.seek(0)
        whole = 0
        for line in self._file:
            if line.endswith(b"\n"):
                whole += len(line)
        self._file.truncate(whole)
        self._file.seek(0, os.SEEK_END)
