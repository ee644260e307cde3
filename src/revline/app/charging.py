"""Charging wired: each tenant's prices, meters and policies by configuration version, its credits, and what runs in a worker."""

from __future__ import annotations

import os
import threading
from collections.abc import Collection, Iterable, Mapping
from datetime import timedelta

import msgspec
from sqlalchemy import Connection

from revline.app.directory import Directory
from revline.app.subscribed import SubscriptionFacts
from revline.app.usage_billing import BillingDirectory
from revline.core.clock import Clock
from revline.core.ids import SourceObject
from revline.core.problem import Problem, problem
from revline.platform.config import queries as configurations
from revline.platform.config.registry import Registry
from revline.platform.store.engine import Database
from revline.platform.store.unit import Unit
from revline.subledger.usage.charges.ports import Meters, Versions, commitments_of
from revline.subledger.usage.charges.service import Charging
from revline.subledger.usage.charges.setup import ChargingSetup, charging_setup
from revline.subledger.usage.charges.statements import Settled
from revline.subledger.usage.charges.ticking import DEFAULT_EVERY, Ticker
from revline.subledger.usage.credits import queries as ledger
from revline.subledger.usage.credits.record import ask_holders, holder_of
from revline.subledger.usage.outward.record import request_comparison, request_tellings

VERSIONS_KEPT = 8
"""Configuration versions of one tenant that are held in memory; closed periods are rated by the one they were closed with."""


class ChargingDirectory:
    """Implements the port `Setups` of charging. Safe for threads; a version is compiled once."""

    def __init__(self, *, directory: Directory, database: Database, registry: Registry) -> None:
        self._directory, self._database, self._registry = directory, database, registry
        self._lock = threading.Lock()
        self._made: dict[tuple[str, int], ChargingSetup] = {}

    def charging_setup(self, *, tenant_id: str) -> ChargingSetup | Problem:
        """As of the active version."""
        configuration = self._directory.configuration(tenant_id=tenant_id)
        if isinstance(configuration, Problem):
            return configuration
        known = self._known(tenant_id, configuration.version)
        return known or self._keep(charging_setup(configuration))

    def charging_setup_at(self, *, tenant_id: str, version: int) -> ChargingSetup | Problem:
        """As of any version that was applied. Opens a transaction where the version is not in memory."""
        known = self._known(tenant_id, version)
        if known is not None:
            return known
        with self._database.read(tenants=[tenant_id]) as connection:
            found = configurations.at_version(connection, tenant_id=tenant_id, version=version, registry=self._registry)
        if found is None:
            return problem("configuration.missing", f"tenant {tenant_id} has no version {version}", field=tenant_id)
        return self._keep(charging_setup(found))

    def _known(self, tenant_id: str, version: int) -> ChargingSetup | None:
        with self._lock:
            return self._made.get((tenant_id, version))

    def _keep(self, setup: ChargingSetup) -> ChargingSetup:
        with self._lock:
            mine = [key for key in self._made if key[0] == setup.tenant_id]
            for key in mine[: max(0, len(mine) - VERSIONS_KEPT + 1)]:
                del self._made[key]
            self._made[setup.tenant_id, setup.version] = setup
        return setup


class CreditBooks:
    """Implements the port `Credits` of charging over the ledger of prepaid credits."""

    def __init__(self, *, billing: BillingDirectory | None = None) -> None:
        """billing: how connections bill, where what they bill is compared."""
        self._billing = billing

    def settled(
        self, connection: Connection, /, *, setup: ChargingSetup, customers: Collection[SourceObject]
    ) -> Mapping[SourceObject, Settled]:
        """Commitments of the configuration, grants and refunds as facts say."""
        found = commitments_of(setup, customers)
        holders = {holder_of(tenant_id=setup.tenant_id, customer=customer): customer for customer in customers}
        granted = ledger.granted_to(connection, tenant_id=setup.tenant_id, holder_ids=holders)
        for holder, (grants, refunds) in granted.items():
            before = found.get(holders[holder], Settled())
            found[holders[holder]] = msgspec.structs.replace(before, grants=grants, refunds=refunds)
        return found

    def changed(self, connection: Connection, /, *, tenant_id: str, position: int) -> Collection[SourceObject]:
        """Customers whose ledger went on after a position."""
        return ledger.posted_since(connection, tenant_id=tenant_id, position=position)

    def revised(self, unit: Unit, /, *, tenant_id: str, customers: Iterable[SourceObject]) -> None:
        """Have their ledgers settled, and what billing bills them compared, again."""
        mine = tuple(customers)
        ask_holders(unit, tenant_id=tenant_id, customers=mine)
        found = None if self._billing is None else self._billing.usage_billing(tenant_id=tenant_id)
        if found is not None and not isinstance(found, Problem) and found.by_connection:
            request_comparison(unit, tenant_id=tenant_id, customers=mine)
            if any(one.spec.reports for one in found.by_connection.values()):
                request_tellings(unit, tenant_id=tenant_id, customers=mine)


def charging_of(
    *,
    database: Database,
    directory: Directory,
    setups: ChargingDirectory,
    meters: Meters,
    clock: Clock,
    owner: str,
) -> Charging:
    """What a worker does with customers whose usage changed."""
    return Charging(
        database=database,
        setups=setups,
        meters=meters,
        channels=directory,
        clock=clock,
        random_bytes=os.urandom,
        owner=owner,
        paying=CreditBooks(billing=BillingDirectory(directory)),
        subscriptions=SubscriptionFacts(setups=setups),
    )


def ticker_of(
    *,
    database: Database,
    setups: ChargingDirectory,
    meters: Meters,
    versions: Versions,
    clock: Clock,
    owner: str,
    every: timedelta = DEFAULT_EVERY,
) -> Ticker:
    """What a worker does to find them."""
    return Ticker(
        database=database,
        setups=setups,
        meters=meters,
        versions=versions,
        clock=clock,
        owner=owner,
        paying=CreditBooks(),
        subscriptions=SubscriptionFacts(setups=setups),
        every=every,
    )
