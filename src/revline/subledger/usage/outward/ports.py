"""What comparing and telling usage ask of the rooms around them; wired in app."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec
from sqlalchemy import Connection

from revline.core.ids import SourceObject
from revline.core.problem import Problem
from revline.platform.store.unit import Unit
from revline.subledger.usage.charges.accruing import Billing
from revline.subledger.usage.charges.values import Charge
from revline.subledger.usage.outward.kinds import UsageBilling
from revline.subledger.usage.outward.values import Billed, BillingSubject, Cause, Expected


class BillingConnection(msgspec.Struct, frozen=True, kw_only=True):
    """How one connection bills, as the active configuration has it.

    entity, time_zone: of the source connection whose invoices bill, "" and UTC where it brings none. prices: the connection's price
    -> name of the UsagePrice that rates the same, from both kinds.
    """

    name: str
    spec: UsageBilling
    entity: str = ""
    time_zone: str = "UTC"
    prices: Mapping[str, str] = {}


class BillingConfiguration(msgspec.Struct, frozen=True, kw_only=True):
    """One tenant's active configuration as comparing and telling need it. by_connection: of each that has a UsageBilling."""

    version: int
    by_connection: Mapping[str, BillingConnection]


class Configurations(Protocol):
    """The active configuration of a tenant, from memory or a quick read outside any open transaction."""

    def usage_billing(self, *, tenant_id: str) -> BillingConfiguration | Problem: ...


class Unrated(msgspec.Struct, frozen=True, kw_only=True):
    """Why a billed line has no expectation. skip: it bills no metered use at all, so nothing is wrong with it."""

    cause: Cause = Cause.UNKNOWN_METER
    detail: str = ""
    skip: bool = False


class Expectations(Protocol):
    """What we expect of lines that were billed. It may take seconds, and is asked outside any transaction."""

    def expect(
        self, *, tenant_id: str, billing: BillingConnection, billed: Sequence[Billed]
    ) -> Mapping[BillingSubject, Expected | Unrated] | Problem: ...


class Charges(Protocol):
    """Charge lines as they stand: the newest revision of each line of a customer, without those that are held."""

    def __call__(self, connection: Connection, /, *, tenant_id: str, customer: SourceObject) -> Sequence[Charge]: ...


class Linked(Protocol):
    """Hears, inside the unit of work, what takes back the accrual of each standing charge line of a customer; None where no
    finished invoice bills it."""

    def __call__(
        self, unit: Unit, /, *, tenant_id: str, customer: SourceObject, billings: Mapping[str, Billing | None]
    ) -> None: ...


def nobody(unit: Unit, /, *, tenant_id: str, customer: SourceObject, billings: Mapping[str, Billing | None]) -> None:
    """Nobody hears."""


def no_charges(connection: Connection, /, *, tenant_id: str, customer: SourceObject) -> Sequence[Charge]:
    """No charge lines: only what was billed is compared."""
    del connection, tenant_id, customer
    return ()
