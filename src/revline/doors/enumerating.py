"""Listing what a far system holds, as people ask for it: by connection, everything or since a moment. The same for every door."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from revline.core.hashing import plain
from revline.core.problem import Problem
from revline.delivery.enumerating import ErpListing, listings
from revline.doors.services import Services
from revline.platform.store.engine import Database


def reports(database: Database, *, tenant_id: str, connection: str = "") -> tuple[ErpListing, ...]:
    """What the listings of a tenant, or of one connection, last found."""
    with database.read(tenants=[tenant_id]) as reading:
        return listings(reading, tenant_id=tenant_id, far_connection=connection)


def plain_report(one: ErpListing) -> Mapping[str, Any]:
    """A report as plain values, without what only the lanes need."""
    shown = dict(plain(one))
    for name in ("tenant_id", "lane_id", "pool_id", "entity", "cursor", "resume"):
        del shown[name]
    return {**shown, "running": one.running}


def ask(
    services: Services, *, tenant_id: str, connection: str, since: datetime | None, actor: str, reason: str
) -> Mapping[str, Any] | Problem:
    """Ask for a listing and give where it stands."""
    asked = services.lister(tenant_id=tenant_id, connection=connection, since=since, actor=actor, reason=reason)
    if isinstance(asked, Problem):
        return asked
    found = reports(services.database, tenant_id=tenant_id, connection=connection)
    return {"asked": asked, "items": [plain_report(one) for one in found]}
