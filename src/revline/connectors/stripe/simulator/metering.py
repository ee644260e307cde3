"""What the simulated Stripe keeps of metered use: the events that count, open sessions of the stream, and what it refused.

Errors that validation finds after its answer are collected and told in one report a meter and window, as a thin event.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import msgspec

if TYPE_CHECKING:
    from revline.connectors.stripe.simulator.meters import MeterEvent

SAMPLES_MAX: Final = 10
REFUSED_MAX: Final = 100_000
ERROR_REPORT: Final = "v1.billing.meter.error_report_triggered"
NO_METER: Final = "v1.billing.meter.no_meter_found"


class RefusedEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One event that did not count. reason: as an error report names it. meter: "" when none was found."""

    meter: str
    reason: str
    message: str
    identifier: str


class Metering:
    """Metered use of one account. judged_later: so many next events are taken and told to be wrong later."""

    def __init__(self) -> None:
        self.events: list[MeterEvent] = []
        self.by_identifier: dict[str, MeterEvent] = {}
        self.sessions: dict[str, int] = {}
        """Token of the stream -> unix seconds it ends at."""
        self.thin: dict[str, dict[str, Any]] = {}
        """Thin events by id, with the data that only fetching them shows."""
        self.judged_later = 0
        self.adjustments = 0
        self._refused: list[RefusedEvent] = []
        self._since = 0

    def refuse(self, *, meter: str, reason: str, message: str, identifier: object) -> None:
        """Keep an event that does not count for the next report."""
        if len(self._refused) < REFUSED_MAX:
            self._refused.append(
                RefusedEvent(meter=meter, reason=reason, message=message, identifier=str(identifier or ""))
            )

    def reports(self, *, now: int) -> list[dict[str, Any]]:
        """The reports that are due: one thin event for each meter with errors since the last time."""
        refused, self._refused = self._refused, []
        since, self._since = self._since or now, now
        made = []
        for meter in dict.fromkeys(one.meter for one in refused):
            of_meter = [one for one in refused if one.meter == meter]
            event = self._report(meter, of_meter, since=since, now=now)
            self.thin[event["id"]] = event
            made.append(event)
        return made

    def _report(self, meter: str, refused: list[RefusedEvent], *, since: int, now: int) -> dict[str, Any]:
        related = {"id": meter, "type": "billing.meter", "url": f"/v1/billing/meters/{meter}"} if meter else None
        count = len(refused)
        return {
            "id": f"evt_test_sim{len(self.thin) + 1:010d}",
            "object": "v2.core.event",
            "type": ERROR_REPORT if meter else NO_METER,
            "created": moment(now),
            "livemode": False,
            "context": None,
            "reason": None,
            "related_object": related,
            "data": {
                "developer_message_summary": f"There {'is' if count == 1 else 'are'} {count} invalid event(s)",
                "reason": {"error_count": count, "error_types": _error_types(refused)},
                "validation_start": moment(since),
                "validation_end": moment(now),
            },
        }


def _error_types(refused: list[RefusedEvent]) -> list[dict[str, Any]]:
    return [
        {
            "code": reason,
            "error_count": sum(1 for one in refused if one.reason == reason),
            "sample_errors": [
                {"error_message": one.message, "request": {"identifier": one.identifier}}
                for one in refused
                if one.reason == reason
            ][:SAMPLES_MAX],
        }
        for reason in dict.fromkeys(one.reason for one in refused)
    ]


def thin(event: dict[str, Any]) -> dict[str, Any]:
    """A thin event as a webhook carries it: without its data."""
    return {name: value for name, value in event.items() if name != "data"}


def moment(seconds: int) -> str:
    """RFC 3339 with milliseconds, as the second version of the API writes times."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")


def seconds_of(text: str) -> int | None:
    """Unix seconds of such a text; None when it is none."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return int(found.timestamp()) if found.tzinfo is not None else None
