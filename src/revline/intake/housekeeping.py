"""Removes rows that asked for an object to be read again once it was read. What was read is a fact, and stays."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from sqlalchemy import text

from revline.platform.store.engine import Database

PAGE: Final = 1_000

_FORGET: Final = text(
    """
    DELETE FROM reread USING (
        SELECT tenant_id, reread_id FROM reread
        WHERE tenant_id = ANY(CAST(:tenants AS text[])) AND state = 'read' AND deadline < :before
        ORDER BY tenant_id, deadline LIMIT :limit FOR UPDATE SKIP LOCKED) AS old
    WHERE reread.tenant_id = old.tenant_id AND reread.reread_id = old.reread_id AND reread.state = 'read'
    """
)


def forget_rereads(database: Database, *, tenants: Sequence[str], before: datetime, recorded_at: datetime) -> int:
    """Remove those that were read and whose deadline was before a moment, a page at most; gives how many."""
    with database.unit(
        tenants=tenants, kind="keep", actor="worker:keep", reason="read long ago", recorded_at=recorded_at
    ) as unit:
        parameters = {"tenants": list(tenants), "before": before, "limit": PAGE}
        return unit.connection.execute(_FORGET, parameters).rowcount
