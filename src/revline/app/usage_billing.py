"""Comparing and telling usage wired: how each connection bills, by each tenant's active configuration in memory."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from decimal import Decimal

from revline.app.directory import Directory
from revline.core.clock import Clock
from revline.core.problem import Problem
from revline.platform.cases.service import RetryHandler
from revline.platform.config.documents import Configuration
from revline.platform.store.engine import Database
from revline.platform.tenancy.kinds import Connection, LegalEntity
from revline.subledger.usage.metering.values import CustomerWindow
from revline.subledger.usage.outward import queries, record
from revline.subledger.usage.outward.kinds import UsageBilling
from revline.subledger.usage.outward.ports import BillingConfiguration, BillingConnection
from revline.subledger.usage.rating.kinds import UsagePrice


class BillingDirectory:
    """`outward.ports.Configurations`, and the UsagePrice documents. Safe for threads; made once a version."""

    def __init__(self, directory: Directory) -> None:
        self._directory = directory
        self._lock = threading.Lock()
        self._made: dict[str, BillingConfiguration] = {}

    def usage_billing(self, *, tenant_id: str) -> BillingConfiguration | Problem:
        """As of the active version."""
        configuration = self._directory.configuration(tenant_id=tenant_id)
        if isinstance(configuration, Problem):
            return configuration
        with self._lock:
            made = self._made.get(tenant_id)
            if made is None or made.version != configuration.version:
                made = self._made[tenant_id] = billing_of(configuration)
            return made

    def prices(self, *, tenant_id: str) -> Mapping[str, UsagePrice] | Problem:
        """The UsagePrice documents of the active version."""
        configuration = self._directory.configuration(tenant_id=tenant_id)
        if isinstance(configuration, Problem):
            return configuration
        return {name: each.spec for name, each in configuration.all(UsagePrice).items()}


def billing_of(configuration: Configuration) -> BillingConfiguration:
    """How connections bill, of one configuration version."""
    connections, entities = configuration.all(Connection), configuration.all(LegalEntity)
    prices = configuration.all(UsagePrice)
    found: dict[str, BillingConnection] = {}
    for document in configuration.all(UsageBilling).values():
        spec: UsageBilling = document.spec
        connection = connections.get(spec.connection)
        if connection is None:
            continue
        entity = entities.get(connection.spec.entity)
        ours = {
            outside.partition("/")[2]: name
            for name, each in prices.items()
            for outside in each.spec.applies_to.subscription_prices
            if outside.partition("/")[0] == spec.connection
        }
        found[spec.connection] = BillingConnection(
            name=spec.connection,
            spec=spec,
            entity=connection.spec.entity,
            time_zone="UTC" if entity is None else entity.spec.time_zone,
            prices={**ours, **spec.prices},
        )
    return BillingConfiguration(version=configuration.version, by_connection=found)


def no_quantities(
    *, tenant_id: str, meter: str, windows: Sequence[CustomerWindow]
) -> Mapping[CustomerWindow, Decimal] | Problem:
    """Nothing was used, as long as no usage log is open in this process."""
    del tenant_id, meter, windows
    return {}


def retry_handler(*, database: Database, clock: Clock) -> RetryHandler:
    """How the customers of findings are compared again."""

    def retry(*, tenant_id: str, subject_ids: Sequence[str], actor: str, reason: str) -> int:
        with database.unit(
            tenants=[tenant_id], kind="retry", actor=actor, reason=reason, recorded_at=clock.now()
        ) as unit:
            roots = queries.customers_of(unit.connection, tenant_id=tenant_id, ids=subject_ids)
            record.request_customers(unit, tenant_id=tenant_id, roots=roots)
        return len(subject_ids)

    return retry
