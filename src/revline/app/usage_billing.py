"""Comparing and telling usage wired: how each connection bills, by each tenant's active configuration in memory."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence

from revline.app.directory import Directory, pool_id
from revline.core.clock import Clock
from revline.core.ids import SourceObject
from revline.core.problem import Problem
from revline.feedback.usage import UsageTelling
from revline.platform.cases.service import RetryHandler
from revline.platform.config.documents import Configuration
from revline.platform.store.engine import Database
from revline.platform.store.unit import Unit
from revline.platform.tenancy.kinds import Connection, LegalEntity
from revline.subledger.usage.charges.accruing import Billing
from revline.subledger.usage.charges.ports import Meters, Versions
from revline.subledger.usage.charges.queries import standing_charges
from revline.subledger.usage.charges.record import ask, write_billings
from revline.subledger.usage.metering.values import MeterCatalogue, catalogue_of
from revline.subledger.usage.outward import queries, record
from revline.subledger.usage.outward.kinds import UsageBilling
from revline.subledger.usage.outward.ports import BillingConfiguration, BillingConnection
from revline.subledger.usage.outward.queries import billings_by_charge
from revline.subledger.usage.outward.shadow import Shadow
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

    def catalogue(self, *, tenant_id: str) -> MeterCatalogue | Problem:
        """The event types and meters of the active version."""
        configuration = self._directory.configuration(tenant_id=tenant_id)
        return configuration if isinstance(configuration, Problem) else catalogue_of(configuration)

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


def shadow_of(
    *, database: Database, directory: Directory, meters: Meters, versions: Versions, clock: Clock, owner: str
) -> Shadow:
    """What a worker does with invoices that bill usage."""
    # Rating stands on numpy, which takes long to load and which only this needs.
    from revline.subledger.usage.outward.expecting import MeteredExpectations  # noqa: PLC0415
    from revline.subledger.usage.outward.measuring import MeteredQuantities  # noqa: PLC0415

    configurations = BillingDirectory(directory)
    quantities = MeteredQuantities(meters=meters, versions=versions, catalogues=configurations.catalogue)
    return Shadow(
        database=database,
        configurations=configurations,
        expectations=MeteredExpectations(database=database, quantities=quantities, prices=configurations.prices),
        clock=clock,
        owner=owner,
        charges=standing_charges,
        linked=link_charges,
    )


def telling_of(*, database: Database, directory: Directory, clock: Clock, owner: str, epoch: int) -> UsageTelling:
    """What a worker does with charges that billing is told of."""

    def pool_of(tenant_id: str, connection: str) -> str:
        configuration = directory.configuration(tenant_id=tenant_id)
        document = None if isinstance(configuration, Problem) else configuration.get(Connection, connection)
        return pool_id(tenant_id=tenant_id, name=connection, pool="" if document is None else document.spec.pool)

    return UsageTelling(
        database=database,
        configurations=BillingDirectory(directory),
        charges=standing_charges,
        pool_of=pool_of,
        clock=clock,
        owner=owner,
        epoch=epoch,
    )


def link_charges(
    unit: Unit, /, *, tenant_id: str, customer: SourceObject, billings: Mapping[str, Billing | None]
) -> None:
    """Tell charging what bills its lines, where that is new; it then takes accruals back or gives them again."""
    known = billings_by_charge(unit.connection, tenant_id=tenant_id, charge_ids=billings)
    news = {charge_id: one for charge_id, one in billings.items() if known.get(charge_id) != one}
    if news:
        ask(unit, tenant_id=tenant_id, customers=[customer])
        write_billings(unit, tenant_id=tenant_id, billings=news)


def lane_retry_handler(*, database: Database, clock: Clock, kind: str) -> RetryHandler:
    """How lanes of a kind that failed are run again."""

    def retry(*, tenant_id: str, subject_ids: Sequence[str], actor: str, reason: str) -> int:
        with database.unit(
            tenants=[tenant_id], kind="retry", actor=actor, reason=reason, recorded_at=clock.now()
        ) as unit:
            record.request_lanes(unit, tenant_id=tenant_id, lanes=subject_ids, kind=kind)
        return len(subject_ids)

    return retry


def target_retry_handler(*, database: Database, clock: Clock) -> RetryHandler:
    """How customers whose charges could not be told are looked at again."""

    def retry(*, tenant_id: str, subject_ids: Sequence[str], actor: str, reason: str) -> int:
        with database.unit(
            tenants=[tenant_id], kind="retry", actor=actor, reason=reason, recorded_at=clock.now()
        ) as unit:
            lanes = [record.TELLING_PREFIX + root for root in subject_ids]
            record.request_lanes(unit, tenant_id=tenant_id, lanes=lanes, kind=record.TELLING_KIND)
        return len(subject_ids)

    return retry


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


def retry_handlers(*, database: Database, clock: Clock) -> dict[str, RetryHandler]:
    """How each kind of case subject of comparing and telling is tried again."""
    return {
        "usage_finding": retry_handler(database=database, clock=clock),
        "usage_billing": lane_retry_handler(database=database, clock=clock, kind=record.LANE_KIND),
        "usage_telling": lane_retry_handler(database=database, clock=clock, kind=record.TELLING_KIND),
        "usage_target": target_retry_handler(database=database, clock=clock),
    }
