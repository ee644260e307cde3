"""How often a long-running process looks for garbage in cycles. Knows no work.

Workers and servers make many small values a second that die by their count; Python's own pace walks all that lives again and again
to find next to nothing, which took a sixth of a worker's processor time.
"""

from __future__ import annotations

import gc
from typing import Final

NEW_VALUES: Final = 100_000
"""So many more values made than freed before the youngest are looked at."""
GENERATIONS: Final = 20
"""So many looks at the younger before one at the older."""


def collect_seldom() -> None:
    """Leave what was loaded so far out of every search, and search seldom. Called once, when a process has loaded its code."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(NEW_VALUES, GENERATIONS, GENERATIONS)
