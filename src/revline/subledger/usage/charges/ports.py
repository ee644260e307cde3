"""What charging asks of the rooms around it: meters, the log's version, configuration, credits; wired in app."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Protocol

from sqlalchemy import Connection

from revline.core.ids import SourceObject
from revline.core.problem import Problem
from revline.platform.store.unit import Unit
from revline.subledger.usage.charges.setup import ChargingSetup
from revline.subledger.usage.charges.statements import Settled
from revline.subledger.usage.metering.values import (
    Demand,
    LineageDemand,
    LineagePage,
    MeterCatalogue,
    Metered,
    Tally,
    Touched,
)
from revline.subledger.usage.rating.billing import Subscribed
from revline.subledger.usage.versions import UsageVersion, Window


class Meters(Protocol):
    """Quantities of the usage log, as `metering.service.Metering` gives them."""

    def quantities(
        self,
        *,
        tenant_id: str,
        catalogue: MeterCatalogue,
        demands: Sequence[Demand],
        version: UsageVersion,
        position: int | None = None,
    ) -> Mapping[str, Metered] | Problem: ...

    def touched(
        self, *, tenant_id: str, catalogue: MeterCatalogue, since: UsageVersion, until: UsageVersion, position: int = 0
    ) -> tuple[Touched, ...] | Problem: ...

    def lineage(
        self,
        *,
        tenant_id: str,
        catalogue: MeterCatalogue,
        demand: LineageDemand,
        after: tuple[datetime, int, int] | None = None,
        limit: int = 100,
        position: int | None = None,
    ) -> LineagePage | Problem: ...

    def tally(
        self, *, tenant_id: str, catalogue: MeterCatalogue, version: UsageVersion, window: Window | None = None
    ) -> tuple[Tally, ...] | Problem: ...


class Versions(Protocol):
    """Where the usage log stands."""

    def current_version(self, *, tenant_id: str) -> UsageVersion: ...


class Setups(Protocol):
    """A tenant's configuration, the active one or that of a version."""

    def charging_setup(self, *, tenant_id: str) -> ChargingSetup | Problem: ...

    def charging_setup_at(self, *, tenant_id: str, version: int) -> ChargingSetup | Problem: ...


class Credits(Protocol):
    """Prepaid credits: what settling takes beside lines, and whoever keeps their ledger hears that lines changed."""

    def settled(
        self, connection: Connection, /, *, setup: ChargingSetup, customers: Collection[SourceObject]
    ) -> Mapping[SourceObject, Settled]:
        """What each customer's statement takes; one without commitments and grants has no key."""
        ...

    def changed(self, connection: Connection, /, *, tenant_id: str, position: int) -> Collection[SourceObject]:
        """Customers whose credits changed after a position."""
        ...

    def revised(self, unit: Unit, /, *, tenant_id: str, customers: Iterable[SourceObject]) -> None:
        """Lines of these customers were revised in this unit."""
        ...


class Subscriptions(Protocol):
    """Prices each customer subscribed to, and when; one without any has no key."""

    def __call__(
        self, connection: Connection, /, *, tenant_id: str, customers: Collection[SourceObject]
    ) -> Mapping[SourceObject, Collection[Subscribed]]: ...


class CommitmentsAlone:
    """Credits where no ledger is kept: commitments are settled, nothing was granted."""

    def settled(
        self, connection: Connection, /, *, setup: ChargingSetup, customers: Collection[SourceObject]
    ) -> Mapping[SourceObject, Settled]:
        return commitments_of(setup, customers)

    def changed(self, connection: Connection, /, *, tenant_id: str, position: int) -> Collection[SourceObject]:
        return ()

    def revised(self, unit: Unit, /, *, tenant_id: str, customers: Iterable[SourceObject]) -> None:
        return None


def commitments_of(setup: ChargingSetup, customers: Collection[SourceObject]) -> dict[SourceObject, Settled]:
    """The commitments of each customer that has one."""
    found: dict[SourceObject, Settled] = {}
    wanted = frozenset(customers)
    for each in setup.commitments:
        if each.customer in wanted:
            before = found.get(each.customer, Settled())
            found[each.customer] = Settled(commitments=(*before.commitments, each))
    return found


def no_subscriptions(
    connection: Connection, /, *, tenant_id: str, customers: Collection[SourceObject]
) -> Mapping[SourceObject, Collection[Subscribed]]:
    """Where nobody subscribes to anything."""
    return {}
