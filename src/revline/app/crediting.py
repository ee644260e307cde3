"""Credits wired: each tenant's plans, commitments and zones by its active configuration, and who charges what draws them."""

from __future__ import annotations

import os
import threading

from sqlalchemy import Connection

from revline.app.directory import Directory
from revline.core.clock import Clock
from revline.core.ids import SourceObject
from revline.core.problem import Problem
from revline.intake.service import Intake
from revline.platform.store.engine import Database
from revline.platform.tenancy.kinds import Connection as ConnectionSpec
from revline.platform.tenancy.kinds import LegalEntity
from revline.subledger.usage.charges.queries import closed_until, standing_charges
from revline.subledger.usage.commitments import Commitment, NamedCommitment
from revline.subledger.usage.credits.plans import CreditPlan
from revline.subledger.usage.credits.ports import Charged, CreditSetup
from revline.subledger.usage.credits.running import CreditKeeper
from revline.subledger.usage.credits.service import CreditDesk


def charged(connection: Connection, /, *, tenant_id: str, customer: SourceObject) -> Charged:
    """A customer's charge lines, and up to when its periods are closed."""
    return Charged(
        charges=standing_charges(connection, tenant_id=tenant_id, customer=customer),
        closed_until=closed_until(connection, tenant_id=tenant_id, customer=customer),
    )


class CreditDirectory:
    """Implements the port `Setups` of credits. Safe for threads; made once a version."""

    def __init__(self, directory: Directory) -> None:
        self._directory = directory
        self._lock = threading.Lock()
        self._made: dict[str, CreditSetup] = {}

    def credit_setup(self, *, tenant_id: str) -> CreditSetup | Problem:
        """As of the active version."""
        configuration = self._directory.configuration(tenant_id=tenant_id)
        if isinstance(configuration, Problem):
            return configuration
        with self._lock:
            made = self._made.get(tenant_id)
            if made is not None and made.version == configuration.version:
                return made
        entities = configuration.all(LegalEntity)
        made = CreditSetup(
            version=configuration.version,
            plans={name: each.spec for name, each in configuration.all(CreditPlan).items()},
            commitments=tuple(
                NamedCommitment(name=name, spec=each.spec)
                for name, each in sorted(configuration.all(Commitment).items())
            ),
            zones={
                name: entities[each.spec.entity].spec.time_zone
                for name, each in configuration.all(ConnectionSpec).items()
                if each.spec.entity in entities
            },
        )
        with self._lock:
            self._made[tenant_id] = made
        return made


def desk_of(*, database: Database, directory: Directory, intake: Intake, clock: Clock) -> CreditDesk:
    """What doors do with credits."""
    return CreditDesk(
        database=database,
        intake=intake,
        channels=directory,
        setups=CreditDirectory(directory),
        clock=clock,
        random_bytes=os.urandom,
        charges=charged,
    )


def keeper_of(*, database: Database, directory: Directory, clock: Clock, owner: str) -> CreditKeeper:
    """What a worker does with credits."""
    return CreditKeeper(
        database=database,
        setups=CreditDirectory(directory),
        channels=directory,
        clock=clock,
        random_bytes=os.urandom,
        owner=owner,
        charges=charged,
    )
