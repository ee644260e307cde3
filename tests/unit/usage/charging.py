"""Charge lines for tests: one customer of Stripe, API calls by the month, amounts in EUR."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

from revline.core.ids import SourceObject
from revline.subledger.usage.charges.comparing import Line
from revline.subledger.usage.charges.values import Charge, ChargeKind, ChargeSubject
from revline.subledger.usage.versions import UsageVersion, Window

ADA = SourceObject(connection="stripe", kind="customer", outside_id="cus_ada")


def month(number: int) -> Window:
    """A month of 2026 in UTC."""
    return Window(start=datetime(2026, number, 1, tzinfo=UTC), end=datetime(2026, number + 1, 1, tzinfo=UTC))


JANUARY, FEBRUARY, MARCH = month(1), month(2), month(3)


def version(sequence: int) -> UsageVersion:
    """The log of one shard up to a sequence."""
    return UsageVersion(watermarks=((0, sequence),))


def line(
    quantity: str,
    amount: str,
    *,
    window: Window = JANUARY,
    events: int = 1,
    group: tuple[tuple[str, str], ...] = (),
    price: str = "api-calls",
    digest: str = "",
) -> Line:
    """A line of usage."""
    return Line(
        subject=ChargeSubject(customer=ADA, kind=ChargeKind.USAGE, price=price, group=group, window=window),
        entity="acme-de",
        product_family="api",
        meter="calls",
        unit="call",
        quantity=Decimal(quantity),
        currency="EUR",
        amount=Decimal(amount),
        events=events,
        digest=digest or f"{quantity}/{events}",
    )


def charge(given: Line, *, revision: int = 1, sequence: int = 1) -> Charge:
    """The line as a revision."""
    return given.charge(tenant_id="acme", revision=revision, usage_version=version(sequence), configuration=1)
