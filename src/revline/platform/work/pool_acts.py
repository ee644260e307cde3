"""What operators do to capacity pools, each with who and why, and how pools are shown. Ids and counts only.

What is set here stands in the place of a manifest's limits until it is cleared, whatever restarts.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Final

import msgspec
from sqlalchemy import Connection, delete, insert, select, text, update
from sqlalchemy.dialects.postgresql import insert as insert_or_not

from revline.core.problem import FieldError, Mender, Problem, Retryable, define, problem
from revline.platform.work.budgets import ALL, CLOSE, EACH, Budget, Use
from revline.platform.work.capacity import views
from revline.platform.work.lanes import PRIORITY_CLOSE
from revline.platform.work.pool_state import PoolState
from revline.platform.work.tables import LIVE, capacity_budget, capacity_change, capacity_pool

SLOTS_MAX: Final = 10_000
RATE_MAX: Final = 1_000_000
RATE_DIGITS: Final = 6
"""Decimal places of calls a second, as they are kept."""
REASON_LENGTH_MAX: Final = 500
POOLS_PAGE_MAX: Final = 1_000
BUDGETS_SHOWN_MAX: Final = 200
CHANGES_SHOWN_MAX: Final = 20
QUEUED_COUNTED_MAX: Final = 100_000
"""Lanes a queue is counted to; more are said to be at least as many."""

define(
    code="pool.unknown",
    title="There is no such capacity pool",
    status=404,
    retryable=Retryable.NO,
    mender=Mender.SENDER,
    remedy="Name a connection that has called out at least once (`revline pools list`).",
)
define(
    code="pool.shared",
    title="This pool's capacity is shared with others",
    status=403,
    retryable=Retryable.NO,
    mender=Mender.OPERATOR,
    remedy="Ask whoever runs the installation: `revline pools`, or an operator of every tenant in the console.",
)
define(
    code="pool.setting_invalid",
    title="A pool can't be set so",
    status=422,
    retryable=Retryable.NO,
    mender=Mender.SENDER,
    remedy="Correct the named values.",
)


class Queue(msgspec.Struct, frozen=True, kw_only=True):
    """Lanes of one tenant and kind group that want calls of a pool. lanes: with work, in hand or not. due: of those, due now.
    in_calls: slots with a call under way. oldest_due: since when the oldest waits."""

    tenant_id: str
    kind_group: str
    lanes: int
    due: int
    in_calls: int
    oldest_due: datetime | None


class PoolChange(msgspec.Struct, frozen=True, kw_only=True):
    """One act on a pool. change_id: unique in the cell."""

    change_id: int
    action: str
    detail: str
    actor: str
    reason: str
    at: datetime


class PoolShown(msgspec.Struct, frozen=True, kw_only=True):
    """A pool as people see it. whole: of every tenant; else what one tenant has of it. blocked_by: the act that blocked it,
    for who sees the whole."""

    state: PoolState
    whole: bool
    in_calls: int
    queues: tuple[Queue, ...]
    counted_all: bool
    budgets: tuple[Budget, ...]
    blocked_by: PoolChange | None
    changes: tuple[PoolChange, ...]


class Act(msgspec.Struct, frozen=True, kw_only=True):
    """Who does it, why and when."""

    actor: str
    reason: str
    at: datetime


_QUEUES: Final = text(
    f"""
    SELECT lane.tenant_id, lane.kind_group, count(*) AS lanes,
           count(*) FILTER (WHERE lane.owner = '' AND lane.due_at <= :now) AS due,
           count(DISTINCT lane.call_id) FILTER (WHERE lane.call_id <> '' AND lane.lease_until > :now) AS in_calls,
           min(lane.due_at) FILTER (WHERE lane.owner = '' AND lane.due_at <= :now) AS oldest_due,
           sum(count(*)) OVER () AS counted
    FROM (SELECT lane.tenant_id, lane.owner, lane.due_at, lane.call_id, lane.lease_until,
                 CASE WHEN lane.priority <= {PRIORITY_CLOSE} THEN '{CLOSE}' ELSE lane.kind_group END AS kind_group
          FROM lane
          WHERE lane.kind IN (SELECT DISTINCT ring.kind FROM tenant_ring AS ring WHERE ring.pool_id = :pool)
            AND lane.pool_id = :pool AND (:tenant = '' OR lane.tenant_id = :tenant) AND {LIVE}
          LIMIT {QUEUED_COUNTED_MAX}) AS lane
    GROUP BY lane.tenant_id, lane.kind_group
    ORDER BY due DESC, lanes DESC, lane.tenant_id, lane.kind_group
    LIMIT :limit
    """
)


def pool_ids(connection: Connection, *, after: str = "", limit: int = POOLS_PAGE_MAX) -> tuple[str, ...]:
    """Pools there are, by id."""
    statement = select(capacity_pool.c.pool_id).where(capacity_pool.c.pool_id > after).order_by(capacity_pool.c.pool_id)
    return tuple(connection.execute(statement.limit(min(limit, POOLS_PAGE_MAX))).scalars())


def show_pools(
    connection: Connection, *, pools: Collection[str], now: datetime, tenant_id: str = "", queues_max: int = 50
) -> Mapping[str, PoolShown]:
    """Pools with queues, budgets and acts. tenant_id: only what is this tenant's of them; "" for all of it (operators)."""
    found = {}
    for name, view in views(connection, pools=pools, now=now).items():
        parameters = {"pool": name, "tenant": tenant_id, "now": now, "limit": queues_max}
        rows = connection.execute(_QUEUES, parameters).all()
        queues = tuple(
            Queue(
                tenant_id=row.tenant_id,
                kind_group=row.kind_group,
                lanes=row.lanes,
                due=row.due,
                in_calls=row.in_calls,
                oldest_due=row.oldest_due,
            )
            for row in rows
        )
        changes = _changes(connection, name) if not tenant_id else ()
        found[name] = PoolShown(
            state=view.state,
            whole=not tenant_id,
            in_calls=_calls_of(view.uses, tenant_id),
            queues=queues,
            counted_all=not rows or rows[0].counted < QUEUED_COUNTED_MAX,
            budgets=_budgets(connection, name, tenant_id),
            blocked_by=_blocked_by(connection, name) if view.state.blocked and not tenant_id else None,
            changes=changes,
        )
    return found


def set_limits(
    connection: Connection,
    *,
    pool_id: str,
    slots: int | None,
    per_second: Decimal | None,
    burst: int | None,
    act: Act,
) -> PoolChange | Problem:
    """Put an operator's limits in place of the manifest's, in an open transaction; None takes the manifest's again."""
    wrong = [
        FieldError(pointer=name, detail=f"{value} is out of bounds", instead=f"more than 0, at most {most}")
        for name, value, most in (
            ("slots", slots, SLOTS_MAX),
            ("per_second", per_second, RATE_MAX),
            ("burst", burst, RATE_MAX),
        )
        if value is not None and not 0 < value <= most
    ]
    if not wrong and per_second is not None and per_second != round(per_second, RATE_DIGITS):
        instead = f"at most {RATE_DIGITS} decimal places"
        wrong = [FieldError(pointer="per_second", detail=f"{per_second} is too fine", instead=instead)]
    if wrong:
        return problem("pool.setting_invalid", "a limit is out of bounds", errors=tuple(wrong))
    statement = (
        update(capacity_pool)
        .where(capacity_pool.c.pool_id == pool_id)
        .values(set_slots=slots, set_per_second=per_second, set_burst=burst, adapted_slots=None, adapted_at=None)
    )
    if not connection.execute(statement).rowcount:
        return _unknown(pool_id)
    given = {"slots": slots, "calls a second": per_second, "burst": burst}
    detail = ", ".join(f"{name} {value}" for name, value in given.items() if value is not None)
    return _note(connection, pool_id, "limits set" if detail else "limits cleared", detail, act)


def block(connection: Connection, *, pool_id: str, blocked: bool, act: Act) -> PoolChange | Problem:
    """Stop or allow every call of a pool, in an open transaction. Calls under way come back and are written."""
    statement = update(capacity_pool).where(capacity_pool.c.pool_id == pool_id).values(blocked=blocked)
    if not connection.execute(statement).rowcount:
        return _unknown(pool_id)
    return _note(connection, pool_id, "blocked" if blocked else "unblocked", "", act)


def set_budget(
    connection: Connection, *, pool_id: str, budget: Budget, kind_groups: Collection[str], act: Act
) -> PoolChange | Problem:
    """Give a part of the work its share and maximum, in an open transaction; neither of both takes the budget away."""
    if not connection.execute(select(capacity_pool.c.pool_id).where(capacity_pool.c.pool_id == pool_id)).first():
        return _unknown(pool_id)
    refused = _wrong_budget(connection, pool_id, budget, kind_groups)
    if refused is not None:
        return refused
    table, key = capacity_budget, (budget.tenant_id, budget.kind_group)
    whose = f"{ {ALL: 'all tenants together', EACH: 'each tenant'}.get(key[0], key[0]) }, {key[1] or 'all kinds'}"
    if not budget.share_percent and budget.slots_max is None:
        statement = delete(table).where(
            table.c.pool_id == pool_id, table.c.tenant_id == key[0], table.c.kind_group == key[1]
        )
        connection.execute(statement)
        return _note(connection, pool_id, "budget cleared", whose, act)
    values = {"share_percent": budget.share_percent, "slots_max": budget.slots_max}
    made = insert_or_not(table).values(pool_id=pool_id, tenant_id=key[0], kind_group=key[1], **values)
    connection.execute(made.on_conflict_do_update(index_elements=["pool_id", "tenant_id", "kind_group"], set_=values))
    most = "no maximum" if budget.slots_max is None else f"at most {budget.slots_max} slots"
    return _note(connection, pool_id, "budget set", f"{whose}: {budget.share_percent} %, {most}", act)


def _wrong_budget(connection: Connection, pool_id: str, budget: Budget, kind_groups: Collection[str]) -> Problem | None:
    wrong = []
    known = sorted({*kind_groups, CLOSE})
    if budget.kind_group and budget.kind_group not in known:
        wrong.append(FieldError(pointer="kind_group", detail="is no kind group", instead=", ".join(known)))
    if not budget.kind_group and budget.tenant_id == ALL:
        wrong.append(
            FieldError(pointer="tenant", detail="the whole pool has slots, no budget", instead="a tenant, or *")
        )
    if not 0 <= budget.share_percent <= 100:
        wrong.append(FieldError(pointer="share_percent", detail="is out of bounds", instead="0 to 100"))
    if budget.slots_max is not None and not 0 < budget.slots_max <= SLOTS_MAX:
        wrong.append(FieldError(pointer="slots_max", detail="is out of bounds", instead=f"1 to {SLOTS_MAX}"))
    row = capacity_budget.c
    others = select(row.share_percent).where(
        row.pool_id == pool_id,
        (row.tenant_id == ALL) if budget.tenant_id == ALL else (row.tenant_id != ALL),
        row.tenant_id != EACH,
        (row.kind_group == ALL) if budget.kind_group == ALL else (row.kind_group != ALL),
        (row.tenant_id != budget.tenant_id) | (row.kind_group != budget.kind_group),
    )
    total = budget.share_percent + sum(connection.execute(others).scalars())
    if total > 100 and budget.tenant_id != EACH:
        detail = f"shares of this sort come to {total} %"
        wrong.append(FieldError(pointer="share_percent", detail=detail, instead="at most 100 % together"))
    return problem("pool.setting_invalid", "the budget can't be kept", errors=tuple(wrong)) if wrong else None


def _unknown(pool_id: str) -> Problem:
    return problem("pool.unknown", f"there is no pool {pool_id[:60]!r} yet")


def _note(connection: Connection, pool_id: str, action: str, detail: str, act: Act) -> PoolChange:
    reason = act.reason[:REASON_LENGTH_MAX]
    made = insert(capacity_change).values(
        pool_id=pool_id, action=action, detail=detail, actor=act.actor, reason=reason, at=act.at
    )
    change_id = connection.execute(made.returning(capacity_change.c.change_id)).scalar_one()
    return PoolChange(change_id=change_id, action=action, detail=detail, actor=act.actor, reason=reason, at=act.at)


def _changes(connection: Connection, pool_id: str) -> tuple[PoolChange, ...]:
    row = capacity_change.c
    statement = (
        select(row.change_id, row.action, row.detail, row.actor, row.reason, row.at)
        .where(row.pool_id == pool_id)
        .order_by(row.change_id.desc())
        .limit(CHANGES_SHOWN_MAX)
    )
    return tuple(PoolChange(**found._mapping) for found in connection.execute(statement))


def _blocked_by(connection: Connection, pool_id: str) -> PoolChange | None:
    row = capacity_change.c
    statement = (
        select(row.change_id, row.action, row.detail, row.actor, row.reason, row.at)
        .where(row.pool_id == pool_id, row.action == "blocked")
        .order_by(row.change_id.desc())
        .limit(1)
    )
    found = connection.execute(statement).one_or_none()
    return PoolChange(**found._mapping) if found else None


def _budgets(connection: Connection, pool_id: str, tenant_id: str) -> tuple[Budget, ...]:
    """The close's own is shown also where nobody set one."""
    row = capacity_budget.c
    chosen = row.tenant_id.in_([ALL, EACH, tenant_id]) if tenant_id else row.pool_id == pool_id
    statement = (
        select(row.tenant_id, row.kind_group, row.share_percent, row.slots_max)
        .where(row.pool_id == pool_id, chosen)
        .order_by(row.tenant_id, row.kind_group)
        .limit(BUDGETS_SHOWN_MAX)
    )
    return tuple(Budget(**found._mapping) for found in connection.execute(statement))


def _calls_of(uses: Collection[Use], tenant_id: str) -> int:
    return len({call for use in uses for call in use.calls if not tenant_id or use.tenant_id == tenant_id})
