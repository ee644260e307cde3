"""Applying configuration: the shell that opens a unit, stores a new version of what changed and says what that is."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import msgspec
from sqlalchemy import Connection

from revline.core.clock import Clock
from revline.core.problem import Mender, Problem, Retryable, define, problem
from revline.platform.config.changes import DocumentChange, changes_between
from revline.platform.config.documents import Configuration, encode_spec
from revline.platform.config.loader import Loaded
from revline.platform.config.queries import active, active_version
from revline.platform.config.registry import Registry
from revline.platform.config.tables import configuration_document, configuration_version
from revline.platform.store.engine import Database
from revline.platform.store.unit import Unit

Register = Callable[[Connection, str, datetime], None]
"""Enters a tenant in the registry of tenants, with its counter; nothing happens when it is there. Wired by the application."""


class Applied(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one tenant's configuration.

    old_version 0: it had none. new_version equals old_version when nothing changed. position: the unit that activated it, 0 when
    none did. In a dry run, what would be.
    """

    tenant: str
    old_version: int
    new_version: int
    digest: str
    position: int
    changes: tuple[DocumentChange, ...]


def apply(
    *,
    database: Database,
    registry: Registry,
    loaded: Loaded,
    clock: Clock,
    register_tenant: Register,
    actor: str,
    reason: str,
    dry_run: bool = False,
    tenants: tuple[str, ...] = (),
) -> tuple[Applied, ...] | Problem:
    """Make a folder the active configuration of its tenants, each in a unit of its own.

    A tenant whose documents say the same as its active version gets no new one, so applying twice does nothing. Every version
    is kept. tenants: only these; all by default. `configuration.invalid` carries every error when the folder has one; nothing is
    applied then. dry_run: the same way, rolled back.
    """
    if loaded.errors:
        detail = f"the folder has {len(loaded.errors)} errors"
        return problem("configuration.invalid", detail, errors=loaded.errors)
    configurations = loaded.configurations()
    missing = sorted(set(tenants) - set(configurations))
    if missing:
        detail = f"the folder has no tenant {missing[0]}"
        return problem("configuration.invalid", detail, field=missing[0])
    wanted = [found for tenant, found in configurations.items() if not tenants or tenant in tenants]
    return tuple(
        _apply_one(
            database=database,
            registry=registry,
            configuration=configuration,
            clock=clock,
            register_tenant=register_tenant,
            actor=actor,
            reason=reason,
            dry_run=dry_run,
        )
        for configuration in wanted
    )


def _apply_one(
    *,
    database: Database,
    registry: Registry,
    configuration: Configuration,
    clock: Clock,
    register_tenant: Register,
    actor: str,
    reason: str,
    dry_run: bool,
) -> Applied:
    tenant, now = configuration.tenant, clock.now()
    with database.unit(
        tenants=[tenant], kind="configuration", actor=actor, reason=reason, recorded_at=now, dry_run=dry_run
    ) as unit:
        register_tenant(unit.connection, tenant, now)
        newest = active_version(unit.connection, tenant_id=tenant)
        old_version = newest.version if newest else 0
        if newest is not None and newest.digest == configuration.digest:
            return Applied(
                tenant=tenant,
                old_version=old_version,
                new_version=old_version,
                digest=newest.digest,
                position=0,
                changes=(),
            )
        before = active(unit.connection, tenant_id=tenant, registry=registry)
        _write(unit, configuration, old_version + 1, now)
    return Applied(
        tenant=tenant,
        old_version=old_version,
        new_version=old_version + 1,
        digest=configuration.digest,
        position=unit.positions[tenant],
        changes=changes_between(before=before, after=configuration),
    )


def _write(unit: Unit, configuration: Configuration, version: int, now: datetime) -> None:
    tenant = configuration.tenant
    unit.record(
        configuration_version,
        tenant_id=tenant,
        version=version,
        digest=configuration.digest,
        actor=unit.actor,
        reason=unit.reason,
        activated_at=now,
    )
    for document in sorted(configuration.documents, key=lambda each: (each.kind, each.name)):
        unit.record(
            configuration_document,
            tenant_id=tenant,
            version=version,
            kind=document.kind,
            name=document.name,
            file=document.file,
            line=document.line,
            content=encode_spec(document.spec).decode(),
            digest=document.digest,
        )


define(
    code="configuration.invalid",
    title="The configuration folder has errors",
    status=422,
    retryable=Retryable.AFTER_FIX,
    mender=Mender.CONFIGURATION,
    remedy="Correct what each error names, by file and line, then run `revline config validate` again.",
)
