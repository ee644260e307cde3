"""Writes of the registry of tenants, inside a transaction the caller opened."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection
from sqlalchemy.dialects.postgresql import insert

from revline.platform.store.unit import open_counter
from revline.platform.tenancy.tables import tenant


def register_tenant(connection: Connection, *, tenant_id: str, created_at: datetime) -> None:
    """Enter a tenant and give it its position counter; one that is there stays as it is.

    The tenant's row is locked until the transaction ends, so two applications of configuration take turns.
    """
    statement = insert(tenant).values(tenant_id=tenant_id, state="active", created_at=created_at)
    keep = {"state": tenant.c.state}
    connection.execute(statement.on_conflict_do_update(index_elements=[tenant.c.tenant_id], set_=keep))
    open_counter(connection, tenant_id=tenant_id)
