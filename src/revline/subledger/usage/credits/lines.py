"""Charge lines as settling sees them. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Final

import msgspec

from revline.subledger.usage.charges.values import Charge, ChargeKind
from revline.subledger.usage.credits.values import Draw, Line

CHARGE: Final = "charge"
"""The group field under which a CREDIT charge names the line it pays."""
PRICED: Final = frozenset({ChargeKind.USAGE, ChargeKind.ADJUSTMENT})
"""Kinds of charges that are priced."""

PROMISED: Final = frozenset({ChargeKind.COMMITMENT, ChargeKind.MINIMUM})
"""Kinds of charges that commitments add."""


def lines_of(*, tenant_id: str, charges: Iterable[Charge], closed_until: datetime | None = None) -> tuple[Line, ...]:
    """The lines of charges, one revision of each given; those that are held are left out.

    closed_until: periods that ended by then are closed. What paid their lines is fixed: what their CREDIT charges say, and the
    lines that commitments added in them stand as they are. Of open periods settling itself makes both.
    """
    known = [charge for charge in charges if not charge.held]
    paid: dict[str, list[Draw]] = {}
    for charge in known:
        if charge.subject.kind is ChargeKind.CREDIT and _closed(charge, closed_until):
            draw = Draw(grant_id=charge.subject.price, amount=-charge.amount)
            paid.setdefault(dict(charge.subject.group).get(CHARGE, ""), []).append(draw)
    lines = []
    for charge in known:
        closed = _closed(charge, closed_until)
        if charge.subject.kind in PRICED or (closed and charge.subject.kind in PROMISED):
            line = line_of(tenant_id=tenant_id, charge=charge)
            draws = tuple(sorted(paid.get(charge.charge_id, ()), key=lambda draw: draw.grant_id))
            lines.append(msgspec.structs.replace(line, fixed=draws) if closed else line)
    return tuple(lines)


def _closed(charge: Charge, closed_until: datetime | None) -> bool:
    return closed_until is not None and charge.subject.window.end <= closed_until


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
