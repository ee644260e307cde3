"""What is booked against what should be: what to book, and what to reverse because its own facts no longer support it. Pure.

An event's identity chain is: the event, its reversal, the event booked again, that one's reversal, and so on; each id follows
from the one before, so the same history gives the same ids in any run.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

import msgspec

from revline.core.events import AccountingEvent, EventKind
from revline.core.hashing import digest
from revline.core.ids import rebooked_id, reversal_id
from revline.derive.expectation import Supported

REBOOKINGS_MAX = 1_000
_KIND_ORDER = tuple(EventKind)


class Changes(msgspec.Struct, frozen=True, kw_only=True):
    """reversals: events that undo a booked one (`reverses` names it). bookings: events to book, with their facts."""

    reversals: tuple[AccountingEvent, ...]
    bookings: tuple[Supported, ...]


def changes(
    *, booked: Mapping[str, AccountingEvent], expected: Iterable[Supported], stale: Collection[str] = ()
) -> Changes:
    """What turns `booked` (every event of the root ever booked, by id) into `expected`.

    stale: expected events (by the id of their first booking) that are booked again although their facts say the same.
    """
    reversals: list[AccountingEvent] = []
    bookings: list[Supported] = []
    bases: set[str] = set()
    for entry in expected:
        base = entry.event.event_id
        bases.add(base)
        live, free = _place(base, booked)
        if live is not None and base not in stale and _content(live) == _content(entry.event):
            continue
        if live is not None:
            reversals.append(_reversal(live))
            free = rebooked_id(reversal=reversal_id(reversed_id=live.event_id))
        bookings.append(Supported(event=msgspec.structs.replace(entry.event, event_id=free), facts=entry.facts))
    for base in _bases_of(booked) - bases:
        live, _ = _place(base, booked)
        if live is not None:
            reversals.append(_reversal(live))
    return Changes(reversals=tuple(sorted(reversals, key=_latest_first)), bookings=tuple(bookings))


def live_event(*, base: str, booked: Mapping[str, AccountingEvent]) -> AccountingEvent | None:
    """The event of a chain that stands now: booked and not reversed."""
    return _place(base, booked)[0]


def _place(base: str, booked: Mapping[str, AccountingEvent]) -> tuple[AccountingEvent | None, str]:
    """The live event of a chain, and the id the next booking of it would have."""
    current = base
    for _ in range(REBOOKINGS_MAX):
        if current not in booked:
            return None, current
        reversal = reversal_id(reversed_id=current)
        if reversal not in booked:
            return booked[current], current
        current = rebooked_id(reversal=reversal)
    raise RuntimeError(f"event {base} was booked again more than {REBOOKINGS_MAX} times")


def _bases_of(booked: Mapping[str, AccountingEvent]) -> set[str]:
    rebooked = {rebooked_id(reversal=event.event_id) for event in booked.values() if event.reverses}
    return {key for key, event in booked.items() if not event.reverses and key not in rebooked}


def _latest_first(event: AccountingEvent) -> tuple[int, str]:
    """What stands on another event is undone before it: a void before its issue, by the order of the closed list."""
    return -_KIND_ORDER.index(event.kind), event.event_id


def _reversal(event: AccountingEvent) -> AccountingEvent:
    return msgspec.structs.replace(event, event_id=reversal_id(reversed_id=event.event_id), reverses=event.event_id)


def _content(event: AccountingEvent) -> bytes:
    return digest(msgspec.structs.replace(event, event_id=""))
