"""Charge lines as settling sees them. Pure."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from revline.subledger.usage.charges.values import Charge, ChargeKind
from revline.subledger.usage.credits.values import Line

PRICED = frozenset({ChargeKind.USAGE, ChargeKind.ADJUSTMENT})
"""Kinds of charges that are settled; the others are what settling adds."""


def lines_of(*, tenant_id: str, charges: Iterable[Charge]) -> tuple[Line, ...]:
    """The lines of charges, one revision of each given; those that are held, or that settling itself adds, are left out."""
    return tuple(
        line_of(tenant_id=tenant_id, charge=charge)
        for charge in charges
        if charge.subject.kind in PRICED and not charge.held
    )


def line_of(*, tenant_id: str, charge: Charge) -> Line:
    """The line of one charge. An adjustment is of the line it adjusts in the period that was closed."""
    subject = charge.subject
    adjusts = ""
    if subject.kind is ChargeKind.ADJUSTMENT and subject.origin is not None:
        original = msgspec.structs.replace(subject, kind=ChargeKind.USAGE, window=subject.origin, origin=None)
        adjusts = original.charge_id(tenant_id)
    return Line(
        charge_id=charge.charge_id,
        subject=subject,
        product_family=charge.product_family,
        meter=charge.meter,
        currency=charge.currency,
        amount=charge.amount,
        quantity=charge.quantity,
        adjusts=adjusts,
    )
