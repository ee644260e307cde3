"""Claimed lanes worked on in batches of one tenant each, so that one that fails can't stop its neighbours. Knows no work itself."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final, TypeVar

from revline.platform.store.engine import is_transient
from revline.platform.work.lanes import ClaimedLane

Done = TypeVar("Done")
ATTEMPTS_MAX: Final = 5


def batches_of(lanes: Iterable[ClaimedLane], *, size: int) -> Iterator[tuple[str, list[ClaimedLane]]]:
    """(tenant, at most `size` of its lanes), tenants sorted, lanes in the order they were claimed."""
    by_tenant: dict[str, list[ClaimedLane]] = {}
    for lane in lanes:
        by_tenant.setdefault(lane.tenant_id, []).append(lane)
    for tenant_id, mine in sorted(by_tenant.items()):
        for start in range(0, len(mine), size):
            yield tenant_id, mine[start : start + size]


def run_batch(
    lanes: Sequence[ClaimedLane],
    *,
    unit: Callable[[Sequence[ClaimedLane]], Done],
    give_up: Callable[[ClaimedLane], Done],
) -> tuple[Done, ...]:
    """Run lanes in one unit of work; when it fails each alone, and one that fails alone is given up (called while its exception
    is handled, so that it can be logged).

    A failure of the database is no lane's failure: the unit runs again, at most ATTEMPTS_MAX times; then it is raised, and the
    leases run out.
    """
    for attempt in range(1, ATTEMPTS_MAX + 1):
        try:
            return (unit(lanes),)
        except Exception as failure:
            if not is_transient(failure):
                if len(lanes) == 1:
                    return (give_up(lanes[0]),)
                break
            if attempt == ATTEMPTS_MAX:
                raise
    return tuple(done for lane in lanes for done in run_batch([lane], unit=unit, give_up=give_up))
