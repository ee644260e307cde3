"""Where a case stands and what sort it is. Pure."""

from __future__ import annotations

from enum import StrEnum


class CaseState(StrEnum):
    """Where a case stands."""

    OPEN = "open"
    RESOLVED = "resolved"
    WAIVED = "waived"


class CaseClass(StrEnum):
    """exception: somebody must act. timing: it passes when its time comes (a closed period), and is no exception meanwhile."""

    EXCEPTION = "exception"
    TIMING = "timing"
