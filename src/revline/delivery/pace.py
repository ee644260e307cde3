"""How many calls to keep ready on a slot, by how long calls and turns take, so that a slot never waits for a turn. No clock."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

CALLS_PER_SLOT: Final = 2
"""One under way and one behind it: what is kept ready before anything is known, and the least."""
CALLS_PER_SLOT_MAX: Final = 16
"""What is marked and not sent when a worker dies is uncertain, so there is an end to it."""
LEASE_PART: Final = 3
"""What is kept ready on a slot must be done within this part of a lease."""
SLOWER_WEIGHT: Final = 0.05
"""A call that took longer than known moves what is known by this part: it may have waited for this very process."""
ROUND_WEIGHT: Final = 0.3


class Pace:
    """What one process has seen of its calls and turns. lease: how long claimed lanes are held."""

    def __init__(self, *, lease: timedelta) -> None:
        self._lease_seconds = lease.total_seconds()
        self._round_seconds = 0.0
        self._call_seconds: dict[str, float] = {}

    def turned(self, *, took: timedelta) -> None:
        """A round took so long, from the beginning of one turn to that of the next."""
        self._round_seconds += (took.total_seconds() - self._round_seconds) * ROUND_WEIGHT

    def called(self, *, pool_id: str, took: timedelta) -> None:
        """A call took so long; the quickest counts most."""
        seconds, known = took.total_seconds(), self._call_seconds.get(pool_id)
        if known is None or seconds < known:
            self._call_seconds[pool_id] = seconds
        else:
            self._call_seconds[pool_id] = known + (seconds - known) * SLOWER_WEIGHT

    def depth(self, pool_id: str) -> int:
        """Unanswered calls worth keeping on one slot.

        A turn tops slots up by how they stood when it began, and what it marks is there when it ends: what is ready must last for
        that round and for the next one.
        """
        seconds = self._call_seconds.get(pool_id, 0.0)
        if seconds <= 0.0:
            return CALLS_PER_SLOT
        within_lease = int(self._lease_seconds / LEASE_PART / seconds)
        wanted = int(2 * self._round_seconds / seconds) + 2
        return max(CALLS_PER_SLOT, min(wanted, within_lease, CALLS_PER_SLOT_MAX))
