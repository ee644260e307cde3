"""Which documents an earlier epoch may have sent already, although this database does not know them. Pure.

After a restore, facts that come in again lead to the same documents under the same references. What happened before the epoch
began may have been derived and posted before the restore, in the time that was lost, so it is looked up before it is sent.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from revline.derive.expectation import RootFacts
from revline.derive.planning import RootPlan
from revline.platform.work.epochs import Epoch


def known_before(*, epoch: Epoch, plans: Mapping[str, RootPlan], known: Mapping[str, RootFacts]) -> frozenset[str]:
    """Ids of the planned documents that may have been written before the epoch began.

    A document is that old when its event, or any fact it rests on, is; a master record when any fact of its root is. A reversal
    stands on its event's day, since the correction that caused it may have come before as well.
    """
    found: set[str] = set()
    for root_id, plan in plans.items():
        if epoch.is_before(fact.translated.occurred_at for fact in known[root_id].facts):
            found.update(one.document_id for one in plan.masters)
        for booking in plan.bookings:
            moments: list[datetime] = [booking.event.occurred_at]
            moments += [fact.translated.occurred_at for fact in booking.facts]
            if epoch.is_before(moments):
                found.update(one.document_id for one in booking.documents)
    return frozenset(found)
