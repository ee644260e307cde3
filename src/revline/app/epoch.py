"""The cell's epoch: raised by a restore, which does not exist yet."""

from __future__ import annotations

from typing import Final

EPOCH: Final = 1
