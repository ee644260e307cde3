"""The timeline of a world: what happened when, for people, and its digest, for telling two runs apart."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from revline.sim.world.time import SimulatedTime


class Trace:
    """Every line goes into the digest; lines are kept only when somebody wants to read them. say: hears each line at once."""

    def __init__(self, *, time: SimulatedTime, say: Callable[[str], None] | None = None) -> None:
        self._time, self._say = time, say
        self._hash = hashlib.sha256()
        self.lines = 0

    def tell(self, who: str, what: str) -> None:
        """One thing that happened now."""
        line = f"{self._time.seconds:10.4f}  {who:<8} {what}"
        self.lines += 1
        self._hash.update(line.encode() + b"\n")
        if self._say is not None:
            self._say(line)

    @property
    def digest(self) -> str:
        """Of everything told so far."""
        return self._hash.hexdigest()[:16]
