"""Storage settings of tables whose rows change all the time, so that they are cleaned as fast as they change. Values only.

PostgreSQL cleans a table when a fifth of it has changed, and rests between pages. For a queue that is wrong twice: at a million
rows it would carry two hundred thousand dead ones, which every claim walks over, and a cleaning that rests falls behind a worker
that doesn't. A cleaned table also answers from its index alone, which is what keeps a claim as fast at a million lanes as at ten.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

HOT: Final[Mapping[str, str]] = {
    "autovacuum_vacuum_scale_factor": "0.02",
    "autovacuum_vacuum_threshold": "1000",
    "autovacuum_vacuum_insert_scale_factor": "0.05",
    "autovacuum_analyze_scale_factor": "0.05",
    "autovacuum_vacuum_cost_delay": "0",
}
"""For rows that come, change a few times and go to history: cleaned after a thousand and two in a hundred have changed. The insert
factor keeps the visibility map fresh; the analyze factor lets the planner know a queue that just filled up."""

WRITTEN_TWICE: Final[Mapping[str, str]] = {"fillfactor": "50"}
"""For rows that are written, changed a moment later and then kept: what each page has free takes the new version, which is a short
note in the log, and costs no index an entry where none holds what changed."""

FEW_AND_HOT: Final[Mapping[str, str]] = {
    "fillfactor": "50",
    "autovacuum_vacuum_scale_factor": "0",
    "autovacuum_vacuum_threshold": "500",
    "autovacuum_vacuum_cost_delay": "0",
}
"""For few rows that change at every commit (counters, pools, the tenant ring): by versions, since a share of ten rows is nothing.
Half of each page stays free, so that a new version stays on its page and its index entries are not touched."""
