"""Reads open items: what is owed, by item, customer or entity."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, func, select

from revline.subledger.receivables.tables import open_item_movement

ITEMS_MAX = 1_000


def owed_by_entity(connection: Connection, *, tenant_id: str) -> dict[tuple[str, str], Decimal]:
    """What customers owe, net of unapplied payments: (entity, currency) to amount in that currency."""
    statement = (
        select(open_item_movement.c.entity, open_item_movement.c.currency, func.sum(open_item_movement.c.owed))
        .where(open_item_movement.c.tenant_id == tenant_id)
        .group_by(open_item_movement.c.entity, open_item_movement.c.currency)
    )
    return {(row[0], row[1]): row[2] for row in connection.execute(statement)}


def movements(connection: Connection, *, tenant_id: str, item_id: str) -> Sequence[dict[str, Any]]:
    """The movements of one item in the order they were written, at most `ITEMS_MAX`."""
    statement = (
        select(open_item_movement)
        .where(open_item_movement.c.tenant_id == tenant_id, open_item_movement.c.item_id == item_id)
        .order_by(open_item_movement.c.position, open_item_movement.c.ordinal)
        .limit(ITEMS_MAX)
    )
    return [dict(row._mapping) for row in connection.execute(statement)]
