"""Reads of configuration versions. Each takes an open connection that names the tenant, and the registry of kinds."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, Row, func, select

from revline.platform.config.documents import ConfigDocument, Configuration, decode_spec
from revline.platform.config.registry import Registry
from revline.platform.config.tables import configuration_document, configuration_version

VERSIONS_MAX: Final = 1_000


class VersionRow(msgspec.Struct, frozen=True, kw_only=True):
    """One activation. position: the unit of work that made it the active one."""

    version: int
    digest: str
    actor: str
    reason: str
    position: int
    activated_at: datetime


def active(connection: Connection, *, tenant_id: str, registry: Registry) -> Configuration | None:
    """The tenant's active configuration, compiled; None when nothing was applied yet."""
    newest = active_version(connection, tenant_id=tenant_id)
    return (
        None
        if newest is None
        else at_version(connection, tenant_id=tenant_id, version=newest.version, registry=registry)
    )


def active_version(connection: Connection, *, tenant_id: str) -> VersionRow | None:
    """The activation that is in force, or None. Cheap: what a cache of configurations asks before it is used."""
    rows = versions(connection, tenant_id=tenant_id, limit=1)
    return rows[0] if rows else None


def versions(connection: Connection, *, tenant_id: str, limit: int = 100) -> tuple[VersionRow, ...]:
    """Activations, newest first."""
    row = configuration_version.c
    statement = (
        select(row.version, row.digest, row.actor, row.reason, row.position, row.activated_at)
        .where(row.tenant_id == tenant_id)
        .order_by(row.version.desc())
        .limit(max(1, min(limit, VERSIONS_MAX)))
    )
    return tuple(VersionRow(**found._mapping) for found in connection.execute(statement))


def at_version(connection: Connection, *, tenant_id: str, version: int, registry: Registry) -> Configuration | None:
    """The tenant's configuration at a version, or None when there is no such version."""
    row = configuration_version.c
    known = select(row.version).where(row.tenant_id == tenant_id, row.version == version)
    if connection.execute(known).scalar_one_or_none() is None:
        return None
    each = configuration_document.c
    statement = (
        select(configuration_document)
        .where(each.tenant_id == tenant_id, each.version == version)
        .order_by(each.kind, each.name)
    )
    documents = tuple(_document(found, tenant_id, registry) for found in connection.execute(statement))
    return Configuration(tenant=tenant_id, version=version, documents=documents)


def _document(row: Row[Any], tenant_id: str, registry: Registry) -> ConfigDocument[Any]:
    kind = registry.get(row.kind)
    if kind is None:
        raise LookupError(f"configuration kind {row.kind} is not registered")
    return ConfigDocument(
        kind=row.kind,
        tenant=tenant_id,
        name=row.name,
        spec=decode_spec(row.content, kind.spec_type),
        file=row.file,
        line=row.line,
        digest=row.digest,
    )


def first_position(connection: Connection, *, tenant_id: str, kind: str, name: str) -> int:
    """Position of the first activation that held a document of this kind and name; 0 when none did."""
    each = configuration_document.c
    statement = select(func.min(each.position)).where(each.tenant_id == tenant_id, each.kind == kind, each.name == name)
    return int(connection.execute(statement).scalar_one() or 0)
