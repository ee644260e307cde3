"""A pool's bucket fills by the time that passed, once, whatever order workers look at it in."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from revline.platform.store.engine import Database
from revline.platform.work import capacity
from revline.platform.work.budgets import Asked
from revline.platform.work.pool_state import PoolLimits

NOON = datetime(2026, 11, 2, 12, tzinfo=UTC)
LIMITS = PoolLimits(pool_id="erp", slots=8, bucket_per_second=Decimal(1), bucket_burst=4)


def begin(database: Database, *, call: str, now: datetime) -> None:
    with database.control() as connection:
        ledgers = capacity.lock(connection, pools=["erp"], owner="worker", now=now)
        ledgers["erp"].take(Asked(tenant_id="alpha", kind_group=""), slot=call)
        capacity.spend(connection, ledgers=ledgers, now=now)


def tokens(database: Database, *, now: datetime) -> Decimal:
    with database.control() as connection:
        return capacity.states(connection, pools=["erp"], now=now)["erp"].tokens


def test_a_worker_whose_moment_is_older_does_not_fill_the_bucket_again(database: Database) -> None:
    with database.control() as connection:
        capacity.ensure_pools(connection, limits=[LIMITS], now=NOON)
    for call in ("one", "two", "three", "four"):
        begin(database, call=call, now=NOON)
    later = NOON + timedelta(seconds=2)
    begin(database, call="five", now=later)
    begin(database, call="six", now=NOON)
    assert tokens(database, now=later) == 0
