"""The shell of metering: reads who customers are, asks the engine, and answers in values. It changes nothing that is stored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from revline.core.ids import SourceObject
from revline.core.problem import Problem
from revline.platform.store.engine import Database
from revline.subledger.usage.metering.ports import UsageReader
from revline.subledger.usage.metering.values import (
    Balance,
    Demand,
    Held,
    LineageDemand,
    LineagePage,
    MeterCatalogue,
    Metered,
    Tally,
    Touched,
)
from revline.subledger.usage.versions import UsageVersion, Window


class Metering:
    """Quantities of one database's tenants, from the files and the tail a reader gives. Safe for threads."""

    def __init__(self, *, database: Database, reader: UsageReader) -> None:
        self._database = database
        self._reader = reader

    def quantities(
        self, *, tenant_id: str, catalogue: MeterCatalogue, demands: Sequence[Demand], version: UsageVersion
    ) -> Mapping[str, Metered] | Problem:
        """What every demand comes to at a version, by meter; exact, and the same whenever it is asked again."""
        raise NotImplementedError

    def live_balance(
        self, *, tenant_id: str, catalogue: MeterCatalogue, customer: SourceObject, windows: Mapping[str, Window]
    ) -> tuple[Balance, ...] | Problem:
        """How much a customer used of each named meter in its window, everything acknowledged so far included."""
        raise NotImplementedError

    def touched(
        self, *, tenant_id: str, catalogue: MeterCatalogue, since: UsageVersion, until: UsageVersion, position: int = 0
    ) -> tuple[Touched, ...] | Problem:
        """Whose quantities may differ between two versions, and in which stretch of time; more may be named than do.

        position: customers that became known and mappings written after it count too; 0: every one.
        """
        raise NotImplementedError

    def lineage(
        self,
        *,
        tenant_id: str,
        catalogue: MeterCatalogue,
        demand: LineageDemand,
        after: tuple[datetime, int, int] | None = None,
        limit: int = 100,
    ) -> LineagePage | Problem:
        """The query behind one quantity, run again, and a page of its events."""
        raise NotImplementedError

    def held(
        self, *, tenant_id: str, catalogue: MeterCatalogue, version: UsageVersion | None = None
    ) -> tuple[Held, ...] | Problem:
        """Events that wait for a customer or a type, by subject and type, most events first."""
        raise NotImplementedError

    def tally(
        self, *, tenant_id: str, catalogue: MeterCatalogue, version: UsageVersion, window: Window | None = None
    ) -> tuple[Tally, ...] | Problem:
        """What became of every accepted event, by type; in a window of their time where one is given."""
        raise NotImplementedError
