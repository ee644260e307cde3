"""What reads usage and charges it, made once a process when it is first asked for: the engine behind it is heavy to import.

A worker that has no tenant with a price, and a command that asks nothing of usage, never load it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING

from revline.app.directory import Directory
from revline.core.clock import Clock
from revline.core.problem import Problem
from revline.doors.charging import ChargeTools
from revline.platform.config.registry import Registry
from revline.platform.settings import Settings
from revline.platform.store.engine import Database

if TYPE_CHECKING:
    from revline.app.charging import ChargingDirectory
    from revline.platform.tenancy.stored_data_keys import StoredDataKeys
    from revline.subledger.usage.charges.service import Charging
    from revline.subledger.usage.charges.ticking import Ticker
    from revline.subledger.usage.metering.service import Metering
    from revline.subledger.usage.outward.shadow import Shadow
    from revline.subledger.usage.store.desk import UsageDesk
    from revline.subledger.usage.store.reading import UsageReader


class UsageTools:
    """One process's. Safe for threads."""

    def __init__(
        self,
        *,
        settings: Settings,
        database: Database,
        directory: Directory,
        registry: Registry,
        clock: Clock,
        data_keys: Callable[[], StoredDataKeys | Problem],
    ) -> None:
        self._settings, self._database, self._directory = settings, database, directory
        self._registry, self._clock, self._data_keys = registry, clock, data_keys
        self._lock = threading.Lock()
        self._made: _Made | None = None
        self._catalogues: Callable[[], None] | None = None

    def charges(self) -> ChargeTools | Problem:
        """What doors do with charges; a problem where the usage log can't be read."""
        made = self._parts()
        return made if isinstance(made, Problem) else made.tools

    def metering(self) -> Metering | Problem:
        """Who counts usage; a problem where the usage log can't be read."""
        made = self._parts()
        return made if isinstance(made, Problem) else made.metering

    def setups(self) -> ChargingDirectory | Problem:
        """Configuration as charging reads it."""
        made = self._parts()
        return made if isinstance(made, Problem) else made.setups

    def charging(self, *, owner: str) -> tuple[Ticker, Charging] | Problem:
        """What a worker does: find customers whose usage changed, and compute them."""
        from revline.app.charging import charging_of, ticker_of  # noqa: PLC0415 - heavy

        made = self._parts()
        if isinstance(made, Problem):
            return made
        ticker = ticker_of(
            database=self._database,
            setups=made.setups,
            meters=made.metering,
            versions=made.reader,
            clock=self._clock,
            owner=owner,
            every=timedelta(seconds=self._settings.usage_rate_seconds),
        )
        charging = charging_of(
            database=self._database,
            directory=self._directory,
            setups=made.setups,
            meters=made.metering,
            clock=self._clock,
            owner=owner,
        )
        return ticker, charging

    def shadow(self, *, owner: str) -> Shadow | Problem:
        """What a worker does with invoices that bill usage: compare them."""
        from revline.app.usage_billing import shadow_of  # noqa: PLC0415 - heavy

        made = self._parts()
        if isinstance(made, Problem):
            return made
        return shadow_of(
            database=self._database,
            directory=self._directory,
            meters=made.metering,
            versions=made.reader,
            clock=self._clock,
            owner=owner,
        )

    def files(self) -> UsageDesk | Problem:
        """What is done with files of usage."""
        made = self._parts()
        return made if isinstance(made, Problem) else made.files

    def close(self) -> None:
        """Let go of threads."""
        with self._lock:
            if self._catalogues is not None:
                self._catalogues()
            self._made = self._catalogues = None

    def _parts(self) -> _Made | Problem:
        with self._lock:
            if self._made is None:
                made = self._make()
                if isinstance(made, Problem):
                    return made
                self._made = made
            return self._made

    def _make(self) -> _Made | Problem:
        from revline.app.charging import ChargingDirectory  # noqa: PLC0415 - heavy
        from revline.app.usage import CatalogueDirectory  # noqa: PLC0415 - heavy
        from revline.app.usage_store import desk_of, objects_of, reader_of  # noqa: PLC0415 - heavy
        from revline.subledger.usage.metering.duck import EngineLimits  # noqa: PLC0415 - heavy
        from revline.subledger.usage.metering.service import Metering  # noqa: PLC0415 - heavy

        keys = self._data_keys()
        if isinstance(keys, Problem):
            return keys
        catalogues = CatalogueDirectory(directory=self._directory, keys=keys)
        self._catalogues = catalogues.close
        objects = objects_of(self._settings)
        reader = reader_of(
            settings=self._settings,
            database=self._database,
            clock=self._clock,
            keys=keys,
            types_of=catalogues.types_of,
            objects=objects,
        )
        files = desk_of(
            settings=self._settings,
            database=self._database,
            clock=self._clock,
            directory=self._directory,
            reader=reader,
            objects=objects,
            seed_of=keys.identity_seed,
            types_of=catalogues.read,
        )
        limits = EngineLimits(
            memory_megabytes=self._settings.usage_query_megabytes,
            folder=str(self._settings.data_folder / "usage" / "spill"),
        )
        metering = Metering(database=self._database, reader=reader, limits=limits)
        setups = ChargingDirectory(directory=self._directory, database=self._database, registry=self._registry)
        tools = _charge_tools(
            database=self._database, clock=self._clock, setups=setups, metering=metering, reader=reader
        )
        return _Made(tools=tools, setups=setups, metering=metering, reader=reader, files=files)


def _charge_tools(
    *, database: Database, clock: Clock, setups: ChargingDirectory, metering: Metering, reader: UsageReader
) -> ChargeTools:
    """What doors do with charges."""
    from revline.app.charging import ticker_of  # noqa: PLC0415 - heavy
    from revline.app.subscribed import SubscriptionFacts  # noqa: PLC0415 - heavy
    from revline.subledger.usage.charges.acts import ChargeActs  # noqa: PLC0415 - heavy
    from revline.subledger.usage.charges.checking import UsageCheck  # noqa: PLC0415 - heavy
    from revline.subledger.usage.charges.desk import ChargeDesk  # noqa: PLC0415 - heavy
    from revline.subledger.usage.charges.so_far import LiveCost  # noqa: PLC0415 - heavy

    return ChargeTools(
        desk=ChargeDesk(database=database, setups=setups, meters=metering),
        acts=ChargeActs(database=database, setups=setups, clock=clock),
        check=UsageCheck(database=database, setups=setups, meters=metering),
        ticker=ticker_of(database=database, setups=setups, meters=metering, versions=reader, clock=clock, owner="door"),
        live=LiveCost(
            database=database,
            setups=setups,
            meters=metering,
            versions=reader,
            clock=clock,
            subscriptions=SubscriptionFacts(setups=setups),
        ),
    )


class _Made:
    """What was made."""

    def __init__(
        self,
        *,
        tools: ChargeTools,
        setups: ChargingDirectory,
        metering: Metering,
        reader: UsageReader,
        files: UsageDesk,
    ) -> None:
        self.tools, self.setups, self.metering, self.reader, self.files = tools, setups, metering, reader, files
