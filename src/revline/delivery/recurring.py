"""Kinds of lanes of delivery whose work comes again and again, so that nothing waits for its end."""

from __future__ import annotations

from typing import Final

from revline.delivery import closing, enumerating

RECURRING: Final = frozenset({closing.LANE_KIND, enumerating.LANE_KIND})
"""Periods that go first are looked at, and far systems listed, for as long as they are there."""
