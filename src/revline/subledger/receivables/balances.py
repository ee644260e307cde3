"""Reads what is left of open items, one by one and by customer. Each takes an open connection that names the tenant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, case, func, select

from revline.core.money import at_least_in_scale
from revline.subledger.receivables.tables import open_item, open_item_movement

ITEMS_MAX: Final = 10_000


class ItemBalance(msgspec.Struct, frozen=True, kw_only=True):
    """What is left of one item, in its currency. owed: positive when the customer owes, negative when it is the customer's money.

    applied: how much of it was set against the other side, positive.
    """

    item_id: str
    kind: str
    entity: str
    currency: str
    number: str
    opened_on: date
    due_on: date | None
    owed: Decimal
    applied: Decimal


def balances_of_items(connection: Connection, *, tenant_id: str, item_ids: Sequence[str]) -> Mapping[str, ItemBalance]:
    """The balance of each of these items that is there."""
    statement = _balances(tenant_id).where(open_item.c.item_id.in_(sorted(set(item_ids))))
    return {row["item_id"]: _balance(row) for row in (connection.execute(statement).mappings() if item_ids else ())}


def balances_of_customer(
    connection: Connection, *, tenant_id: str, customer_id: str, as_of: date
) -> tuple[ItemBalance, ...]:
    """Every item of a customer that is not settled at the end of a day, the oldest first; at most `ITEMS_MAX`.

    customer_id: root id of the customer. Movements after the day don't count.
    """
    statement = _balances(tenant_id, until=as_of).where(open_item.c.customer_id == customer_id)
    statement = statement.having(func.coalesce(func.sum(open_item_movement.c.owed), 0) != 0)
    rows = connection.execute(statement.order_by(open_item.c.opened_on, open_item.c.item_id).limit(ITEMS_MAX + 1))
    found = tuple(_balance(row) for row in rows.mappings())
    if len(found) > ITEMS_MAX:
        raise ValueError(f"the customer has more than {ITEMS_MAX} open items")
    return found


def _balances(tenant_id: str, *, until: date | None = None) -> Any:
    moved = open_item_movement.c
    applied = case((moved.kind == "applied", moved.amount), else_=0)
    on = (moved.tenant_id == open_item.c.tenant_id) & (moved.item_id == open_item.c.item_id)
    keys = [open_item.c[name] for name in _KEYS]
    statement = (
        select(
            *keys,
            func.coalesce(func.sum(moved.owed), 0).label("owed"),
            func.coalesce(func.sum(applied), 0).label("applied"),
        )
        .select_from(open_item.outerjoin(open_item_movement, on if until is None else on & (moved.day <= until)))
        .where(open_item.c.tenant_id == tenant_id)
        .group_by(*keys)
    )
    return statement if until is None else statement.where(open_item.c.opened_on <= until)


_KEYS: Final = ("item_id", "kind", "entity", "currency", "number", "opened_on", "due_on")


def _balance(row: Mapping[Any, Any]) -> ItemBalance:
    values: dict[str, Any] = {name: row[name] for name in _KEYS}
    for name in ("owed", "applied"):
        values[name] = at_least_in_scale(amount=row[name], code=row["currency"])
    return ItemBalance(**values)
