"""A charge line: what it is of, what it was computed from, what it came to. Pure.

Identity never depends on the amount, the price's version or the log: a late event revises a line, it never makes another one.
"""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum
from typing import Final

import msgspec

from revline.core.ids import SourceObject, derived_id
from revline.subledger.usage.versions import UsageVersion, Window

GROUPS_MAX: Final = 10_000
"""Values of group-by of one meter, customer and period; more are a case, not a longer bill."""


class ChargeKind(StrEnum):
    """usage: a meter's quantity at its price. minimum, commitment: the difference to what was promised. credit: paid from prepaid
    credits (negative). adjustment: what changed of a period that was closed."""

    USAGE = "usage"
    MINIMUM = "minimum"
    COMMITMENT = "commitment"
    CREDIT = "credit"
    ADJUSTMENT = "adjustment"


class ChargeSubject(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """What a charge line is of, and so its identity.

    customer: who is billed (the parent where use is billed there). price: name of the UsagePrice document, or of the commitment or
    grant. group: (field, value) of the meter's group-by, in order. window: the billing period it is billed in. origin: of an
    adjustment the closed period that changed, None elsewhere.
    """

    customer: SourceObject
    kind: ChargeKind
    price: str
    group: tuple[tuple[str, str], ...] = ()
    window: Window
    origin: Window | None = None

    def charge_id(self, tenant_id: str) -> str:
        """The line's id: the same for every revision."""
        group = (part for pair in self.group for part in pair)
        origin = () if self.origin is None else ("of", self.origin.start.isoformat(), self.origin.end.isoformat())
        return derived_id(
            "charge",
            tenant_id,
            self.customer.connection,
            self.customer.kind,
            self.customer.outside_id,
            self.kind.value,
            self.price,
            self.window.start.isoformat(),
            self.window.end.isoformat(),
            *group,
            *origin,
        )


class Charge(msgspec.Struct, frozen=True, kw_only=True):
    """One revision of a charge line.

    revision: 1 for the first. held: it waits for a person's approval and counts for nothing until then. entity: the legal entity
    that sells. currency: ISO 4217; amount has its scale, rounded once, by the price's convention. quantity: what was priced, exact,
    in `unit`. events: how many events it counts. usage_version: the point of the log it was computed from. configuration: version
    of the tenant's configuration its price and meter were read from. read_position: the tenant's position as of which customers and
    subjects were known. digest: SHA-256 over what the query gave (events, quantity and
    the sum of receipt sequences), so that the query run again proves the line. explanation: the rating's steps as JSON.
    """

    charge_id: str
    revision: int
    subject: ChargeSubject
    entity: str
    product_family: str
    meter: str
    unit: str
    quantity: Decimal
    currency: str
    amount: Decimal
    events: int
    usage_version: UsageVersion
    configuration: int
    digest: str
    explanation: bytes = b"{}"
    read_position: int = 0
    held: bool = False
