"""Writes of the registry of tenants, inside a transaction the caller opened."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection
from sqlalchemy.dialects.postgresql import insert

from revline.platform.store.unit import open_counter
from revline.platform.tenancy.tables import tenant


def register_tenant(connection: Connection, *, tenant_id: str, created_at: datetime) -> None:
    """Enter a tenant and give it its position counter; nothing happens when it is there. ValueError: see `store.walls`."""
    statement = insert(tenant).values(tenant_id=tenant_id, state="active", created_at=created_at)
    connection.execute(statement.on_conflict_do_nothing())
    open_counter(connection, tenant_id=tenant_id)
