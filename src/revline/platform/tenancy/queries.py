"""Reads of the registry of tenants."""

from __future__ import annotations

from sqlalchemy import Connection, select

from revline.platform.tenancy.tables import tenant


def active_tenants(connection: Connection) -> tuple[str, ...]:
    """Ids of the tenants that are not closed, in order."""
    statement = select(tenant.c.tenant_id).where(tenant.c.state == "active").order_by(tenant.c.tenant_id)
    return tuple(connection.execute(statement).scalars())


def tenant_state(connection: Connection, *, tenant_id: str) -> str | None:
    """active, closed, or None for a tenant that was never registered."""
    return connection.execute(select(tenant.c.state).where(tenant.c.tenant_id == tenant_id)).scalar_one_or_none()
