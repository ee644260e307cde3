"""The cell's epoch as a value, and what may have happened before it began. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec

BEGINNING: Final = datetime(1970, 1, 1, tzinfo=UTC)
CLOCKS_APART: Final = timedelta(minutes=5)
"""How far a source's clock may be ahead of the database's when the two are compared."""


class Epoch(msgspec.Struct, frozen=True, kw_only=True):
    """A stretch of this cell's time line. number: from 1. began_at: database time of the raise that began it."""

    number: int
    began_at: datetime = BEGINNING

    def is_before(self, moments: Iterable[datetime]) -> bool:
        """Whether something that happened at these moments may have been known before this epoch began: when any of them is
        earlier, sources' clocks being a little ahead. Pure."""
        return self.began_at > BEGINNING and any(moment < self.began_at + CLOCKS_APART for moment in moments)


FIRST: Final = Epoch(number=1)
