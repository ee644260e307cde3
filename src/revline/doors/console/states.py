"""The words of states, with icon and tone: one list, so that a state looks the same wherever it is shown. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple


class Look(NamedTuple):
    """How a state is shown. meaning: on hover."""

    icon: str
    tone: str
    word: str
    meaning: str


STATES: Final[Mapping[str, Look]] = {
    "prepared": Look("circle-dashed", "muted", "Prepared", "written, not yet released to its lane"),
    "ready": Look("clock", "info", "Ready", "waits for its turn"),
    "waiting": Look("hourglass", "info", "Waiting", "waits for another document"),
    "sending": Look("loader", "info", "Sending", "a request is under way"),
    "accepted": Look("hourglass", "info", "Accepted", "the far side works on it"),
    "placed": Look("circle-dot", "info", "Placed", "in the far system as a draft"),
    "posted": Look("circle-check", "good", "Posted", "in the books of the far system"),
    "uncertain": Look("circle-help", "warn", "Uncertain", "no answer came; it is looked up before it is sent again"),
    "held": Look("pause", "warn", "Held", "not sent until a period opens or somebody decides"),
    "rejected": Look("circle-x", "bad", "Rejected", "the far system refused it; a case says why"),
    "set_aside": Look(
        "chevron-right", "warn", "Set aside", "a person took it off its lane, which goes on; its case stays open"
    ),
    "waived": Look("circle-slash", "muted", "Waived", "somebody decided that nothing is to be done"),
    "superseded": Look("history", "muted", "Superseded", "a later one took its place before it was sent"),
    "reversed": Look("undo-2", "muted", "Reversed", "undone by another document"),
    "not_sent": Look("ban", "warn", "Not sent", "it never left, so it had no effect"),
    "throttled": Look("hourglass", "warn", "Throttled", "the far system asked to slow down"),
    "open": Look("circle-alert", "bad", "Open", "can't go on until somebody mends something"),
    "resolved": Look("circle-check", "good", "Resolved", "it went on"),
    "proposed": Look("hourglass", "warn", "Proposed", "waits for a second person"),
    "applied": Look("circle-check", "good", "Applied", "a fact stands"),
    "refused": Look("circle-x", "muted", "Refused", "a second person said no"),
    "running": Look("loader", "info", "Running", "workers go through it"),
    "paused": Look("pause", "warn", "Paused", "a person stopped it for now"),
    "aborted": Look("ban", "muted", "Aborted", "a person stopped it for good; what was done stays done"),
    "done": Look("circle-check", "good", "Done", "every record has its outcome"),
    "not_yet": Look("circle-dashed", "muted", "Not yet", "its turn has not come"),
    "acted": Look("circle-check", "good", "Done", "the act was done"),
    "declined": Look("circle-x", "warn", "Refused", "it was in no state for the act"),
    "failed": Look("octagon-alert", "bad", "Failed", "our own code failed on it"),
    "paid": Look("circle-check", "good", "Paid", "posted, and nothing is open on it"),
    "cancelled": Look("circle-slash", "muted", "Cancelled", "taken back in the far system"),
    "equal": Look("circle-check", "good", "Agrees", "billed as it was used"),
    "leakage": Look("circle-alert", "warn", "Leakage", "less was billed than was used"),
    "overbilled": Look("circle-alert", "bad", "Overbilled", "more was billed than was used"),
    "active": Look("circle-check", "good", "Active", "in use"),
    "used_up": Look("circle", "muted", "Used up", "everything of it was drawn"),
    "closed": Look("lock", "muted", "Closed", "takes nothing any more"),
    "soft_closed": Look("lock", "warn", "Soft-closed", "open for adjustments only"),
    "draft": Look("circle-dashed", "muted", "Draft", "may change in any way"),
    "stable": Look("badge-check", "good", "Stable", "changes only in ways that break nobody"),
    "healthy": Look("circle-check", "good", "Healthy", "answers and works through its queue"),
    "working": Look("activity", "info", "Working", "calls are under way"),
    "broken": Look("zap", "bad", "Breaker open", "failed too often; it is tried again at the time shown"),
    "blocked": Look("ban", "bad", "Blocked", "stopped until somebody mends it"),
    "idle": Look("circle", "muted", "Idle", "nothing to do"),
    "fresh": Look("circle-check", "good", "Fresh", "heard from within a day"),
    "quiet": Look("clock", "warn", "Quiet", "not heard from for a day or more"),
    "silent": Look("circle-dashed", "muted", "Silent", "nothing came yet"),
    "complete": Look("circle-check", "good", "Complete", "everything that was needed is mapped"),
    "incomplete": Look("triangle-alert", "warn", "Incomplete", "keys are missing; documents wait for them"),
    "holds": Look("shield-check", "good", "Chain holds", "every unit and row is what was written"),
    "fails": Look("octagon-alert", "bad", "Chain fails", "something was altered after it was written"),
    "enabled": Look("circle-check", "good", "Enabled", "may log in"),
    "disabled": Look("ban", "muted", "Disabled", "may not log in"),
    "live": Look("circle-check", "good", "Live", "may be used"),
    "expired": Look("clock", "muted", "Expired", "its time is over"),
    "revoked": Look("ban", "muted", "Revoked", "ended by somebody"),
    "source": Look("arrow-right", "info", "Source", "facts come from it"),
    "erp": Look("landmark", "info", "ERP", "documents go to it"),
    "exception": Look("circle-alert", "bad", "Exception", "needs a decision or a mend"),
    "timing": Look("clock", "warn", "Timing", "passes by itself when what is awaited comes"),
}


def look(word: str) -> Look:
    """How a state is shown; an unknown word is shown as it is, so that none is ever hidden."""
    return STATES.get(word) or Look("circle", "muted", word.replace("_", " ").capitalize() or "Unknown", "")
