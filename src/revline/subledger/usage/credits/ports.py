"""What credits ask of the rooms around them; wired in app."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol

import msgspec
from sqlalchemy import Connection

from revline.core.ids import SourceObject
from revline.core.problem import Problem
from revline.subledger.usage.charges.values import Charge
from revline.subledger.usage.commitments import NamedCommitment
from revline.subledger.usage.credits.plans import CreditPlan


class CreditSetup(msgspec.Struct, frozen=True, kw_only=True):
    """One tenant's active configuration as credits need it. zones: connection -> time zone of the entity that sells there."""

    version: int
    plans: Mapping[str, CreditPlan]
    commitments: tuple[NamedCommitment, ...]
    zones: Mapping[str, str]


class Setups(Protocol):
    """The active configuration of a tenant."""

    def credit_setup(self, *, tenant_id: str) -> CreditSetup | Problem: ...


class Charged(msgspec.Struct, frozen=True, kw_only=True):
    """What a customer is charged. charges: the revision of each line that counts, of every period. closed_until: periods that
    ended by then are closed."""

    charges: Sequence[Charge] = ()
    closed_until: datetime | None = None


class Charges(Protocol):
    """Where a customer's charge lines are read."""

    def __call__(self, connection: Connection, /, *, tenant_id: str, customer: SourceObject) -> Charged: ...


def no_charges(connection: Connection, /, *, tenant_id: str, customer: SourceObject) -> Charged:
    """Where nothing is charged."""
    del connection, tenant_id, customer
    return Charged()
