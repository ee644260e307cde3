"""A real Tryton for the tests: the conformance kit's, in a folder of the tests' own."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from revline.sim.tryton import TrytonServer
from revline.sim.tryton_conformance import BOOKS, DOLLARS, EUROS, TrytonSystem, see_all_companies

__all__ = ["DOLLARS", "EUROS", "TrytonSystem", "running_tryton"]

FOLDER: Final = Path(
    os.environ.get("REVLINE_TEST_TRYTON", Path(__file__).resolve().parents[2] / ".revline" / "tryton-tests")
)


@contextmanager
def running_tryton() -> Iterator[TrytonServer]:
    """A Tryton on fresh books; the first time this takes a minute or two."""
    server = TrytonServer(FOLDER, books=BOOKS)
    server.start()
    try:
        asyncio.run(see_all_companies(server))
        yield server
    finally:
        server.stop()
