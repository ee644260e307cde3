"""Reads of acts on many records and of their sets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, Select, and_, select

from revline.core.money import at_least_in_scale, decode_hook
from revline.platform.bulk.tables import bulk_act, bulk_item, bulk_state
from revline.platform.bulk.values import BulkAct, BulkItem, BulkState, Money, Outcome

PAGE_MAX: Final = 1_000
_MONEY: Final = msgspec.json.Decoder(tuple[Money, ...], dec_hook=decode_hook)
_FILTER: Final = msgspec.json.Decoder(dict[str, str])


def acts(
    connection: Connection, *, tenant_id: str, state: str = "", before: str = "", limit: int = 100
) -> tuple[BulkAct, ...]:
    """Acts, the newest first, in one state where named. before: go on after the act of this id."""
    statement = _select(tenant_id)
    if state:
        statement = statement.where(bulk_state.c.state == state)
    if before:
        statement = statement.where(bulk_act.c.act_id < before)
    rows = connection.execute(statement.order_by(bulk_act.c.act_id.desc()).limit(min(limit, PAGE_MAX))).mappings()
    return tuple(_act(row) for row in rows)


def act(connection: Connection, *, tenant_id: str, act_id: str) -> BulkAct | None:
    """One act by its id."""
    row = connection.execute(_select(tenant_id).where(bulk_act.c.act_id == act_id)).mappings().one_or_none()
    return None if row is None else _act(row)


def items(
    connection: Connection, *, tenant_id: str, act_id: str, outcome: str = "", after: int = 0, limit: int = 100
) -> tuple[BulkItem, ...]:
    """Records of an act in their order, of one outcome where named."""
    table = bulk_item
    statement = select(*(table.c[name] for name in BulkItem.__struct_fields__)).where(
        table.c.tenant_id == tenant_id, table.c.act_id == act_id, table.c.number > after
    )
    if outcome:
        statement = statement.where(table.c.outcome == outcome)
    rows = connection.execute(statement.order_by(table.c.number).limit(min(limit, PAGE_MAX))).mappings()
    return tuple(_item(row) for row in rows)


def under_way(connection: Connection, *, tenant_id: str, kind: str, given: str) -> str | None:
    """The act of this kind and filter (canonical JSON) that has not ended, if there is one."""
    table = bulk_state
    statement = select(table.c.act_id).where(
        table.c.tenant_id == tenant_id,
        table.c.kind == kind,
        table.c.filter == given,
        table.c.state.in_([BulkState.PROPOSED, BulkState.RUNNING, BulkState.PAUSED]),
    )
    return connection.execute(statement.limit(1)).scalar()


def _select(tenant_id: str) -> Select[Any]:
    joined = bulk_act.join(
        bulk_state,
        and_(bulk_state.c.tenant_id == bulk_act.c.tenant_id, bulk_state.c.act_id == bulk_act.c.act_id),
    )
    columns = {**dict(bulk_state.c.items()), **dict(bulk_act.c.items())}
    return (
        select(*(columns[name] for name in BulkAct.__struct_fields__))
        .select_from(joined)
        .where(bulk_act.c.tenant_id == tenant_id)
    )


def _act(row: Mapping[Any, Any]) -> BulkAct:
    values = {str(name): value for name, value in row.items()}
    return BulkAct(
        **{
            **values,
            "filter": _FILTER.decode(values["filter"]),
            "money": _MONEY.decode(values["money"]),
            "digest": bytes(values["digest"]).hex(),
            "state": BulkState(values["state"]),
        }
    )


def _item(row: Mapping[Any, Any]) -> BulkItem:
    values = {str(name): value for name, value in row.items()}
    if values["amount"] is not None:
        values["amount"] = at_least_in_scale(amount=values["amount"], code=values["currency"])
    return BulkItem(**{**values, "outcome": Outcome(values["outcome"])})
