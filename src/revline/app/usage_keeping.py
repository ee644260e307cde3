"""What a worker keeps up of sealed usage by itself: merging, adoption of held events, removal of files."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

from revline.app.directory import Directory
from revline.core.clock import Clock
from revline.core.problem import Problem
from revline.platform.logs import log
from revline.platform.store.engine import Database
from revline.platform.tenancy.queries import active_tenants
from revline.subledger.usage.store.desk import UsageDesk

ACTOR: Final = "worker:usage-files"
SWEEP_EVERY: Final = timedelta(hours=1)


class UsageKeeper:
    """Small files are merged as they gather, held events adopted once their type is known, files removed that nobody reads. desk:
    opened when it is first needed."""

    def __init__(
        self,
        *,
        database: Database,
        directory: Directory,
        clock: Clock,
        owner: str,
        desk: Callable[[], UsageDesk | Problem],
    ) -> None:
        self._database, self._directory, self._clock = database, directory, clock
        self._owner, self._desk = owner, desk
        self._swept: dict[str, datetime] = {}
        self._adopted: dict[str, tuple[int, int]] = {}

    def turn(self) -> int:
        """Merge for one tenant that is due; look after the others. Gives how many files were merged."""
        desk = self._desk()
        if isinstance(desk, Problem):
            log().warning("usage.files_closed", code=desk.code)
            return 0
        merged = desk.compact_due(owner=self._owner)
        with self._database.control() as connection:
            tenants = active_tenants(connection)
        now = self._clock.now()
        for tenant_id in tenants:
            if now - self._swept.get(tenant_id, now - SWEEP_EVERY) >= SWEEP_EVERY:
                self._swept[tenant_id] = now
                desk.sweep(tenant_id=tenant_id)
                self._adopt(desk, tenant_id)
            elif tenant_id in self._adopted:
                self._adopt(desk, tenant_id)
        return merged

    def _adopt(self, desk: UsageDesk, tenant_id: str) -> None:
        """Where anything is held, when the configuration or what is held changed since the last look."""
        configuration = self._directory.configuration(tenant_id=tenant_id)
        if isinstance(configuration, Problem):
            return
        standing = (configuration.version, desk.held(tenant_id=tenant_id))
        if self._adopted.get(tenant_id) == standing:
            return
        if standing[1]:
            found = desk.adopt(tenant_id=tenant_id, actor=ACTOR, reason="its type is known now")
            if isinstance(found, Problem):
                log().warning("usage.adoption_failed", tenant_id=tenant_id, code=found.code)
                return
        self._adopted[tenant_id] = standing
