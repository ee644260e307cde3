"""Keeps the store's own rows within their life, and watches for what holds back the database's cleaning. Knows no package."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

import msgspec
from sqlalchemy import Connection, text

from revline.platform.store.engine import Database

HOLDERS_MAX: Final = 100
PAGE: Final = 1_000

_FORGET_KEYS: Final = text(
    """
    DELETE FROM idempotency USING (
        SELECT tenant_id, key FROM idempotency
        WHERE tenant_id = ANY(CAST(:tenants AS text[])) AND expires_at < :before
        ORDER BY tenant_id, expires_at LIMIT :limit FOR UPDATE SKIP LOCKED) AS old
    WHERE idempotency.tenant_id = old.tenant_id AND idempotency.key = old.key
    """
)

# What a session says in its queries is never read: its text may hold anything, its name and times suffice.
_SESSIONS: Final = text(
    """
    SELECT 'session' AS kind, application_name AS name, usename AS role, coalesce(state, '') AS state,
           xact_start AS began_at, coalesce(age(backend_xmin), age(backend_xid), 0) AS transactions
    FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'
      AND xact_start IS NOT NULL AND xact_start < :before
    ORDER BY xact_start LIMIT :limit
    """
)
_OTHERS: Final = text(
    """
    SELECT 'prepared transaction' AS kind, gid AS name, owner AS role, 'prepared' AS state, prepared AS began_at,
           age(transaction) AS transactions
    FROM pg_prepared_xacts WHERE database = current_database() AND prepared < :before
    UNION ALL
    SELECT 'replication slot', slot_name, '', CASE WHEN active THEN 'active' ELSE 'not connected' END, NULL,
           greatest(coalesce(age(xmin), 0), coalesce(age(catalog_xmin), 0))
    FROM pg_replication_slots WHERE greatest(coalesce(age(xmin), 0), coalesce(age(catalog_xmin), 0)) > :transactions
    """
)
SLOT_TRANSACTIONS: Final = 1_000_000
"""How far a replication slot may hold cleaning back before it is told of."""


class Holder(msgspec.Struct, frozen=True, kw_only=True):
    """Something that holds back the cleaning of every table. name: the session's application name, the slot's or the prepared
    transaction's; never what it asks. began_at: None for a slot. transactions: how many were begun since."""

    kind: str
    name: str
    role: str
    state: str
    began_at: datetime | None
    transactions: int

    def said(self, now: datetime) -> str:
        """In words."""
        name = f" {self.name!r}" if self.name else ""
        if self.began_at is None:
            return f"the {self.kind}{name} ({self.state}) holds back cleaning by {self.transactions} transactions"
        minutes = int((now - self.began_at) / timedelta(minutes=1))
        return f"a transaction of {minutes} minutes ({self.kind}{name}, {self.state}) holds back cleaning"


def holders(connection: Connection, *, now: datetime, older_than: timedelta) -> tuple[Holder, ...]:
    """Transactions older than that, prepared ones too, and slots far behind; the oldest first. now: database time.

    A role sees its own sessions' times; those of other roles take membership of pg_read_all_stats.
    """
    parameters = {"before": now - older_than, "limit": HOLDERS_MAX, "transactions": SLOT_TRANSACTIONS}
    rows = [*connection.execute(_SESSIONS, parameters).mappings(), *connection.execute(_OTHERS, parameters).mappings()]
    return tuple(Holder(**{str(name): value for name, value in row.items()}) for row in rows)


def forget_keys(database: Database, *, tenants: Sequence[str], before: datetime, recorded_at: datetime) -> int:
    """Remove idempotency keys whose life ended before a moment, a page at most; gives how many."""
    with database.unit(
        tenants=tenants, kind="keep", actor="worker:keep", reason="expired", recorded_at=recorded_at
    ) as unit:
        parameters = {"tenants": list(tenants), "before": before, "limit": PAGE}
        return unit.connection.execute(_FORGET_KEYS, parameters).rowcount
