"""Reads a record of a far system that a person names: on a slot of its pool, with a directory and connectors of its own, so that no
loop's transport is shared."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Final

from revline.app.directory import Directory
from revline.core.clock import Clock
from revline.core.ids import uuid7
from revline.core.problem import Problem, problem
from revline.delivery import naming
from revline.delivery.naming import Intent, Named, NamedRecord, Read
from revline.delivery.plan import limits_of
from revline.delivery.values import FarSide
from revline.platform.store.engine import Database
from revline.platform.work import visits
from revline.platform.work.pool_state import CameBack
from revline.platform.work.visits import Visit

SLOT_WAIT: Final = timedelta(seconds=5)
"""How long a person is kept waiting for a slot of a pool that others use."""
SLOT_EVERY: Final = timedelta(milliseconds=200)
LEASE_BEYOND: Final = timedelta(seconds=10)


class Naming:
    """Implements the doors' port `RecordNaming`. new_directory: makes a directory that is closed after one reading."""

    def __init__(
        self,
        *,
        database: Database,
        clock: Clock,
        random_bytes: Callable[[int], bytes],
        new_directory: Callable[[], Directory],
    ) -> None:
        self._database, self._clock, self._random_bytes = database, clock, random_bytes
        self._new_directory = new_directory

    def look(self, *, tenant_id: str, document_id: str, record: NamedRecord) -> Read | Intent | Named | Problem:
        """Read the record and compare it; the intent alone where the person's word is taken. `Named`: it is this record already.

        Problems as `naming.intent_of` and `naming.read_named`, `pool.no_room`, and those of a connection that can't be used.
        """
        with self._database.read(tenants=[tenant_id]) as connection:
            intent = naming.intent_of(connection, tenant_id=tenant_id, document_id=document_id, record=record)
        if not isinstance(intent, Intent) or record.unread:
            return intent
        return asyncio.run(self._read(tenant_id, intent))

    def take(
        self, *, tenant_id: str, document_id: str, looked: Read | Intent, actor: str, reason: str
    ) -> Named | Problem:
        """The document is what was looked at. Problems as `naming.name_record`."""
        intent = looked.intent if isinstance(looked, Read) else looked
        return naming.name_record(
            self._database,
            tenant_id=tenant_id,
            document_id=document_id,
            record=intent.record,
            read=looked if isinstance(looked, Read) else None,
            actor=actor,
            reason=reason,
            recorded_at=self._clock.now(),
        )

    async def _read(self, tenant_id: str, intent: Intent) -> Read | Problem:
        directory = self._new_directory()
        try:
            document = intent.document
            far = await asyncio.to_thread(
                directory.far_side, tenant_id=tenant_id, connection=document.connection, entity=document.entity
            )
            return far if isinstance(far, Problem) else await self._on_a_slot(tenant_id, intent, far)
        finally:
            await directory.close()

    async def _on_a_slot(self, tenant_id: str, intent: Intent, far: FarSide) -> Read | Problem:
        limit = far.connector.manifest.call_timeout * 2
        visit = Visit(
            tenant_id=tenant_id,
            call_id=str(uuid7(now=self._clock.now(), random_bytes=self._random_bytes)),
            limits=limits_of(far),
            lease=limit + LEASE_BEYOND,
        )
        refused = await self._begin(visit)
        if refused is not None:
            return refused
        found: Read | Problem = problem("erp.unreachable", "the record could not be read in time")
        try:
            found = await asyncio.wait_for(naming.read_named(far=far, intent=intent), timeout=limit.total_seconds())
        except TimeoutError:
            pass
        finally:
            lost = isinstance(found, Problem) and found.code == "erp.unreachable"
            told = CameBack(answered=not lost)
            await asyncio.to_thread(partial(visits.end, self._database, visit=visit, came_back=told))
        return found

    async def _begin(self, visit: Visit) -> Problem | None:
        tries = SLOT_WAIT // SLOT_EVERY
        for _ in range(tries):
            refused = await asyncio.to_thread(partial(visits.begin, self._database, visit=visit))
            if refused is None:
                return None
            await asyncio.sleep(SLOT_EVERY.total_seconds())
        return refused
