"""`python -m tests.chaos.skewed worker`: Revline with a clock that is wrong by as many seconds as a file says at the moment."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

from revline.app import main
from revline.core.clock import SystemClock
from tests.chaos.workers import SKEW_FILE


def wrong() -> None:
    """From now on the machine's clock is read with the error the file says."""
    path = Path(os.environ[SKEW_FILE])

    def now(self: SystemClock) -> datetime:
        return datetime.now(UTC) + timedelta(seconds=float(path.read_text(encoding="ascii")))

    SystemClock.now = now  # type: ignore[method-assign]


if __name__ == "__main__":
    wrong()
    main()
