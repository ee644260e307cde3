"""The floor of ingest, what any durable intake has to do: a typed decode of the same bodies, their bytes appended, an fdatasync."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec

from benchmarks.usage_ingest.events import Commit


class Data(msgspec.Struct, gc=False):
    """The data of the events, typed: exact numbers, as what is billed from them must be."""

    tokens: int
    seconds: Decimal
    region: str
    model: str


class Typed(msgspec.Struct, gc=False):
    """An event with typed data."""

    id: str
    source: str
    type: str
    subject: str
    time: datetime
    data: Data
    specversion: str = "1.0"


class Loose(msgspec.Struct, gc=False):
    """An event with its data as a dict."""

    id: str
    source: str
    type: str
    subject: str
    time: datetime
    data: dict[str, Any]
    specversion: str = "1.0"


def floor(folder: Path, commits: Sequence[Commit], *, kind: type) -> None:
    """Takes the commits as the floor does."""
    decode = msgspec.json.Decoder(list[kind]).decode  # type: ignore[valid-type]
    descriptor = os.open(folder / "floor", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o600)
    try:
        for commit in commits:
            for _, body in commit:
                decode(body)
            os.write(descriptor, b"".join([body for _, body in commit]))
            os.fdatasync(descriptor)
    finally:
        os.close(descriptor)
