"""Change events of the simulated org: the log with replay ids, gaps on demand, and what is no longer kept.

Source: "Change Event Message Structure" of the change data capture guide. Replay ids grow and are not contiguous.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec

from revline.connectors.salesforce.identifiers import NOBODY
from revline.core.clock import Clock

_NOT_SENT: Final = frozenset({"Id", "IsDeleted", "SystemModstamp"})
_USER: Final = "005000000000001AAA"


class Transaction(msgspec.Struct, kw_only=True):
    """What one save shares among its events."""

    key: str
    origin: str
    sequence: int = 0


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One event as it is kept. name: the object it is about."""

    replay_id: int
    at: datetime
    name: str
    payload: Mapping[str, Any]


class ChangeLog:
    """Events in order. gap: how the next changes are told, "" as they are, GAP or OVERFLOW."""

    def __init__(self, *, clock: Clock, retention: timedelta) -> None:
        self._clock = clock
        self._retention = retention
        self.events: list[Change] = []
        self.last_replay_id = 1_000
        self.dropped_to = 1_000
        self.gap = ""
        self._transactions = 0

    def transaction(self, *, client: str) -> Transaction:
        """A new transaction made by a client of the API; "" is a person's."""
        self._transactions += 1
        key = hashlib.sha256(str(self._transactions).encode()).hexdigest()[:32]
        origin = f"com/salesforce/api/rest/62.0;client={client}" if client else ""
        return Transaction(key=key, origin=origin)

    def add(
        self, transaction: Transaction, name: str, change: str, record: Mapping[str, Any], changed: Sequence[str]
    ) -> None:
        """Keep one change as an event, or as a gap while gaps are asked for."""
        transaction.sequence += 1
        told = f"GAP_{change}" if self.gap == "GAP" else "GAP_OVERFLOW" if self.gap == "OVERFLOW" else change
        plain = told == change
        header = {
            "entityName": name,
            "recordIds": [NOBODY if self.gap == "OVERFLOW" else record["Id"]],
            "changeType": told,
            "changeOrigin": transaction.origin,
            "transactionKey": transaction.key,
            "sequenceNumber": transaction.sequence,
            "commitTimestamp": int(self._clock.now().timestamp() * 1_000),
            "commitNumber": self.last_replay_id * 7,
            "commitUser": _USER,
            "nulledFields": [name for name in changed if record.get(name) is None] if plain else [],
            "diffFields": [],
            "changedFields": sorted({*changed, "LastModifiedDate"}) if told == "UPDATE" else [],
        }
        shown = {field: record[field] for field in changed if field not in _NOT_SENT} if plain else {}
        self.last_replay_id += 1 + self.last_replay_id % 3
        self.events.append(
            Change(
                replay_id=self.last_replay_id,
                at=self._clock.now(),
                name=name,
                payload={"ChangeEventHeader": header, **shown},
            )
        )

    def forget(self) -> None:
        """Drop what is older than it is kept."""
        oldest = self._clock.now() - self._retention
        while self.events and self.events[0].at < oldest:
            self.dropped_to = self.events.pop(0).replay_id

    def after(self, *, replay_id: int) -> list[Change]:
        """Events after a replay id, oldest first."""
        self.forget()
        return [event for event in self.events if event.replay_id > replay_id]

    def knows(self, *, replay_id: int) -> bool:
        """Whether a subscription may go on from a replay id."""
        self.forget()
        return self.dropped_to <= replay_id <= self.last_replay_id
