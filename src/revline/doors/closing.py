"""The priority of the close at every door: checks what was asked against the configuration, and shows what goes first."""

from __future__ import annotations

import re
from datetime import date, datetime
from typing import Any, Final

from revline.core.clock import Period, period_name
from revline.core.problem import FieldError, Problem, problem
from revline.delivery.closing import Closing, begin_closing, end_closing
from revline.doors.services import Services
from revline.platform.config.queries import active
from revline.platform.tenancy.kinds import LegalEntity

MONTH: Final = re.compile(r"([0-9]{4})-(0[1-9]|1[0-2])")


def begin(
    services: Services, *, tenant_id: str, entity: str, period: str, until: datetime, actor: str, reason: str
) -> Closing | Problem:
    """Let an entity's documents of a calendar month go first until a moment."""
    days = month_of(period)
    if isinstance(days, Problem):
        return days
    with services.database.read(tenants=[tenant_id]) as connection:
        configuration = active(connection, tenant_id=tenant_id, registry=services.registry)
    known = {} if configuration is None else configuration.all(LegalEntity)
    if entity not in known:
        wrong = FieldError(pointer="entity", detail="is no legal entity", instead=", ".join(sorted(known)[:20]))
        return problem("closing.invalid", f"there is no entity {entity[:60]!r}", errors=(wrong,))
    return begin_closing(
        services.database,
        tenant_id=tenant_id,
        entity=entity,
        period=days,
        until=until,
        actor=actor,
        reason=reason,
        recorded_at=services.clock.now(),
    )


def end(services: Services, *, tenant_id: str, entity: str, period: str, actor: str, reason: str) -> Closing | Problem:
    """Let them take their turn again."""
    days = month_of(period)
    if isinstance(days, Problem):
        return days
    return end_closing(
        services.database,
        tenant_id=tenant_id,
        entity=entity,
        start_day=days.start,
        actor=actor,
        reason=reason,
        recorded_at=services.clock.now(),
    )


def month_of(text: str) -> Period | Problem:
    """The days of a calendar month such as 2026-01."""
    found = MONTH.fullmatch(text)
    if found is None or found[1] == "0000" or text == "9999-12":
        wrong = FieldError(pointer="period", detail="is no calendar month", instead="such as 2026-01")
        return problem("closing.invalid", f"{text[:20]!r} is no calendar month", errors=(wrong,))
    year, month = int(found[1]), int(found[2])
    return Period(start=date(year, month, 1), end=date(year + month // 12, month % 12 + 1, 1))


def plain_closing(one: Closing, now: datetime) -> dict[str, Any]:
    """A closing as JSON."""
    return {
        "entity": one.entity,
        "period": period_name(day=one.start_day),
        "until": one.until,
        "goes_first": one.lasts(now),
    }
