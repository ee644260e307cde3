"""A call of a far side that belongs to no lane's work, such as one a person waits for: it takes a slot and a token as all do.

Slots are counted from lanes in a call, so it stands on a lane of its own while it lasts. Whoever dies in it frees its slot by the
lease's end; what is left of the lane is removed by the next call on the pool.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

import msgspec
from sqlalchemy import text

from revline.core.problem import Mender, Problem, Retryable, define, problem
from revline.platform.store.engine import Database
from revline.platform.work import capacity
from revline.platform.work.budgets import Asked
from revline.platform.work.lanes import NEVER, PRIORITY_NORMAL
from revline.platform.work.pool_state import CameBack, PoolLimits
from revline.platform.work.queries import moment

KIND: Final = "visit"

define(
    code="pool.no_room",
    title="The far system's capacity is taken",
    status=503,
    retryable=Retryable.YES,
    mender=Mender.NOBODY,
    remedy="Try again in a moment; `revline pools show` says whether the pool is blocked, throttled or full.",
)

_BEGIN: Final = text(
    f"""
    INSERT INTO lane (tenant_id, lane_id, kind, kind_group, pool_id, priority, pending, next_sequence, requested,
                      read_through, due_at, owner, fence, lease_until, attempts, parked_code, waiting, call_id)
    VALUES (:tenant, :call, '{KIND}', :kind_group, :pool, {PRIORITY_NORMAL}, 0, 0, 0, 0, :never, :owner, 1, :until, 0, '',
            false, :call)
    """
)
_END: Final = text(f"DELETE FROM lane WHERE tenant_id = :tenant AND lane_id = :call AND kind = '{KIND}'")
_FORGET: Final = text(
    f"DELETE FROM lane WHERE pool_id = :pool AND owner <> '' AND lease_until < :now AND kind = '{KIND}'"
)


class Visit(msgspec.Struct, frozen=True, kw_only=True):
    """One call. call_id: unique to it. lease: for how long its slot is held at most; longer than the call may last."""

    tenant_id: str
    call_id: str
    limits: PoolLimits
    lease: timedelta
    kind_group: str = ""

    @property
    def pool_id(self) -> str:
        return self.limits.pool_id


def begin(database: Database, *, visit: Visit) -> Problem | None:
    """Take a slot and a token now, or say why there is none: `pool.no_room`."""
    with database.control() as connection:
        now = moment(connection)
        if visit.pool_id not in capacity.states(connection, pools=[visit.pool_id], now=now):
            capacity.ensure_pools(connection, limits=[visit.limits], now=now)
        ledgers = capacity.lock(connection, pools=[visit.pool_id], owner=visit.call_id, now=now)
        ledger = ledgers[visit.pool_id]
        asked = Asked(tenant_id=visit.tenant_id, kind_group=visit.kind_group)
        if not ledger.may(asked, slot=visit.call_id):
            state = ledger.pool
            why = "blocked" if state.blocked else "full" if state.open else "throttled, or its far side does not answer"
            return problem("pool.no_room", f"the pool is {why}", field=visit.pool_id)
        ledger.take(asked, slot=visit.call_id)
        capacity.spend(connection, ledgers=ledgers, now=now)
        connection.execute(_FORGET, {"pool": visit.pool_id, "now": now})
        parameters = {
            "tenant": visit.tenant_id,
            "call": visit.call_id,
            "kind_group": visit.kind_group,
            "pool": visit.pool_id,
            "never": NEVER,
            "owner": visit.call_id,
            "until": now + visit.lease,
        }
        connection.execute(_BEGIN, parameters)
    return None


def end(database: Database, *, visit: Visit, came_back: CameBack) -> None:
    """Give the slot back, and tell the pool what the call came to."""
    with database.control() as connection:
        connection.execute(_END, {"tenant": visit.tenant_id, "call": visit.call_id})
        capacity.report(connection, came_back={visit.pool_id: came_back}, now=moment(connection))
