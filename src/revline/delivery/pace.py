"""How many calls to keep ready on a slot, and how long to wait between turns, by how long calls and turns take: a slot never waits
for a turn, and no turn comes while much is ready, since many documents in one turn cost less than in many. No clock."""

from __future__ import annotations

from collections.abc import Iterable
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
LONGER_WEIGHT: Final = 1.0
SHORTER_WEIGHT: Final = 0.1
"""A long round is believed at once, a short one by and by: a slot that waits costs more than a call that is ready early."""
PAUSES_MAX: Final = 5
"""The longest wait between turns, in the shortest ones."""
TURN_MARGIN: Final = 1.5
"""What is ready should last for so many turns when the next one begins."""


class Pace:
    """What one process has seen of its calls and turns. lease: how long claimed lanes are held. pause: the least between turns."""

    def __init__(self, *, lease: timedelta, pause: timedelta) -> None:
        self._lease_seconds = lease.total_seconds()
        self._pause_seconds = pause.total_seconds()
        self._round_seconds = 0.0
        self._turn_seconds = 0.0
        self._call_seconds: dict[str, float] = {}

    def turned(self, *, turn: timedelta, round_took: timedelta) -> None:
        """A turn took so long, and so long passed from the beginning of the one before to its own."""
        self._turn_seconds = _moved(self._turn_seconds, turn.total_seconds())
        self._round_seconds = _moved(self._round_seconds, round_took.total_seconds())

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

    def pause_seconds(self, *, queues: Iterable[tuple[str, int]]) -> float:
        """How long to wait before the next turn. queues: of each slot in use its pool and its unanswered calls."""
        least = self._pause_seconds
        lasting = min((waiting * self._call_seconds.get(pool_id, 0.0) for pool_id, waiting in queues), default=0.0)
        return max(least, min(lasting - TURN_MARGIN * self._turn_seconds, PAUSES_MAX * least))


def _moved(known: float, seconds: float) -> float:
    return known + (seconds - known) * (LONGER_WEIGHT if seconds > known else SHORTER_WEIGHT)
