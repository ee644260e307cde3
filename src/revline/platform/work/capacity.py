"""Capacity pools in the database: how many far-side calls may start now, and what calls that came back say of the far side.

Slots in use are counted from lanes in a call whose lease is live, never kept in a counter: a dead worker frees its slots by its
leases' end. What may begin is decided by a `Ledger` under the pool's row lock, so two workers can't count one slot twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, text

from revline.platform.store.direct import fetch, fetch_named, send
from revline.platform.work.budgets import CLOSE, Budget, Ledger, Use
from revline.platform.work.lanes import PRIORITY_CLOSE, ClaimedLane
from revline.platform.work.pool_state import CameBack, Health, PoolLimits, PoolState, after, pool_state
from revline.platform.work.tables import NOT_PLAINLY_OPEN

_ENSURE: Final = text(
    """
    INSERT INTO capacity_pool (pool_id, slots, bucket_per_second, bucket_burst, bucket_tokens, refilled_at,
                               breaker_failures, blocked)
    SELECT given.pool_id, given.slots, given.per_second, given.burst, given.burst, :now, 0, false
    FROM unnest(CAST(:pools AS text[]), CAST(:slots AS integer[]), CAST(:per_second AS numeric[]),
                CAST(:burst AS integer[])) AS given(pool_id, slots, per_second, burst)
    ON CONFLICT (pool_id) DO UPDATE SET slots = excluded.slots, bucket_per_second = excluded.bucket_per_second,
                                        bucket_burst = excluded.bucket_burst
    WHERE (capacity_pool.slots, capacity_pool.bucket_per_second, capacity_pool.bucket_burst)
          IS DISTINCT FROM (excluded.slots, excluded.bucket_per_second, excluded.bucket_burst)
    """
)

_RULES: Final = """
    SELECT json_agg(json_build_object('tenant_id', rule.tenant_id, 'kind_group', rule.kind_group,
                                      'share_percent', rule.share_percent, 'slots_max', rule.slots_max))
    FROM capacity_budget AS rule WHERE rule.pool_id = {}
"""
_POOL: Final = f"""
    SELECT pool.*, ({_RULES.format("pool.pool_id AND rule.tenant_id IN ('', '*')")}) AS rules
    FROM capacity_pool AS pool WHERE pool.pool_id = ANY({{}}) ORDER BY pool.pool_id
"""
_READ: Final = text(_POOL.format("CAST(:pools AS text[])"))
_READ_OR_CLOSED: Final = text(
    _POOL.format(
        f"""ARRAY(SELECT unnest(CAST(:pools AS text[]))
                  UNION SELECT pool_id FROM capacity_pool WHERE {NOT_PLAINLY_OPEN})"""
    )
)
_LOCK: Final = text(_POOL.format("CAST(:pools AS text[])") + " FOR UPDATE OF pool")

# One row for each worker, tenant and kind group with a lane in hand: as many as workers hold lanes, whatever the backlog.
_USES: Final = text(
    f"""
    WITH held AS MATERIALIZED (
        SELECT lane.pool_id, lane.owner, lane.tenant_id, lane.kind_group, lane.closing,
               array_agg(DISTINCT lane.call_id) FILTER (WHERE lane.call_id <> '') AS calls,
               count(*) FILTER (WHERE lane.call_id = '' AND lane.lease_until > :fresh) AS wanting,
               count(*) AS lanes
        FROM (SELECT lane.pool_id, lane.owner, lane.tenant_id, lane.call_id, lane.lease_until,
                     lane.priority <= {PRIORITY_CLOSE} AS closing,
                     CASE WHEN lane.priority <= {PRIORITY_CLOSE} THEN '{CLOSE}' ELSE lane.kind_group END AS kind_group
              FROM lane
              WHERE lane.pool_id = ANY(CAST(:pools AS text[])) AND lane.owner <> '' AND lane.lease_until > :now) AS lane
        GROUP BY lane.pool_id, lane.owner, lane.tenant_id, lane.kind_group, lane.closing
    )
    SELECT held.*, ({_RULES.format("held.pool_id AND rule.tenant_id = held.tenant_id")}) AS rules
    FROM held ORDER BY held.pool_id, held.owner, held.tenant_id, held.kind_group
    """
)

# Of a lane nothing else changes here, and no index holds its slot: the row's new version stays on its page.
_TAKE_SLOTS: Final = text(
    """
    UPDATE lane SET call_id = given.call_id
    FROM (SELECT unnest(CAST(:tenants AS text[])) AS tenant_id, unnest(CAST(:lanes AS text[])) AS lane_id,
                 unnest(CAST(:fences AS bigint[])) AS fence, unnest(CAST(:owners AS text[])) AS owner,
                 unnest(CAST(:calls AS text[])) AS call_id) AS given
    WHERE lane.tenant_id = given.tenant_id AND lane.lane_id = given.lane_id
      AND lane.owner = given.owner AND lane.fence = given.fence
    """
)

_SPEND: Final = text(
    """
    UPDATE capacity_pool SET bucket_tokens = given.tokens, refilled_at = greatest(capacity_pool.refilled_at, :now),
                             calls = capacity_pool.calls + given.calls,
                             probe_call = coalesce(nullif(given.probe, ''), capacity_pool.probe_call)
    FROM unnest(CAST(:pools AS text[]), CAST(:tokens AS numeric[]), CAST(:calls AS integer[]), CAST(:probes AS text[]))
         AS given(pool_id, tokens, calls, probe)
    WHERE capacity_pool.pool_id = given.pool_id
    """
)

_AILING: Final = text(
    """
    SELECT pool_id FROM capacity_pool
    WHERE pool_id = ANY(CAST(:pools AS text[]))
      AND (breaker_failures > 0 OR breaker_until IS NOT NULL OR adapted_slots IS NOT NULL
           OR throttled_until IS NOT NULL)
    """
)

_HEALTH: Final = text(
    """
    UPDATE capacity_pool SET
        breaker_failures = given.failures, breaker_until = given.until,
        adapted_slots = given.adapted_slots, adapted_at = given.adapted_at, throttled_until = given.throttled_until,
        throttled = capacity_pool.throttled + given.throttled,
        bucket_tokens = CASE WHEN given.throttled > 0 THEN least(capacity_pool.bucket_tokens, 1)
                             ELSE capacity_pool.bucket_tokens END,
        refilled_at = CASE WHEN given.throttled > 0 THEN given.throttled_until ELSE capacity_pool.refilled_at END,
        probe_call = CASE WHEN given.until IS NULL OR given.until > :now THEN '' ELSE capacity_pool.probe_call END
    FROM unnest(CAST(:pools AS text[]), CAST(:failures AS integer[]), CAST(:until AS timestamptz[]),
                CAST(:adapted AS integer[]), CAST(:adapted_at AS timestamptz[]), CAST(:throttled_until AS timestamptz[]),
                CAST(:throttled AS integer[]))
         AS given(pool_id, failures, until, adapted_slots, adapted_at, throttled_until, throttled)
    WHERE capacity_pool.pool_id = given.pool_id
    """
)


class PoolView(msgspec.Struct, frozen=True, kw_only=True):
    """A pool with everything a ledger is made of. uses: of every worker. budgets: those for all and for each tenant."""

    state: PoolState
    uses: tuple[Use, ...]
    budgets: tuple[Budget, ...]

    def ledger(self, *, owner: str) -> Ledger:
        """A new ledger of the pool for one worker."""
        return Ledger(pool=self.state, uses=self.uses, budgets=self.budgets, owner=owner)


def ensure_pools(connection: Connection, *, limits: Sequence[PoolLimits], now: datetime) -> None:
    """Make pools exist with these limits; a changed limit is taken over; what an operator set, tokens and breaker stay."""
    ordered = sorted(limits, key=lambda pool: pool.pool_id)
    parameters = {
        "pools": [pool.pool_id for pool in ordered],
        "slots": [pool.slots for pool in ordered],
        "per_second": [pool.bucket_per_second for pool in ordered],
        "burst": [pool.bucket_burst for pool in ordered],
        "now": now,
    }
    connection.execute(_ENSURE, parameters)


def states(connection: Connection, *, pools: Iterable[str], now: datetime) -> Mapping[str, PoolState]:
    """Pools as they are now."""
    return {name: view.state for name, view in views(connection, pools=pools, now=now).items()}


def views(
    connection: Connection,
    *,
    pools: Iterable[str],
    now: datetime,
    fresh: timedelta = timedelta(0),
    closed_too: bool = False,
) -> Mapping[str, PoolView]:
    """Pools with who uses them. closed_too: also every other pool that is not plainly open.

    fresh: a lane counts as wanting a slot only while its lease is longer than this, so that a worker that stands still soon
    stops being waited for.
    """
    names = sorted(set(pools))
    statement = _READ_OR_CLOSED if closed_too else _READ
    return _views(connection, fetch_named(connection, statement, {"pools": names, "now": now}), now, fresh)


def lock(
    connection: Connection, *, pools: Iterable[str], owner: str, now: datetime, fresh: timedelta = timedelta(0)
) -> Mapping[str, Ledger]:
    """Lock the pools until the transaction ends; gives a ledger of each. The caller marks the lanes of what it takes with their
    slot (`take_slots`) and calls `spend` before it commits."""
    names = sorted(set(pools))
    if not names:
        return {}
    rows = fetch_named(connection, _LOCK, {"pools": names})
    found = _views(connection, rows, now, fresh)
    return {name: view.ledger(owner=owner) for name, view in found.items()}


def take_slots(connection: Connection, *, owner: str, lanes: Sequence[tuple[ClaimedLane, str]]) -> None:
    """Put claimed lanes into the calls that carry them: each with its slot. The caller holds them (`record.hold`)."""
    ordered = sorted(lanes, key=lambda one: one[0].key)
    if not ordered:
        return
    parameters = {
        "tenants": [lane.tenant_id for lane, _ in ordered],
        "lanes": [lane.lane_id for lane, _ in ordered],
        "fences": [lane.fence for lane, _ in ordered],
        "owners": [owner] * len(ordered),
        "calls": [slot for _, slot in ordered],
    }
    connection.execute(_TAKE_SLOTS, parameters)


def spend(connection: Connection, *, ledgers: Mapping[str, Ledger], now: datetime) -> None:
    """Write what locked ledgers gave away. What another worker's later look has filled already is not filled again."""
    spent = {name: ledger for name, ledger in sorted(ledgers.items()) if ledger.granted}
    if not spent:
        return
    parameters = {
        "pools": list(spent),
        "tokens": [ledger.pool.tokens - ledger.granted for ledger in spent.values()],
        "calls": [ledger.granted for ledger in spent.values()],
        "probes": [ledger.probe for ledger in spent.values()],
        "now": now,
    }
    send(connection, _SPEND, parameters)


def report(connection: Connection, *, came_back: Mapping[str, CameBack], now: datetime) -> None:
    """Tell pools what calls came to. Costs one read while the far sides are well."""
    well = sorted(name for name, told in came_back.items() if told.answered and told.throttled_for is None)
    ailing = {pool for (pool,) in fetch(connection, _AILING, {"pools": well})} if well else set()
    pools = sorted(ailing | (set(came_back) - set(well)))
    if not pools:
        return
    rows = fetch_named(connection, _LOCK, {"pools": pools})
    found = {
        row["pool_id"]: after(
            pool_id=row["pool_id"],
            health=Health(
                failures=row["breaker_failures"],
                until=row["breaker_until"],
                adapted_slots=row["adapted_slots"],
                adapted_at=row["adapted_at"],
                throttled_until=row["throttled_until"],
            ),
            came_back=came_back[row["pool_id"]],
            ceiling=row["set_slots"] or row["slots"],
            now=now,
        )
        for row in rows
    }
    parameters = {
        "pools": list(found),
        "failures": [one.failures for one in found.values()],
        "until": [one.until for one in found.values()],
        "adapted": [one.adapted_slots for one in found.values()],
        "adapted_at": [one.adapted_at for one in found.values()],
        "throttled_until": [one.throttled_until for one in found.values()],
        "throttled": [int(came_back[name].throttled_for is not None) for name in found],
        "now": now,
    }
    connection.execute(_HEALTH, parameters)


def _views(
    connection: Connection, rows: Sequence[Mapping[str, Any]], now: datetime, fresh: timedelta
) -> Mapping[str, PoolView]:
    names = [row["pool_id"] for row in rows]
    uses: dict[str, list[Use]] = {}
    parameters = {"pools": names, "now": now, "fresh": now + fresh}
    for row in fetch_named(connection, _USES, parameters) if names else ():
        uses.setdefault(row["pool_id"], []).append(
            Use(
                owner=row["owner"],
                tenant_id=row["tenant_id"],
                kind_group=row["kind_group"],
                calls=frozenset(row["calls"] or ()),
                wanting=row["wanting"],
                lanes=row["lanes"],
                budgets=_budgets(row["rules"]),
            )
        )
    found = {}
    for pool in rows:
        mine = tuple(uses.get(pool["pool_id"], ()))
        calls = frozenset(call for use in mine for call in use.calls)
        state = pool_state(pool, in_use=len(calls), probe_lives=pool["probe_call"] in calls, now=now)
        found[state.pool_id] = PoolView(state=state, uses=mine, budgets=_budgets(pool["rules"]))
    return found


def _budgets(rules: Sequence[Mapping[str, Any]] | None) -> tuple[Budget, ...]:
    return tuple(Budget(**rule) for rule in rules or ())
