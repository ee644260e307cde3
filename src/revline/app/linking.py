"""Reads a record of a far system for a door: with a directory and connectors of its own, so that no loop's transport is shared."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from revline.app.directory import Directory
from revline.core.clock import Clock
from revline.core.problem import Problem
from revline.delivery import linking
from revline.delivery.values import FarSide
from revline.platform.store.engine import Database


class Linker:
    """Implements the doors' port of the same name. new_directory: makes a directory that is closed after one reading."""

    def __init__(self, *, database: Database, clock: Clock, new_directory: Callable[[], Directory]) -> None:
        self._database, self._clock, self._new_directory = database, clock, new_directory

    def __call__(
        self,
        *,
        tenant_id: str,
        document_id: str,
        record_kind: str,
        erp_id: str,
        actor: str,
        reason: str,
        despite_difference: bool,
    ) -> linking.Linked | Problem:
        """Read, compare, link. Problems as `linking.compare` and `linking.link`."""
        with self._database.read(tenants=[tenant_id]) as connection:
            intent = linking.intent_of(connection, tenant_id=tenant_id, document_id=document_id)
        if isinstance(intent, Problem):
            return intent
        found = asyncio.run(self._read(tenant_id, intent, record_kind, erp_id))
        if isinstance(found, Problem):
            return found
        far, compared = found
        return linking.link(
            self._database,
            tenant_id=tenant_id,
            intent=intent,
            far=far,
            compared=compared,
            actor=actor,
            reason=reason,
            recorded_at=self._clock.now(),
            despite_difference=despite_difference,
        )

    async def _read(
        self, tenant_id: str, intent: linking.Intent, record_kind: str, erp_id: str
    ) -> tuple[FarSide, linking.Compared] | Problem:
        directory = self._new_directory()
        try:
            document = intent.document
            far = await asyncio.to_thread(
                directory.far_side, tenant_id=tenant_id, connection=document.connection, entity=document.entity
            )
            if isinstance(far, Problem):
                return far
            limit = far.connector.manifest.call_timeout.total_seconds() * 2
            read = linking.compare(far=far, intent=intent, record_kind=record_kind, erp_id=erp_id)
            compared = await asyncio.wait_for(read, timeout=limit)
            return compared if isinstance(compared, Problem) else (far, compared)
        except TimeoutError:
            return Problem(code="erp.unreachable", detail="the record could not be read in time")
        finally:
            await directory.close()
