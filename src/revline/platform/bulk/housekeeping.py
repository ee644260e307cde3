"""Removes the records of acts that ended long ago. What was asked for, by whom and why, and how many came to what, stays."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from sqlalchemy import text

from revline.platform.store.engine import Database

PAGE: Final = 5_000

_FORGET: Final = text(
    """
    DELETE FROM bulk_item USING (
        SELECT item.tenant_id, item.act_id, item.number FROM bulk_item AS item
        JOIN bulk_state AS state ON state.tenant_id = item.tenant_id AND state.act_id = item.act_id
        WHERE item.tenant_id = ANY(CAST(:tenants AS text[])) AND state.state IN ('aborted', 'done', 'refused')
          AND state.changed_at < :before
        LIMIT :limit) AS old
    WHERE bulk_item.tenant_id = old.tenant_id AND bulk_item.act_id = old.act_id AND bulk_item.number = old.number
    """
)


def forget_items(database: Database, *, tenants: Sequence[str], before: datetime, recorded_at: datetime) -> int:
    """Remove records of acts that ended before a moment, a page at most; gives how many."""
    with database.unit(
        tenants=tenants, kind="keep", actor="worker:keep", reason="the act ended long ago", recorded_at=recorded_at
    ) as unit:
        parameters = {"tenants": list(tenants), "before": before, "limit": PAGE}
        return unit.connection.execute(_FORGET, parameters).rowcount
